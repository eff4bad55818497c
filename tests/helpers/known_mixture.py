"""A small Mixtral whose routing is known by construction, what it is asked, and what should come out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from sphinx_x.evaluation.asking import Asking, prepare
from sphinx_x.evaluation.routing.analysis import Analysis, Analyst, Plan
from sphinx_x.evaluation.run import choose
from sphinx_x.evaluation.scores import read_items
from sphinx_x.inference import SphinxX

EXPERTS, LAYERS, SPREAD = 4, 2, 1.0
LIKE_IMAGES = {"image", "skip"}
QUESTIONS = {
    "artwork": ["Is this a painting? Please answer yes or no.", "Is it by Monet, the painter of lilies? Yes or no."],
    "celebrity": ["Is this Ada? Please answer yes or no.", "Is the person in the red box called Grace? Yes or no."],
    "OCR": ['Does it say "sphinx"? Please answer yes or no.', 'Is the word "lily" in the picture? Yes or no.'],
}


def make_mixture(tiny_mixture: Any, where: Path) -> Path:
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
    model.save_pretrained(where)
    processor.save_pretrained(where)
    return where


def make_questions(root: Path) -> Path:
    """MME in its own layout: three categories, two pictures each of sizes that skip some views, two questions each."""
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


def answers_in(path: Path) -> list[str]:
    return [json.loads(line)["answer"] for line in path.read_text().splitlines()]


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
