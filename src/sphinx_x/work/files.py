"""Files that are whole or not there: atomic writing, append-only records, manifests.

Everything long-running goes through here, so that a run may be killed at any moment and taken up again. Every file and
folder has one writer at a time; readers may come whenever they like. Problems of the disk (full, read-only) stay
`OSError`.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sphinx_x.errors import CheckpointError, DataError, SphinxXError

MANIFEST = "manifest.json"


def write_atomic(path: str | Path, data: bytes | str | Callable[[BinaryIO], object]) -> None:
    """Writes a file (text as UTF-8) so that after a crash either the old or the new content is there, never a part.

    data: the content, or a function that writes it to the open file, for what is too large to hold. Missing parent
    folders are made. When it returns, the new content has reached the disk.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with temporary.open("xb") as file:
            if callable(data):
                data(file)
            else:
                file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Gives an empty temporary folder that takes the place of `path` when the block ends without an error.

    The temporary folder is `.NAME.tmp` beside it; an error in the block removes it and leaves `path` as it was. A
    folder already at `path` is replaced in three steps: it is renamed to `.NAME.old`, the new one gets its name, the
    old one is deleted. A crash between the first two leaves `.NAME.old`, which the next `atomic_folder` or
    `recover_folder` on `path` renames back, so there is always a complete folder under one of the two names.
    """
    path = recover_folder(path)
    if path.exists() and not path.is_dir():
        raise SphinxXError(f"{path}: is a file, and a folder is to be written there")
    temporary, old = path.with_name(f".{path.name}.tmp"), _old(path)
    if temporary.exists():  # left over from a killed run
        shutil.rmtree(temporary)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        sync_tree(temporary)
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        _sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        recover_folder(path)


@contextmanager
def alone_in(folder: str | Path) -> Iterator[None]:
    """Keeps other processes that do the same out of a folder; raises `SphinxXError` where one is at work there.

    The lock ends with the process, however that ends. Windows has no such lock: there nothing is kept out.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise SphinxXError(f"{folder}: is a file, and a folder is to be written there")
    folder.mkdir(parents=True, exist_ok=True)
    if os.name == "nt":
        yield
        return
    import fcntl

    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SphinxXError(f"{folder}: another process is at work in it") from error
        yield


def recover_folder(path: str | Path) -> Path:
    """Tidies up after an `atomic_folder` that was killed at its end, and returns `path` made absolute.

    If `path` is missing and `.NAME.old` is there, the old folder gets its name back; if both are there, the old one is
    deleted. To be called by whoever writes the folder, before reading it; never while another process replaces it.
    """
    path = Path(path).resolve()
    old = _old(path)
    if old.exists():
        if path.exists():
            shutil.rmtree(old)
        else:
            old.rename(path)
        _sync(path.parent)
    return path


def _old(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _sync(path: Path) -> None:
    """Waits until a file's content, or a folder's list of names, has reached the disk."""
    if os.name == "nt" and path.is_dir():  # Windows has no such call for folders
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Waits until all files of a folder and its lists of names have reached the disk."""
    for path in folder.rglob("*"):
        if path.is_file() or path.is_dir():
            _sync(path)
    _sync(folder)


def append_line(path: str | Path, record: Mapping) -> None:
    """Appends one record to a JSONL file, as one line written in one go.

    Missing parent folders are made. A last line that a kill cut short is removed first, so that it cannot spoil the
    new one. The line survives a kill of the process; it is not forced to the disk.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
    with path.open("ab+") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(end - 1, 0))
        if file.read(1) not in (b"", b"\n"):
            line = _mend_tail(file) + line
        file.write(line)


def _mend_tail(file: BinaryIO) -> bytes:
    """Cuts off an incomplete last line; returns the newline that a complete one lacks."""
    file.seek(0)
    content = file.read()
    start = content.rfind(b"\n") + 1
    if _parse(content[start:]) is not None:
        return b"\n"
    file.truncate(start)
    return b""


def read_lines(path: str | Path) -> list[dict]:
    """The records of a JSONL file; none if the file is not there yet.

    A last line that a kill cut short (no newline and not complete JSON) is left out; the next `append_line` removes it.
    Any other line that is not a JSON object raises `DataError` naming the file and the line. Empty lines are skipped.
    """
    path = Path(path)
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    records = []
    for number, line in enumerate(lines, 1):
        record = _parse(line) if line.strip() else {}
        if record is None and number < len(lines):
            raise DataError(f"{path}, line {number}: not a JSON object")
        if record is not None and line.strip():
            records.append(record)
    return records


def _parse(line: bytes) -> dict | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # broken JSON or broken UTF-8, or nested without end
        return None
    return record if isinstance(record, dict) else None


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: str | Path, hashes: Mapping[str, str] | None = None) -> None:
    """Writes `manifest.json`: every file of the folder and its subfolders with its size in bytes and its SHA-256.

    To be called last: the files are forced to the disk first, so a folder that has a manifest is complete. hashes:
    those that are known already, by name; the other files are read again.
    """
    folder, known = Path(folder), hashes or {}
    sync_tree(folder)
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / MANIFEST]
    names = {path.relative_to(folder).as_posix(): path for path in found}
    files = {
        name: {"size": path.stat().st_size, "sha256": known.get(name) or sha256(path)} for name, path in names.items()
    }
    write_atomic(folder / MANIFEST, json.dumps({"files": files}, indent=1) + "\n")


def check_manifest(folder: str | Path, full: bool = False) -> None:
    """Checks that the files of a folder are those of its manifest: by size, or with `full` by SHA-256 as well.

    Raises `CheckpointError` naming the first file that is missing or altered. Files the manifest does not name are
    let be.
    """
    folder = Path(folder)
    for name, expected in _read_manifest(folder).items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"{path}: missing, though {MANIFEST} names it")
        size = path.stat().st_size
        if size != expected["size"]:
            raise CheckpointError(f"{path}: altered, {size} bytes instead of {expected['size']}")
        if full and sha256(path) != expected["sha256"]:
            raise CheckpointError(f"{path}: altered, its SHA-256 is not the one in {MANIFEST}")


HASHED_BYTES = 200_000_000
"""Folders up to this size are checked by hash, larger ones by the sizes of their files."""


def check_folder(folder: str | Path) -> None:
    """As `check_manifest`, in full where the folder is small; a folder without a manifest is let be."""
    folder = Path(folder)
    if (folder / MANIFEST).is_file():
        size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
        check_manifest(folder, full=size <= HASHED_BYTES)


def _read_manifest(folder: Path) -> dict[str, dict]:
    path = folder / MANIFEST
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder")
    if not path.is_file():
        raise CheckpointError(f"{path}: missing, the folder was never finished")
    content = _parse(path.read_bytes())
    files = content.get("files") if content else None
    if not isinstance(files, dict) or not all(
        isinstance(f, dict) and {"size", "sha256"} <= f.keys() for f in files.values()
    ):
        raise CheckpointError(f"{path}: not a manifest")
    return files
