"""What a file is if not what its name promises: an LFS pointer, a web page, a partial download, another format."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from sphinx_x.errors import CheckpointError, plain

WEIGHTS = (".safetensors", ".bin", ".pth", ".pt")
_FILES = """
    config.json generation_config.json processor_config.json preprocessor_config.json adapter_config.json
    tokenizer_config.json tokenizer.json chat_template.jinja manifest.json model.safetensors.index.json
"""
FILES = tuple(_FILES.split())
"""The files of a model folder besides its weights; anything else there belongs to its owner."""
SHARD = re.compile(r"consolidated\.(\d+)(?:-of-(\d+)\.model(-diff)?)?\.pth")
"""A file of an official checkpoint: its number, the total, and whether it is a difference."""
WHOLE_JSON = 1_000_000
"""Largest JSON file, in bytes, that is parsed; of a larger one (a tokenizer) only the two ends are checked."""
AGAIN = "fetch it again"
HEADER = 100_000_000
"""Bytes of the longest header of a safetensors file, by its specification."""
POINTER = re.compile(rb"version https?://(git-lfs|hawser)\.[\w./-]+")
PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(!doctype|html|head|body|error)\b", re.I | re.S
)
PICKLE = re.compile(rb"\x80[\x02-\x05][^\0]")
TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.I | re.S)
MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\0": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstandard archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a rar archive",
    b"GGUF": "a GGUF file (llama.cpp)",
    b"\x89HDF": "an HDF5 file (TensorFlow or Keras)",
    b"%PDF-": "a PDF",
    b"\x89PNG": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
}


def check_file(path: Path) -> None:
    """Raise `CheckpointError`, with one line on what it is and what to do, if a file is not what its name promises."""
    if path.is_dir():
        raise CheckpointError(f"{path}: is a folder, and a file is wanted there")
    if not path.exists():
        link = f" (a link to {path.readlink()})" if path.is_symlink() else ""
        raise CheckpointError(f"{path}: no such file{link}")
    what = complaint(path)
    if what:
        raise CheckpointError(f"{path}: {what}")


def read_config(path: Path) -> dict[str, Any]:
    """Return the fields of a JSON file; raise `CheckpointError` saying what it is instead."""
    check_file(path)
    return json.loads(path.read_bytes())


def check_files(folder: Path) -> None:
    """Run `check_file` on all files that the library reads of a model folder."""
    there = [folder / name for name in FILES]
    if not (folder / "tokenizer.json").exists():
        there.append(folder / "tokenizer.model")
    weights = [*folder.glob("model.safetensors"), *folder.glob("model-*-of-*.safetensors")]
    weights = weights or sorted(folder.glob("pytorch_model*.bin"))
    for path in [*there, *sorted(weights), folder / "adapter_model.safetensors"]:
        if path.exists() or path.is_symlink():
            check_file(path)


def complaint(path: Path) -> str | None:
    """Return what is wrong with a file and what to do, or None if it may be what its name says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if not size:
        return f"is empty; {AGAIN}"
    if POINTER.match(head):
        real = re.search(rb"^size (\d+)", head, re.M)
        bytes_of = f" to a file of {int(real[1])} bytes" if real else ""
        return f"is a Git LFS pointer{bytes_of}, not the file: run `git lfs pull` there, or `hf download`"
    if head.lstrip(b"./").startswith((b"annex/objects/", b"git/annex/objects/")):
        return "is a git-annex pointer, not the file: run `git annex get` there"
    if PAGE.match(head):
        title = TITLE.search(head)
        named = f" ({plain(' '.join(title[1].decode('utf-8', 'replace').split()), 80)})" if title else ""
        return f"is a web page{named}, not the file: its address has /resolve/ where the page's has /blob/; {AGAIN}"
    if not any(head) and path.suffix in WEIGHTS:
        return f"begins with nothing but zeros, cut off or no {_kind(path)}; {AGAIN}"
    if path.suffix == ".json":
        return _json_complaint(path)
    if path.suffix == ".safetensors":
        return _safetensors_complaint(head, size) or _cut_off(path, size)
    return _other_complaint(path, head, size)


def _kind(path: Path) -> str:
    return "safetensors file" if path.suffix == ".safetensors" else "checkpoint"


def _json_complaint(path: Path) -> str | None:
    data = path.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "is text in UTF-16; JSON here is UTF-8: save it anew"
    found = _magic(data)
    if found:
        return f"not JSON, but {found}"
    if len(data) > WHOLE_JSON and data.lstrip()[:1] == b"{" and data.rstrip()[-1:] == b"}":
        return None
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        return f"not JSON{where} (begins with {_begin(data)}); {AGAIN}"
    return None if isinstance(content, dict) else "not a JSON object"


def _safetensors_complaint(head: bytes, size: int) -> str | None:
    length = int.from_bytes(head[:8], "little")
    if head[:4] == b"PK\x03\x04" or (PICKLE.match(head) and head[8:9] != b"{"):
        return "is a PyTorch file (pickle), though its name ends in .safetensors: name it .bin, only tensors are read"
    found = _magic(head) or _text(head)
    if found:
        return f"is {found}, no safetensors file"
    if not 2 <= length <= HEADER or (len(head) > 8 and head[8:9] != b"{"):
        return f"cut off or no safetensors file (its first bytes give no head); {AGAIN}"
    if size < 8 + length:
        return f"cut off or no safetensors file: {size} bytes, its head alone has {8 + length}; {AGAIN}"
    return None


def _safetensors_end(path: Path) -> int:
    """Return the size that a safetensors file has by its own header; raise ValueError if it has none."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > HEADER:
            raise ValueError("no head")
        fields = json.loads(file.read(length))
    return 8 + length + max((f["data_offsets"][1] for name, f in fields.items() if name != "__metadata__"), default=0)


def _cut_off(path: Path, size: int) -> str | None:
    """Return how much is missing, or is too much, at the end of a safetensors file."""
    try:
        whole = _safetensors_end(path)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return f"cut off or no safetensors file (its head is broken); {AGAIN}"
    return None if size == whole else f"cut off or no safetensors file: {size} bytes instead of {whole}; {AGAIN}"


def _other_complaint(path: Path, head: bytes, size: int) -> str | None:
    """Return what is wrong with one of PyTorch's files, a tokenizer model or a template."""
    if path.suffix not in WEIGHTS:
        found = _magic(head) if path.suffix == ".model" else None
        return f"is {found}, not a tokenizer" if found else None
    if head[:4] == b"PK\x03\x04":
        whole = zipfile.is_zipfile(path)
        return None if whole else f"cut off or no checkpoint: the table at its end is missing; {AGAIN}"
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and length < min(size, HEADER):
        return f"is a safetensors file, though its name ends in {path.suffix}: name it .safetensors"
    found = _magic(head) or _text(head)
    return f"is {found}, no checkpoint" if found else None


def _magic(head: bytes) -> str | None:
    if head[257:262] == b"ustar":
        return "a tar archive: unpack it"
    found = next((name for start, name in MAGIC.items() if head.startswith(start)), None)
    return f"{found}: unpack it" if found and "archive" in found else found


def _text(head: bytes) -> str | None:
    """Return what a text is in place of weights: a server's answer, or a file of another kind."""
    try:
        text = head[:512].decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    words = all(c.isprintable() or c.isspace() for c in text)
    return f"a text that begins with {_begin(head)}" if words else None


def _begin(data: bytes) -> str:
    return repr(plain(data[:40].decode("utf-8", "replace").strip(), 40))
