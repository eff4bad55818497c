"""General questions, and places on a screen."""

from pathlib import Path

from releases.files import picture, put


def _visual(root: Path, prefix: str, folder: str) -> None:
    """Questions and answers of visualqa.org."""

    def annotation(question: int, image: int, answers: list[str]) -> dict[str, object]:
        votes = [{"answer": answer, "answer_id": k} for k, answer in enumerate(answers, 1)]
        return {"question_id": question, "image_id": image, "answers": votes, "answer_type": "other"}

    questions = [
        {"question_id": 9000, "image_id": 9, "question": "What is on the plate?"},
        {"question_id": 25000, "image_id": 25, "question": "Is it sunny?"},
    ]
    annotations = [annotation(9000, 9, ["bread"] * 7 + ["toast"] * 3), annotation(25000, 25, ["yes"] * 10)]
    put(root / folder / f"{prefix}OpenEnded_mscoco_val2014_questions.json", {"questions": questions})
    put(root / folder / f"{prefix}mscoco_val2014_annotations.json", {"annotations": annotations})
    for number in (9, 25):
        picture(root / folder / "val2014" / f"COCO_val2014_{number:012d}.jpg")


def _vizwiz(root: Path) -> None:
    answers = [{"answer": "unanswerable", "answer_confidence": "yes"}] * 6 + [{"answer": "tea"}] * 4
    row = {"image": "VizWiz_val_00000000.jpg", "question": "What is this?", "answers": answers, "answer_type": "other"}
    put(root / "vizwiz" / "val.json", [row])
    picture(root / "vizwiz" / "val" / row["image"])


def _gqa(root: Path) -> None:
    row = {"imageId": "n1", "question": "Is it red?", "answer": "no", "types": {"structural": "verify"}}
    put(root / "gqa" / "testdev_balanced_questions.json", {"20": row})
    picture(root / "gqa" / "images" / "n1.jpg")


def _screenspot(root: Path) -> None:
    """Elements of a wide and of a tall screen."""
    for split, size in (("mobile", (100, 200)), ("desktop", (200, 100)), ("web", (200, 100))):
        name = f"{split}_3b0ad239.png"
        rows = [
            {"img_filename": name, "bbox": [20, 40, 60, 20], "instruction": "close this window", "data_type": "icon"},
            {"img_filename": name, "bbox": [50, 0, 50, 100], "instruction": "view the cart", "data_type": "text"},
        ]
        put(root / "ScreenSpot" / f"screenspot_{split}.json", [row | {"data_source": "shop"} for row in rows])
        picture(root / "ScreenSpot" / "screenspot_imgs" / name, "gray", *size)


def _tiny_lvlm(root: Path) -> None:
    def row(image: str, question: str, answers: object) -> dict[str, object]:
        return {"image_path": image, "question": question, "gt_answers": answers}

    sets = {
        "Visual_Reasoning": [row("1.jpg", "What is it?", ["two dogs", "dogs"]), row("1.jpg", "How many?", "2")],
        "Visual_Perception": [row("2.jpg", "Classify the main object in the image.", "tabby cat")],
        "Visual_Knowledge_Acquisition": [row("3.jpg", "What is written in the image?", "OPEN")],
        "Visual_Commonsense": [row("4.jpg", "What shape is it?", "round")],
        "Object_Hallucination": [row("5.jpg", "Is there a dog in the image?", "no")],
    }
    for name, rows in sets.items():
        put(root / "updated_datasets" / name / "dataset.json", rows)
        picture(root / "updated_datasets" / name / str(rows[0]["image_path"]))


RELEASES = {
    "okvqa": lambda root: _visual(root, "", "okvqa"),
    "vqav2": lambda root: _visual(root, "v2_", "vqav2"),
    "vizwiz": _vizwiz,
    "gqa": _gqa,
    "screenspot": _screenspot,
    "tiny_lvlm": _tiny_lvlm,
}
