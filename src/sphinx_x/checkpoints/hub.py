"""Addresses of a model hub: what they name is fetched into the hub's own cache, and only that."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sphinx_x.errors import CheckpointError, one_line

ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@(refs/pr/\d+|[\w.-]+))?(?:/(.+))?")
NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
ENDINGS = (".json", ".model", ".jinja", ".safetensors", ".pth", ".bin", ".pt", ".txt")
"""Files that a checkpoint may consist of: no code, no pictures."""


def fetch(address: str | Path) -> Path:
    """A folder (or file) on this machine: a path as it is; `hf://owner/name[@revision][/sub/folder]` downloaded.

    A plain `owner/name` that is no path is a repository of the hub as well. Of a folder its own files are fetched, not
    those of folders in it, and where there are safetensors no other weights. Raises `CheckpointError` where the hub
    does not have it or does not give it, or cannot be reached.
    """
    text = str(address)
    match = ADDRESS.fullmatch(text.rstrip("/"))
    if text.startswith("hf://") and not match:
        raise CheckpointError(f"{text}: an address is hf://owner/name, hf://owner/name/sub/folder or .../name@revision")
    if not match and (Path(text).exists() or not NAME.fullmatch(text)):
        return Path(address)
    repository, revision, inner = (match[1], match[2], match[3] or "") if match else (text, None, "")
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils import logging

    endpoint = os.environ.get("HF_ENDPOINT")
    logging.get_logger().setLevel(50)  # what goes wrong is told once, below
    try:
        # unlike other calls this one does not try for half a minute where there is no network
        info = HfApi(endpoint=endpoint).model_info(repository, revision=revision, timeout=30)
        wanted = _choose([file.rfilename for file in info.siblings or []], inner)
        folder = (
            ""
            if not wanted
            else snapshot_download(repository, revision=revision, allow_patterns=wanted, endpoint=endpoint)
        )
    except GatedRepoError as error:
        raise CheckpointError(f"{text}: {repository} is gated: ask for access there, and `hf auth login`") from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{text}: {repository} has no revision {revision}") from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(f"{text}: the hub has no {repository}, or it is private") from error
    except (
        Exception
    ) as error:  # the transport's errors have no base of their own, and change with the library's version
        raise CheckpointError(f"{text}: not fetched ({one_line(error)})") from error
    if not wanted:
        raise CheckpointError(f"{text}: {repository} has nothing at {inner or 'its top'}")
    return Path(folder) / inner


def _choose(found: list[str], inner: str) -> list[str]:
    """Which of a repository's files a folder (or file) of it needs."""
    if inner in found:
        return [inner]
    here = [name for name in found if name.rpartition("/")[0] == inner and name.endswith(ENDINGS)]
    if any(name.endswith(".safetensors") for name in here):
        here = [name for name in here if not name.endswith((".pth", ".bin", ".bin.index.json", ".pt"))]
    return here
