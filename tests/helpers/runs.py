"""What a training run leaves behind, and one step of it."""

import json
from pathlib import Path

import torch

from sphinx_x.training.checkpoint import saved_states


def weights(folder: Path) -> dict:
    """The tensors of the newest state."""
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    path = folder / "newest.pt"
    dcp_to_torch_save(saved_states(folder / "state")[-1], path)
    return torch.load(path)


def log(folder: Path) -> list[dict]:
    """The log without what depends on the clock."""
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in r.items() if k not in ("seconds", "tokens_per_s", "views_per_s", "busy", "mfu")}
        for r in records
    ]


def take_step(trainer, packs, rate, sums):
    """One step on packs of global indices."""
    examples = [[trainer.examples.example(i) for i in pack] for pack in packs]
    return trainer.engine.step(examples, len(packs), rate, sums, trainer.sources)
