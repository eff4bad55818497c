"""Files that are complete or absent: atomic writing, append-only records, manifests.

Everything long-running goes through here, so that a run may be killed at any moment and resumed. Every file and folder
has one writer at a time; readers may come at any time. Disk problems (full, read-only) stay `OSError`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sphinx_x.errors import CheckpointError, DataError, SphinxXError, one_line

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"


def write_atomic(path: str | Path, data: bytes | str | Callable[[BinaryIO], object]) -> None:
    """Write a file so that after a crash either the old or the new content is there, never a part of it.

    Missing parent folders are created. When it returns, the new content is on the disk.

    Args:
        path: The file.
        data: The content (text as UTF-8), or a function that writes it to the open file if it is too large for memory.
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


def check_new(path: str | Path) -> None:
    """Raise `CheckpointError` if something is there already where a model folder shall be written."""
    path = Path(path)
    if path.exists() or path.is_symlink():
        raise CheckpointError(f"{path}: is there already; give another name or remove it")


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Provide an empty temporary folder that replaces `path` when the block ends without an error.

    The temporary folder is `.NAME.tmp` next to it; an error in the block removes it and leaves `path` as it was. An
    existing folder at `path` is replaced in three steps: it is renamed to `.NAME.old`, the new one gets its name, the
    old one is deleted. A crash between the first two leaves `.NAME.old`, which the next `atomic_folder` or
    `recover_folder` on `path` renames back, so there is always a complete folder under one of the two names.
    """
    path = recover_folder(path)
    if path.exists() and not path.is_dir():
        raise SphinxXError(f"{path}: is a file, and a folder is to be written there")
    temporary, old = path.with_name(f".{path.name}.tmp"), _old(path)
    if temporary.exists():  # left by a killed run
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
def alone_in(folder: str | Path, wait: bool = False) -> Iterator[None]:
    """Lock a folder against other processes that do the same.

    The lock ends with the process, however that ends. Windows has no such lock: there nothing is locked.

    Args:
        folder: The folder, made if it is missing.
        wait: Whether to wait for another process to end, as it makes what this one needs.

    Raises:
        SphinxXError: Another process is working there, and this one does not wait.
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
            if not wait:
                raise SphinxXError(f"{folder}: another process is at work in it") from error
            logger.info("waiting for another process that is at work in %s", folder)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def recover_folder(path: str | Path) -> Path:
    """Clean up after an `atomic_folder` that was killed at its end, and return `path` made absolute.

    If `path` is missing and `.NAME.old` exists, the old folder gets its name back; if both exist, the old one is
    deleted. The folder's writer calls this before reading it, and never while another process replaces it.
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


def made_once(folder: Path, make: Callable[[], None]) -> Path:
    """Return a folder with a manifest, made unless it is there, after checking its files.

    Args:
        folder: The folder, complete or absent; of several processes that want it, one makes it.
        make: Makes it, see `atomic_folder` and `write_manifest`.

    Raises:
        CheckpointError: It was altered.
        SphinxXError: It cannot be written.
    """
    try:
        if not (folder / MANIFEST).is_file():
            with alone_in(folder.parent, wait=True):
                recover_folder(folder)
                if not (folder / MANIFEST).is_file():
                    make()
    except OSError as error:
        raise SphinxXError(f"{folder}: cannot be made ({one_line(error)})") from error
    try:
        check_folder(folder)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; delete {folder} to have it made again") from error
    return folder


def _old(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows cannot do this for folders
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def walk_once(
    folder: str | Path, seen: set[str], onerror: Callable[[OSError], object] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield what `os.walk` does, following links to folders, each folder once; `seen` has those that were there."""
    for place, folders, names in os.walk(folder, followlinks=True, onerror=onerror):
        real = os.path.realpath(place)
        if real in seen:  # by a link to a folder above, or a second one
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield place, folders, names


def sync_tree(folder: Path) -> None:
    """Wait until all files of a folder and its lists of names are on the disk."""
    for path in folder.rglob("*"):
        if path.is_file() or path.is_dir():
            _sync(path)
    _sync(folder)


def append_line(path: str | Path, record: Mapping) -> None:
    """Append one record to a JSONL file, as one line in a single write.

    Missing parent folders are created. A last line truncated by a kill is removed first, so that it cannot spoil the
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
    """Remove an incomplete last line; return the newline that a complete one lacks."""
    file.seek(0)
    content = file.read()
    start = content.rfind(b"\n") + 1
    if _parse(content[start:]) is not None:
        return b"\n"
    file.truncate(start)
    return b""


def read_lines(path: str | Path) -> list[dict]:
    """Return the records of a JSONL file, or none if the file does not exist yet.

    A last line truncated by a kill (no newline and not complete JSON) is ignored; the next `append_line` removes it.
    Empty lines are skipped.

    Raises:
        DataError: Any other line is not a JSON object; the message names the file and the line.
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
    except (ValueError, RecursionError):  # broken JSON or UTF-8, or nested too deeply
        return None
    return record if isinstance(record, dict) else None


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_key(files: Iterable[Path], root: Path) -> str:
    """Return a short hash of files: of their names below `root` and of their contents."""
    told = "\n".join(f"{path.relative_to(root).as_posix()} {sha256(path)}" for path in files)
    return hashlib.sha256(told.encode(errors="backslashreplace")).hexdigest()[:16]


def write_manifest(folder: str | Path, hashes: Mapping[str, str] | None = None) -> None:
    """Write `manifest.json`: every file of the folder and its subfolders with its size in bytes and its SHA-256.

    Call it last: the files are forced to the disk first, so a folder with a manifest is complete.

    Args:
        folder: The folder.
        hashes: Known hashes by name; the other files are read again.
    """
    folder, known = Path(folder), hashes or {}
    sync_tree(folder)
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / MANIFEST]
    names = {path.relative_to(folder).as_posix(): path for path in found}
    files = {
        name: {"size": path.stat().st_size, "sha256": known.get(name) or sha256(path)} for name, path in names.items()
    }
    write_atomic(folder / MANIFEST, json.dumps({"files": files}, indent=1) + "\n")


CARD = "README.md"
"""The model card."""


def check_manifest(folder: str | Path, full: bool = False) -> None:
    """Check that the files of a folder match its manifest: by size, or with `full` by SHA-256 as well.

    Files that the manifest does not name are ignored, and so is the model card, which may be corrected.

    Raises:
        CheckpointError: A file is missing or altered; the message names the first.
    """
    folder = Path(folder)
    for name, expected in _read_manifest(folder).items():
        path = folder / name
        if name == CARD:  # for readers, who may correct it
            continue
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
    """Call `check_manifest`, in full for a small folder; a folder without a manifest is not checked."""
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
