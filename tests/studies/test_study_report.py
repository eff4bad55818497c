"""The report of made-up results: a known law and a known effect are in its tables, and the same lines give the same."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from paths import ROOT
from sphinx_x.errors import DataError
from sphinx_x.studies.declaration import declarations, load_study
from sphinx_x.studies.law import Law
from sphinx_x.studies.pairs import Effect, counts, effects_of, paired
from sphinx_x.studies.plan import Run, plan_of
from sphinx_x.studies.report import write_report
from sphinx_x.studies.scaling import halved

LAW = Law(e=0.3, a=90.0, b=2500.0, alpha=0.3, beta=0.75)
PARAMETERS = {"1m": 1.1e6, "3m": 2.9e6, "7m": 7.3e6, "15m": 1.5e7}
ITEMS, ASKED = 24, 8
CHANCE = {"loss": 3.1, "error": 0.9}


def made_line(study: str, run: Run, amount: int, skills: list[str], rng: np.random.Generator, more: float = 0) -> dict:
    """A result as a run would leave it, with losses of the law and an effect `more` on every item."""
    of_item = np.random.default_rng(7).normal(0, 0.1, ITEMS)  # what is hard is so for every model
    loss = {}
    for skill in skills:
        mean = float(LAW.loss(PARAMETERS[run.size], amount)) * float(np.exp(0.002 * rng.normal()))
        items = mean + of_item - of_item.mean() + more + 0.01 * rng.normal(size=ITEMS)
        loss[skill] = {"true": float(items.mean()), "blind": 2.9, "shuffled": 3.3}
        loss[skill] |= {"items": items.tolist(), "lengths": [10] * ITEMS}
    errors = {"true": 0.25, "blind": 0.9, "shuffled": 0.95, "items": [1, 0, 0, 0] * 2, "lengths": [1] * ASKED}
    return {
        **{"study": study, "point": run.points()[amount], "run": run.name, "size": run.size, "seed": run.seed},
        **{"samples": amount, "key": run.key, "recipe": [{}], "data": {"lines": "a"}, "held_out": {"lines": "b"}},
        **{
            "order": f"{run.seed}",
            "parameters": PARAMETERS[run.size],
            "seconds": 60.0,
            "machine": {"device": "-"},
        },
        "flops": 900.0 * PARAMETERS[run.size] * amount,
        **{"loss": loss, "error": dict.fromkeys(skills, errors), "chance": dict.fromkeys(skills, CHANCE)},
        "documents": {skill: list(range(ITEMS)) for skill in skills},
    }


@pytest.fixture(scope="module")
def scaling() -> list[dict]:
    """All results of the packaged study of scaling, by the law."""
    study, rng = load_study("scaling"), np.random.default_rng(0)
    runs = plan_of(study).runs
    return [made_line("scaling", run, n, list(study.held_out.skills), rng) for run in runs for n in run.amounts]


def written(lines: list[dict], path: Path) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_report_has_the_law_and_predicts_the_largest_size(scaling, tmp_path, monkeypatch):
    pytest.importorskip("scipy", reason="needs scipy (pip install 'sphinx-x[study]')")
    monkeypatch.setattr("sphinx_x.studies.law.DRAWS", 12)
    results = written(scaling, tmp_path / "results.jsonl")
    report = write_report([results], tmp_path / "report", declarations([results], []))
    text = report.read_text()
    law = next(line for line in text.splitlines() if line.startswith("| mean |") and " to " in line)
    beta, low, high = (float(n) for n in law.split("|")[6].replace("(", "").replace(")", "").replace("to", "").split())
    assert low <= LAW.beta <= high and abs(beta - LAW.beta) < 0.1
    errors = [float(line.split("|")[5].strip(" %")) for line in text.splitlines() if "15m-s0@36864" in line]
    assert errors and all(abs(error) < 2 for error in errors)
    assert "| chance |" in text and "(2.900, 3.300)" in text
    for name in ("scaling.png", "skills.png", "predictions.png"):
        assert (tmp_path / "report" / name).read_bytes().startswith(b"\x89PNG")


def test_the_report_does_not_depend_on_the_order_of_lines(scaling, tmp_path):
    few = [line for line in scaling if line["size"] == "1m"]  # one size: tables, and no law
    results = written(few, tmp_path / "results.jsonl"), written([*reversed(few), few[0]], tmp_path / "other.jsonl")
    one, other = (
        write_report([path], tmp_path / path.stem, {"scaling": load_study("scaling")}).read_text() for path in results
    )
    assert one == other and "No law is fitted yet" in one


def test_arms_that_differ_in_more_than_their_change_are_refused(tmp_path):
    plan = plan_of(load_study("ablations"))
    skills, rng = list(plan.study.held_out.skills), np.random.default_rng(0)
    runs = [plan.named(f"experts.{arm}-1m-s0") for arm in ("both", "dinov2")]
    lines = [made_line("ablations", run, 12288, skills, rng) for run in runs]
    lines[1]["order"] = lines[0]["order"]
    lines[1]["recipe"] = [{"variant": {"experts": ["dinov2"]}}]
    lines[1]["flops"] = 3 * lines[0]["flops"]
    assert all(one.flops[1] == 3 * one.flops[0] for one in effects_of(plan, lines))
    for name, wrong in (("learning_rate", {"recipe": [{"learning_rate": 9.9}]}), ("samples", {"samples": 4608})):
        with pytest.raises(DataError, match=f"differs from experts.both-1m-s0@12288 in {name}, not only in dinov2"):
            effects_of(plan, [lines[0], lines[1] | wrong])


def test_the_count_of_operations_is_the_mean_of_all_seeds():
    plan = plan_of(load_study("ablations"))
    skills, rng = list(plan.study.held_out.skills), np.random.default_rng(0)
    lines = []
    for seed, times in ((0, 1.0), (1, 2.0), (2, 3.0)):
        for arm in ("both", "dinov2"):
            line = made_line("ablations", plan.named(f"experts.{arm}-1m-s{seed}"), 12288, skills, rng)
            lines.append(line | {"flops": times if arm == "both" else 1.0, "order": str(seed)})
    assert {one.flops for one in effects_of(plan, lines)} == {(2.0, 1.0)}


def test_results_of_comparisons_alone_make_a_report(tmp_path):
    study = load_study("scaling").model_copy(update={"comparisons": load_study("ablations").comparisons})
    study = study.model_copy(update={"repeats": {"1m": [0]}, "samples": 12288})
    plan, rng = plan_of(study), np.random.default_rng(0)
    skills = list(study.held_out.skills)
    lines = [made_line("mine", plan.named(f"experts.{arm}-1m-s0"), 12288, skills, rng) for arm in ("both", "dinov2")]
    report = write_report([written(lines, tmp_path / "a.jsonl")], tmp_path / "report", {"mine": study})
    assert "Differences from `both`" in report.read_text()


@pytest.mark.parametrize("name", ["exp-xl", "exp-xl-x10", "res-x2"])
def test_names_of_studies_that_look_multiplied(tmp_path, name):
    file = tmp_path / ("res-x2.yaml" if name == "res-x2" else "exp-xl.yaml")
    file.write_text((ROOT / "src" / "sphinx_x" / "studies" / "scaling.yaml").read_text())
    (tmp_path / "results.jsonl").write_text(json.dumps({"study": name}) + "\n")
    found = declarations([tmp_path / "results.jsonl"], [file])
    assert found[name].scaling.amounts[0] == 2304 * (10 if name.endswith("-x10") else 1)


def test_where_a_loss_is_half_of_chance():
    def run(*losses: float) -> list[dict]:
        chance = {"words": {"loss": 3.0, "error": 1.0}}
        amounts = (100, 200, 400)
        return [
            {"samples": n, "loss": {"words": {"true": loss}}, "chance": chance}
            for n, loss in zip(amounts, losses, strict=True)
        ]

    assert halved(run(3.0, 2.0, 1.0), "words") == pytest.approx(200 * 2 ** (np.log(2 / 1.5) / np.log(2)))
    assert halved(run(3.0, 2.0, 1.5), "words") == pytest.approx(400)
    assert halved(run(3.0, 2.5, 2.0), "words") == float("inf") and halved(run(1.4, 1.0, 1.0), "words") is None


def test_an_effect_is_found_where_it_is(tmp_path, monkeypatch):
    """DINOv2 alone is made worse by 0.05 on all items, ConvNeXt alone is not."""
    monkeypatch.setattr("sphinx_x.studies.plan.sample_flops", lambda *_: 1.0)
    study, rng = load_study("ablations").model_copy(update={"samples": 18432}), np.random.default_rng(0)
    plan, lines = plan_of(study), []
    for run in plan.runs:
        if run.name.startswith("experts."):
            more = 0.05 if ".dinov2" in run.name else 0.0
            lines.append(made_line("ablations", run, study.samples, list(study.held_out.skills), rng, more))
    assert {cell.arm for cell in plan.cells if cell.match == "flops"} == {"token", "both", "16x2"}  # all cost the same
    effects = [one for one in effects_of(plan, lines) if one.comparison == "experts" and one.skill == "lines"]
    worse = [one for one in effects if one.arm == "dinov2" and one.metric == "loss"]
    assert [one.size for one in worse] == ["1m", "3m"] and all(one.low <= 0.05 <= one.high for one in worse[:1])
    assert worse[0].sure and worse[0].repeats == 3
    assert all(abs(one.difference) < 0.03 for one in effects if one.arm == "convnext")
    report = write_report([written(lines, tmp_path / "r.jsonl")], tmp_path / "out", {"ablations": study}).read_text()
    assert "| dinov2 | 1m | 3 | samples |" in report and (tmp_path / "out" / "experts.png").exists()
    lines[-1]["order"] = "another"
    with pytest.raises(DataError, match="did not see the samples of"):
        effects_of(plan, lines)


def test_paired_intervals_hold_the_difference():
    """Of many made-up pairs with a difference of 0.2, about 95 in a hundred intervals hold it."""
    held = 0
    for number in range(60):
        rng = np.random.default_rng(number)
        first = rng.normal(1.0, 0.5, (1, 40))
        second = first + 0.2 + rng.normal(0, 0.3, (1, 40))
        _, low, high = paired(first, second, np.ones(40))
        held += low <= 0.2 <= high
    assert 51 <= held <= 60


def test_answers_about_one_document_are_no_evidence_of_their_own():
    """Ten copies of each answer, as answers of one document, leave the interval as it is; else not."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(1, 0.5, (1, 12)), rng.normal(1.2, 0.5, (1, 12))
    lengths = rng.integers(5, 20, 12).astype(float)
    alone = paired(first, second, lengths)
    ten = [np.repeat(one, 10, axis=-1) for one in (first, second, lengths)]
    assert paired(*ten, np.repeat(np.arange(12), 10)) == pytest.approx(alone)
    assert paired(*ten)[2] - paired(*ten)[1] < 0.5 * (alone[2] - alone[1])


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.2])
def test_three_seeds_hold_no_difference_where_there_is_none(spread):
    """Seeds that differ by much or by nothing: about 95 in a hundred intervals hold zero."""
    held = 0
    for number in range(80):
        rng = np.random.default_rng(number)
        hard = np.repeat(rng.normal(0, 0.1, (1, 20)), 4, axis=1) + rng.normal(0, 0.1, (3, 80))
        first = rng.normal(1.0, 0.5, (1, 80)) + rng.normal(0, spread, (3, 1))
        second = first + hard + rng.normal(0, spread, (3, 1)) - rng.normal(0, spread, (3, 1))
        _, low, high = paired(first, second, np.ones(80), np.repeat(np.arange(20), 4))
        held += low <= 0 <= high
    assert held >= 71


def test_one_document_tells_nothing_about_others():
    rng = np.random.default_rng(0)
    for repeats in (1, 3):
        first, second, lengths = rng.random((repeats, 4)), rng.random((repeats, 4)), np.arange(1.0, 5.0)
        difference, low, high = paired(first, second, lengths, [0, 0, 0, 0])
        assert difference == pytest.approx(((second - first).mean(0) * lengths).sum() / 10)
        assert (low, high) == (-np.inf, np.inf)


def effect(size, repeats, low, high) -> Effect:
    numbers = 1.0, (low + high) / 2, low, high, (1, 1), (1.0, 1.0)
    return Effect("experts", "dinov2", size, "samples", "lines", "loss", repeats, *numbers)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([effect("1m", 3, 0.1, 0.2), effect("3m", 1, -0.1, 0.2)], "yes"),
        ([effect("1m", 3, 0.1, 0.2), effect("3m", 1, -0.2, 0.1)], "no"),
        ([effect("1m", 2, 0.1, 0.2), effect("3m", 1, 0.1, 0.2)], "?"),
        ([effect("1m", 3, 0.1, 0.2)], "?"),
        ([effect("1m", 3, -0.1, 0.2), effect("3m", 1, 0.1, 0.2)], "no"),
    ],
)
def test_an_effect_counts_with_three_seeds_and_the_next_size(found, says):
    assert counts(found[0], found, ["1m", "3m"]) == says


def test_the_committed_report_is_that_of_the_committed_results(tmp_path):
    results = ROOT / "docs" / "scaling" / "results.jsonl"
    if not results.exists():
        pytest.skip("the study has not been run yet: docs/scaling/results.jsonl is not there")
    pytest.importorskip("scipy", reason="needs scipy (pip install 'sphinx-x[study]')")
    report = write_report([results], tmp_path / "report", declarations([results], []))
    made, told = (path.read_text().splitlines() for path in (report, results.parent / "report.md"))
    assert len(made) == len(told)
    section, loose = "", 0
    for mine, committed in zip(made, told, strict=True):
        section = mine if mine.startswith("## ") else section
        if section != "## The law" or not any(letter.isdigit() for letter in mine):
            assert mine == committed
            continue
        # the last digits of a fit are another processor's own, and all of them where nothing determines a number
        assert mine.split("|")[1] == committed.split("|")[1]
        numbers = [[float(n) for n in re.findall(r"(?<![\w.])\d+\.\d+(?=\s\|)", line)] for line in (mine, committed)]
        assert numbers[0] == pytest.approx(numbers[1], rel=0.03)
        loose += 1
    assert loose > 10
