"""Addresses of a model hub: what they name is fetched into the hub's own cache, and only that."""

from __future__ import annotations

import logging
import os
import re
from functools import partial
from pathlib import Path
from typing import Any

from sphinx_x.errors import CheckpointError, one_line
from sphinx_x.work.files import MANIFEST
from sphinx_x.work.quiet import only_above

logger = logging.getLogger(__name__)

ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@(refs/pr/\d+|[\w.-]+))?(?:/(.+))?")
NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
OPTIONS = ("revision", "local_files_only", "token", "cache_dir", "force_download")
"""What `fetch` takes beside an address, by the names that the libraries use."""
TIMEOUT = 10
"""Seconds after which a hub that does not answer counts as not reached."""
ENDINGS = (".json", ".model", ".jinja", ".safetensors", ".pth", ".bin", ".pt", ".txt")
"""Files that a checkpoint may consist of: no code, no pictures."""


def fetch(address: str | Path, revision: str | None = None, local_files_only: bool = False, **options: Any) -> Path:
    """A folder (or file) on this machine: a path as it is; `hf://owner/name[@revision][/sub/folder]` downloaded.

    A plain `owner/name` that is no path is a repository of the hub as well. Of a folder its own files are fetched, not
    those of folders in it, and where there are safetensors no other weights. Where the hub is not to be asked
    (local_files_only, HF_HUB_OFFLINE) the copy in its cache is taken; where it cannot be reached as well, and that is
    logged. options: token, cache_dir, force_download, as the hub's library has them. Raises `CheckpointError` where
    the hub does not have it or does not give it, or cannot be reached and nothing is in the cache.
    """
    text = str(address)
    match = ADDRESS.fullmatch(text.rstrip("/"))
    if text.startswith("hf://") and not match:
        raise CheckpointError(f"{text}: an address is hf://owner/name, hf://owner/name/sub/folder or .../name@revision")
    if not match and (Path(text).exists() or not NAME.fullmatch(text)):
        return Path(address)
    repository, written, inner = (match[1], match[2], match[3] or "") if match else (text, None, "")
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils import logging as hub_logging

    revision = revision or written
    cached = partial(_cached, repository, revision, inner, options.get("cache_dir"))
    if local_files_only or constants.HF_HUB_OFFLINE:
        folder = cached()
        if folder is None:
            why = "local_files_only" if local_files_only else "HF_HUB_OFFLINE"
            raise CheckpointError(f"{text}: not in the hub's cache, and the hub is not to be asked ({why})")
        return folder / inner
    try:
        with only_above(hub_logging.get_logger().name, logging.CRITICAL):  # what goes wrong is told once, below
            folder = _download(repository, revision, inner, options)
    except GatedRepoError as error:
        raise CheckpointError(f"{text}: {repository} is gated: ask for access there, and `hf auth login`") from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{text}: {repository} has no revision {revision}") from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(f"{text}: the hub has no {repository}, or it is private") from error
    except Exception as error:  # the transport's errors have no base of their own, and change with its version
        folder = cached()
        if folder is None:
            raise CheckpointError(f"{text}: not fetched from the hub ({one_line(error)}), nor in its cache") from error
        logger.warning("%s: the hub was not reached (%s); the copy in its cache is taken", text, one_line(error))
    if folder is None:
        raise CheckpointError(f"{text}: {repository} has nothing at {inner or 'its top'}")
    return folder / inner


def _download(repository: str, revision: str | None, inner: str, options: dict[str, Any]) -> Path | None:
    """The snapshot with what is wanted of a repository; nothing where it has nothing there."""
    from huggingface_hub import HfApi, snapshot_download

    endpoint = os.environ.get("HF_ENDPOINT")
    # unlike other calls this one does not try for half a minute where there is no network
    info = HfApi(endpoint=endpoint, token=options.get("token")).model_info(
        repository, revision=revision, timeout=TIMEOUT
    )
    wanted = _choose([file.rfilename for file in info.siblings or []], inner)
    if not wanted:
        return None
    return Path(snapshot_download(repository, revision=revision, allow_patterns=wanted, endpoint=endpoint, **options))


def _cached(repository: str, revision: str | None, inner: str, cache_dir: Any) -> Path | None:
    """The snapshot of a repository in the hub's cache, where one is there and has begun to be whole."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        needed = [inner or "config.json"]  # the rest is looked at by whoever reads it
        found = snapshot_download(
            repository, revision=revision, allow_patterns=needed, cache_dir=cache_dir, local_files_only=True
        )
    except LocalEntryNotFoundError:
        return None
    return Path(found) if (Path(found) / inner).exists() else None


def _choose(found: list[str], inner: str) -> list[str]:
    """Which of a repository's files a folder (or file) of it needs."""
    if inner in found:
        return [inner]
    here = [name for name in found if name.rpartition("/")[0] == inner and name.endswith(ENDINGS)]
    # it names files of folders below as well, which are not fetched; the hub has sums of its own
    here = [name for name in here if name.rpartition("/")[2] != MANIFEST]
    if any(name.endswith(".safetensors") for name in here):
        here = [name for name in here if not name.endswith((".pth", ".bin", ".bin.index.json", ".pt"))]
    return here
