"""Benchmarks whose free answers a judge scores."""

from pathlib import Path

from releases.files import picture, put, put_lines

IMAGES = ("001.jpg", "002.jpg")


def _llavabench(root: Path) -> None:
    folder = root / "llava-bench-in-the-wild"
    asked = [("001.jpg", "conv", "What is the name of this bay?"), ("001.jpg", "detail", "Describe this photo.")]
    asked += [("002.jpg", "complex", "Why is the sign funny?")]
    rows = [
        {"question_id": number, "image": image, "text": text, "category": category}
        for number, (image, category, text) in enumerate(asked)
    ]
    put_lines(folder / "questions.jsonl", rows)
    contexts = [{"id": image[:3], "image": image, "caption": f"What {image} shows, in words."} for image in IMAGES]
    put_lines(folder / "context.jsonl", contexts)
    answers = ["It is Diamond Bay.", "A bay with a crater in front.", "It forbids what it asks for."]
    put_lines(
        folder / "answers_gpt4.jsonl",
        [
            {"question_id": number, "text": text, "answer_id": f"a{number}", "model_id": "gpt-4"}
            for number, text in enumerate(answers)
        ],
    )
    for image in IMAGES:
        picture(folder / "images" / image)


def _mmvet(root: Path) -> None:
    entries = {
        "v1_0": ("v1_0.png", "What is x in the equation?", "-1<AND>-5", ["ocr", "math"]),
        "v1_1": ("v1_1.jpg", "Which lamp is on the left desk?", "table lamp <OR> desk lamp", ["rec", "spat"]),
        "v1_2": ("v1_2.jpg", "Where was this taken? | say the land", "Australia", ["rec", "know"]),
    }
    names = ("imagename", "question", "answer", "capability")
    rows = {key: dict(zip(names, entry, strict=True)) | {"imagesource": "a url"} for key, entry in entries.items()}
    put(root / "mm-vet" / "mm-vet.json", rows)
    for name, *_ in entries.values():
        picture(root / "mm-vet" / "images" / name)


def _mathvista(root: Path) -> None:
    def row(number: int, question: str, kind: str, answer: str, **more: object) -> dict[str, object]:
        facts = {"choices": None, "unit": None, "precision": None, "question_type": "free_form"}
        about = {"task": "figure question answering", "skills": ["arithmetic reasoning"], "grade": "high school"}
        image = f"images/{number}.jpg"
        picture(root / "MathVista" / "data" / image)
        return {
            **facts,
            "pid": str(number),
            "question": question,
            "image": image,
            "answer": answer,
            "answer_type": kind,
            "metadata": about,
            **more,
        }

    choices = ["less than", "equal to", "more than"]
    rows = [
        row(1, "Is the sum less than 8?", "text", "equal to", choices=choices, question_type="multi_choice"),
        row(2, "How many are left?", "integer", "12"),
        row(3, "How long is the spring?", "float", "1.2", precision=1.0, unit="cm"),
        row(4, "How much is it, to two places?", "float", "0.25", precision=2.0),
        row(5, "Which numbers are missing?", "list", "[1, 2, 3]"),
    ]
    put(root / "MathVista" / "data" / "testmini.json", {str(one["pid"]): one for one in rows})


def versions(root: Path, folder: str, names: dict[str, str]) -> list[dict[str, object]]:
    """A problem with options and a free one in every version, in MathVerse's form."""
    rows: list[dict[str, object]] = []
    for kind, images in names.items():
        for problem in (1, 2):
            shown = "" if kind == "Vision Only" else f"How large is angle {problem}?"
            whole = f"How large is angle {problem}?"
            if problem == 1:
                shown, whole = (f"{text}\nChoices:\nA:40°\nB:60°" if text else "" for text in (shown, whole))
            image = f"{images}/image_{problem}.png" if images else ""
            if image:
                picture(root / folder / "images" / image)
            rows.append(
                {
                    "sample_index": str(len(rows) + 1),
                    "problem_index": str(problem),
                    "problem_version": kind,
                    "question": shown,
                    "image": image,
                    "answer": "B" if problem == 1 else "14",
                    "question_type": "multi-choice" if problem == 1 else "free-form",
                    "metadata": {"split": "testmini", "subject": "Plane Geometry", "subfield": "Angle"},
                    "query_wo": f"Please directly answer.\nQuestion: {shown}" if shown else "See the image.",
                    "question_for_eval": whole,
                }
            )
    return rows


def _mathverse(root: Path) -> None:
    names = dict.fromkeys(("Text Dominant", "Text Lite", "Vision Intensive"), "images_version_1-4")
    names |= {"Vision Dominant": "images_version_5", "Vision Only": "images_version_6"}
    put(root / "MathVerse" / "testmini.json", versions(root, "MathVerse", names))
    put(root / "MathVerse" / "testmini_text_only.json", versions(root, "MathVerse", {"Text Only": ""}))


def _sciverse(root: Path) -> None:
    kinds = ("Knowledge-free", "Knowledge-lite", "Knowledge-rich", "Vision-rich", "Vision-only")
    put(root / "SciVerse" / "sciverse.json", versions(root, "SciVerse", dict.fromkeys(kinds, "all")))


def _infimm(root: Path) -> None:
    rows = [
        (
            "Deductive",
            "High",
            ["1_a.jpg", "1_b.jpg"],
            "Which season comes?",
            "Spring.",
            ["Snow melts.", "So it warms."],
        ),
        ("Abductive", "Moderate", ["2.jpg"], "Why the helmet?", "Against tears.", ["Onions sting."]),
        ("Analogical", "Moderate", ["3.jpg"], "How does it go on?", "Westface", ["East becomes west."]),
    ]
    entries = {}
    for number, (category, complexity, images, question, answer, steps) in enumerate(rows):
        facts = {"category": category, "complexity": complexity, "images": images, "steps": steps}
        entries[str(number)] = {**facts, "question": question, "answer": answer}
        for name in images:
            picture(root / "infimm" / "images" / name)
    put(root / "infimm" / "infimm-eval.json", entries)


def _benchlmm(root: Path) -> None:
    folder = root / "BenchLMM"
    ad = [("clear/1.jpg", "Q: Which light counts?\nAnswer the question using a single word or phrase.", "A: None")]
    ad += [("clear/1.jpg", "Q: What does the car do?", "A: Stop / It stops")]
    for style, place, rows in (
        ("style_cartoon", "style", [("1.jpg", "What keeps them in?", "bars / fence")]),
        ("xray", "Xray", [("1.jpg", "Is there a knife?", "Yes")]),
        ("AD", "AD", ad),
    ):
        lines = [
            {"question_id": number, "image": image, "text": text, "category": "default", "answer": answer}
            for number, (image, text, answer) in enumerate(rows)
        ]
        put_lines(folder / "jsonl" / f"Benchmark_{style}.jsonl", lines)
        for image, *_ in rows:
            picture(folder / "images" / place / image)


RELEASES = {
    "llavabench": _llavabench,
    "mmvet": _mmvet,
    "mathvista": _mathvista,
    "mathverse": _mathverse,
    "sciverse": _sciverse,
    "infimm": _infimm,
    "benchlmm": _benchlmm,
}
