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


def _vqa(root: Path, prefix: str) -> None:
    head = {"info": {"version": "2.0"}, "task_type": "Open-Ended", "data_type": "mscoco", "license": {"name": "-"}}
    questions = [
        {"image_id": 9, "question": "What is on the plate?", "question_id": 9000},
        {"image_id": 25, "question": "Is it sunny?", "question_id": 25000},
        {"image_id": 9, "question": "How many forks are there?", "question_id": 9001},
    ]
    annotations = [
        _annotation(9000, 9, ["bread"] * 6 + ["toast"] * 4),
        _annotation(9001, 9, ["2"] * 10),
        _annotation(25000, 25, ["yes"] * 9 + ["no"]),
    ]
    kind = {"data_subtype": "train2014"}
    put(root / f"{prefix}OpenEnded_mscoco_train2014_questions.json", head | kind | {"questions": questions})
    put(root / f"{prefix}mscoco_train2014_annotations.json", head | kind | {"annotations": annotations})
    picture(root / "train2014" / "COCO_train2014_000000000009.jpg", 64, 48)
    picture(root / "train2014" / "COCO_train2014_000000000025.jpg", 48, 64)


EXCERPTS = {
    "vqav2": lambda root: _vqa(root, "v2_"),
    "okvqa": lambda root: _vqa(root, ""),
}
