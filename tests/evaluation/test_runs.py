"""Runs on benchmarks: killed and taken up, by several ranks, in any batches; bad files, missing pictures, memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from sphinx_x.errors import DataError
from sphinx_x.evaluation import run as running
from sphinx_x.evaluation.answers import Answer, Store
from sphinx_x.evaluation.asking import Asking, ask, shown_items
from sphinx_x.evaluation.compare import compare
from sphinx_x.evaluation.ranks import Rank
from sphinx_x.evaluation.report import as_dict, write_report
from sphinx_x.evaluation.results import write_results
from sphinx_x.evaluation.run import Options, choose, evaluate
from sphinx_x.evaluation.scores import read_items
from sphinx_x.inference import SphinxX

COUNT = 40


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """DocVQA in its own layout: 40 questions about 20 pictures, answers as the made model gives them or not."""
    folder = tmp_path / "data" / "docvqa" / "val"
    (folder / "documents").mkdir(parents=True)
    rows = []
    for number in range(COUNT):
        name = f"documents/{number // 2}.png"
        Image.new("RGB", (40 + number // 2, 30), (number, 0, 0)).save(folder / name)
        answer = f"said {number}" if number % 3 else "other"
        rows.append({"questionId": number, "question": f"Question {number}?", "image": name, "answers": [answer]})
    (folder / "val_v1.0.json").write_text(json.dumps({"data": rows}))
    return tmp_path / "data"


class Made:
    """Answers 'said N' to question N, sure of it by half; stops with an error after some batches where told to.

    Its prompts are those of a true member, its answers cost nothing.
    """

    def __init__(self, stops_after: int | None = None) -> None:
        self.true = nano()
        self.stops_after, self.asked = stops_after, 0
        self.model, self.prefixes = self.true.model, self.true.prefixes

    def prompt_for(self, *given: Any) -> Any:
        return self.true.prompt_for(*given)

    @property
    def processor(self) -> Any:
        return self.true.processor

    def answers(
        self, prompts: Sequence[Any], batch_size: int, probabilities: list[float] | None, **_: Any
    ) -> list[str]:
        if self.stops_after is not None:
            self.stops_after -= 1
            if self.stops_after < 0:
                raise KeyboardInterrupt
        self.asked += len(prompts)
        if probabilities is not None:
            probabilities += [0.5] * len(prompts)
        assert all(len(prompt.views) for prompt in prompts if prompt.images)
        return ["said " + prompt.text.split("Question ")[1].split("?")[0] for prompt in prompts]


_NANO: list[SphinxX] = []


def nano() -> SphinxX:
    if not _NANO:
        _NANO.append(SphinxX.load("nano", device="cpu"))
    return _NANO[0]


@pytest.fixture(autouse=True)
def _known_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "model_digest", lambda _: "0" * 16)


def run(model: Any, data: Path, out: Path, **more: Any) -> Any:
    given = {key: more.pop(key) for key in ("batch_size", "longest", "limit") if key in more}
    options = Options(**{"batch_size": 4, **given})
    finished = evaluate(model, choose(["docvqa"], data), data, out, "made", options=options, **more)
    if finished is not None:
        write_results(finished, out)
        write_report(finished, out)
    return finished


def files(out: Path) -> dict[str, bytes]:
    """What a run leaves, but for the seconds of its answers."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.name != ".lock":
            text = path.read_bytes()
            if path.parent.name == "answers":
                rows = [json.loads(line) for line in text.splitlines()]
                text = json.dumps([{**row, "seconds": 0} for row in rows]).encode()
            found[str(path.relative_to(out))] = text
    return found


def test_scores_of_a_run(data: Path, tmp_path: Path) -> None:
    finished = run(Made(), data, tmp_path / "run")
    row = as_dict(finished)["rows"][0]
    right = sum(bool(number % 3) for number in range(COUNT))
    assert row["score"] == pytest.approx(right / COUNT)
    assert row["per_item"] == [float(bool(number % 3)) for number in range(COUNT)]
    assert (row["clusters"], row["items"], row["unreadable"]) == (COUNT // 2, COUNT, [])
    # half sure of each, right in 26 of 40
    assert row["calibration error"] == pytest.approx(abs(right / COUNT - 0.5))


def test_a_run_killed_ten_times_equals_the_undisturbed_one(data: Path, tmp_path: Path) -> None:
    run(Made(), data, tmp_path / "whole")
    for _ in range(10):
        with pytest.raises(KeyboardInterrupt):
            run(Made(stops_after=0 if _ == 0 else 1), data, tmp_path / "killed", batch_size=3)
    run(Made(), data, tmp_path / "killed")
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_a_kill_in_the_middle_of_a_line_loses_that_answer_alone(data: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Made(stops_after=3), data, tmp_path / "run")
    [part] = (tmp_path / "run" / "answers").glob("*.part.jsonl")
    part.write_bytes(part.read_bytes()[:-30])
    model = Made()
    run(model, data, tmp_path / "run")
    assert model.asked == COUNT - 11


def test_a_repeated_run_asks_nothing_and_reports_the_same(data: Path, tmp_path: Path) -> None:
    run(Made(), data, tmp_path / "run", shown=("images", "blind", "shuffled"))
    before, model = files(tmp_path / "run"), Made()
    run(model, data, tmp_path / "run", shown=("images", "blind", "shuffled"))
    assert model.asked == 0
    assert files(tmp_path / "run") == before


@pytest.mark.parametrize("change", ["picture", "question", "tokens", "model"])
def test_an_answer_belongs_to_what_was_asked(
    change: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(Made(), data, tmp_path / "run")
    more: dict[str, Any] = {}
    if change == "picture":
        Image.new("RGB", (40, 30), (9, 9, 9)).save(data / "docvqa/val/documents/0.png")
    elif change == "question":
        path = data / "docvqa/val/val_v1.0.json"
        path.write_text(path.read_text().replace("Question 0?", "Question 0??"))
    elif change == "tokens":
        more["longest"] = 5
    else:
        monkeypatch.setattr(running, "model_digest", lambda _: "1" * 16)
    model = Made()
    run(model, data, tmp_path / "run", **more)
    assert model.asked == {"picture": 2, "question": 1}.get(change, COUNT)


def test_what_a_smaller_run_does_not_need_is_not_asked_again(data: Path, tmp_path: Path) -> None:
    run(Made(), data, tmp_path / "run")
    before = files(tmp_path / "run")
    for more, asked in (({"limit": 5}, 0), ({"longest": 5}, COUNT), ({}, 0), ({"longest": 5, "limit": 3}, 0), ({}, 0)):
        model = Made()
        run(model, data, tmp_path / "run", **more)
        assert model.asked == asked, more
    after = files(tmp_path / "run")
    kept = after.pop("answers/docvqa.earlier.jsonl")
    assert after == before and len(json.loads(kept)) == COUNT


def test_ranks_share_the_work_and_change_nothing(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(Made(), data, tmp_path / "alone")
    monkeypatch.setattr(Rank, "wait", lambda self: None)
    models = [Made(), Made(), Made()]
    for number in (2, 1, 0):
        # ranks after one another: the first one, which puts together what all did, comes last
        run(models[number], data, tmp_path / "three", rank=Rank(number, 3), batch_size=1)
    assert sorted(model.asked for model in models) == [8, 16, 16]
    assert files(tmp_path / "three") == files(tmp_path / "alone")


def test_ranks_on_accelerators_have_one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    second = Rank(5, 8, local=1)
    found = [second.device(named) for named in (None, "cuda", "cuda:3", "cpu")]
    assert (
        found == ["cuda:1", "cuda:1", "cuda:3", "cpu"]
        and Rank().device("cuda") == "cuda"
        and Rank().device(None) is None
    )


def test_a_missing_picture_is_named_counted_and_wrong(data: Path, tmp_path: Path) -> None:
    (data / "docvqa/val/documents/1.png").unlink()
    (data / "docvqa/val/documents/2.png").write_bytes(b"no picture")
    good = data / "docvqa/val/documents/3.png"
    good.write_bytes(good.read_bytes()[:60])  # cut short: only decoding shows it
    out = tmp_path / "run"
    row = as_dict(run(Made(), data, out))["rows"][0]
    assert sorted(map(int, row["refused"])) == [2, 3, 4, 5, 6, 7]
    assert "documents/1.png" in row["refused"]["2"]
    assert row["per_item"][2:8] == [0.0] * 6
    assert row["items"] == COUNT
    report = (out / "report.md").read_text("utf-8")
    assert "item 2 was not asked" in report
    # put in place, only these are asked
    for number in (1, 2, 3):
        Image.new("RGB", (40 + number, 30)).save(data / f"docvqa/val/documents/{number}.png")
    model = Made()
    assert not as_dict(run(model, data, out))["rows"][0]["refused"]
    assert model.asked == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a JSON file"),
        ("[]", "holds no questions"),
        ('{"data": 3}', "holds no list of questions"),
        ('{"data": [3]}', "entry 0: not an object"),
        ('{"data": [{"question": "a?"}]}', "entry 0: has no 'image'"),
        ('{"data": [{"image": "a.png", "question": 3}]}', "entry 0: question must be a text"),
        ('{"data": [{"image": "a", "question": "b", "answers": [{}], "questionId": 1}]}', "entry 0: an answer must be"),
    ],
)
def test_broken_files_of_questions_are_one_line(content: str, message: str, data: Path) -> None:
    (data / "docvqa/val/val_v1.0.json").write_text(content)
    with pytest.raises(DataError, match=message) as error:
        read_items(choose(["docvqa"], data)[0], data)
    assert "\n" not in str(error.value)


def test_a_task_that_is_not_there_is_named(data: Path) -> None:
    with pytest.raises(DataError, match=r"holds no questions of refcoco \(\*\*/refcoco_val\.json"):
        choose(["refcoco"], data)
    with pytest.raises(DataError, match=r"no such task.*near to it: docvqa"):
        choose(["docvq"], data)
    with pytest.raises(DataError, match="no task is named"):
        choose([], data)


def test_shuffled_pictures_are_always_others(data: Path) -> None:
    items = read_items(choose(["docvqa"], data)[0], data)
    for before, after in zip(items, shown_items(items, "shuffled"), strict=True):
        assert before.pictures[0].name != after.pictures[0].name
        assert replace(after, pictures=before.pictures) == before
    with pytest.raises(DataError, match="two different ones"):
        shown_items(items[:2], "shuffled")
    silent = [replace(items[0], pictures=()), *items]
    assert shown_items(silent, "shuffled")[0] == silent[0]  # a question without a picture gets none
    assert all(item.pictures for item in shown_items(silent, "shuffled")[1:])
    with pytest.raises(DataError, match="two different ones"):
        shown_items([silent[0], items[0]], "shuffled")


def test_what_cannot_be_shuffled_is_told_before_anything_is_asked(data: Path, tmp_path: Path) -> None:
    made = Made()
    made.answers = lambda *given, **named: pytest.fail("something was asked")  # type: ignore[method-assign]
    with pytest.raises(DataError, match="two different ones"):
        evaluate(made, choose(["docvqa"], data), data, tmp_path / "out", "", ["images", "shuffled"], Options(limit=1))


def test_answers_that_a_narrower_store_passes_over_stay(tmp_path: Path) -> None:
    class Narrow(Store):
        def read(self) -> dict[str, Answer]:
            return {key: answer for key, answer in super().read().items() if answer.index == 0}

    plain, narrow = Store(tmp_path, "mme"), Narrow(tmp_path, "mme")
    answers = [Answer(number, "yes", f"key {number}", "") for number in range(5)]
    plain.hand_in(0, answers)
    plain.finish(1)
    narrow.hand_in(0, answers[:1])
    narrow.finish(1)
    assert sorted(plain.read()) == [answer.key for answer in answers]


def test_runs_by_other_rules_are_not_compared(data: Path, tmp_path: Path) -> None:
    for name, rule in (("first", "official"), ("second", "script")):
        found = evaluate(Made(), choose(["docvqa"], data), data, tmp_path / name, options=Options(rule=rule))
        assert found is not None
        write_results(found, tmp_path / name)
    with pytest.raises(DataError, match=r"not scored alike: .*official rule and .*script rule"):
        compare(tmp_path / "first", tmp_path / "second")


def test_runs_by_other_versions_of_the_scorer_are_not_compared(data: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        found = evaluate(Made(), choose(["docvqa"], data), data, tmp_path / name)
        assert found is not None
        write_results(found, tmp_path / name)
    assert compare(tmp_path / "first", tmp_path / "second")
    [path] = (tmp_path / "first" / "items").glob("docvqa*.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        del row["scorer"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"not scored alike: .* an earlier version .* and .*scorer of version \d"):
        compare(tmp_path / "first", tmp_path / "second")


def test_results_of_two_models_in_one_folder_are_not_taken_for_one(data: Path, tmp_path: Path) -> None:
    run(Made(), data, tmp_path / "one")
    [path] = (tmp_path / "one" / "items").glob("docvqa*.jsonl")
    rows = [json.loads(line) | {"weights": "of another"} for line in path.read_text().splitlines()]
    (path.parent / "infovqa_val.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match="has results of several models"):
        compare(tmp_path / "one", tmp_path / "one")


def test_compare_tells_what_changed(data: Path, tmp_path: Path) -> None:
    run(Made(), data, tmp_path / "first")
    path = data / "docvqa/val/val_v1.0.json"
    [change] = compare(tmp_path / "first", tmp_path / "first")
    assert (change.better, change.worse, change.figures["ANLS"].value) == ([], [], 0.0)

    class Better(Made):
        def answers(self, *given: Any, **named: Any) -> list[str]:
            return [answer if answer != "said 3" else "other" for answer in super().answers(*given, **named)]

    run(Better(), data, tmp_path / "second")
    [change] = compare(tmp_path / "first", tmp_path / "second")
    assert (change.better, change.worse) == ([3], [])
    assert change.figures["ANLS"].value == pytest.approx(1 / COUNT)
    assert change.figures["ANLS"].low >= 0
    path.write_text(path.read_text().replace("Question 0?", "Question 99?"))
    run(Made(), data, tmp_path / "third")
    with pytest.raises(DataError, match="not asked the same items"):
        compare(tmp_path / "first", tmp_path / "third")


def test_many_pictures_are_never_in_memory_together(tmp_path: Path) -> None:
    class Counted:
        held = most = 0

        def __init__(self, name: str) -> None:
            self.name = name

        def read(self) -> bytes:
            import io

            buffer = io.BytesIO()
            Image.new("RGB", (30, 30), (int(self.name) % 256, 0, 0)).save(buffer, "png")
            return buffer.getvalue() + bytes(100_000)

    data_items = [
        SimpleNamespace(question=f"Question {n}?", pictures=(Counted(str(n)),), index=n, messages=())
        for n in range(400)
    ]
    how = Asking(Made(), "m", batch_size=1)  # pyright: ignore[reportArgumentType]
    task = choose_docvqa()
    tracemalloc.start()
    found = ask(how, task, data_items, Store(tmp_path, "t"))  # pyright: ignore[reportArgumentType]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 400
    # pictures of 100 kB each, 16 of them at once
    assert peak < 12e6


def choose_docvqa() -> Any:
    from sphinx_x.evaluation.task import find_task

    return find_task("docvqa")[0].task


def test_answers_of_something_else_are_named(tmp_path: Path) -> None:
    store = Store(tmp_path, "t")
    store.path.write_text('{"index": 1}\n')
    with pytest.raises(DataError, match="line 1: not an answer of a run"):
        store.read()
    store.path.unlink()
    store.append(0, _answers())
    assert [answer.index for answer in store.read().values()] == [0, 1]


def _answers() -> Iterator[Answer]:
    yield from (Answer(number, "a", f"key{number}", "p") for number in range(2))


@pytest.mark.slow
def test_batches_of_any_size_give_the_same_answers(tmp_path: Path) -> None:
    """Nano itself, on the text lines that come with the package, asked by 1, 3 and 16."""
    from sphinx_x.evaluation.lines import load_line_set

    lines = load_line_set().sample(24)
    folder = tmp_path / "data/docvqa/val"
    folder.mkdir(parents=True)
    rows = []
    for number, (line, image) in enumerate(zip(lines.lines, lines.images(lines.lines), strict=True)):
        image.save(folder / f"{number}.png")
        question = "What does it say?"
        rows.append({"questionId": number, "question": question, "image": f"{number}.png", "answers": [line.text]})
    (folder / "val_v1.0.json").write_text(json.dumps({"data": rows}))
    found = []
    for size in (1, 3, 16):
        finished = evaluate(
            nano(),
            choose(["docvqa"], tmp_path / "data"),
            tmp_path / "data",
            tmp_path / str(size),
            options=Options(batch_size=size),
        )
        assert finished is not None
        found.append([answer.answer for answer in finished.rows[0].answers])
    assert found[0] == found[1] == found[2]
