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
from sphinx_x.work.quiet import only_above

_PREFIX = "step-"
NOISY = "torch.distributed.checkpoint"


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
        """Begin to write the state after `step` steps; the tensors may change as soon as it returns."""
        self.finish()
        target = self.folder / f"{_PREFIX}{step:08d}"
        temporary = target.with_name(f".{target.name}.tmp")
        if self.world.first:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            (temporary / "state.json").write_text(json.dumps({"step": step, **facts}, indent=1))
        self.world.wait()
        if self.world.mesh is None:
            copies = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
            written: Callable[[], object] = partial(_write, copies, temporary)
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


def _write(tensors: dict[str, Tensor], folder: Path) -> None:
    with warnings.catch_warnings(action="ignore"), only_above(NOISY, logging.ERROR):
        save(tensors, checkpoint_id=folder, no_dist=True)
