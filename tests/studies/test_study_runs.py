"""A study of tiny arms, run to its end, killed and resumed; its results are joined and cannot be mixed."""

import json
import sys

import pytest

from ranks import quick_runs
from small_study import TINY, write_study
from sphinx_x.cli import main
from sphinx_x.errors import DataError, RecipeError
from sphinx_x.studies.costs import run_flops
from sphinx_x.studies.declaration import load_study, multiplied
from sphinx_x.studies.held_out import make_held_out
from sphinx_x.studies.plan import plan_of, scaling_runs
from sphinx_x.studies.results import join_results, read_results
from sphinx_x.studies.runner import Runner
from sphinx_x.training.checkpoint import States
from sphinx_x.training.engine import Engine
from sphinx_x.training.trainer import Trainer
from sphinx_x.work.files import read_lines

ARMS = {"scaling": None, "sizes": {"small": {"variant": {"width": 0.5}}}}


@pytest.fixture(autouse=True)
def tiny_sizes(tiny_member, monkeypatch):
    """The member of the studies is the tests' own, and runs draw no curves."""
    for room in ("training.engine", "planning.outline"):
        monkeypatch.setattr(f"sphinx_x.{room}.get_member", lambda _: tiny_member)
    with quick_runs():
        yield


@pytest.fixture
def declared(tmp_path):
    """Two arms of one size."""
    return write_study(tmp_path, **ARMS)


def without_times(lines: list[dict]) -> list[dict]:
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def test_a_study_that_is_killed_goes_on(tmp_path, monkeypatch):
    """Killed in a branch and in its trunk: the same results as those of a run that was never stopped."""
    study = load_study(write_study(tmp_path, sizes=ARMS["sizes"], comparisons={}, samples=0, repeats={}))
    straight = without_times(read_lines(Runner(study, "tiny", tmp_path / "straight", "cpu").run()))
    assert [line["point"] for line in straight] == ["small-s0@16", "small-s0@8"]
    steps, step = [0], Engine.step

    def killed(*arguments):
        steps[0] += 1
        if steps[0] in (2, 5):
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(Engine, "step", killed)
    monkeypatch.setattr(States, "finish_if_done", States.finish)  # a step is on the disk before the next one
    runner = Runner(study, "tiny", tmp_path / "killed", "cpu")
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            runner.run()
    assert without_times(read_lines(runner.run())) == straight
    assert steps[0] == 7  # five steps, and twice the one that was killed
    runner.run()  # nothing is left to do
    assert steps[0] == 7 and not list((tmp_path / "killed").glob("*/*/state"))


def test_arms_share_their_samples_and_are_joined(declared, tmp_path):
    """Each arm run alone in a folder of its own, as on two machines."""
    study, paths = load_study(declared), []
    for run in Runner(study, "tiny", tmp_path / "plan").plan.runs:
        paths.append(Runner(study, "tiny", tmp_path / run.name, "cpu").run([run.name]))
    count = join_results([*paths, paths[0]], tmp_path / "all.jsonl")
    lines = read_lines(tmp_path / "all.jsonl")
    assert count == len(lines) == 2
    one, other = lines
    assert one["order"] == other["order"] and one["data"] == other["data"]
    assert one["key"] != other["key"] and one["flops"] < other["flops"]  # dropped: fewer tokens
    for line in lines:
        assert len(line["loss"]["lines"]["items"]) == 4 and len(line["error"]["boxes"]["items"]) == 2
        values = line["loss"]["lines"]
        whole = sum(a * b for a, b in zip(values["items"], values["lengths"], strict=True)) / sum(values["lengths"])
        assert whole == pytest.approx(values["true"], abs=1e-4)
        assert values["true"] != values["blind"] != values["shuffled"]
    other["data"]["lines"] = "another"
    (tmp_path / "mixed.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DataError, match="arms with other data cannot be compared"):
        read_results([tmp_path / "mixed.jsonl"])
    other["key"] = "another"
    (tmp_path / "other.jsonl").write_text(json.dumps(other) + "\n")
    with pytest.raises(DataError, match="was run with another recipe elsewhere"):
        read_results([tmp_path / "all.jsonl", tmp_path / "other.jsonl"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scaling": {"amounts": [10]}}, "10 samples are no whole number of steps of 4"),
        ({"recipe": TINY["recipe"] | {"cooldown": 0.0}}, "have lr_schedule: constant and a cooldown"),
        ({"repeats": {"huge": [0]}}, "'huge' is not one of the sizes"),
        (
            {"comparisons": {"padding": TINY["comparisons"]["padding"] | {"sizes": ["large"]}}},
            "comparisons.padding.sizes: 'large' has no repeats",
        ),
        ({"recipe": TINY["recipe"] | {"cooldwon": 0.1}}, "cooldwon"),
        ({"typical": {"other": TINY["typical"]["lines"]}}, "typical: lines"),
    ],
)
def test_a_wrong_declaration_is_refused(tmp_path, change, said):
    with pytest.raises(RecipeError, match=said):
        Runner(load_study(write_study(tmp_path, **change)), "tiny", tmp_path / "out")


def test_the_command_line_tells_what_a_study_takes(declared, monkeypatch, capsys):
    """Operations and time of every run, before anything is made; ten times the samples take about ten times as long."""
    monkeypatch.setattr("sphinx_x.studies.outlook.tried_rate", lambda *_: 1e9)
    shown = []
    for more in ([], ["--times", "10"]):
        with pytest.raises(SystemExit) as ended:
            monkeypatch.setattr(sys, "argv", ["sphinx-x", "study", "run", str(declared), "--dry-run", *more])
            main()
        assert not ended.value.code
        shown.append(capsys.readouterr().out.splitlines())
    first, second = shown
    assert first[0].split() == ["run", "samples", "operations", "time"]
    assert first[1].split()[:2] == ["padding.token-small-s0", "8"] and first[3].startswith("2 runs")
    assert second[1].split()[:2] == ["padding.token-small-s0", "80"]
    assert not (declared.parent / "runs").exists()


def test_a_comparison_has_a_number_of_samples_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("sphinx_x.studies.plan.sample_flops", lambda *_: 1.0)  # no arms for the same operations
    own = {name: one | {"samples": 16} for name, one in TINY["comparisons"].items()}
    study = load_study(write_study(tmp_path, **ARMS, comparisons=own))
    assert study.samples == 8 and {run.amounts for run in plan_of(study).runs} == {(16,)}
    assert {run.amounts for run in plan_of(multiplied(study, 10)).runs} == {(160,)}


def test_other_settings_of_what_is_held_out_are_refused(declared, tmp_path):
    study = load_study(declared)
    sets = make_held_out(study.held_out)
    assert make_held_out(study.held_out) == sets
    with pytest.raises(DataError, match="sets: holds what was made of something else or with other settings"):
        make_held_out(study.held_out.model_copy(update={"items": 3}))


def test_operations_of_a_run_are_counted_from_some_of_its_steps(declared, tmp_path, monkeypatch):
    run = plan_of(load_study(declared)).runs[0]
    recipe = run.recipe.model_copy(update={"total_samples": 192})
    trainer = Trainer(recipe, tmp_path / "run", device="cpu")
    found = run_flops(recipe, trainer.mixture)
    monkeypatch.setattr("sphinx_x.studies.costs.COUNTED", 10**6)
    assert found != run_flops(recipe, trainer.mixture) == pytest.approx(found, rel=0.05)


def test_arms_of_a_comparison_are_no_sizes_by_amounts(tmp_path):
    study = load_study(write_study(tmp_path))
    names = {run.name for run in plan_of(study).runs}
    assert {run.name for run in scaling_runs(study)} == {"small-s0", "large-s0"} < names


def test_a_run_that_is_not_there_is_named(declared, tmp_path):
    with pytest.raises(RecipeError, match=r"nothing: no run of this study; there are padding\.token-small-s0"):
        Runner(load_study(declared), "tiny", tmp_path / "out", "cpu").run(["nothing"])
