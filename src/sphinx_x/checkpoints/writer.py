"""Writing model folders: tensors stream to the disk one at a time and are hashed on the way."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from sphinx_x.errors import CheckpointError, one_line
from sphinx_x.work.files import check_new, sync_tree, write_manifest

ORIGINAL = "original"
"""Subfolder of a model folder for what only the way back to another format needs."""
TOKENIZER = ("tokenizer.model", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
FILE_BYTES = 5_000_000_000
"""The library's usual size of one weight file; larger models are split into several."""
TYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def dtype_named(name: str) -> torch.dtype:
    """Return float32, bfloat16 or float16 by name; raise `CheckpointError` for any other."""
    named = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in named:
        raise CheckpointError(f"unknown type of numbers {name!r}; known: {', '.join(named)}")
    return named[name]


@contextmanager
def new_folder(out: str | Path, needed: int = 0, sources: Iterable[str | Path] = ()) -> Iterator[Path]:
    """Provide a folder to fill that becomes `out` when the block ends, and that is removed if the block fails.

    Leftovers of a killed process of this machine are removed.

    Args:
        out: The folder to create.
        needed: Bytes that will be written.
        sources: Folders that are read.

    Raises:
        CheckpointError: `out` exists or lies in a source, or the disk is too full.
    """
    out = Path(out).absolute()
    check_new(out)
    inside = next((Path(source) for source in sources if out.resolve().is_relative_to(Path(source).resolve())), None)
    if inside is not None:
        raise CheckpointError(f"{out}: lies in {inside}, which is read")
    try:
        parent = next(parent for parent in out.parents if parent.exists())
        free = shutil.disk_usage(parent).free
        if needed > free:
            raise CheckpointError(f"{out}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")
        _remove_leftovers(out)
        made = [folder for folder in out.parents if not folder.exists()]
        temporary = out.with_name(f".{out.name[:100]}.{_OWNER}-{os.getpid()}-{secrets.token_hex(4)}.tmp")
        try:
            temporary.mkdir(parents=True)
            yield temporary
            sync_tree(temporary)
            temporary.rename(out)
            made = []
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            for folder in made:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
    except OSError as error:
        raise CheckpointError(f"{out}: cannot be written ({one_line(error)}); nothing is left there") from error


_OWNER = re.sub(r"\W", "", socket.gethostname())[:40]


def _remove_leftovers(out: Path) -> None:
    """Remove temporary folders of this name whose process, on this machine, is gone."""
    if not out.parent.is_dir():
        return
    name = re.compile(rf"\.{re.escape(out.name[:100])}\.{_OWNER}-(\d+)-[0-9a-f]{{8}}\.tmp")
    for path in out.parent.iterdir():
        match = name.fullmatch(path.name)
        if match and not Path(f"/proc/{match[1]}").exists() and Path("/proc/self").exists():
            shutil.rmtree(path, ignore_errors=True)


def size_of(tensors: Iterable[Tensor]) -> int:
    """Return the total bytes of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def write_safetensors(path: Path, outline: Mapping[str, Tensor], tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Write one safetensors file.

    Only one tensor is held at a time; hashing runs in parallel to reading and writing.

    Args:
        path: The file.
        outline: Maps each name to a tensor with the right shape and type (on the meta device), in the order of
            `tensors`.
        tensors: The tensors by name.

    Returns:
        The file's SHA-256.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in outline.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": TYPE_NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    expected = iter(outline.items())
    with path.open("xb") as file, _Hashed(file) as hashed:
        hashed.write(memoryview(len(head).to_bytes(8, "little") + head))
        for name, tensor in tensors:
            wanted, shape = next(expected, ("", tensor))
            if (name, tensor.shape, tensor.dtype) != (wanted, shape.shape, shape.dtype):
                raise CheckpointError(f"{name}: {tuple(tensor.shape)} {tensor.dtype} is not what was planned")
            hashed.write(memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data))
        if (left := next(expected, None)) is not None:
            raise CheckpointError(f"{left[0]}: never came")
        return hashed.hexdigest()


class _Hashed:
    """A file whose content is hashed in a second thread while it is written."""

    STEP = 1 << 24

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.hash = file, hashlib.sha256()
        self.thread = ThreadPoolExecutor(1)
        self.pending: Any = None

    def __enter__(self) -> _Hashed:
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.shutdown()

    def write(self, data: memoryview) -> None:
        for first in range(0, len(data), self.STEP):
            piece = data[first : first + self.STEP]
            self._wait()
            self.pending = self.thread.submit(self.hash.update, piece)
            self.file.write(piece)

    def hexdigest(self) -> str:
        self._wait()
        return self.hash.hexdigest()

    def _wait(self) -> None:
        if self.pending is not None:
            self.pending.result()


def write_weights(folder: Path, outline: Mapping[str, Tensor], tensors: Iterable[tuple[str, Tensor]]) -> dict[str, str]:
    """Write `model.safetensors`, or several files and their index, as the library reads them; returns their SHA-256."""
    files: list[dict[str, Tensor]] = [{}]
    room = FILE_BYTES
    for name, tensor in outline.items():
        size = size_of([tensor])
        if files[-1] and size > room:
            files.append({})
            room = FILE_BYTES
        files[-1][name] = tensor
        room -= size
    stream, hashes, where = iter(tensors), {}, {}
    for number, part in enumerate(files, 1):
        name = "model.safetensors" if len(files) == 1 else f"model-{number:05d}-of-{len(files):05d}.safetensors"
        hashes[name] = write_safetensors(folder / name, part, (next(stream) for _ in part))
        where.update(dict.fromkeys(part, name))
    if len(files) > 1:
        index = {"metadata": {"total_size": size_of(outline.values())}, "weight_map": where}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    return hashes


def keep_tokenizer(source: Path, target: Path) -> None:
    """Copy the files of a tokenizer unchanged."""
    target.mkdir(exist_ok=True)
    for name in TOKENIZER:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def keep_original(source: Path, target: Path) -> None:
    """Copy what only the way back to another format needs from one model folder to another, if there is any."""
    if (source / ORIGINAL).is_dir():
        shutil.copytree(source / ORIGINAL, target / ORIGINAL)


def finish(folder: Path, model_config: Any, processor: Any, dtype: torch.dtype, hashes: dict[str, str]) -> None:
    """Write configuration, processor and, last, the manifest of a folder that has its weights."""
    from transformers import GenerationConfig

    tokenizer = processor.tokenizer
    model_config.architectures = ["SphinxXForConditionalGeneration"]
    model_config.dtype = model_config.text_config.dtype = dtype
    for config in (model_config.text_config, model_config):
        config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
        config.pad_token_id = None  # the library would not train the padding token's row of the embedding table
    model_config.save_pretrained(folder)
    GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    ).save_pretrained(folder)
    processor.save_pretrained(folder)
    write_manifest(folder, hashes)
