"""Diagrams of school books: AI2D."""

from pathlib import Path

from releases.files import picture, put


def _ai2d(root: Path) -> None:
    def row(number: int, options: list[str], correct: int, lettered: bool = False) -> dict:
        return {"abcLabel": lettered, "answerTexts": options, "correctAnswer": correct, "questionId": f"7.png-{number}"}

    base = root / "ai2d"
    questions = {
        "What does the frog eat?": row(0, ["grass", "insects", "{}", "stones"], 1),
        "Which letter names the tadpole?": row(1, ["B", "C", "A", "D"], 2, True),
    }
    put(base / "questions" / "7.png.json", {"imageName": "7.png", "questions": questions})
    put(base / "questions" / "12.png.json", {"imageName": "12.png", "questions": {}})
    trained = {"What is this?": row(0, ["a leaf", "a root", "a stem", "a seed"], 3)}
    put(base / "questions" / "9.png.json", {"imageName": "9.png", "questions": trained})
    texts = {"T0": {"id": "T0", "rectangle": [[4, 4], [34, 16]], "replacementText": "A", "value": "tadpole"}}
    for name in ("7", "9", "12"):
        put(base / "annotations" / f"{name}.png.json", {"imageConsts": {}, "text": texts if name == "7" else {}})
        picture(base / "images" / f"{name}.png", "gray", 100, 50)
    put(root / "ai2d_test_ids.csv", "7\n12\n")


RELEASES = {"ai2d_letters": _ai2d}
