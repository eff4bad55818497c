"""The training loop: one process, one stage, all tasks in one mixture (paper, section 3.3).

A run lives in one folder: `log.jsonl` and `curves.png`, `state/` to resume from, `holes.jsonl` with every sample that
could not be used, and at the end `model/`, an ordinary model folder. A killed run resumes bit-equal: everything random
follows from the seed and the step.
"""

from __future__ import annotations

import json
import math
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sphinx_x.data.augment import Augmentation
from sphinx_x.data.lengths import Limits
from sphinx_x.data.loader import Example, batches, shards_of
from sphinx_x.data.mixture import Mixture, Share, open_mixture
from sphinx_x.data.packs import Budget, Position
from sphinx_x.data.show import print_samples
from sphinx_x.errors import CheckpointError, DataError, MissingToolError, RecipeError, one_line
from sphinx_x.family import get_member, new_model
from sphinx_x.inference import SphinxX
from sphinx_x.jobs import alone_in, append_line, atomic_folder, read_lines, write_atomic, write_manifest
from sphinx_x.model.letters import add_letters
from sphinx_x.model.packed import PACKED
from sphinx_x.training.alignment import AlignmentHead
from sphinx_x.training.card import write_card
from sphinx_x.training.optimizer import MasterOptimizer, freeze, learning_rate_at
from sphinx_x.training.packing import IGNORED, MicroBatch, pack_examples
from sphinx_x.training.progress import Progress, draw_curves
from sphinx_x.training.recipe import Recipe
from sphinx_x.training.state import load_state, save_state, saved_states


@dataclass
class Standing:
    """Where a run stands: steps done, samples seen and holes among them, the next pack, the share that is done."""

    step: int = 0
    samples: int = 0
    holes: int = 0
    window: int = 0
    pack: int = 0
    progress: float = 0.0


@dataclass
class Sums:
    """Sums since the last line of the log."""

    loss: float = 0.0
    align: float = 0.0
    characters: int = 0
    tokens: int = 0
    trained: int = 0
    views: int = 0
    attended: int = 0
    source_loss: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    source_trained: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    began: float = field(default_factory=time.monotonic)

    def record(self) -> dict[str, Any]:
        """The numbers of a log line."""
        seconds = time.monotonic() - self.began
        return {
            "loss": self.loss / max(self.trained, 1),
            "align": self.align / max(self.characters, 1),
            "tokens_per_s": self.tokens / seconds,
            "views_per_s": self.views / seconds,
            "seconds": seconds,
            "padding": 1 - self.tokens / max(self.attended, 1),
            "by_source": {name: self.source_loss[name] / n for name, n in sorted(self.source_trained.items())},
        }


class StopSignal:
    """Remembers SIGTERM and SIGINT while it is entered, so that a step can end and be saved first."""

    number: int = 0

    def __enter__(self) -> StopSignal:
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._remember)
        return self

    def _remember(self, number: int, _: Any) -> None:
        self.number = number

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class Trainer:
    """A run of a recipe in a folder. resume: go on from the newest state there; device: as PyTorch names it."""

    def __init__(self, recipe: Recipe, folder: str | Path, resume: bool = False, device: str | None = None) -> None:
        self.recipe, self.folder = recipe, Path(folder)
        if not resume and saved_states(self.folder / "state"):
            raise RecipeError(f"{self.folder}: holds a run already; add --resume to go on with it, or choose another")
        torch.set_flush_denormal(True)
        try:
            self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        except RuntimeError as error:
            raise MissingToolError(f"device {device}: {one_line(error)}") from error
        self.model, self.processor = self._begun()
        self.trunk = self.model.model
        self.trunk.language_model.config._attn_implementation = PACKED
        text = self.model.config.text_config
        self.head = AlignmentHead(text.hidden_size, text.vocab_size, recipe.align.frames)
        self._freeze()
        parts = {"model": self.model, "align": self.head} if recipe.align.weight else {"model": self.model}
        self.optimizer = MasterOptimizer(
            parts, self.device, getattr(torch, recipe.dtype), recipe.betas, recipe.weight_decay
        )
        self.mixture = self._mixture()
        self.examples = self.mixture.examples
        self.data = self._data()
        self.at = Standing()
        if resume:
            self._resume()
        else:  # what a run left that ended before its first state
            for name in ("log.jsonl", "holes.jsonl"):
                (self.folder / name).unlink(missing_ok=True)

    def _begun(self) -> tuple[Any, Any]:
        """Model, in float32, and processor as the run begins with them."""
        recipe = self.recipe
        if recipe.start is None:
            model, processor = new_model(get_member(recipe.member), recipe.seed)
        else:
            loaded = SphinxX.load(recipe.start, dtype=torch.float32, device="cpu")
            model, processor = loaded.model.train(), loaded.processor
        if recipe.letters:
            try:
                add_letters(model, processor.tokenizer, recipe.letters)
            except ValueError as error:
                raise RecipeError(f"letters: {one_line(error)}") from error
        return model, processor

    def _freeze(self) -> None:
        groups = self.trunk.vision.groups
        named = {
            "experts": [group.experts for group in groups],
            "projector": [group.projector for group in groups],
            "language_model": [self.trunk.language_model, self.model.lm_head],
        }
        freeze(module for part in self.recipe.freeze for module in named[part])

    def _mixture(self) -> Mixture:
        recipe = self.recipe
        shares = {
            name: Share(
                (s.path,) if s.path else tuple(shards_of(recipe.folder, name)), s.weight, s.end, s.ratio, s.root
            )
            for name, s in recipe.sources.items()
        }
        return open_mixture(
            shares,
            self.processor,
            Limits(recipe.max_tokens, recipe.pack.views, recipe.over_long),
            Budget(recipe.pack.tokens, recipe.pack.views, recipe.pack.window),
            recipe.samples,
            self.folder / "index",
            recipe.seed,
            Augmentation(**recipe.augment.model_dump()),
            recipe.max_holes,
            progress=lambda name, tally: print(f"measuring {name}: {tally.records} samples", file=sys.stderr),
        )

    def _resume(self) -> None:
        tensors, facts = load_state(self.folder / "state")
        if facts["recipe"] != self._facts():
            raise CheckpointError(f"{self.folder}: was begun with another recipe; resume it with the one it began with")
        self.optimizer.load({name: tensor.to(self.device) for name, tensor in tensors.items()})
        self.at = Standing(**facts["at"])
        if facts["data"] != self.data:
            raise CheckpointError(f"{self.folder}: the data is not what the run began with; begin a new run")
        for name in ("log.jsonl", "holes.jsonl"):
            path = self.folder / name
            kept = [record for record in read_lines(path) if record["step"] <= self.at.step]
            if path.exists():
                write_atomic(path, "".join(json.dumps(record) + "\n" for record in kept))

    def _facts(self) -> dict[str, Any]:
        """The recipe as the state remembers it: what may not change between the parts of a run."""
        free = {"workers", "save_every", "keep", "log_every", "folder", "data", "max_holes"}
        facts = self.recipe.model_dump(mode="json", exclude=free)
        for source in facts["sources"].values():
            del source["path"], source["root"]
        return facts

    def _data(self) -> dict[str, list[int]]:
        """Pieces and tokens of every source: a mixture of others would be in another order."""
        sources, tables = self.examples.blend.sources, self.examples.pieces
        return {s.name: [s.size, int(t["tokens"].sum(dtype="int64"))] for s, t in zip(sources, tables, strict=True)}

    def run(self) -> Path:
        """Trains to the end; returns the model folder."""
        recipe, at = self.recipe, self.at
        self._tell()
        steps = self.mixture.plan.steps(recipe.batch, Position(at.window, at.pack))
        sums = Sums()
        with Progress(recipe.samples, at.samples) as progress, StopSignal() as stop:
            for step, packs in batches(self.examples, steps, recipe.workers):
                # the rate in the middle of the step
                rate = learning_rate_at((at.progress + step.progress) / 2, recipe.learning_rate, recipe.warmup)
                at.step, at.samples = at.step + 1, at.samples + sum(map(len, packs))
                at.window, at.pack, at.progress = step.after.window, step.after.pack, step.progress
                usable = self._without_holes(packs)
                norm = self.step(usable, rate, sums) if usable else 0.0
                last = at.progress == 1.0
                if at.step % recipe.log_every == 0 or last:
                    record = {"step": at.step, "samples": at.samples, "lr": rate, "norm": norm, **sums.record()}
                    append_line(self.folder / "log.jsonl", record)
                    progress.show(record)
                    sums = Sums()
                if at.step % recipe.save_every == 0 or last or stop.number:
                    self._save()
                if stop.number and not last:
                    print(f"stopped after step {at.step}; --resume goes on from there", file=sys.stderr)
                    raise SystemExit(128 + stop.number)
        if at.holes:
            print(f"{at.holes} of {at.samples} samples were broken: {self.folder / 'holes.jsonl'}", file=sys.stderr)
        return self.export(self.folder / "model")

    def _tell(self) -> None:
        """What was left out of the sources, and one sample of each as it is learned, on standard error."""
        for name, tally in self.mixture.tallies.items():
            for reason, count in (tally.set_aside + tally.left_out).most_common():
                print(f"{name}: {count} of {tally.records} samples: {reason}", file=sys.stderr)
        if self.at.step == 0:
            print_samples(self.examples)

    def step(self, packs: Sequence[list[Example]], rate: float, sums: Sums) -> float:
        """One optimizer step on the examples of some packs; adds to `sums` and returns the gradient's norm.

        The loss of a step is the sum over its trained tokens divided by their number, however they are packed.
        """
        examples = [example for pack in packs for example in pack]
        trained = max(sum(int((e.labels != IGNORED).sum()) for e in examples), 1)
        characters = max(sum(len(e.line) for e in examples), 1)
        for pack in packs:
            micro = pack_examples(pack, self.device)
            losses, align = self.forward(micro, sums)
            loss = losses.sum() / trained + self.recipe.align.weight * align / characters
            loss.backward()
            self._count(micro, losses.detach(), sums)
        norm = self.optimizer.step(rate, self.recipe.clip)
        if not math.isfinite(norm):
            names = ", ".join(e.name for e in examples[:8])
            raise DataError(f"a loss or gradient is not finite; nothing was changed by this batch: {names} ...")
        return norm

    def forward(self, micro: MicroBatch, sums: Sums) -> tuple[Tensor, Tensor]:
        """Losses of the trained tokens, (n,) float32, and the summed alignment loss of a micro-batch."""
        features = None
        align = torch.zeros((), device=self.device)
        if micro.view_count:
            features = self.trunk.get_image_features(micro.views.float() / 255).pooler_output
            if self.recipe.align.weight:
                align, characters = self.head(features, micro.examples)
                sums.align, sums.characters = sums.align + float(align.detach()), sums.characters + characters
            features = features[: micro.view_count]
        embeddings = self.trunk.embed(micro.ids, features)
        hidden = self.trunk.language_model(
            inputs_embeds=embeddings, position_ids=micro.pack.position_ids, use_cache=False, pack=micro.pack
        ).last_hidden_state[0]
        logits = self.model.logits(hidden.index_select(0, micro.rows)).float()
        losses = F.cross_entropy(logits, micro.targets, reduction="none", ignore_index=IGNORED)
        return losses[: micro.trained], align

    def _count(self, micro: MicroBatch, losses: Tensor, sums: Sums) -> None:
        sums.loss += float(losses.sum())
        sums.tokens, sums.trained = sums.tokens + micro.tokens, sums.trained + len(losses)
        sums.views, sums.attended = sums.views + micro.view_count, sums.attended + micro.attended
        counts = [int((e.labels != IGNORED).sum()) for e in micro.examples]
        for example, part in zip(micro.examples, losses.cpu().split(counts), strict=True):
            name = self.examples.blend.sources[example.source].name
            sums.source_loss[name] += float(part.sum())
            sums.source_trained[name] += len(part)

    def _without_holes(self, packs: Sequence[list[Example]]) -> list[list[Example]]:
        """The usable examples of packs; each hole is named in `holes.jsonl`, and too many stop the run."""
        at = self.at
        for example in (example for pack in packs for example in pack if example.error):
            at.holes += 1
            entry = {"step": at.step, "sample": example.name, "error": example.error}
            append_line(self.folder / "holes.jsonl", entry)
        usable = [[example for example in pack if not example.error] for pack in packs]
        if at.holes > max(self.recipe.max_holes * at.samples, 10):
            raise DataError(
                f"{at.holes} of {at.samples} samples could not be used; see {self.folder / 'holes.jsonl'} (max_holes)"
            )
        return [pack for pack in usable if pack]

    def _save(self) -> None:
        facts = {"recipe": self._facts(), "data": self.data, "at": asdict(self.at)}
        save_state(self.folder / "state", self.at.step, self.optimizer.tensors(), facts, self.recipe.keep)
        draw_curves(read_lines(self.folder / "log.jsonl"), self.folder / "curves.png")

    def export(self, folder: Path) -> Path:
        """Writes model and processor as an ordinary model folder."""
        self.trunk.language_model.config._attn_implementation = "sdpa"
        with atomic_folder(folder) as temporary:
            self.model.save_pretrained(temporary)
            self.processor.save_pretrained(temporary)
            sources = self.examples.blend.sources
            records = read_lines(self.folder / "log.jsonl")
            write_card(temporary / "README.md", self.recipe, records, sources, self.model.num_parameters())
            write_manifest(temporary)
        self.trunk.language_model.config._attn_implementation = PACKED
        return folder


def train(recipe: Recipe, folder: str | Path, resume: bool = False, device: str | None = None) -> Path:
    """Makes the data a recipe asks for where it is not there yet, trains, and returns the model folder."""
    if recipe.data is not None:
        from sphinx_x.data.prepare import prepare

        prepare(recipe.data, recipe.folder)
    with alone_in(folder):
        return Trainer(recipe, folder, resume, device).run()
