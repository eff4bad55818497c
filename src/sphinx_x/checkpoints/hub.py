"""Addresses of a model hub: what they name is fetched into the hub's own cache, and only that."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sphinx_x.errors import CheckpointError

ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+?))?(?:/(.+))?")
NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
WANTED = ("*.json", "*.model", "*.safetensors", "*.pth", "*.bin", "*.pt", "*.txt")
"""Files that a checkpoint may consist of: no code, no pictures."""


def fetch(address: str | Path) -> Path:
    """A folder (or file) on this machine: a path as it is; `hf://owner/name[@revision][/sub/folder]` downloaded.

    A plain `owner/name` that is no path is a repository of the hub as well. Raises `CheckpointError` where the hub does
    not have it, or cannot be reached.
    """
    text = str(address)
    match = ADDRESS.fullmatch(text.rstrip("/"))
    if text.startswith("hf://") and not match:
        raise CheckpointError(f"{text}: an address is hf://owner/name, hf://owner/name/sub/folder or .../name@revision")
    if not match:
        if Path(text).exists() or not NAME.fullmatch(text):
            return Path(address)
        repository, revision, inner = text, None, ""
    else:
        repository, revision, inner = match[1], match[2], match[3] or ""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    patterns: list[str] = [f"{inner}/{name}" for name in WANTED] + [inner] if inner else [*WANTED]
    try:
        folder = snapshot_download(
            repository, revision=revision, allow_patterns=patterns, endpoint=os.environ.get("HF_ENDPOINT")
        )
    except RepositoryNotFoundError as error:
        raise CheckpointError(f"{text}: the hub has no {repository}, or it is private") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise CheckpointError(f"{text}: not fetched ({' '.join(str(error).split())[:120]})") from error
    found = Path(folder) / inner
    if not found.exists():
        raise CheckpointError(f"{text}: {repository} has nothing at {inner}")
    return found
