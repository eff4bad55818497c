"""Answers, scores and reports of a model and its variations; runs that are repeated, killed and shared out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from commands import one_line, run
from known_mixture import (
    EXPERTS,
    analysed,
    analyst,
    answers_in,
    counted_calls,
    prompts_of,
)
from releases.videos import RELEASES
from sphinx_x.errors import DataError
from sphinx_x.evaluation import asking
from sphinx_x.evaluation.answers import model_digest
from sphinx_x.evaluation.asking import Asking, prepare
from sphinx_x.evaluation.ranks import Rank
from sphinx_x.evaluation.routing.analysis import Analysis, Analyst, Plan, drawn
from sphinx_x.evaluation.routing.tables import as_dict, as_markdown
from sphinx_x.evaluation.run import choose, evaluate
from sphinx_x.evaluation.scores import read_items
from sphinx_x.inference import SphinxX


def test_varied_answers_are_those_of_models_made_so(known: SphinxX, data: Path, tmp_path: Path) -> None:
    """k = 1 as a model loaded with that in its configuration; removed experts as a model that never had them."""
    plan = Plan(active=(1,), removed=(1,), runs=1)
    found = analysed(known, data, tmp_path / "run", plan)
    answers = tmp_path / "run" / "routing" / "answers"
    [chosen] = choose(["mme"], data)

    single = SphinxX.load(known.model.config._name_or_path, device="cpu")
    single.model.config.text_config.num_experts_per_tok = 1
    single.model.save_pretrained(tmp_path / "single")
    single.processor.save_pretrained(tmp_path / "single")
    single = SphinxX.load(tmp_path / "single", device="cpu")
    run_of = evaluate(single, [chosen], data, tmp_path / "one")
    assert run_of is not None
    assert answers_in(answers / "mme.k1.jsonl") == [answer.answer for answer in run_of.rows[0].answers]
    assert found.active[0].rows[0].scored.figures == run_of.rows[0].scored.figures

    fewer = SphinxX.load(known.model.config._name_or_path, device="cpu")
    config = fewer.model.config
    config.text_config.num_local_experts = 3
    [varied] = found.removed
    for layer, gone in zip(fewer.model.model.language_model.layers, varied.removed, strict=True):
        kept = [expert for expert in range(EXPERTS) if expert not in gone]
        for holder, name in ((layer.mlp.gate, "weight"), (layer.mlp.experts, "gate_up_proj")):
            setattr(holder, name, torch.nn.Parameter(getattr(holder, name).detach()[kept]))
        layer.mlp.experts.down_proj = torch.nn.Parameter(layer.mlp.experts.down_proj.detach()[kept])
        layer.mlp.experts.num_experts = 3
    expected = [fewer.answers([prompt], max_new_tokens=10)[0] for _, prompt in prompts_of(fewer, data)]
    without = answers_in(answers / "mme.without1.run0.jsonl")
    own = answers_in(tmp_path / "run" / "answers" / "mme.jsonl")
    assert without == expected
    assert len({tuple(own), tuple(without), tuple(answers_in(answers / "mme.k1.jsonl"))}) == 3


def test_scores_are_those_of_the_varied_answers(known: SphinxX, tmp_path: Path) -> None:
    """True answers are what the model says with one expert for each token, told by the routers' attribute alone."""
    place = tmp_path / "docvqa" / "val"
    place.mkdir(parents=True)
    rows = []
    for number in range(8):
        Image.effect_noise((50 + 20 * number, 40), 90).convert("RGB").save(place / f"{number}.png")
        rows.append({"questionId": number, "question": f"Line {number}?", "image": f"{number}.png", "answers": ["?"]})
    (place / "val_v1.0.json").write_text(json.dumps({"data": rows}))
    [chosen] = choose(["docvqa"], tmp_path)
    layers = known.model.model.language_model.layers
    for layer in layers:
        layer.mlp.gate.top_k = 1
    for row, item in zip(rows, read_items(chosen, tmp_path), strict=True):
        prompt = prepare(Asking(known, ""), chosen.task, item).prompt
        assert prompt is not None
        row["answers"] = known.answers([prompt], max_new_tokens=chosen.task.max_new_tokens)
        assert row["answers"][0].strip()
    for layer in layers:
        layer.mlp.gate.top_k = 2
    (place / "val_v1.0.json").write_text(json.dumps({"data": rows}))
    found = Analyst(known, [chosen], tmp_path, tmp_path / "run").analyse(Plan(active=(1, 3), removed=(1,), runs=1))
    assert found is not None
    scores = {one.name: one.rows[0].scored.headline[1].value for one in (*found.active, *found.removed)}
    assert scores["k1"] == 1
    assert max(scores["k2"], scores["k3"], scores["without1.run0"]) < 0.5
    assert [row.name for row in found.active[0].rows] == [chosen.name]
    said = as_markdown(found)
    assert re.search(r"^\| 1 \| ANLS 100\.0 % \(100\.0 % to 100\.0 %\) \|$", said, re.M)


PLAN = Plan(active=(1,), removed=(2,), runs=2)
PASSES = 4


def told(analysis: Analysis) -> tuple[str, str]:
    """All that is told of an analysis."""
    return json.dumps(as_dict(analysis)), as_markdown(analysis)


def test_a_repeated_run_costs_nothing_and_no_answer_is_taken_for_another(
    known: SphinxX, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = model_digest(known)
    first = told(analysed(known, data, tmp_path / "run", PLAN))
    files = sorted((tmp_path / "run" / "routing" / "answers").glob("*.jsonl"))
    assert len(files) == PASSES - 1
    keys = [json.loads(line)["key"] for path in files for line in path.read_text().splitlines()]
    keys += [json.loads(line)["key"] for line in (tmp_path / "run/answers/mme.jsonl").read_text().splitlines()]
    assert len(set(keys)) == len(keys) == PASSES * 12
    calls = counted_calls(known, monkeypatch)
    assert told(analysed(known, data, tmp_path / "run", PLAN)) == first
    assert evaluate(known, choose(["mme"], data), data, tmp_path / "run") is not None
    assert calls == []
    # one more number and one more draw cost their own passes alone
    analysed(known, data, tmp_path / "run", Plan(active=(1, 4), removed=(2,), runs=3))
    assert sum(calls) == 2 * 12
    assert model_digest(known) == before
    # answers whose usage was never counted are asked again
    for path in (tmp_path / "run/routing/usage").glob("*"):
        path.unlink()
    calls.clear()
    assert told(analysed(known, data, tmp_path / "run", PLAN)) == first
    assert sum(calls) == 12


def test_a_killed_analysis_goes_on(known: SphinxX, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = told(analysed(known, data, tmp_path / "whole", PLAN))
    for stops_after in (0, 1, 2, 3):
        with monkeypatch.context() as patched:
            counted_calls(known, patched, stops_after)
            with pytest.raises(KeyboardInterrupt):
                analysed(known, data, tmp_path / "killed", PLAN)
    calls = counted_calls(known, monkeypatch)
    assert told(analysed(known, data, tmp_path / "killed", PLAN)) == whole
    assert sum(calls) < PASSES * 12


def test_ranks_share_the_work_and_change_nothing(
    folder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = analysed(SphinxX.load(folder, device="cpu"), data, tmp_path / "alone", PLAN)
    monkeypatch.setattr(Rank, "wait", lambda self: None)
    monkeypatch.setattr(asking, "WINDOW", 1)
    found = None
    for number in (1, 0):
        # after one another: the first one, which puts together what both did, comes last
        sphinx = SphinxX.load(folder, device="cpu")
        calls = counted_calls(sphinx, monkeypatch)
        two = analyst(sphinx, data, tmp_path / "two", rank=Rank(number, 2), batch_size=3)
        found = two.analyse(PLAN, "known")
        assert sum(calls) == PASSES * 6
    assert found is not None and told(found) == told(alone)


def test_frames_of_videos_are_those_of_the_run(known: SphinxX, data: Path, tmp_path: Path) -> None:
    RELEASES["videobench"](tmp_path / "data")
    chosen = choose(["videobench"], tmp_path / "data")[:1]
    images, scores = [], []
    for frames in (None, 3):
        asks = Analyst(known, chosen, tmp_path / "data", tmp_path / "run", frames=frames)
        found = asks.analyse(Plan(active=(1,), removed=()))
        assert found is not None
        images.append(int(found.usage.modalities["image"].tokens.sum()))
        scores += [one["scores"][chosen[0].name] for one in as_dict(found)["active"]]
    assert images[1] == 3 * images[0] > 0
    assert [score["frames"] for score in scores] == [1, 1, 3, 3]
    with pytest.raises(DataError, match="--frames 2: none of the tasks is about videos"):
        analysed(known, data, tmp_path / "none", Plan(), frames=2)


def test_drawn_experts() -> None:
    routers = type("Routers", (), {"layers": tuple(range(32)), "experts": 8, "active": 2, "most": 8})()
    assert drawn(routers, 3, 0) == drawn(routers, 3, 0) != drawn(routers, 3, 1)
    assert len(set(drawn(routers, 3, 0))) > 10  # layers lose different experts
    for few, more in zip(drawn(routers, 2, 1), drawn(routers, 5, 1), strict=True):
        assert set(few) < set(more)
    variations = Plan().variations(routers)
    assert [one.active for one in variations if not one.removed] == [1, 3, 4, 5, 6, 7, 8]
    assert [len(one.removed[0]) for one in variations if one.removed] == [n for n in range(1, 7) for _ in range(3)]
    assert len({one.name for one in variations} | {one.identity for one in variations}) == 2 * len(variations)


def test_the_command(folder: Path, data: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "run"
    options = ("--routing", "--active", "1,4", "--removed", "2", "--draws", "2", "--batch-size", "6")
    code, _, _ = run(
        "eval", str(folder), "--tasks", "mme", "--data", str(data), "-o", str(out), *options, "--device", "cpu",
        capsys=capsys,
    )  # fmt: skip
    assert code == 0
    said = json.loads((out / "routing.json").read_text())
    assert (said["experts"], said["active experts"], said["layers"]) == (4, 2, [0, 1])
    assert [one["active"] for one in said["active"]] == [1, 2, 4]
    assert [(one["removed"], one["run"], len(one["experts"])) for one in said["removed"]] == [(2, 0, 2), (2, 1, 2)]
    image = said["usage"]["modality"]["image"]
    assert image["layers"][0]["share"] == [0.5, 0.5, 0, 0] and image["layers"][0]["entropy"] == 0.5
    assert image["layers"][1]["tokens"] == [image["tokens"], image["tokens"], 0, 0]
    report = json.loads((out / "report.json").read_text())
    assert said["active"][1]["scores"]["mme"]["score"] == report["rows"][0]["score"]
    text = (out / "routing.md").read_text()
    assert re.search(r"^\| 0 \| 0\.500 \| 50\.0 \([\d.]+\) \| 50\.0 \([\d.]+\) \| 0\.0 \(0\.0\) \|", text, re.M)
    assert "2 (the model's own)" in text
    for name in re.findall(r"\]\((.*?\.png)\)", text):
        with Image.open(out / name) as plot:
            assert plot.width > 500
    page = (out / "report.html").read_text()
    assert "<h2>Routing</h2>" in page and "Score with random experts removed" in page and "mme: artwork" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--routing",), "is a llama: it has no sparse mixture of experts"),
        (("--active", "1"), "--active goes with --routing"),
        (("--draws", "1"), "--draws goes with --routing"),
        (("--routing", "--active", "one"), "--active takes numbers with commas between, or none, not 'one'"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    options: tuple[str, ...], message: str, tiny_folder: Path, data: Path, tmp_path: Path, capsys: Any
) -> None:
    given = ("--tasks", "mme", "--data", str(data), "-o", str(tmp_path / "run"))
    code, _, error = run("eval", str(tiny_folder), *given, *options, capsys=capsys)
    assert code == 2 and message in error and one_line(error)
    assert not list((tmp_path / "run").rglob("*.jsonl"))


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan(active=(0,)), "active experts of this model are 1 to 4, not 0"),
        (Plan(active=(1, 5)), "active experts of this model are 1 to 4, not 5"),
        (Plan(removed=(3,)), "removed experts of this model are 1 to 2, not 3"),
        (Plan(runs=0), "drawn once at least"),
    ],
)
def test_numbers_out_of_range(plan: Plan, message: str, known: SphinxX, data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        analysed(known, data, tmp_path, plan)
