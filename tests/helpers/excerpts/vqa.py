"""The VQA format."""

from pathlib import Path

from excerpts.files import picture, put


def _annotation(question: int, image: int, answers: list[str]) -> dict:
    votes = [{"answer": a, "answer_confidence": "yes", "answer_id": k} for k, a in enumerate(answers, 1)]
    return {
        "question_type": "what is",
        "multiple_choice_answer": max(answers, key=answers.count),
        "answers": votes,
        "image_id": image,
        "answer_type": "other",
        "question_id": question,
    }


def _stemmed(question: int, image: int, answers: list[tuple[str, str]]) -> dict:
    votes = [
        {"answer_id": k, "raw_answer": raw, "answer_confidence": "yes", "answer": stem}
        for k, (raw, stem) in enumerate(answers, 1)
    ]
    return {
        "image_id": image,
        "answer_type": "other",
        "question_type": "five",
        "question_id": question,
        "answers": votes,
        "confidence": 3,
    }


def _vqa(root: Path, prefix: str, annotations: list[dict]) -> None:
    head = {"info": {"version": "2.0"}, "task_type": "Open-Ended", "data_type": "mscoco", "license": {"name": "-"}}
    questions = [
        {"image_id": 9, "question": "What is on the plate?", "question_id": 9000},
        {"image_id": 25, "question": "Is it sunny?", "question_id": 25000},
        {"image_id": 9, "question": "How many forks are there?", "question_id": 9001},
    ]
    kind = {"data_subtype": "train2014"}
    put(root / f"{prefix}OpenEnded_mscoco_train2014_questions.json", head | kind | {"questions": questions})
    put(root / f"{prefix}mscoco_train2014_annotations.json", head | kind | {"annotations": annotations})
    picture(root / "train2014" / "COCO_train2014_000000000009.jpg", 64, 48)
    picture(root / "train2014" / "COCO_train2014_000000000025.jpg", 48, 64)


def _vqav2(root: Path) -> None:
    annotations = [
        _annotation(9000, 9, ["bread"] * 6 + ["toast"] * 4),
        _annotation(9001, 9, ["2"] * 10),
        _annotation(25000, 25, ["yes"] * 9 + ["no"]),
    ]
    _vqa(root, "v2_", annotations)


def _okvqa(root: Path) -> None:
    bread, slices = ("bread", "bread"), ("bread slices", "bread slice")
    annotations = [
        _stemmed(9000, 9, [bread] * 3 + [slices] * 2 + [("sliced bread", "bread slice")] + [slices] * 4),
        _stemmed(9001, 9, [("2", "2")] * 10),
        _stemmed(25000, 25, [("yes", "yes")] * 10),
    ]
    _vqa(root, "", annotations)


def _gqa(root: Path) -> None:
    def entry(image: str, question: str, answer: str, full: str) -> dict:
        return {
            "semantic": [{"operation": "select", "dependencies": [], "argument": "cup (1)"}],
            "entailed": [],
            "equivalent": ["07"],
            "question": question,
            "imageId": image,
            "isBalanced": True,
            "groups": {"global": None, "local": "06-cup"},
            "answer": answer,
            "semanticStr": "select: cup (1)",
            "annotations": {"answer": {}, "question": {"3": "1"}, "fullAnswer": {"2": "1"}},
            "types": {"detailed": "existC", "semantic": "obj", "structural": "verify"},
            "fullAnswer": full,
        }

    questions = {
        "07": entry("n12", "Is there a red cup?", "yes", "Yes, there is a red cup."),
        "08": entry("2405", "Who wears the hat?", "man", "The man wears the hat."),
        "09": entry("n12", "What is beside the cup?", "spoon", "The spoon is beside the cup."),
    }
    put(root / "questions1.2" / "train_balanced_questions.json", questions)
    picture(root / "images" / "n12.jpg", 64, 48)
    picture(root / "images" / "2405.jpg", 48, 64)


def _visual_genome(root: Path) -> None:
    def entry(number: int, image: int, question: str, answer: str) -> dict:
        return {
            "a_objects": [],
            "question": question,
            "image_id": image,
            "qa_id": number,
            "answer": answer,
            "q_objects": [],
        }

    def image(number: int, folder: str) -> dict:
        url = f"https://cs.stanford.edu/people/rak248/{folder}/{number}.jpg"
        return {"width": 64, "url": url, "height": 48, "image_id": number, "coco_id": None, "flickr_id": None}

    first = [
        entry(1, 1, "What color is the clock?", "Green."),
        entry(2, 1, "Why is the man waiting?", "He is waiting for the next bus."),
        entry(3, 1, "Where is the tree?", "."),
    ]
    second = [entry(4, 2, "How many people are there?", "Two.")]
    questions = [{"id": 1, "qas": first}, {"id": 2, "qas": second}, {"id": 3, "qas": []}]
    put(root / "question_answers.json", questions)
    put(root / "image_data.json", [image(1, "VG_100K_2"), image(2, "VG_100K"), image(3, "VG_100K")])
    picture(root / "VG_100K_2" / "1.jpg", 64, 48)
    picture(root / "VG_100K" / "2.jpg", 64, 48)
    picture(root / "VG_100K" / "3.jpg", 64, 48)


def _clevr(root: Path) -> None:
    def entry(index: int, question: str, answer: str) -> dict:
        return {
            "split": "train",
            "image_index": index,
            "image_filename": f"CLEVR_train_{index:06d}.png",
            "question_index": index,
            "question": question,
            "answer": answer,
            "program": [{"function": "scene", "inputs": [], "value_inputs": []}],
            "question_family_index": 2,
        }

    base = root / "CLEVR_v1.0"
    info = {"split": "train", "version": "1.0", "date": "2/14/2017", "license": "CC BY 4.0"}
    questions = [
        entry(0, "Are there more cubes than spheres?", "yes"),
        entry(0, "How many small things are metal?", "0"),
        entry(1, "What shape is the large green thing?", "cylinder"),
    ]
    put(base / "questions" / "CLEVR_train_questions.json", {"info": info, "questions": questions})
    put(base / "scenes" / "CLEVR_train_scenes.json", {"info": info, "scenes": []})
    picture(base / "images" / "train" / "CLEVR_train_000000.png", 48, 32)
    picture(base / "images" / "train" / "CLEVR_train_000001.png", 48, 32)


def _textvqa(root: Path) -> None:
    def entry(number: int, image: str, question: str, answers: list[str]) -> dict:
        return {
            "question": question,
            "image_id": image,
            "image_classes": ["Bottle"],
            "flickr_original_url": f"https://example.org/{image}_o.jpg",
            "flickr_300k_url": f"https://example.org/{image}_z.jpg",
            "image_width": 64,
            "image_height": 48,
            "answers": answers,
            "question_tokens": question.rstrip("?").split(),
            "question_id": number,
            "set_name": "train",
        }

    none = "answering does not require reading text in the image"
    data = [
        entry(1, "00ab", "what brand is it?", ["nokia"] * 4 + ["nokia phone"] * 4 + [none] * 2),
        entry(2, "00ab", "what colour is the phone?", [none] * 9 + [""]),
        entry(3, "00cd", "what does the sign say?", [none] * 6 + ["stop"] * 4),
    ]
    head = {"dataset_type": "train", "dataset_name": "textvqa", "dataset_version": "0.5.1"}
    put(root / "TextVQA_0.5.1_train.json", head | {"data": data})
    heading = "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,OriginalSize"
    heading += ",OriginalMD5,Thumbnail300KURL,Rotation\n"
    rows = [",".join([image, "train", *["-"] * 9, turn]) for image, turn in (("00ab", "0.0"), ("00cd", "90.0"))]
    put(root / "train-images-boxable-with-rotation.csv", heading + "\n".join(rows) + "\n")
    picture(root / "train_images" / "00ab.jpg", 64, 48)
    picture(root / "train_images" / "00cd.jpg", 64, 48)


EXCERPTS = {
    "vqav2": _vqav2,
    "okvqa": _okvqa,
    "gqa": _gqa,
    "visual-genome-qa": _visual_genome,
    "clevr": _clevr,
    "textvqa": _textvqa,
}
