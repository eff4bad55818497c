"""`sphinx-x score` on every folder of saved answers, as a file or a folder, under each name of the task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from commands import run
from saved_answers import AGGREGATES, FOLDERS, load, wanted

SHORT = {
    "MMMU_val_single": "mmmu",
    "ai2diagram_test": "ai2d",
    "chartqa_test_human": "chartqa",
    "docvqa_val": "docvqa",
    "gqa_testdev": "gqa",
    "mme": "MME",
    "okvqa_val": "okvqa",
    "scienceqa_test_img": "scienceqa",
    "textvqa_val": "textvqa",
}


def scored(capsys: pytest.CaptureFixture, *arguments: object) -> dict[str, Any]:
    code, out, err = run("score", *map(str, arguments), "--json", capsys=capsys)
    assert code == 0, err
    return json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def write_answers(path: Path, answers: Mapping[int, str]) -> Path:
    """JSON lines in an order that is not that of the items."""
    indices = sorted(answers, key=lambda index: (index % 7, -index))
    path.write_text("".join(json.dumps({"index": i, "answer": answers[i]}) + "\n" for i in indices), "utf-8")
    return path


@pytest.mark.parametrize("name", FOLDERS)
def test_every_run_of_a_folder_on_the_command_line(name: str, shared_dir: Path, tmp_path: Path, capsys) -> None:
    folder = shared_dir / "eval" / name
    for title, rows in load(folder, "predictions")["runs"].items():
        expected = wanted(load(folder, "scores")["runs"][title], "official")
        assert expected is not None
        found = scored(capsys, name, folder, write_answers(tmp_path / "a.jsonl", {row[0]: row[2] for row in rows}))
        by_index = dict(zip([row[0] for row in rows], expected[0], strict=True))
        assert found["per_item"] == pytest.approx([by_index[i] or 0.0 for i in range(len(rows))], abs=1e-6)
        assert found["score"] == pytest.approx(expected[1], abs=1e-6 * max(1, abs(expected[1])))
        assert (found["missing"], found["repeated"], found["items"]) == ([], [], len(rows))


@pytest.mark.parametrize("name", FOLDERS)
def test_forms_of_the_annotation_and_names_of_the_task(name: str, shared_dir: Path, tmp_path: Path, capsys) -> None:
    folder = shared_dir / "eval" / name
    rows = load(folder, "predictions")["runs"]["mix_2"]
    answers = write_answers(tmp_path / "a.jsonl", {row[0]: row[2] for row in rows})
    places = [folder, *(folder / f"{file}.json" for file in ("annotation", "annotations", "official_gt"))]
    for called in (name, SHORT.get(name, name.split("_")[0])):
        results = [scored(capsys, called, place, answers) for place in places if place.exists()]
        assert [result["per_item"] for result in results] == [results[0]["per_item"]] * len(results)
        assert {result["score"] for result in results} == {results[0]["score"]}


@pytest.mark.parametrize("name", FOLDERS)
def test_the_rule_of_the_released_program(name: str, shared_dir: Path, tmp_path: Path, capsys) -> None:
    folder = shared_dir / "eval" / name
    for title, rows in load(folder, "predictions")["runs"].items():
        scores = load(folder, "scores")["runs"][title]
        expected = wanted(scores, "script")
        if expected is None:
            continue
        path = write_answers(tmp_path / "a.jsonl", {row[0]: row[2] for row in rows})
        found = scored(capsys, name, folder, path, "--rule", "script")
        assert found["score"] == pytest.approx(
            next(scores["official_script"][key] for key in AGGREGATES if key in scores["official_script"]), abs=1e-6
        )
        assert found["rule"] == "script"
