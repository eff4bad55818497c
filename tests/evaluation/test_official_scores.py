"""Saved answers of 15 benchmarks get the scores that the benchmarks' own definitions give them, item by item."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from saved_answers import FOLDERS, load, wanted
from sphinx_x.conversation import Image, Message, Text
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.scores import read_items, score_answers
from sphinx_x.evaluation.scoring.yes_no import read_mme
from sphinx_x.evaluation.task import Chosen, Reading, Rule, find_task
from sphinx_x.model.prompt import TEMPLATES, PromptBuilder
from sphinx_x.model.views import ViewGrid, plan_views


@pytest.mark.parametrize("rule", ["official", "script"])
@pytest.mark.parametrize("name", FOLDERS)
def test_scores_are_those_of_the_benchmarks_own_definition(name: str, rule: Rule, shared_dir: Path) -> None:
    folder = shared_dir / "eval" / name
    chosen = find_task(name)[0]
    if rule not in ("official", *chosen.task.rules):
        return
    items = read_items(chosen, folder)
    runs = load(folder, "predictions")["runs"]
    for run, scores in load(folder, "scores")["runs"].items():
        expected = wanted(scores, rule)
        if expected is None:
            continue
        scored = score_answers(chosen, items, {row[0]: row[2] for row in runs[run]}, Reading(rule))
        for row, verdict, value in zip(runs[run], scored.verdicts, expected[0], strict=True):
            # null: a random draw in the release, or an ambiguous answer; both are wrong here
            assert verdict.score == pytest.approx(value or 0.0, abs=1e-6), (run, row)
        assert scored.headline[1].value == pytest.approx(expected[1], abs=1e-6 * max(1, abs(expected[1]))), run


@pytest.mark.parametrize("name", FOLDERS)
def test_prompts_are_those_of_the_reference(name: str, shared_dir: Path) -> None:
    folder = shared_dir / "eval" / name
    chosen, prompt = find_task(name)[0], load(folder, "prompt")
    for item, expected in zip(read_items(chosen, folder), prompt["prompt_sha256_first16"], strict=True):
        written = written_prompt(chosen, item)
        assert hashlib.sha256(written.encode()).hexdigest()[:16] == expected, written


def written_prompt(chosen: Chosen, item: Item) -> str:
    """What a member with the reference's template is asked."""
    builder = PromptBuilder(None, TEMPLATES["sphinx"], None, 1)  # pyright: ignore[reportArgumentType]
    question = Message("user", (Image(), Text(chosen.task.ask(item))))
    return builder.written([question], [plan_views(10, 10, ViewGrid())], chosen.task.prefix)


@pytest.mark.parametrize("name", ["okvqa_val", "textvqa_val"])
def test_edge_cases_of_vqa_accuracy(name: str, shared_dir: Path) -> None:
    path = shared_dir / "eval" / name / "edge_cases.json"
    if path.is_file():
        check(find_task(name)[0], load(path.parent, path.stem)["cases"], lambda c: {"references": tuple(c["answers"])})


def test_words_that_mme_reads(shared_dir: Path) -> None:
    cases = load(shared_dir / "eval" / "mme", "edge_cases")["cases"]
    case = next(case for case in cases if case["case"] == "label read from an answer")
    assert [read_mme(answer) or "other" for answer in case["answers"]] == case["official"]


def test_edge_cases_of_anls(shared_dir: Path) -> None:
    chosen, cases = find_task("docvqa")[0], load(shared_dir / "eval" / "docvqa_val", "edge_cases")
    check(chosen, cases["cases"], lambda case: {"references": tuple(case["golds"])})


def test_edge_cases_of_relaxed_accuracy(shared_dir: Path) -> None:
    chosen, cases = find_task("chartqa")[0], load(shared_dir / "eval" / "chartqa_test_human", "edge_cases")

    def made(case: dict[str, Any]) -> dict[str, Any]:
        gold = case["gold"]
        return {"references": tuple(map(str, gold)) if isinstance(gold, list) else (str(gold),)}

    check(chosen, cases["cases"], made)


def test_edge_cases_of_boxes(shared_dir: Path) -> None:
    chosen, cases = find_task("refcoco")[0], load(shared_dir / "eval" / "refcoco_val", "edge_cases")
    check(chosen, cases["cases"], lambda case: {"box": tuple(case["gold"]), "size": (case["width"], case["height"])})


def check(chosen: Chosen, cases: list[dict[str, Any]], made: Any) -> None:
    assert len(cases) > 5
    for case in cases:
        item = Item(0, "", **made(case))
        answer = case.get("prediction", case.get("answer"))
        for rule in ("official", *chosen.task.rules):
            key = "official_script" if rule == "script" and "official_script" in case else "official"
            # without ids the released program of VQA takes equal answers for one; none of its releases is like that
            if rule == "script" and (key == "official" or not case.get("answers_have_ids", True)):
                continue
            verdict = chosen.task.score(item, answer, Reading(rule))
            assert verdict.score == pytest.approx(case[key], abs=1e-6), (rule, case)
