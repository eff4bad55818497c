"""Features of frozen visual experts on disk, by the content of an image's file: computed once, however often seen.

A file holds what the experts of each group give for the kept views of one image, before the projector. Its name is a
hash of the image's bytes, of which sub-images are kept, and of what else the features depend on. Files are
written under another name and renamed; one that is broken all the same counts as absent.

Shapes: V kept views of one image, N tokens of a view, C channels of a group's experts.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from sphinx_x.model.content import named_bytes
from sphinx_x.model.processing import RESIZE

FORM = 2
"""Counts up when views or features are made otherwise, so that older files are not taken."""


@dataclass(frozen=True)
class Seen:
    """One image of an example.

    Attributes:
        key: Under which its features are stored.
        views: Number of its kept views.
        features: The features (V, N, C) of each group, if they were stored; otherwise its views are in the example.
    """

    key: str
    views: int
    features: tuple[Tensor, ...] | None


@dataclass(frozen=True)
class FeatureStore:
    """A folder of features; processes may share it.

    Attributes:
        folder: The folder.
        identity: What the features depend on besides an image, see `identity_of`.
        groups: Number of groups of experts.
    """

    folder: Path
    identity: str
    groups: int

    def key(self, content: bytes, kept: Sequence[bool]) -> str:
        """Return the key of an image by the bytes of its file and by which sub-images are kept."""
        return hashlib.sha256(self.identity.encode() + bytes(kept) + content).hexdigest()

    def get(self, key: str) -> tuple[Tensor, ...] | None:
        """Return the features of each group, or None if they are not stored."""
        try:
            found = load(self._file(key).read_bytes())
            return tuple(found[str(group)] for group in range(self.groups))
        except (FileNotFoundError, SafetensorError, KeyError):  # the second: the disk was full, or the machine stopped
            return None

    def put(self, key: str, features: Sequence[Tensor]) -> None:
        """Store the features of each group."""
        file = self._file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{secrets.token_hex(8)}.tmp")
        try:
            # not forced to the disk, as what a crash takes is computed again
            temporary.write_bytes(save({str(group): part.cpu().contiguous() for group, part in enumerate(features)}))
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.safetensors"


def identity_of(vision: torch.nn.Module, config: Any, padding_color: Sequence[int]) -> str:
    """Return what the features of an image depend on besides its bytes.

    That is the experts' weights with their type, how views are made, and how the maps become tokens.
    """
    said = hashlib.sha256(repr((FORM, config.groups, config.view_grid(), tuple(padding_color), int(RESIZE))).encode())
    for name, tensor in sorted(vision.state_dict().items()):
        if ".experts." in name:
            for part in named_bytes(name, tensor):
                said.update(part)
    return said.hexdigest()
