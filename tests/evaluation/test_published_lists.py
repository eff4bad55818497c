"""Lists as the reference repository publishes them, scored on the command line. Right values are worked by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from commands import one_line, run

Row = tuple[str, float]


def put(folder: Path, name: str, content: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content, ensure_ascii=False), "utf-8")


def listed(name: str, question: str, gold: object, number: int = -1, image: str = "data/a/1.jpg") -> dict[str, Any]:
    parts = {"image_path": image, "question": question, "question_id": number, "dataset_name": name}
    return {**parts, "gt_answers": gold}


def score(capsys: pytest.CaptureFixture, task: str, place: Path, answers: Sequence[str], *more: str) -> dict[str, Any]:
    path = place.parent / "answers.jsonl"
    rows = [json.dumps({"index": number, "answer": answer}) for number, answer in enumerate(answers)]
    path.write_text("\n".join(reversed(rows)) + "\n", "utf-8")
    code, out, err = run("score", task, str(place), str(path), "--json", *more, capsys=capsys)
    assert code == 0, err
    return json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def forms(folder: Path) -> list[Path]:
    """Everything that may be given as ANNOTATION."""
    return [folder, *sorted(folder.glob("a*.json")), *sorted(folder.glob("official*.json"))]


OPTIONS = {"A": "The woman's face", "B": "A part of the sky", "C": "None"}
LETTERED: Mapping[str, float] = {
    # the true option is B
    **dict.fromkeys(
        ["B", "B.", "(B)", "B)", "b", " B", "B ", "B\n", "B.\n", "**B**", '"B"', "Option B", "Answer: B"], 1
    ),
    **dict.fromkeys(["B. A part of the sky", "B.A part of the sky", "B) A part of the sky", "B: A part of the sky"], 1),
    **dict.fromkeys(["A part of the sky", "a part of the sky", "A part of the sky.", "It is A part of the sky."], 1),
    **dict.fromkeys(["The answer is B.", "The answer is B. A part of the sky", "Judging by the light it must be B"], 1),
    **dict.fromkeys(["A", "C.", "C. None", "None", "The answer is C.", "The woman's face"], 0),
    # none of the options, or more than one: wrong, and never drawn
    **dict.fromkeys(["", ".", "D", "F", "2", "B B", "A, B", "A or B", "Not sure", "A photo of a dog", "A. None"], 0),
}


@pytest.mark.parametrize("task", ["Qbench_dev", "qbench", "Q-bench-dev"])
def test_letters(task: str, tmp_path: Path, capsys) -> None:
    choices = "\n".join(f"{letter}. {text}" for letter, text in OPTIONS.items())
    question = f"Question:\nWhich part is the brightest?\nChoices:\n{choices}"
    rows = [
        listed("Qbench_dev", question, "B", f"type1_concern{n}", f"data/QBench/dev/{n}.JPG")
        for n in range(len(LETTERED))
    ]
    put(tmp_path / "Qbench_dev", "annotation.json", rows)
    for place in forms(tmp_path / "Qbench_dev"):
        found = score(capsys, task.replace("Q-bench", "Qbench"), place, list(LETTERED))
        assert dict(zip(LETTERED, found["per_item"], strict=True)) == LETTERED
        assert found["score"] == pytest.approx(sum(LETTERED.values()) / len(LETTERED))


@pytest.mark.parametrize("options", ["A. Yes\nB. No", "(A) Yes\n(B) No", "A) Yes\nB) No", "A.Yes\nB.No"])
@pytest.mark.parametrize("ending", ["", "\nAnswer with the option's letter from the given choices directly.", "\n"])
def test_ways_to_list_options(options: str, ending: str, tmp_path: Path, capsys) -> None:
    question = f"Question:\nIs it sharp?\nChoices:\n{options}{ending}"
    put(tmp_path / "Qbench_dev", "annotation.json", [listed("Qbench_dev", question, "B", n) for n in range(5)])
    found = score(capsys, "qbench", tmp_path / "Qbench_dev", ["B", "No.", "A", "yes", "b. no"])
    assert found["per_item"] == [1, 1, 0, 0, 1]


TEN = ["unanswerable"] * 4 + ["Unanswerable."] * 2 + ["dog"] * 3 + ["the dog"]
PHOTOS: Mapping[str, float] = {
    # six of ten say it: every one of the ten has three others at least that do
    "unanswerable": 1.0,
    "Unanswerable.": 1.0,
    " UNANSWERABLE\n": 1.0,
    # three of "dog" and one of "the dog": four, all ten find three others at least
    "a dog": 1.0,
    "dog, I think": 0.0,
    "": 0.0,
    "the": 0.0,
}


@pytest.mark.parametrize("task", ["vizwiz_val", "vizwiz"])
def test_ten_answers(task: str, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "vizwiz_val"
    images = [f"data/vizwiz/val/VizWiz_val_{n:08d}.jpg" for n in range(len(PHOTOS))]
    put(
        folder,
        "annotation.json",
        [listed("vizwiz", "What is it?", "unanswerable", 7 * n, i) for n, i in enumerate(images)],
    )
    ten = [{"answer": text, "answer_confidence": "yes", "answer_id": n + 1} for n, text in enumerate(TEN)]
    kinds = {"question_type": "what", "answer_type": "unanswerable", "multiple_choice_answer": "unanswerable"}
    put(
        folder,
        "annotations.json",
        {"annotations": [{**kinds, "answers": ten, "image_id": n, "question_id": 7 * n} for n in range(len(PHOTOS))]},
    )
    put(
        folder,
        "questions.json",
        {"questions": [{"image_id": n, "question": "What is it?", "question_id": 7 * n} for n in range(len(PHOTOS))]},
    )
    for place in forms(folder):
        found = score(capsys, task, place, list(PHOTOS))
        assert dict(zip(PHOTOS, found["per_item"], strict=True)) == PHOTOS
        # in per cent with two decimals, as the benchmark prints it
        assert found["score"] == round(100 * sum(PHOTOS.values()) / len(PHOTOS), 2)
    # the released program normalises as well, as not all ten wrote the same
    assert score(capsys, task, folder, list(PHOTOS), "--rule", "script")["per_item"] == list(PHOTOS.values())


@pytest.mark.parametrize(
    ("golds", "wrong"),
    [(("true", "false"), "maybe"), (("Yes", "No"), "yes and no"), ((1, 0), "2")],
)
@pytest.mark.parametrize("task", ["vsr_val", "vsr"])
def test_statements(task: str, golds: tuple[object, object], wrong: str, tmp_path: Path, capsys) -> None:
    question = 'Is the following statement "The cat is on the bed." true or false?'
    put(tmp_path / "vsr_val", "annotation.json", [listed("vsr_val", question, golds[n % 2]) for n in range(8)])
    yes, no = (str(gold) for gold in golds)
    answers = [yes, f"{no}.", yes.upper(), f" {no}\n", no, yes, wrong, ""]
    for place in forms(tmp_path / "vsr_val"):
        found = score(capsys, task, place, answers)
        assert found["per_item"] == [1, 1, 1, 1, 0, 0, 0, 0]
        # without ids of their own these are one question; every one counts
        assert (found["score"], found["doubled"] != []) == (0.5, True)


@pytest.mark.parametrize("task", ["chartqa_test_augmented", "chartqa"])
def test_charts(task: str, tmp_path: Path, capsys) -> None:
    rows = [
        ("47", "47", 1),
        ("47", "49.3", 1),
        ("47", "49.4", 0),
        ("47", "47%", 0),
        ("47", "forty", 0),
        ("0", "0.0", 1),
    ]
    rows += [("0", "0.001", 0), ("6.8", "nan", 0), ("Ted Baker", " ted baker ", 1), ("Ted Baker", "Ted Baker.", 0)]
    rows += [("5%", "0.05", 1), ("2013", "2014", 1), ("1,000", "1000", 0), ("1,000", "1,000", 1), ("5", "inf", 0)]
    # two items the same, answered otherwise
    rows += [("11", "11", 1), ("11", "12", 0), ("-3", "-2.9", 1), ("-3", "3", 0)]
    image = "data/chartqa/ChartQA Dataset/test/png/multi_col_803.png"
    put(
        tmp_path / "c",
        "annotation.json",
        [listed("chartqa_test_augmented", "How many?", g, image=image) for g, _, _ in rows],
    )
    for place in forms(tmp_path / "c"):
        found = score(capsys, task, place, [answer for _, answer, _ in rows])
        assert found["per_item"] == [right for _, _, right in rows]
        assert len(found["doubled"]) == len(rows) - 1


@pytest.mark.parametrize("task", ["docvqa_val_b", "docvqa"])
def test_pages(task: str, tmp_path: Path, capsys) -> None:
    golds = [["itc limited", "ITC  Limited."], ["2", " 2 "], ["abcd", "wxyz"], ["abcd"], ["ab cd"]]
    answers = ["ITC LIMITED.", "2", "wxy", "abxy", " ab   cd "]
    folder = tmp_path / "docvqa_val_b"
    image = "documents/x_1.png"
    put(
        folder,
        "annotation.json",
        [listed("docvqa_val", "?", g[0], n, f"data/docvqa/val/{image}") for n, g in enumerate(golds)],
    )
    put(
        folder,
        "official_gt.json",
        {"data": [{"questionId": n, "question": "?", "image": image, "answers": g} for n, g in enumerate(golds)]},
    )
    for place in forms(folder):
        # a letter of four is wrong: 0.75; two of four: half is nothing
        assert score(capsys, task, place, answers)["per_item"] == [1, 1, 0.75, 0, 1]
        assert score(capsys, task, place, answers)["score"] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("task", "folder"),
    [
        ("refcoco+_testB", "refcoco+_testB"),
        ("refcoco+", "refcoco+_testB"),
        ("refcocog_test", "refcocog_test"),
        ("refcocog", "refcocog_test"),
    ],
)
def test_boxes(task: str, folder: str, tmp_path: Path, capsys) -> None:
    # 640 x 427: the picture begins at 106 of the square of 640
    row = listed(folder, "left one", [64.0, 0.0, 320.0, 214.0])
    rows = {
        "[0.100,0.166,0.500,0.500]": 1,
        "0.100, 0.166, 0.500, 0.500": 1,
        "0.100,0.166,0.500,0.500]": 1,
        "It is at [0.1, 0.166, 0.5, 0.5].": 1,
        "[0.1,0.166,0.5,0.5] [0.9,0.9,1,1]": 1,
        "[0.9,0.9,1,1] [0.1,0.166,0.5,0.5]": 0,
        "[left] [0.1,0.166,0.5,0.5]": 0,
        "[0.5,0.5,0.1,0.166]": 0,
        "[64, 0, 320, 214]": 0,
        "[100, 166, 500, 500]": 0,
        "[0.1,0.166,0.5]": 0,
        "[nan,0.166,0.5,0.5]": 0,
        "[]": 0,
        "": 0,
    }
    put(tmp_path / folder, "annotation.json", [{**row, "question_id": "height427_width640"}] * len(rows))
    for place in forms(tmp_path / folder):
        found = score(capsys, task, place, list(rows))
        assert dict(zip(rows, found["per_item"], strict=True)) == rows
        assert found["score"] == pytest.approx(sum(rows.values()) / len(rows))


@pytest.mark.parametrize("task", ["mme_b", "mme", "MME"])
def test_pairs(task: str, tmp_path: Path, capsys) -> None:
    rows = []
    for kind in ("MME_existence", "MME_code_reasoning"):
        for number, gold in enumerate(("Yes", "No")):
            image = f"./data/MME_Benchmark_release_version/{kind[4:]}/images/1.jpg"
            rows.append(listed(kind, f"{number}? Please answer yes or no.", gold, number, image))
    put(tmp_path / "mme_b", "annotation.json", rows)
    for place in forms(tmp_path / "mme_b"):
        found = score(capsys, task, place, ["Yes.", "None", "   Yes", "NO"])
        assert found["per_item"] == [1, 1, 0, 1]
        # existence: 100 + 100; code: 50 + 0
        assert (found["score"], found["scores"]["perception"], found["scores"]["cognition"]) == (250, 200, 50)


def test_ids_that_do_not_fit_are_named(tmp_path: Path, capsys) -> None:
    put(tmp_path / "okvqa_val", "annotation.json", [listed("okvqa", "?", "a", 1)])
    put(
        tmp_path / "okvqa_val",
        "annotations.json",
        {"annotations": [{"answers": [{"answer": "a"}] * 10, "image_id": 1, "question_id": 2}]},
    )
    put(tmp_path / "okvqa_val", "questions.json", {"questions": [{"question": q, "question_id": 2} for q in "ab"]})
    path = tmp_path / "answers.jsonl"
    path.write_text('{"index": 0, "answer": "a"}\n')
    for place, message in (
        (tmp_path / "okvqa_val", "entry 0 is not about question 1"),
        (tmp_path / "okvqa_val" / "annotations.json", "questions.json, entry 1: the id 2 stands twice"),
    ):
        code, out, err = run("score", "okvqa", str(place), str(path), capsys=capsys)
        assert (code, out) == (2, "") and one_line(err) and message in err, err
