"""Runs of a model on judged benchmarks: the report names judge, version and prompt; nothing is asked or paid twice."""

import json
from pathlib import Path

import pytest

from benchmarks import write_release
from commands import run
from judge_endpoint import VERSION, serve_judge
from sphinx_x.errors import DataError
from sphinx_x.evaluation.compare import compare

TASKS = "mmvet,llavabench,pope"


@pytest.fixture
def data(tmp_path):
    for name in TASKS.split(","):
        write_release(name, tmp_path / "data")
    return tmp_path / "data"


def grades(asked) -> str:
    return "8 4\nBecause." if "[Assistant 1]" in asked.text else "0.5"


def evaluated(data: Path, out: Path, capsys, *options: str) -> tuple[int, str, str]:
    given = ("--tasks", TASKS, "--data", str(data), "-o", str(out), "--max-new-tokens", "2", "--device", "cpu")
    return run("eval", "nano", *given, *options, capsys=capsys)


def reports(out: Path) -> dict[str, bytes]:
    files = [*out.glob("report.*"), *(out / "items").iterdir(), *(out / "judgements").glob("*.jsonl")]
    return {file.name: file.read_bytes() for file in files}


def test_a_run_with_a_judge(data, tmp_path, capsys):
    with serve_judge(grades) as endpoint:
        options = ("--judge", endpoint.url, "--judge-model", "wise", "--blind")
        code, out, err = evaluated(data, tmp_path / "run", capsys, *options)
        assert code == 0, err
        # three and three questions, with and without pictures; equal answers to an equal question are asked about once
        calls = len(endpoint.calls)
        assert 6 <= calls <= 12 and f"{calls} calls" in err
        first = reports(tmp_path / "run")
        code, again, err = evaluated(data, tmp_path / "run", capsys, *options)
        assert code == 0 and len(endpoint.calls) == calls and "0 calls" in err
    assert again == out and reports(tmp_path / "run") == first
    assert {"mmvet.jsonl", "mmvet.blind.jsonl", "llavabench.jsonl"} <= {
        path.name for path in (tmp_path / "run" / "judgements").iterdir()
    }
    host = endpoint.url.split("/")[2]
    assert (
        f"- mmvet: judge wise ({VERSION}) at {host}, temperature 0; prompt grade-1; the judge's prompt is our own"
        in out
    )
    assert "prompt pair-1" in out and "- pope" not in out.split("## Judged")[1].split("##")[0]
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    rows = {(row["task"], row["shown"]): row for row in report["rows"]}
    assert rows["mmvet", "images"]["score"] == 0.5 and rows["llavabench", "blind"]["score"] == 50.0
    asked = {"judge": "wise", "versions": [VERSION], "prompts": ["grade-1"], "temperature": 0, "endpoint": host}
    assert rows["mmvet", "images"]["judge"] == asked
    assert not any("judge" in row for (task, _), row in rows.items() if task.startswith("pope"))
    assert "Scored by: judge wise" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_a_run_without_a_judge_says_what_its_figures_are(data, tmp_path, capsys):
    code, out, err = evaluated(data, tmp_path / "run", capsys, "--judge", "none")
    assert code == 0, err
    assert "- mmvet: no judge: the true answer's parts, word for word" in out
    assert "- llavabench: not scored: no judge" in out and "| llavabench | relative score | not scored |" in out
    report = (tmp_path / "run" / "report.json").read_text()
    json.loads(report, parse_constant=pytest.fail)  # no NaN in JSON
    assert "not scored" in (tmp_path / "run" / "report.html").read_text("utf-8")
    with pytest.raises(DataError, match="llavabench: not scored"):
        compare(tmp_path / "run", tmp_path / "run")


def test_runs_that_were_judged_by_others_are_not_compared(data, tmp_path, capsys):
    with serve_judge(grades) as endpoint:
        for name in ("one", "two"):
            code, _, err = evaluated(data, tmp_path / name, capsys, "--judge", endpoint.url, "--judge-model", name)
            assert code == 0, err
    with pytest.raises(DataError, match=r"not scored alike: judge one .* and judge two"):
        compare(tmp_path / "one", tmp_path / "two")
    # the same judge at another port is the same judge
    with serve_judge(grades) as endpoint:
        code, _, err = evaluated(data, tmp_path / "three", capsys, "--judge", endpoint.url, "--judge-model", "one")
    assert code == 0 and compare(tmp_path / "one", tmp_path / "three")


def test_a_judge_that_no_task_wants_is_refused(data, tmp_path, capsys):
    options = (
        "--data",
        str(data),
        "-o",
        str(tmp_path / "run"),
        "--judge",
        "http://127.0.0.1:1/v1",
        "--judge-model",
        "x",
    )
    code, _, err = run("eval", "nano", "--tasks", "pope", *options, capsys=capsys)
    assert code == 2 and "none of these tasks wants a judge" in err


def test_options_of_a_judge_go_with_tasks(tmp_path, capsys):
    code, _, err = run("eval", "nano", "--judge", "http://127.0.0.1:1/v1", "--judge-model", "x", capsys=capsys)
    assert code == 2 and "--judge goes with --tasks" in err
    code, _, err = run("eval", "nano", "--judge-model", "x", capsys=capsys)
    assert code == 2 and "--judge-model goes with --tasks" in err
    for option, value in (("--batch-size", "1"), ("--rule", "strict")):
        code, _, err = run("eval", "nano", option, value, capsys=capsys)
        assert code == 2 and f"{option} goes with --tasks" in err


def test_a_judge_that_judges_nothing_ends_with_an_error_after_the_report(data, tmp_path, capsys):
    """A run whose judge was never reached looked finished: exit 0, and every judged score at its worst."""
    out = tmp_path / "run"
    with serve_judge(lambda asked: "<400>") as endpoint:
        options = ("--judge", endpoint.url, "--judge-model", "wise")
        code, shown, err = evaluated(data, out, capsys, *options)
        host = endpoint.url.split("/")[2]
    assert code == 2 and f"judge wise at {host} judged none of" in err.splitlines()[-1]
    report = json.loads((out / "report.json").read_text())
    assert "| pope" in shown and {"mmvet", "llavabench"} < {row["task"] for row in report["rows"]}
    # the same folder with a judge that answers
    with serve_judge(grades) as endpoint:
        code, _, err = evaluated(data, out, capsys, "--judge", endpoint.url, "--judge-model", "wise")
    assert code == 0, err
