"""What a finished run is measured by: the loss of every held-out answer, and what it answers itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sphinx_x.data.loader import batches
from sphinx_x.evaluation.samples import score_samples
from sphinx_x.inference import SphinxX
from sphinx_x.recipe import SourceRecipe, ValidationRecipe
from sphinx_x.studies.declaration import HeldOut
from sphinx_x.studies.held_out import SHOWN
from sphinx_x.training.metrics import Sums, Validation
from sphinx_x.training.objective import Losses, MicroBatch
from sphinx_x.training.trainer import Trainer

DIGITS = 5


@dataclass
class ItemSums(Sums):
    """Sums that also keep the loss of every answer, by source and place in it: nats, and tokens."""

    items: dict[str, dict[str, tuple[float, int]]] = field(default_factory=dict)

    def count(self, micro: MicroBatch, losses: Losses, sources: Sequence[str]) -> None:
        """See the base class."""
        super().count(micro, losses, sources)
        for example, part in micro.by_example(losses.tokens.cpu()):
            self.items.setdefault(sources[example.source], {})[example.name] = float(part.sum()), len(part)


def losses_of(trainer: Trainer, held: HeldOut) -> dict[str, dict[str, Any]]:
    """Return by skill the mean loss of its answers' tokens for each kind of image, and that of every item."""
    out: dict[str, dict[str, Any]] = {name: {} for name in held.skills}
    for shown in SHOWN:
        folder = held.folder / "sets" / shown
        sources = {name: SourceRecipe(path=folder / f"{name}-00000.jsonl") for name in held.skills}
        items = item_losses(trainer, sources, held.items, trainer.folder / "index" / shown)
        for name, found in items.items():
            nats, tokens = (sum(part) for part in zip(*found.values(), strict=True))
            out[name][shown] = round(nats / tokens, DIGITS)
            if shown == "true":
                out[name]["items"] = [round(one / length, DIGITS) for one, length in found.values()]
                out[name]["lengths"] = [length for _, length in found.values()]
    return out


def item_losses(
    trainer: Trainer, sources: Mapping[str, SourceRecipe], count: int, index: Path
) -> dict[str, dict[str, tuple[float, int]]]:
    """Return by source the loss of each held-out item in nats, and its trained tokens, in the order of the items.

    Args:
        trainer: A finished run.
        sources: The held-out sets.
        count: Items of each set.
        index: The folder of their indices.
    """
    asked = ValidationRecipe(sources=dict(sources), samples=count)
    recipe = trainer.recipe.model_copy(update={"validation": asked, "max_bad_samples": 0.0})
    found = Validation(recipe, trainer.processor, index, trainer.world)
    sums, engine = ItemSums(), trainer.engine
    engine.objective.eval()
    for mixture in found.sets:
        names = [source.name for source in mixture.examples.blend.sources]
        for _, packs in batches(mixture.examples, mixture.plan.steps(1), 0):
            examples = [example for pack in packs for example in pack]
            found.bad_samples += [(example.name, example.error) for example in examples if example.error]
            found.check_bad_samples(trainer.folder / "bad_samples.jsonl")
            engine.look(examples, sums, names)
    engine.objective.train()
    return {name: dict(sorted(items.items(), key=_place)) for name, items in sums.items.items()}


def _place(item: tuple[str, Any]) -> tuple[int, str]:
    """Sort items as `.../lines-00000.jsonl line 12` by their lines."""
    number = item[0].rpartition(" ")[2].strip(":")
    return (int(number) if number.isdigit() else 0), item[0]


def answers_of(model: Path, held: HeldOut, device: str) -> dict[str, dict[str, Any]]:
    """Return by skill the error rate of a model's answers for each kind of image, and the errors of every item."""
    sphinx = SphinxX.load(model, device=device)
    out: dict[str, dict[str, Any]] = {name: {} for name in held.skills}
    for shown in SHOWN:
        for name in held.skills:
            path = held.folder / "sets" / shown / "asked" / f"{name}-00000.jsonl"
            scores = score_samples(sphinx, [path], longest=held.longest)
            out[name][shown] = round(sum(s.errors for s in scores) / sum(s.length for s in scores), DIGITS)
            if shown == "true":
                out[name] |= {"items": [s.errors for s in scores], "lengths": [s.length for s in scores]}
    return out


def measured(trainer: Trainer, model: Path, held: HeldOut) -> dict[str, dict[str, Any]]:
    """Return `loss` and `error` of a finished run, by skill."""
    return {"loss": losses_of(trainer, held), "error": answers_of(model, held, str(trainer.world.device))}
