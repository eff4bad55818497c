"""Questions that are answered with yes or no."""

from pathlib import Path

from releases.files import picture, put, put_lines

HALLUSION = (
    # category, subcategory, visual_input, set, figure, question, answer
    ("VD", "illusion", "1", "0", "0", "0", "1"),
    ("VD", "illusion", "1", "0", "0", "1", "0"),
    ("VD", "illusion", "1", "0", "1", "0", "0"),
    ("VD", "illusion", "1", "0", "1", "1", "1"),
    ("VS", "chart", "0", "3", "0", "0", "1"),
    ("VS", "chart", "1", "3", "1", "0", "1"),
    ("VS", "chart", "2", "3", "2", "0", "0"),
)
"""Two questions about two figures, and one about a chart: without it, with it, and changed."""


def _mme(root: Path) -> None:
    folder = root / "MME_Benchmark_release_version"
    for kind, name, lines in (
        ("existence", "000000000009", "Is there a plate here? Please answer yes or no.\tYes\n"),
        ("code_reasoning", "0001", "Is the output 6? Please answer yes or no.\tNo\n"),
    ):
        put(folder / kind / f"{name}.txt", lines + lines.replace("Is", "Really, is"))
        picture(folder / kind / f"{name}.jpg")
    posters = folder / "posters"
    put(posters / "questions_answers_YN" / "tt01.txt", "Is this film a comedy?\tYes\nIs this film a tragedy?\tNo\n")
    picture(posters / "images" / "tt01.jpg")


def _pope(root: Path) -> None:
    asked = (("snowboard", "yes"), ("car", "no"), ("person", "yes"), ("dog", "no"))
    for split in ("random", "popular", "adversarial"):
        rows = [
            {
                "question_id": number,
                "image": f"COCO_val2014_00000031019{number // 3}.jpg",
                "text": f"Is there a {thing} in the image?",
                "label": label,
            }
            for number, (thing, label) in enumerate(asked, 1)
        ]
        put_lines(root / "POPE" / "output" / "coco" / f"coco_pope_{split}.json", rows)
    for number in (0, 1):
        picture(root / "coco" / "val2014" / f"COCO_val2014_00000031019{number}.jpg")


def _vsr(root: Path) -> None:
    rows = [
        {"image": "000000000025.jpg", "caption": "The giraffe is left of the tree.", "label": 1, "relation": "left of"},
        {"image": "000000000025.jpg", "caption": "The giraffe is under the tree.", "label": 0, "relation": "under"},
    ]
    put_lines(root / "vsr" / "test.jsonl", rows)
    picture(root / "vsr" / "images" / "000000000025.jpg")


def _hallusion_bench(root: Path) -> None:
    rows = []
    for category, subcategory, shown, topic, figure, question, answer in HALLUSION:
        name = f"hallusion_bench/{category}/{subcategory}/{topic}_{figure}.png"
        if shown != "0":
            picture(root / name)
        rows.append(
            {
                "category": category,
                "subcategory": subcategory,
                "visual_input": shown,
                "set_id": topic,
                "figure_id": figure,
                "sample_note": "circle",
                "question_id": question,
                "question": f"Is circle {question} larger than the other?",
                "gt_answer_details": "It is said here.",
                "gt_answer": answer,
                "filename": None if shown == "0" else f"./{name}",
            }
        )
    put(root / "HallusionBench.json", rows)


RELEASES = {"mme": _mme, "pope": _pope, "vsr": _vsr, "hallusion_bench": _hallusion_bench}
