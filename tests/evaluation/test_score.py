"""`sphinx-x score`: saved answers of any model. Right values are worked by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import made_items, made_splits, write_release
from commands import one_line, run
from sphinx_x.evaluation.task import find_task
from sphinx_x.model.views import ViewGrid, plan_views

QUESTIONS = [
    {"questionId": 7, "question": "Who?", "image": "a.png", "answers": ["Ann", "Ann B."]},
    {"questionId": 8, "question": "What?", "image": "a.png", "answers": ["abcd"]},
    {"questionId": 9, "question": "When?", "image": "b.png", "answers": ["1999"]},
    {"questionId": 9, "question": "When?", "image": "b.png", "answers": ["1999"]},
]


@pytest.fixture
def annotation(tmp_path: Path) -> Path:
    path = tmp_path / "val_v1.0.json"
    path.write_text(json.dumps({"data": QUESTIONS}))
    return path


def predictions(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "answers.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def answer(index: object, text: object) -> dict[str, object]:
    return {"index": index, "answer": text}


def scored(capsys: pytest.CaptureFixture, *arguments: object) -> dict[str, Any]:
    code, out, err = run("score", *map(str, arguments), "--json", capsys=capsys)
    assert code == 0, err
    return json.loads(out)


def test_every_item_has_its_score_and_what_is_wrong_is_counted(annotation, tmp_path, capsys):
    # in another order than the items; "abcx" is one letter of four away; one answer is empty, one is missing
    answers = predictions(tmp_path, answer(2, ""), answer(1, "abcx"), answer(0, " ann b."))
    found = scored(capsys, "docvqa", annotation, answers)
    assert found["per_item"] == [1.0, 0.75, 0.0, 0.0]
    assert found["score"] == pytest.approx(1.75 / 4)
    assert (found["empty"], found["missing"], found["unreadable"], found["doubled"]) == ([2], [3], [2], [3])
    assert (found["items"], found["clusters"]) == (4, 2)
    low, high = found["interval"]
    assert low <= found["score"] <= high
    code, out, _ = run("score", "docvqa", str(annotation), str(answers), capsys=capsys)
    assert code == 0
    assert "1 items without an answer, counted as wrong: 3" in out
    assert "1 unreadable answers, counted as wrong: 2" in out


def test_the_order_of_answers_changes_nothing(annotation, tmp_path, capsys):
    rows = [answer(number, text) for number, text in enumerate(("Ann", "abcx", "19", "1999"))]
    forth = scored(capsys, "docvqa", annotation, predictions(tmp_path, *rows))
    back = scored(capsys, "docvqa", annotation, predictions(tmp_path, *reversed(rows)))
    assert forth == back
    # two runs in one process add nothing up
    assert scored(capsys, "docvqa", annotation, predictions(tmp_path, *rows)) == forth


def test_an_answer_that_stands_twice(annotation, tmp_path, capsys):
    same = predictions(tmp_path, answer(0, "Ann"), answer(0, "Ann"))
    found = scored(capsys, "docvqa", annotation, same)
    assert (found["repeated"], found["per_item"][0]) == ([0], 1.0)
    other = predictions(tmp_path, answer(0, "Ann"), answer(0, "Bob"))
    code, out, err = run("score", "docvqa", str(annotation), str(other), capsys=capsys)
    assert (code, out) == (2, "") and one_line(err) and "answer 2: another answer to item 0" in err


def test_places_are_read_in_the_square_that_is_named(tmp_path, capsys):
    """The same answer, of a model that pads around the picture and of one that pads below and beside it."""
    write_release("refcoco", tmp_path)
    [chosen] = [one for one in made_splits("refcoco", tmp_path) if one.split == "val"]
    item = made_items("refcoco", tmp_path, "val")[0]
    for padding in ("center", "corner"):
        layout = plan_views(*item.size, ViewGrid(padding=padding))
        box = ", ".join(f"{corner:.3f}" for corner in layout.to_square(item.box))
        answers = predictions(tmp_path, answer(item.index, f"[{box}]"))
        command = ("score", chosen.name, str(tmp_path), str(answers), "--json")
        other = {"center": "corner", "corner": "center"}[padding]
        found = {}
        for frame in (padding, other):
            code, out, err = run(*command, "--frame", frame, capsys=capsys)
            assert code == 0 and "places are read as shares of a square" in err
            found[frame] = json.loads(out)["per_item"][item.index]
        assert found[padding] == 1.0
    code, _, err = run("score", "docvqa", "x", "y", "--frame", "middle", capsys=capsys)
    assert code == 2 and "middle" in err


@pytest.mark.parametrize(
    ("name", "beside", "content", "says"),
    [
        ("llavabench", "context.jsonl", '{"caption": "a"}\n', "image"),
        ("iconqa", "pid_splits.json", "{}", "has no 'choose_txt_test'"),
    ],
)
def test_a_broken_file_beside_the_questions_is_one_line(name, beside, content, says, tmp_path, capsys):
    write_release(name, tmp_path)
    (path,) = tmp_path.rglob(beside)
    path.write_text(content)
    code, out, err = run("score", name, str(tmp_path), str(predictions(tmp_path, answer(0, "A"))), capsys=capsys)
    assert (code, out) == (2, "") and one_line(err) and says in err


def test_options_without_what_they_are_for_are_refused(annotation, tmp_path, capsys):
    answers = predictions(tmp_path, answer(1, "abxy"))
    for option, says in ((("--judgements", str(tmp_path / "j")), "--judgements goes with --judge"),
                         (("--frame", "corner"), "asks for no places")):  # fmt: skip
        code, _, err = run("score", "docvqa", str(annotation), str(answers), *option, capsys=capsys)
        assert code == 2 and one_line(err) and says in err


def test_the_rules_that_differ(annotation, tmp_path, capsys):
    # half of the letters: nothing by the definition, a half by the released program
    answers = predictions(tmp_path, answer(1, "abxy"))
    assert scored(capsys, "docvqa", annotation, answers)["per_item"][1] == 0.0
    assert scored(capsys, "docvqa", annotation, answers, "--rule", "script")["per_item"][1] == 0.5
    code, _, err = run("score", "docvqa", str(annotation), str(answers), "--rule", "strict", capsys=capsys)
    assert code == 2 and one_line(err) and "no rule 'strict'" in err and "official, script" in err


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 1: not JSON"),
        (["index"], "answer 1: needs index and answer"),
        ({"answer": "a"}, "answer 1: needs index and answer"),
        (answer("0", "a"), "index '0' is not from 0 to 3"),
        (answer(True, "a"), "index True is not from 0 to 3"),
        (answer(4, "a"), "index 4 is not from 0 to 3"),
        (answer(-1, "a"), "index -1 is not from 0 to 3"),
        (answer(0, 3), "the answer must be a text, not 3"),
    ],
)
def test_answers_that_cannot_be_taken_are_one_line(row, message, annotation, tmp_path, capsys):
    path = predictions(tmp_path, row)
    code, out, err = run("score", "docvqa", str(annotation), str(path), capsys=capsys)
    assert (code, out) == (2, "") and one_line(err) and message in err


@pytest.mark.parametrize("called", ["answers.jsonl", "answers.json", "answers", "answers.txt"])
@pytest.mark.parametrize("form", ["lines", "one line", "list", "list in one line", "lines of Windows"])
def test_answers_are_read_by_what_they_are_and_not_by_their_name(called, form, annotation, tmp_path, capsys):
    rows = [answer(2, "1999"), answer(0, "Ann")][form == "one line" :]
    path = tmp_path / called
    if form.startswith("list"):
        path.write_text(json.dumps(rows, indent=None if form == "list in one line" else 1))
    else:
        end = b"\r\n" if form == "lines of Windows" else b"\n"
        path.write_bytes(b"\xef\xbb\xbf" * (end != b"\n") + b"".join(json.dumps(row).encode() + end for row in rows))
    assert scored(capsys, "docvqa", annotation, path)["per_item"] == [1.0, 0.0, float(form != "one line"), 0.0]


def test_what_is_not_there_is_one_line(annotation, tmp_path, capsys):
    answers = predictions(tmp_path, answer(0, "a"))
    for arguments, message in (
        (("docvqa", tmp_path / "none", answers), "no such file or folder"),
        (("docvqa", annotation, tmp_path / "none.jsonl"), "cannot be read"),
        (("refcoco", tmp_path, answers), "holds no questions of refcoco\n"),
        (("refcoco_val", tmp_path, answers), "holds no questions of refcoco_val"),
        (("no-such-task", annotation, answers), "no such task"),
    ):
        code, out, err = run("score", *map(str, arguments), capsys=capsys)
        assert (code, out) == (2, "") and one_line(err) and message in err, err


def test_a_folder_is_searched_for_the_benchmarks_own_file(annotation, tmp_path, capsys):
    answers = predictions(tmp_path, answer(0, "Ann"))
    assert scored(capsys, "docvqa", tmp_path, answers) == scored(capsys, "docvqa", annotation, answers)


def test_all_names_of_a_task_mean_it():
    assert [chosen.name for chosen in find_task("RefCOCO")] == ["refcoco_val", "refcoco_testA", "refcoco_testB"]
    assert [chosen.name for chosen in find_task("refcoco+_testa")] == ["refcoco+_testA"]
    assert find_task("docvqa_val") == find_task("docvqa")
    assert [chosen.name for chosen in find_task("chartqa-test-human")] == ["chartqa_test_human"]


def test_a_box_is_read_in_the_declared_frame_alone(tmp_path, capsys):
    """900 pixels in a picture of 2,000: not per mille, not pixels. Shares of the square are what counts."""
    row = {
        "image_path": "a.jpg",
        "question": "cat",
        "question_id": "height1000_width2000",
        "dataset_name": "refcoco_val",
        "gt_answers": [900, 100, 1100, 300],
    }
    path = tmp_path / "refcoco_val.json"
    path.write_text(json.dumps([row]))
    # the square is 2,000 wide, the picture begins 500 below its top
    for text, right in (
        ("[0.45, 0.3, 0.55, 0.4]", 1.0),
        ("[900, 100, 1100, 300]", 0.0),
        ("[450, 300, 550, 400]", 0.0),
        ("[0.45, 0.1, 0.55, 0.3]", 0.0),
        ("nothing", 0.0),
    ):
        found = scored(capsys, "refcoco", path, predictions(tmp_path, answer(0, text)))
        assert found["per_item"] == [right], text
        assert found["unreadable"] == ([0] if text == "nothing" else [])


def test_known_faults_of_other_harnesses(tmp_path, capsys):
    """A full stop behind yes, a gold of 0, a sign of per cent, stray blanks in ANLS."""
    charts = [{"imgname": "a.png", "query": "?", "label": gold} for gold in ("0", "12%", "5")]
    path = tmp_path / "test_human.json"
    path.write_text(json.dumps(charts))
    found = scored(
        capsys, "chartqa", path, predictions(tmp_path, answer(0, "0.0"), answer(1, "0.12"), answer(2, "5 %"))
    )
    # "5 %" has a blank: a number with a sign of per cent is 0.05 and not 5
    assert found["per_item"] == [1.0, 1.0, 0.0]
    statements = [{"image": "a.jpg", "caption": "x", "label": 1}, {"image": "a.jpg", "caption": "y", "label": 0}]
    path = tmp_path / "vsr.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in statements))
    assert scored(capsys, "vsr", path, predictions(tmp_path, answer(0, "Yes."), answer(1, "No")))["score"] == 1.0


# --- which split


def a_list(folder: Path, file: str, dataset: str) -> Path:
    """One question of a list of the reference repository."""
    folder.mkdir(parents=True, exist_ok=True)
    row = {"image_path": "a.jpg", "question": "cat", "question_id": "height10_width10", "dataset_name": dataset}
    (folder / file).write_text(json.dumps([{**row, "gt_answers": [1, 1, 5, 5]}]))
    return folder / file


@pytest.mark.parametrize("split", ["refcoco_val", "refcoco_testA", "refcoco_testB"])
def test_a_list_tells_its_split(split, tmp_path, capsys):
    """`score refcoco` on a list of testB reported refcoco_val."""
    path = a_list(tmp_path, "annotation.json", split)
    answers = predictions(tmp_path, answer(0, "[0.1, 0.1, 0.5, 0.5]"))
    for place in (path, tmp_path):
        assert scored(capsys, "refcoco", place, answers)["task"] == split
        assert scored(capsys, split, place, answers)["task"] == split


def test_another_split_than_the_one_named_is_refused(tmp_path, capsys):
    path = a_list(tmp_path, "annotation.json", "refcoco_testB")
    code, _, err = run("score", "refcoco_testA", str(path), str(predictions(tmp_path)), capsys=capsys)
    assert code == 2 and one_line(err) and "holds questions of refcoco_testB, not of refcoco_testA" in err


def test_names_tell_a_split_and_what_does_not_is_refused(tmp_path, capsys):
    for split in ("random", "popular"):
        question = {"question_id": 1, "image": "a.jpg", "text": "Is there a cat in the image?", "label": "yes"}
        # JSON lines under that name, as the release has them
        (tmp_path / f"coco_pope_{split}.json").write_text(2 * (json.dumps(question) + "\n"))
    answers = predictions(tmp_path, answer(0, "yes"), answer(1, "no"))
    assert scored(capsys, "pope", tmp_path / "coco_pope_popular.json", answers)["task"] == "pope_popular"
    code, _, err = run("score", "pope", str(tmp_path), str(answers), capsys=capsys)
    assert code == 2 and one_line(err) and "name one of pope_random, pope_popular" in err
    renamed = (tmp_path / "coco_pope_random.json").rename(tmp_path / "questions.json")
    code, _, err = run("score", "pope", str(renamed), str(answers), capsys=capsys)
    assert code == 2 and one_line(err) and "name one of pope_random, pope_popular, pope_adversarial" in err


def test_a_part_of_a_benchmark_is_told(annotation, tmp_path, capsys):
    code, out, _ = run("score", "docvqa", str(annotation), str(predictions(tmp_path, answer(0, "Ann"))), capsys=capsys)
    assert (
        code == 0 and f"note: the files have 4 questions, the release has {find_task('docvqa')[0].files.items}" in out
    )
