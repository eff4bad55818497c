"""Which experts tokens go to, on a small Mixtral whose routing is known by construction."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from known_mixture import (
    LAYERS,
    LIKE_IMAGES,
    WATCH,
    analysed,
    generated,
    modalities,
    prompts_of,
)
from sphinx_x.errors import DataError
from sphinx_x.evaluation.routing.routers import find_routers
from sphinx_x.evaluation.routing.tables import as_dict, as_markdown
from sphinx_x.evaluation.routing.usage import entropies, shares
from sphinx_x.evaluation.routing.watching import MODALITIES, Usage, watched
from sphinx_x.inference import SphinxX
from sphinx_x.model.prompt import PromptBuilder


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


def test_a_router_that_is_not_called_is_named(known: SphinxX, data: Path) -> None:
    [_, prompt] = prompts_of(known, data)[0]
    routers = find_routers(known.model.model.language_model)
    routers = replace(routers, modules=(*routers.modules, copy.deepcopy(routers.modules[0])))
    message = "a mixtral cannot be watched"
    with watched(known, routers) as watcher, pytest.raises(DataError, match=message), watcher.batch([prompt]):
        known.answers([prompt], max_new_tokens=2)


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
