"""The data files that a path refers to: one file, a folder of shards, or a list in the reference's format (META)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from sphinx_x.data.dialects import Form
from sphinx_x.data.reference import DEFAULT, PREPROCESS, PROMPTS
from sphinx_x.errors import DataError, one_line
from sphinx_x.work.settings import load_yaml
from sphinx_x.work.tally import QUARANTINE

UNITS = {".jsonl": "line", ".json": "item", ".parquet": "row", ".csv": "row"}
"""The files that are read, and the name of one record of each; tables (.csv) only in a META list."""
ALONE = (".jsonl", ".json", ".parquet")
META = ("path", "type", "root", "ratio", "preprocess", "prompt_type", "boxes", "ignore")


@dataclass(frozen=True)
class DataFile:
    """A file of samples.

    Attributes:
        path: The file.
        roots: Where the paths of its images may begin.
        form: How it is read.
        ratio: How often each of its samples comes.
    """

    path: Path
    roots: tuple[Path, ...]
    form: Form = field(default_factory=Form)
    ratio: float = 1.0

    def facts(self) -> tuple[object, ...]:
        """Return everything that its samples depend on, except for the content of the file."""
        return self.path, [str(root) for root in self.roots], self.form, self.path.stat().st_size


def data_files(path: str | Path | DataFile, root: str | Path | None, form: Form) -> list[DataFile]:
    """Return the files that a path refers to; `root` is where their images' paths begin (None: next to each file)."""
    if isinstance(path, DataFile):
        return [path]
    path = Path(path)
    if path.is_dir():
        found = sorted(p for p in path.glob("*.jsonl") if not p.name.startswith(".") and p.name != QUARANTINE)
        if not found:
            raise DataError(f"{path}: no .jsonl file in this folder")
    elif path.suffix in (".yaml", ".yml"):
        return read_meta(path, root, form)
    elif not path.is_file():
        raise DataError(f"{path}: no such file")
    elif path.suffix not in ALONE:
        raise DataError(f"{path}: samples are read from {', '.join(ALONE)}, a folder, or a .yaml with a META list")
    else:
        found = [path]
    return [DataFile(file, (file.parent if root is None else Path(root),), form) for file in found]


def read_meta(path: Path, root: str | Path | None = None, form: Form | None = None) -> list[DataFile]:
    """Return the files of a list in the reference's format.

    Paths begin in the working directory, as in the reference, or else next to the list. `type` only separates batches
    there, and is ignored here.

    Args:
        path: The YAML file.
        root: Where paths of images begin for entries that do not set it.
        form: How files are read, as far as their entries do not say.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not YAML: {one_line(error)}") from error
    entries = content.get("META") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path}: META: must be a list of files")
    return [_entry(entry, path, f"{path}: META[{k}]", root, form or Form()) for k, entry in enumerate(entries)]


def _entry(entry: Any, meta: Path, where: str, root: str | Path | None, form: Form) -> DataFile:
    if isinstance(entry, list) and len(entry) == 2:  # as in the reference's first lists
        entry = {"path": entry[0], "type": entry[1]}
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        raise DataError(f"{where}: must hold a path")
    unknown = entry.keys() - set(META)
    if unknown:
        raise DataError(f"{where}: unknown field {sorted(map(str, unknown))[0]}")
    if not isinstance(entry.get("root"), str | None):
        raise DataError(f"{where}.root: must be a text")
    ratio = entry.get("ratio", 1.0)
    if type(ratio) not in (int, float) or not 0 < ratio < float("inf"):
        raise DataError(f"{where}.ratio: must be a number above 0")
    file = _placed(entry["path"], meta, f"{where}.path")
    if not file.is_file():
        raise DataError(f"{where}.path: no such file: {file}")
    if file.suffix not in UNITS:
        raise DataError(f"{where}.path: samples are read from {', '.join(UNITS)}, not {file}")
    if entry.get("root"):
        roots = (_placed(entry["root"], meta, f"{where}.root"),)
    else:
        roots = (file.parent, Path.cwd()) if root is None else (Path(root),)
    return DataFile(file, roots, _form(entry, where, form), float(ratio))


def _placed(name: str, meta: Path, where: str) -> Path:
    """Return a path of a list, in the working directory or else next to the list; raise `DataError` if both exist."""
    here, beside = Path(name), meta.parent / name
    if not here.exists():
        return beside
    if beside.exists() and not here.samefile(beside):
        raise DataError(f"{where}: is there twice, where you work and as {beside}: give its full path")
    return here


def _form(entry: dict[str, Any], where: str, form: Form) -> Form:
    """Return how the file of an entry is read."""
    prompt = entry.get("prompt_type", DEFAULT)
    prompt = "None" if prompt is None else prompt
    if prompt not in PROMPTS:
        raise DataError(f"{where}.prompt_type: must be one of {', '.join(PROMPTS)}, not {prompt!r}")
    preprocess = entry.get("preprocess") or ""
    if preprocess and preprocess not in PREPROCESS:
        raise DataError(f"{where}.preprocess: must be one of {', '.join(PREPROCESS)}, not {preprocess!r}")
    if preprocess == "caption" and prompt != "caption":
        raise DataError(f"{where}.prompt_type: must be caption, as captions have no instruction")
    ignore = entry.get("ignore") or []
    if not isinstance(ignore, Iterable) or isinstance(ignore, str) or not all(isinstance(key, str) for key in ignore):
        raise DataError(f"{where}.ignore: must be a list of keys")
    boxes = entry.get("boxes") or form.boxes
    try:
        return replace(form, boxes=boxes, ignore=(*form.ignore, *ignore), prompt_type=prompt, preprocess=preprocess)
    except DataError as error:
        raise DataError(f"{where}.{error}") from error
