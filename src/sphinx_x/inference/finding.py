"""Where a model lies: from a built-in name, a folder, a hub id or a folder of adapters to a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx_x.checkpoints.adapters import CONFIG, Adapter, check_base, is_adapter, read_adapter
from sphinx_x.checkpoints.forms import check_model_folder, instead_of_folder
from sphinx_x.checkpoints.hub import NAME, fetch
from sphinx_x.errors import CheckpointError
from sphinx_x.inference.packaged import packaged_model, untrained

BUILT_IN = Path(__file__).parent.parent / "weights"
"""The folder of the members whose weights are in the package, or what was trained over base weights in packages."""
MODEL, ADAPTERS = "config.json", CONFIG
"""Files that tell which of them a folder there has."""


def built_in_models() -> list[str]:
    """Return the names of the members whose weights are in the package."""
    return sorted(path.parent.name for name in (MODEL, ADAPTERS) for path in BUILT_IN.glob(f"*/{name}"))


def find_model(name_or_path: str | Path, **hub: Any) -> Path:
    """Return the folder of a model, after checking its files.

    Args:
        name_or_path: A built-in name, a folder, or a hub id, which is downloaded.
        hub: Options for `fetch`.

    Raises:
        CheckpointError: There is no such model, or files are missing or altered.
    """
    path = _located(name_or_path, **hub)
    check_model_folder(path)
    return path


def _located(name_or_path: str | Path, revision: str | None = None, **hub: Any) -> Path:
    """Return the folder that a name refers to, whatever is in it; raise `CheckpointError` where there is none."""
    path, name = Path(name_or_path), str(name_or_path)
    if (folder := folder_here(name)) is not None:
        if revision is not None:
            raise CheckpointError(f"{name}: a folder has no revision {revision}")
        return folder
    if path.is_file():
        raise CheckpointError(f"{name}: {instead_of_folder(path)}")
    if not name.startswith("hf://") and (path.is_symlink() or not NAME.fullmatch(name)):
        known = "".join(f"{built}, " for built in built_in_models())
        raise CheckpointError(f"{name}: no such model; give {known}a folder, or a hub id owner/name")
    try:
        return fetch(name, revision, **hub)
    except CheckpointError as error:
        here = "" if name.startswith("hf://") else "; nor is there such a folder"
        raise CheckpointError(f"{error}{here}") from error


def folder_here(name: str) -> Path | None:
    """Return the folder of a model or of adapters that lies here, or of a built-in name; None for a hub id.

    Raises:
        CheckpointError: It is the name of a member whose weights are not here.
        MissingToolError: A package that the member takes is not installed.
    """
    from sphinx_x.family import MEMBERS

    if Path(name).is_dir():
        return Path(name)
    return _built_in(name) if name in MEMBERS else None


def _built_in(name: str) -> Path:
    """Return the model folder of a member by its name."""
    folder = BUILT_IN / name
    if is_adapter(folder):
        return packaged_model(name, folder)
    if not folder.is_dir():
        where = untrained(name) or "its weights are not in the package; give a folder or a hub id"
        raise CheckpointError(f"{name}: {where}")
    return folder


def find_adapters(
    name_or_path: str | Path, base: str | Path | None = None, revision: str | None = None, **hub: Any
) -> tuple[Path, list[Adapter]]:
    """Find the model that a name refers to and the adapters to apply to it, if the name is that of adapters.

    Args:
        name_or_path: As for `find_model`, or a folder of adapters.
        base: What the adapters apply to, in place of what their folder names: a built-in name, a hub id or a path. A
            path in the adapters' folder is looked up from the current folder first, then from theirs. The base may
            itself be a folder of adapters.
        revision: Revision of `name_or_path` on the hub.
        hub: Further options for `fetch`, for everything that is downloaded.

    Returns:
        The model folder, and the adapters over it, lowest first.

    Raises:
        CheckpointError: A model is not found, or its weights are known to differ from those that the adapters were
            trained on.
    """
    adapters: list[Adapter] = []
    below = _located(name_or_path, revision, **hub)
    while is_adapter(below):
        adapter = read_adapter(below)
        if any(other.folder.samefile(adapter.folder) for other in adapters):
            raise CheckpointError(f"{adapter.folder}: its adapters lie over themselves")
        named = adapter.base_here if adapters or base is None else base
        adapters.insert(0, adapter)
        try:
            below = _located(named, **hub)
            if not is_adapter(below):
                check_model_folder(below)
        except CheckpointError as error:
            raise CheckpointError(f"{adapter.folder}: the model below its adapters: {error}") from error
        check_base(adapter, below)
    if not adapters:
        check_model_folder(below)
    return below, adapters
