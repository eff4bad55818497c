"""The state of a training run on disk: complete or absent, the latest ones kept, written in the background.

`state/step-00001234/` holds float32 weights and moments in PyTorch's distributed format, which any number of ranks in
any layout can read, and `state.json` with the run's numbers; `manifest.json` comes last. Nothing else needs to be
saved: the mixture, its packs, augmentation, dropout and schedule are functions of the seed and the step.

The distributed format has a pickled directory: read states of your own runs only.
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save, save

from sphinx_x.errors import CheckpointError, one_line
from sphinx_x.training.distributed import World
from sphinx_x.work.files import MANIFEST, check_folder, sync_tree, write_manifest
from sphinx_x.work.memory import available
from sphinx_x.work.quiet import only_above

_PREFIX = "step-"
NOISY = "torch.distributed.checkpoint"
SPARE = 1.25
"""How many times the memory of a copy has to be free for making one: the steps meanwhile need some as well."""


def saved_states(folder: Path) -> list[Path]:
    """Return the complete states of a run, oldest first."""
    return sorted(path for path in folder.glob(f"{_PREFIX}*") if (path / MANIFEST).is_file())


class States:
    """Saves and loads the states of a run.

    Args:
        keep: How many states are kept.
    """

    def __init__(self, folder: Path, world: World, keep: int) -> None:
        self.folder, self.world, self.keep = folder, world, keep
        # a process group of its own: its background communication must not interleave with that of a step
        self.group: Any = dist.new_group(backend="gloo") if world.mesh is not None else None
        self.thread = ThreadPoolExecutor(1)
        self.running: tuple[Path, Path, Future[Any]] | None = None

    def save(self, step: int, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Begin to write the state after `step` steps; the tensors may change as soon as it returns.

        A copy of them is written in the background, unless memory is too short for one: then it is done on return.
        """
        self.finish()
        target = self.folder / f"{_PREFIX}{step:08d}"
        temporary = target.with_name(f".{target.name}.tmp")
        if self.world.first:
            for left in self.folder.glob(f".{_PREFIX}*.tmp"):  # of a run that was killed while it wrote
                shutil.rmtree(left, ignore_errors=True)
            temporary.mkdir(parents=True)
            (temporary / "state.json").write_text(json.dumps({"step": step, **facts}, indent=1))
        self.world.wait()
        written: Callable[[], object]
        if self.world.mesh is None:
            held = {name: tensor.detach() for name, tensor in tensors.items()}
            if 0 < available() < SPARE * sum(tensor.nbytes for tensor in held.values()):
                _write(held, temporary)
                written = _nothing
            else:
                written = partial(_write, {name: t.to("cpu", copy=True) for name, t in held.items()}, temporary)
        else:
            with only_above(NOISY, logging.ERROR):
                future: Any = async_save(tensors, checkpoint_id=temporary, process_group=self.group)
            written = future.result
        self.running = target, temporary, self.thread.submit(self._complete, written, temporary)

    def _complete(self, written: Callable[[], object], folder: Path) -> None:
        """Wait until all ranks have written; the first one then writes the manifest, whose hashes take long."""
        written()
        if self.world.first:
            write_manifest(folder)

    def finish(self) -> None:
        """Wait until the state being written is complete, give it its name, and delete the oldest."""
        if self.running is None:
            return
        (target, temporary, future), self.running = self.running, None
        try:
            future.result()
        except Exception as error:
            raise CheckpointError(f"{target}: could not be written: {one_line(error)}") from error
        if self.world.first:
            shutil.rmtree(target, ignore_errors=True)
            temporary.rename(target)
            sync_tree(self.folder)
            for old in saved_states(self.folder)[: -self.keep]:
                shutil.rmtree(old)

    def finish_if_done(self) -> None:
        """Call `finish` if that would not wait long on any rank."""
        if self.running is not None and not self.world.any(not self.running[2].done()):
            self.finish()

    def newest(self) -> tuple[Path, dict[str, Any]]:
        """Return the newest state and its facts; raise `CheckpointError` if there is none or it was altered."""
        states = saved_states(self.folder)
        if not states:
            raise CheckpointError(f"{self.folder}: no saved state to resume from; begin without --resume")
        check_folder(states[-1])
        return states[-1], json.loads((states[-1] / "state.json").read_text())

    def load(self, state: Path, tensors: dict[str, Tensor]) -> None:
        """Read a state into tensors, whatever layout it was written from; raise `CheckpointError` if that fails."""
        alone = self.world.mesh is None
        try:
            with warnings.catch_warnings(action="ignore"), only_above(NOISY, logging.ERROR):
                load(tensors, checkpoint_id=state, process_group=self.group, no_dist=alone)
        except Exception as error:  # the library's own exceptions, which carry those of all ranks
            raise CheckpointError(f"{state}: is not the state of this model: {one_line(error)}") from error


def _nothing() -> None:
    """What is left to do of a state that is written already."""


def _write(tensors: dict[str, Tensor], folder: Path) -> None:
    with warnings.catch_warnings(action="ignore"), only_above(NOISY, logging.ERROR):
        save(tensors, checkpoint_id=folder, no_dist=True)
