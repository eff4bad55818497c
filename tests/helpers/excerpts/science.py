"""Multiple choice about diagrams and geometry problems."""

from pathlib import Path

from excerpts.files import picture, put


def _question(number: int, options: list[str], correct: int, lettered: bool = False) -> dict:
    return {"abcLabel": lettered, "answerTexts": options, "correctAnswer": correct, "questionId": f"7.png-{number}"}


def _text(name: str, x: int, y: int, letter: str, value: str) -> dict:
    return {"id": name, "rectangle": [[x, y], [x + 30, y + 12]], "replacementText": letter, "value": value}


def _ai2d(root: Path) -> None:
    base = root / "ai2d"
    questions = {
        "What does the frog eat?": _question(0, ["grass", "insects", "{}", "stones"], 1),
        "Which letter names the tadpole?": _question(1, ["B", "C", "A", "D"], 2, True),
        "What is B in the diagram?": _question(2, ["egg", "frog", "tadpole", "egg"], 1, True),
        "How many stages are there?": _question(3, ["3", "2", "5", "4"], 0),
    }
    put(base / "questions" / "7.png.json", {"imageName": "7.png", "questions": questions})
    put(base / "questions" / "8.png.json", {"imageName": "8.png", "questions": {}})
    held_out = {"What is this?": _question(0, ["a leaf", "a root", "a stem", "a seed"], 3)}
    put(base / "questions" / "9.png.json", {"imageName": "9.png", "questions": held_out})
    texts = {"T0": _text("T0", 4, 4, "A", "tadpole"), "T1": _text("T1", 60, 30, "B", "frog")}
    none = ("arrowHeads", "arrows", "blobs", "containers", "meaningfulSpaces", "relationships")
    for name in ("7", "8", "9"):
        other = {key: {} for key in none} | {"imageConsts": {"I0": {"id": "I0"}}}
        put(base / "annotations" / f"{name}.png.json", other | {"text": texts if name == "7" else {}})
        picture(base / "images" / f"{name}.png", 100, 50)
    put(base / "categories.json", {"7.png": "lifeCycles", "8.png": "volcano", "9.png": "partsOfThePlant"})
    put(base / "ai2d_test_ids.csv", "9\n")


def _problem(number: int, text: str, annotated: str, choices: list[str], answer: str) -> dict:
    return {
        "problem_text": text,
        "choices": choices,
        "answer": answer,
        "detailed_solution": " ",
        "problem_type_graph": ["Triangle"],
        "problem_type_goal": ["Length"],
        "source": "textbook1_chapter_1.pdf",
        "comment": "",
        "id": number,
        "annot_id": "someone_2020-03-27_21_08_10",
        "is_standard": False,
        "compact_choices": [choice.replace(" ", "") for choice in choices],
        "precise_value": [1.0, 2.0, 3.0, None],
        "rough_value": [1, 2, 3, None],
        "compact_text": text,
        "annotat_text": annotated,
        "unit": "",
        "img_width": 80,
        "img_height": 60,
        "data_type": "train",
        "date": "Fri Sep 18 22:23:14 2020",
        "system": "linux",
    }


def _geometry3k(root: Path) -> None:
    problems = [
        _problem(0, "Find x.", "Find $x$.", ["5", "2 \\sqrt { 5 }", "10", "\\frac { 5 } { 2 }"], "B"),
        _problem(1, "In \\odot X, A B = 3. Find A C.", "", ["3", "4", "5", "6"], "D"),
    ]
    logic = {"text_logic_form": ["Find(x)"], "dissolved_text_logic_form": ["Find(x)"], "diagram_logic_form": []}
    for problem in problems:
        folder = root / "geometry3k" / "train" / str(problem["id"])
        put(folder / "data.json", problem)
        put(folder / "logic_form.json", logic | {"line_instances": [], "point_positions": {}, "circle_instances": []})
        for name in ("img_diagram", "img_diagram_point", "img_problem"):
            picture(folder / f"{name}.png", 80 + problem["id"], 60)


EXCERPTS = {"ai2d": _ai2d, "geometry3k": _geometry3k}
