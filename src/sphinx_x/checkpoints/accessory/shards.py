"""Reading the reference's checkpoint folders: tensor-parallel shards become whole tensors, one at a time.

Shards are opened as memory maps, and no code in them is run (`weights_only`). A tensor's name determines how it is
split; a tensor without a rule of its own is repeated in every shard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from sphinx_x.checkpoints.pth import open_pth
from sphinx_x.checkpoints.recognise import SHARD
from sphinx_x.errors import CheckpointError

COLUMNS = re.compile(r"layers\.\d+\.(attention\.w[qkv]|feed_forward\.w[13])\.(weight|bias)|output\.(weight|bias)")
ROWS = re.compile(r"layers\.\d+\.(attention\.wo|feed_forward\.w2)\.weight|tok_embeddings\.weight")
STACKED = re.compile(r"layers\.\d+\.feed_forward\.w[123]")
OWNED = re.compile(r"layers\.\d+\.feed_forward\.experts\.\d+\..*")
WHOLE_ONLY = re.compile(r"layers\.\d+\.(mixer|mlp)\..*")
DRIFT = 0.05
"""Largest difference between copies of a repeated tensor, relative to its norm, above which their shards count as those
of different models: copies trained on several machines need not agree in every bit."""


def find_shards(folder: Path) -> tuple[list[Path], bool]:
    """Return the shards of a folder in order, and whether they are differences to be added to an earlier checkpoint.

    Raises:
        CheckpointError: A shard is missing (the message names it), or the folder holds more than one checkpoint.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder")
    files = (path for path in folder.iterdir() if path.is_file())
    matches = [match for path in files if (match := SHARD.fullmatch(path.name))]
    if not matches:
        raise CheckpointError(f"{folder}: no consolidated.*.pth in it")
    kinds = sorted({(match[2] or "", match[3] or "") for match in matches})
    if len(kinds) > 1:
        names = ", ".join(sorted(match[0] for match in matches)[:4])
        raise CheckpointError(f"{folder}: shards of different checkpoints ({names}, ...)")
    by_number = {int(match[1]): folder / match[0] for match in matches}
    total = int(kinds[0][0] or max(by_number) + 1)
    missing = next((k for k in range(total) if k not in by_number), None)
    if missing is not None or len(matches) != total:
        what = f"more than {total} shards" if missing is None else f"shard {missing:02d} of {total} is missing"
        raise CheckpointError(f"{folder}: {what}")
    return [by_number[k] for k in range(total)], bool(kinds[0][1])


class AccessoryFolder:
    """One folder in the reference's format as whole tensors; names are without `llma.`.

    Attributes:
        meta_style: Whether the files are named as Meta's, which name their tensors without `llma.`.
        notes: What a user should know, one line each; filled while tensors are read.
    """

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self.folder = folder
        self.paths, self.diff = find_shards(folder)
        self.meta_style = "-of-" not in self.paths[0].name
        self.shards = [open_pth(path) for path in self.paths]
        self.notes: list[str] = []
        self._check_names()
        self._whole = {name: self._outline(name) for name in dict.fromkeys(n for s in self.shards for n in s)}

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the shapes and types of the whole tensors, on the meta device."""
        return self._whole

    def read(self, name: str) -> Tensor:
        """Return one whole tensor, memory-mapped if it lies in one shard."""
        parts = [shard[name] for shard in self.shards if name in shard]
        if len(parts) == 1:
            return parts[0]
        if not self._split(name):
            self._compare(name, parts)
        return merge(name, parts, self._experts(name))

    def _split(self, name: str) -> bool:
        return any(pattern.fullmatch(name) for pattern in (COLUMNS, ROWS, STACKED))

    def _experts(self, name: str) -> int:
        """Return the number of experts of the layer that a stacked tensor belongs to."""
        if not STACKED.fullmatch(name):
            return 0
        gate = f"{name.rsplit('.', 1)[0]}.gate.weight"
        if gate not in self.shards[0]:
            raise CheckpointError(f"{self.name}: tensor {gate} missing")
        return self.shards[0][gate].shape[0]

    def _check_names(self) -> None:
        """Check that all shards have the same tensors, except for experts, which are in one shard each."""
        for path, shard in zip(self.paths[1:], self.shards[1:], strict=True):
            for name in self.shards[0].keys() ^ shard.keys():
                if not OWNED.fullmatch(name):
                    raise CheckpointError(
                        f"{path}: not of the same model as {self.paths[0].name}, they differ in {name}"
                    )
        owned = [name for shard in self.shards for name in shard if OWNED.fullmatch(name)]
        twice = next((name for name in owned if len(self.shards) > 1 and owned.count(name) > 1), None)
        if twice:
            raise CheckpointError(f"{self.name}: {twice} lies in more than one shard")
        self._check_order()
        if len(self.shards) > 1 and any(WHOLE_ONLY.fullmatch(name) for name in self.shards[0]):
            raise CheckpointError(f"{self.name}: InternLM in more than one shard, which the reference itself mixes up")

    def _check_order(self) -> None:
        """Check that experts are in shard order, and that no shard is a copy of another."""
        table = "tok_embeddings.weight"
        for number, shard in enumerate(self.shards[1:], 1):
            first = self.shards[number - 1]
            if table not in shard or table not in first or not shard[table].any():
                continue  # a difference may be zero
            if torch.equal(_bytes(shard[table]), _bytes(first[table])):
                raise CheckpointError(f"{self.paths[number]}: a copy of {self.paths[number - 1].name}")
        last = -1
        for path, shard in zip(self.paths, self.shards, strict=True):
            experts = [int(name.split(".experts.")[1].split(".")[0]) for name in shard if OWNED.fullmatch(name)]
            if experts and min(experts) <= last:
                raise CheckpointError(f"{path}: holds experts that belong into an earlier shard")
            last = max(experts, default=last)

    def _outline(self, name: str) -> Tensor:
        parts = [shard[name].to("meta") for shard in self.shards if name in shard]
        if len({part.dtype for part in parts}) > 1 or len({part.shape for part in parts}) > 1:
            shapes = ", ".join(f"{tuple(part.shape)} {part.dtype}" for part in parts)
            raise CheckpointError(f"{self.name}: the shards are not of one model: {name} is {shapes}")
        return merge(name, parts, self._experts(name))

    def _compare(self, name: str, parts: Sequence[Tensor]) -> None:
        for path, part in zip(self.paths[1:], parts[1:], strict=True):
            if torch.equal(_bytes(part), _bytes(parts[0])):
                continue
            first = parts[0].float()
            drift = float((part.float() - first).norm() / first.norm().clamp_min(1e-12))
            if not drift < DRIFT:
                raise CheckpointError(f"{path}: not of the same model as {self.paths[0].name}, {name} is another")
            self.notes.append(f"{name} differs between shards by {drift:.1e}; that of {self.paths[0].name} is taken")


def _bytes(tensor: Tensor) -> Tensor:
    """Return a tensor's bytes, for comparing copies bit by bit, NaNs included."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def merge(name: str, parts: Sequence[Tensor], experts: int = 0) -> Tensor:
    """Merge a tensor from its part in every shard; `experts` is the layer's number of experts, for stacked tensors."""
    if len(parts) == 1:
        return parts[0].flatten(0, -2) if STACKED.fullmatch(name) and parts[0].dim() == 3 else parts[0]
    if COLUMNS.fullmatch(name):
        return torch.cat(list(parts), dim=0)
    if ROWS.fullmatch(name):
        return torch.cat(list(parts), dim=1)
    if STACKED.fullmatch(name):
        return torch.cat([part.reshape(experts, -1, part.shape[-1]) for part in parts], dim=1).flatten(0, 1)
    return parts[0]


def split(name: str, whole: Tensor, number: int, total: int, experts: int = 0) -> Tensor | None:
    """Return the part of shard `number`, or None if it has none: the inverse of `merge`.

    Raises:
        CheckpointError: The tensor cannot be split evenly.
    """
    if total == 1:
        return whole
    if OWNED.fullmatch(name):
        return whole if int(name.split(".experts.")[1].split(".")[0]) * total // experts == number else None
    axis = 0 if COLUMNS.fullmatch(name) else 1 if ROWS.fullmatch(name) or STACKED.fullmatch(name) else None
    if axis is None:
        return whole
    stacked = STACKED.fullmatch(name) is not None
    if stacked:
        whole = whole.reshape(experts, -1, whole.shape[-1])
    if whole.shape[axis] % total:
        raise CheckpointError(f"{name}: {whole.shape[axis]} is no multiple of {total} shards")
    part = whole.chunk(total, dim=axis)[number]
    return part.flatten(0, 1) if stacked else part


class Overlay:
    """Several folders as one: tensors of later folders replace those of earlier ones, or are added (differences).

    A difference for a tensor that no earlier folder has becomes that tensor.

    Raises:
        CheckpointError: Shapes differ, or there is nothing that a difference could be added to.
    """

    def __init__(self, folders: Sequence[AccessoryFolder]) -> None:
        if folders[0].diff:
            raise CheckpointError(f"{folders[0].name}: differences to a checkpoint, which has to be given before it")
        self.folders = folders
        self.name = folders[-1].name
        self._where: dict[str, list[AccessoryFolder]] = {}
        self._shapes: dict[str, Tensor] = {}
        for folder in folders:
            for name, outline in folder.tensors().items():
                self._lay(folder, name, outline)

    def _lay(self, folder: AccessoryFolder, name: str, outline: Tensor) -> None:
        before = self._shapes.get(name)
        if before is not None and before.shape != outline.shape:
            was, is_now = tuple(before.shape), tuple(outline.shape)
            raise CheckpointError(f"{folder.name}: {name} is {is_now}, in the checkpoint before it {was}")
        if folder.diff and not outline.dtype.is_floating_point:
            raise CheckpointError(f"{folder.name}: the difference to {name} has {outline.dtype} numbers")
        if not folder.diff or before is None:
            self._where[name], self._shapes[name] = [folder], outline
        else:
            self._where[name].append(folder)

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the same as `AccessoryFolder.tensors`."""
        return self._shapes

    def read(self, name: str) -> Tensor:
        """Return the same as `AccessoryFolder.read`."""
        base, *differences = (folder.read(name) for folder in self._where[name])
        for difference in differences:
            base = (base.float() + difference.float()).to(base.dtype)
        return base

    @property
    def notes(self) -> list[str]:
        """The notes of all folders."""
        return [note for folder in self.folders for note in folder.notes]
