"""Which experts tokens go to, on a small Mixtral whose routing is known by construction, and varied models."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import AutoConfig, AutoModel

from commands import one_line, run
from sphinx_x.errors import DataError
from sphinx_x.evaluation import asking
from sphinx_x.evaluation.answers import model_digest
from sphinx_x.evaluation.asking import Asking, prepare
from sphinx_x.evaluation.ranks import Rank
from sphinx_x.evaluation.routing.analysis import Analysis, Analyst, Plan, drawn
from sphinx_x.evaluation.routing.routers import active_experts, find_routers, without_experts
from sphinx_x.evaluation.routing.tables import as_dict, as_markdown
from sphinx_x.evaluation.routing.usage import entropies, shares
from sphinx_x.evaluation.routing.watching import MODALITIES, Usage, watched
from sphinx_x.evaluation.run import choose, evaluate
from sphinx_x.evaluation.scores import read_items
from sphinx_x.inference import SphinxX
from sphinx_x.model.prompt import PromptBuilder

EXPERTS, LAYERS, SPREAD = 4, 2, 1.0
LIKE_IMAGES = {"image", "skip"}
QUESTIONS = {
    "artwork": ["Is this a painting? Please answer yes or no.", "Is it by Monet, the painter of lilies? Yes or no."],
    "celebrity": ["Is this Ada? Please answer yes or no.", "Is the person in the red box called Grace? Yes or no."],
    "OCR": ['Does it say "sphinx"? Please answer yes or no.', 'Is the word "lily" in the picture? Yes or no.'],
}


@pytest.fixture(scope="module")
def folder(tiny_mixture: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Mixtral that prefers experts 0, 1, 2, 3 for slots of images and for skipped views, and 2, 3, 1, 0 for all else.

    The first two numbers of every hidden state stay what they are at the input, but for the scale: (8, 0) or (0, 8).
    """
    from sphinx_x.family import new_model

    model, processor = new_model(tiny_mixture, seed=3)
    trunk = model.model.language_model
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        trunk.embed_tokens.weight.normal_()
        trunk.embed_tokens.weight[:, :2] = torch.tensor([0.0, 8.0])
        trunk.embed_tokens.weight[model.config.skip_token_id, :2] = torch.tensor([8.0, 0.0])
        for group in model.model.vision.groups:
            group.projector[1].weight[:2] = 0
            group.projector[1].bias[:2] = torch.tensor([8.0, 0.0])
        for layer in trunk.layers:
            for tensor in (*layer.self_attn.parameters(), *layer.mlp.experts.parameters()):
                tensor.normal_(0, SPREAD)  # so that answers differ, and with the experts
            layer.self_attn.o_proj.weight[:2] = 0
            layer.mlp.experts.down_proj[:, :2] = 0
            layer.mlp.gate.weight.zero_()
            layer.mlp.gate.weight[:, :2] = torch.tensor([[0.4, -0.2], [0.2, 0.1], [-0.2, 0.4], [-0.4, 0.3]])
    where = tmp_path_factory.mktemp("mixture") / "known"
    model.save_pretrained(where)
    processor.save_pretrained(where)
    return where


@pytest.fixture
def known(folder: Path) -> SphinxX:
    return SphinxX.load(folder, device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MME in its own layout: three categories, two pictures each of sizes that skip some views, two questions each."""
    root = tmp_path_factory.mktemp("data")
    for kind, questions in QUESTIONS.items():
        place = root / "MME_Benchmark_release_version" / kind
        place.mkdir(parents=True)
        for number in range(2):
            size = (40 + 60 * number, 30 + 20 * len(kind))
            Image.effect_noise(size, 90).convert("RGB").save(place / f"{number}.jpg")
            lines = (f"{question}\t{said}" for question, said in zip(questions, ("Yes", "No"), strict=True))
            (place / f"{number}.txt").write_text("\n".join(lines))
    return root


def analyst(sphinx: SphinxX, data: Path, out: Path, **more: Any) -> Analyst:
    return Analyst(sphinx, choose(["mme"], data), data, out, **{"batch_size": 6, **more})


def analysed(sphinx: SphinxX, data: Path, out: Path, plan: Plan, **more: Any) -> Analysis:
    found = analyst(sphinx, data, out, **more).analyse(plan, "known")
    assert found is not None
    return found


WATCH = Plan(active=(), removed=())


def prompts_of(sphinx: SphinxX, data: Path) -> list[tuple[str, Any]]:
    """The kind and the prompt of every question."""
    [chosen] = choose(["mme"], data)
    how = Asking(sphinx, "")
    asked = [prepare(how, chosen.task, item) for item in read_items(chosen, data)]
    return [(one.item.kind, one.prompt) for one in asked]


def modalities(sphinx: SphinxX, ids: Sequence[int]) -> dict[str, int]:
    """How many tokens of a prompt are of which modality."""
    config = sphinx.model.config
    special = {"image": "image_token_id", "skip": "skip_token_id", "start": "start_token_id", "end": "end_token_id"}
    found = {name: list(ids).count(getattr(config, field)) for name, field in special.items()}
    return {**found, "text": len(ids) - sum(found.values())}


def generated(sphinx: SphinxX, prompt: Any) -> list[int]:
    """The tokens of an answer to a prompt asked alone, with what ended it."""
    return sphinx._generate([prompt], max_new_tokens=10)[0]


def test_tokens_go_where_the_routers_were_made_to_send_them(known: SphinxX, data: Path, tmp_path: Path) -> None:
    usage = analysed(known, data, tmp_path, WATCH).usage
    expected, domains = dict.fromkeys(MODALITIES, 0), {}
    for kind, prompt in prompts_of(known, data):
        parts = modalities(known, prompt.ids)
        parts["answer"] = len(generated(known, prompt)) - 1  # the last one is never computed
        for name, number in parts.items():
            expected[name] += number
        like = sum(number for name, number in parts.items() if name in LIKE_IMAGES)
        before = domains.get(kind, (0, 0))
        domains[kind] = (before[0] + like, before[1] + sum(parts.values()) - like)
    assert all(expected[name] for name in MODALITIES)
    for name, part in usage.modalities.items():
        number = expected[name]
        assert part.tokens.sum() == number
        row = [number, number, 0, 0] if name in LIKE_IMAGES else [0, 0, number, number]
        assert part.counts.sum(1).tolist() == [row] * LAYERS
        # a Mixtral's weights add up to 1, the preferred expert's are the larger ones
        weights = part.weights.sum(1)
        assert weights.sum(-1) == pytest.approx([number] * LAYERS, rel=1e-5)
        first, second = (0, 1) if name in LIKE_IMAGES else (2, 3)
        assert (weights[:, first] > weights[:, second]).all() and (weights[:, second] > 0).all()
    for kind, (like, other) in domains.items():
        assert usage.domains[f"mme: {kind}"].counts.sum(1).tolist() == [[like, like, other, other]] * LAYERS
    total = sum(expected.values())
    assert usage.domains["mme"].tokens.sum() == total
    assert list(usage.domains) == ["mme", *(f"mme: {kind}" for kind in ("celebrity", "artwork", "OCR"))]


def test_shares_and_entropies_by_hand() -> None:
    shape = (2, len(MODALITIES), 4)
    counts = np.zeros(shape, int)
    counts[0, 0], counts[1, 0], counts[1, 4] = [2, 2, 0, 0], [3, 0, 0, 0], [0, 1, 1, 1]
    table = shares(counts)
    assert table.tolist() == [[0.5, 0.5, 0, 0], [0.5, 1 / 6, 1 / 6, 1 / 6]]
    # of two equal halves: log 2 / log 4; of a half and three sixths: (log 2 + log 6) / 2 / log 4
    assert entropies(table) == pytest.approx([0.5, (np.log(2) + np.log(6)) / 2 / np.log(4)])
    assert entropies(shares(np.zeros(shape))).tolist() == [0, 0]
    assert entropies(np.full((1, 4), 0.25)) == pytest.approx([1])


def stops_at(monkeypatch: pytest.MonkeyPatch, sphinx: SphinxX, prompts: Sequence[Any]) -> None:
    """Makes a token end answers that ends some early and others later or not at all."""
    said = [generated(sphinx, prompt) for prompt in prompts]
    by_token = {token: {ids.index(token) if token in ids else 99 for ids in said} for ids in said for token in ids}
    token = max(sorted(by_token), key=lambda token: len(by_token[token]))
    assert len(by_token[token]) > 2, by_token
    monkeypatch.setattr(PromptBuilder, "stop_ids", lambda _: [token])


def test_batches_change_no_count(known: SphinxX, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts and answers of other lengths share a batch: neither padding nor what follows an answer is counted."""
    prompts = [prompt for _, prompt in prompts_of(known, data)]
    assert len({len(prompt.ids) for prompt in prompts}) > 3
    stops_at(monkeypatch, known, prompts)
    lengths = [len(generated(known, prompt)) for prompt in prompts]
    assert len(set(lengths)) > 2
    found = [analysed(known, data, tmp_path / str(n), WATCH, batch_size=n).usage for n in (1, 3, 12)]
    assert found[0].modalities["answer"].tokens.sum() == sum(lengths) - len(lengths)
    for other in found[1:]:
        for groups, others in ((found[0].domains, other.domains), (found[0].modalities, other.modalities)):
            assert groups.keys() == others.keys()
            for name, usage in groups.items():
                assert usage.tokens.tolist() == others[name].tokens.tolist()
                assert usage.counts.tolist() == others[name].counts.tolist()
                assert usage.weights == pytest.approx(others[name].weights, rel=1e-4, abs=1e-4)


def test_an_end_of_several_tokens_and_what_is_not_watched(known: SphinxX, data: Path) -> None:
    """The template of the large members ends an answer by a text; outside of a batch nothing is counted."""
    [_, prompt] = prompts_of(known, data)[0]
    said = generated(known, prompt)
    routers = find_routers(known.model.model.language_model)
    with watched(known, routers) as watcher:
        watcher._ends = [said[3:5]]
        known.answers([prompt], max_new_tokens=10)
        with watcher.batch([prompt]) as usages:
            known.answers([prompt], max_new_tokens=10)
    [usage] = usages
    first = next(k for k in range(1, len(said)) if said[k - 1 : k + 1] == said[3:5])
    assert usage.tokens[MODALITIES.index("answer")] == first
    hooks = [hook for module in known.model.modules() for hook in (module._forward_hooks, module._forward_pre_hooks)]
    assert not any(hooks)


def experts_of(block: Any, hidden_TD: torch.Tensor) -> torch.Tensor:
    """What each expert makes of each token (E, T, D)."""
    experts = block.experts
    gate, up = torch.einsum("td,efd->etf", hidden_TD, experts.gate_up_proj).chunk(2, -1)
    return torch.einsum("eti,edi->etd", F.silu(gate) * up, experts.down_proj)


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_active_experts_equal_a_dense_computation(count: int, folder: Path) -> None:
    sphinx = SphinxX.load(folder, device="cpu")
    trunk = sphinx.model.model.language_model
    routers, block = find_routers(trunk), trunk.layers[0].mlp
    block.gate.weight.copy_(torch.randn(EXPERTS, 32, generator=torch.Generator().manual_seed(1)))
    hidden_TD = torch.randn(9, 32, generator=torch.Generator().manual_seed(2))
    weights_TE = (hidden_TD @ block.gate.weight.T).softmax(-1)
    # all but the `count` largest count for nothing, and the rest is made to add up to 1
    smallest = weights_TE.sort(-1, descending=True).values[:, count - 1 : count]
    weights_TE = weights_TE.where(weights_TE >= smallest, 0)
    weights_TE /= weights_TE.sum(-1, keepdim=True)
    expected = torch.einsum("te,etd->td", weights_TE, experts_of(block, hidden_TD))
    with active_experts(routers, count):
        assert sphinx.model.config.text_config.num_experts_per_tok == count
        torch.testing.assert_close(block(hidden_TD[None])[0], expected, rtol=1e-4, atol=1e-4)
    assert (routers.modules[0].top_k, block.top_k, trunk.config.num_experts_per_tok) == (2, 2, 2)


@torch.no_grad()
def test_removed_experts_are_chosen_no_more(known: SphinxX, data: Path) -> None:
    """Without their first experts, images and texts go to those that come next; numbers stay those of the model."""
    [_, prompt] = prompts_of(known, data)[0]
    routers = find_routers(known.model.model.language_model)
    before = [router.weight for router in routers.modules]
    after = {(0, 2): ([1, 3], [3, 1]), (1,): ([0, 2], [2, 3]), (0,): ([1, 2], [2, 3]), (3,): ([0, 1], [2, 1])}
    for gone, (image, text) in after.items():
        with (
            watched(known, routers) as watcher,
            without_experts(routers, [gone] * LAYERS),
            watcher.batch([prompt]) as usages,
        ):
            known.answers([prompt], max_new_tokens=3)
        counts = usages[0].counts
        for name, chosen in (("image", image), ("text", text)):
            place = MODALITIES.index(name)
            number = usages[0].tokens[place]
            expected = [[number * (expert in chosen) for expert in range(EXPERTS)]] * LAYERS
            assert counts[:, place].tolist() == expected
    assert all(router.weight is weight for router, weight in zip(routers.modules, before, strict=True))
    assert all(router.num_experts == EXPERTS for router in routers.modules)


def test_everything_is_put_back_after_an_error(known: SphinxX) -> None:
    routers, before = find_routers(known.model.model.language_model), model_digest(known)
    with pytest.raises(KeyboardInterrupt), active_experts(routers, 1), without_experts(routers, [(0,), (1,)]):
        raise KeyboardInterrupt
    assert model_digest(known) == before
    assert not any(router._forward_hooks for router in routers.modules)
    with (
        pytest.raises(DataError, match="1 experts are left, but a token goes to 2"),
        without_experts(routers, [(0,), (1, 2, 3)]),
    ):
        pass
    with pytest.raises(DataError, match="1 to 4 experts of this model, not to 5"), active_experts(routers, 5):
        pass
    assert model_digest(known) == before


def answers_in(path: Path) -> list[str]:
    return [json.loads(line)["answer"] for line in path.read_text().splitlines()]


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


def counted_calls(sphinx: SphinxX, monkeypatch: pytest.MonkeyPatch, stops_after: int = 10**9) -> list[int]:
    """The sizes of the batches that are asked from now on."""
    true, calls = sphinx.answers, []

    def answers(prompts: Sequence[Any], *given: Any, **named: Any) -> list[Any]:
        if len(calls) == stops_after:
            raise KeyboardInterrupt
        calls.append(len(prompts))
        return true(prompts, *given, **named)

    monkeypatch.setattr(sphinx, "answers", answers)
    return calls


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


def test_questions_that_cannot_be_asked_are_counted(known: SphinxX, data: Path, tmp_path: Path) -> None:
    import shutil

    copied = tmp_path / "data"
    shutil.copytree(data, copied)
    (copied / "MME_Benchmark_release_version/OCR/1.jpg").unlink()
    whole = copied / "MME_Benchmark_release_version/OCR/0.jpg"
    whole.write_bytes(whole.read_bytes()[:300])  # only decoding shows it
    found = analysed(known, copied, tmp_path / "run", WATCH)
    assert found.usage.missing == 4
    assert "mme: OCR" not in found.usage.domains
    assert "4 questions could not be asked" in as_markdown(found)


def test_usage_of_another_model_is_named(known: SphinxX, data: Path, tmp_path: Path) -> None:
    analysed(known, data, tmp_path, WATCH)
    path = tmp_path / "routing/usage/mme.0.jsonl"
    path.write_text(path.read_text().replace('"counts": "', '"counts": "AAAA', 1))
    with pytest.raises(DataError, match=r"mme\.0\.jsonl, line 1: not the usage of a question"):
        analysed(known, data, tmp_path, WATCH)


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


SMALL = {
    **{"vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "moe_intermediate_size": 24, "head_dim": 8},
    **{"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "num_experts_per_tok": 2},
}
KINDS = {
    "mixtral": {"num_local_experts": 6},
    "qwen2_moe": {"num_experts": 6, "shared_expert_intermediate_size": 24},
    "qwen3_moe": {"num_experts": 6, "norm_topk_prob": True},
    "olmoe": {"num_experts": 6},
    "granitemoe": {"num_local_experts": 6},
    "gpt_oss": {"num_local_experts": 6, "layer_types": ["full_attention"] * 2},
    "minimax": {"num_local_experts": 6, "layer_types": ["full_attention"] * 2},
}


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_routers_of_the_librarys_models(kind: str) -> None:
    """What a router says of the experts that are left does not change where it would have chosen none of the others."""
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **SMALL, **KINDS[kind])).eval()
    routers = find_routers(model)
    assert (routers.experts, routers.active, routers.layers, routers.most) == (6, 2, (0, 1), 6)
    router, hidden_TD = routers.modules[0], torch.randn(200, 16)
    torch.nn.init.normal_(router.weight)
    _, weights, chosen = router(hidden_TD)
    with without_experts(routers, [(1, 4), (0,)]):
        _, weights_left, chosen_left = router(hidden_TD)
        model(torch.arange(8)[None])
    assert not torch.isin(chosen_left, torch.tensor([1, 4])).any()
    assert set(chosen_left.flatten().tolist()) == {0, 2, 3, 5}
    same = ~torch.isin(chosen, torch.tensor([1, 4])).any(-1)
    assert 0 < same.sum() < 200
    assert torch.equal(chosen_left[same], chosen[same])
    if kind not in ("qwen2_moe", "olmoe"):  # whose weights are not made to add up to 1, and share what others had
        torch.testing.assert_close(weights_left[same], weights[same])
    for count in range(1, 7):
        with active_experts(routers, count):
            _, weights_k, chosen_k = router(hidden_TD)
            model(torch.arange(8)[None])
        assert chosen_k.shape == weights_k.shape == (200, count)
        assert all(len(set(row)) == count for row in chosen_k.tolist())
    after = router(hidden_TD)
    assert torch.equal(after[1], weights) and torch.equal(after[2], chosen)


def test_groups_of_experts_and_biases_elsewhere_are_refused() -> None:
    deep = {"n_routed_experts": 8, "n_group": 4, "topk_group": 2, "first_k_dense_replace": 1, "n_shared_experts": 1}
    small = {**SMALL, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8}
    model = AutoModel.from_config(AutoConfig.for_model("deepseek_v3", **{**small, **deep, "v_head_dim": 8}))
    routers = find_routers(model)
    assert (routers.layers, routers.experts, routers.most) == ((1,), 8, 4)
    with pytest.raises(DataError, match="1 to 4 experts"), active_experts(routers, 5):
        pass
    with pytest.raises(DataError, match="experts of a deepseek_v3 cannot be removed"), without_experts(routers, [(0,)]):
        pass
    ernie = AutoModel.from_config(AutoConfig.for_model("ernie4_5_moe", **SMALL, moe_num_experts=6, moe_k=2))
    routers = find_routers(ernie)
    with pytest.raises(DataError, match="cannot be removed"), without_experts(routers, [(0,)] * len(routers.layers)):
        pass


def test_models_without_readable_routers_are_refused() -> None:
    dense = AutoModel.from_config(AutoConfig.for_model("llama", **SMALL))
    with pytest.raises(DataError, match="is a llama: it has no sparse mixture of experts"):
        find_routers(dense)


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


def test_the_json_has_everything(known: SphinxX, data: Path, tmp_path: Path) -> None:
    said = as_dict(analysed(known, data, tmp_path, WATCH))
    total = sum(group["tokens"] for group in said["usage"]["modality"].values())
    assert said["usage"]["domain"]["mme"]["tokens"] == total
    for groups in said["usage"].values():
        for group in groups.values():
            for layer in group["layers"]:
                assert sum(layer["tokens"]) == 2 * group["tokens"]
                assert sum(layer["weight"]) == pytest.approx(group["tokens"], rel=1e-5)
    assert Usage.empty(2, 4).tokens.sum() == 0
