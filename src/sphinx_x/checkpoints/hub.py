"""Addresses on a model hub: what they name, and nothing else, is downloaded to the hub's own cache."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sphinx_x.errors import CheckpointError, one_line
from sphinx_x.work.files import MANIFEST
from sphinx_x.work.quiet import only_above

logger = logging.getLogger(__name__)

ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@(refs/pr/\d+|[\w.-]+))?(?:/(.+))?")
NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
OPTIONS = ("revision", "subfolders", "local_files_only", "token", "cache_dir", "force_download")
"""Options of `fetch`, most under the names that the libraries use."""
TIMEOUT = 10
"""Seconds after which a hub that does not answer counts as unreachable."""
ENDINGS = (".json", ".model", ".jinja", ".safetensors", ".pth", ".bin", ".pt", ".txt")
"""Extensions of the files that a checkpoint may consist of: no code, no images."""


def fetch(
    address: str | Path,
    revision: str | None = None,
    local_files_only: bool = False,
    subfolders: Sequence[str] = (),
    **options: Any,
) -> Path:
    """Return a local folder (or file): a path as it is, `hf://owner/name[@revision][/sub/folder]` downloaded.

    A plain `owner/name` that is not a path also names a repository of the hub. Of a folder, its own files are
    downloaded, not those in other subfolders than `subfolders`; if there are safetensors, no other weights are.
    Without access to the hub (local_files_only, HF_HUB_OFFLINE), the copy in its cache is used; likewise if the hub
    cannot be reached, which is logged.

    Args:
        address: The path or address.
        revision: A branch, tag or commit of the repository.
        local_files_only: Whether to use the cache only.
        subfolders: Names of subfolders whose own files are downloaded as well, where there are any.
        options: Options of the hub's library: token, cache_dir, force_download.

    Raises:
        CheckpointError: The hub does not have it or denies access, or it cannot be reached and the cache is empty.
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
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except ValueError as error:
        raise CheckpointError(f"{text}: no such file or folder, and no address of the hub") from error
    revision = revision or written
    cached = partial(_cached, repository, revision, inner, options.get("cache_dir"))
    if local_files_only or constants.HF_HUB_OFFLINE:
        folder = cached()
        if folder is None:
            why = "local_files_only" if local_files_only else "HF_HUB_OFFLINE"
            raise CheckpointError(f"{text}: not in the hub's cache, and the hub is not to be asked ({why})")
        return folder / inner
    try:
        with only_above(hub_logging.get_logger().name, logging.CRITICAL):  # errors are reported once, below
            folder = _download(repository, revision, inner, subfolders, options)
    except GatedRepoError as error:
        raise CheckpointError(f"{text}: {repository} is gated: ask for access there, and `hf auth login`") from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{text}: {repository} has no revision {revision}") from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(f"{text}: the hub has no {repository}, or it is private") from error
    except Exception as error:  # the transport's errors have no common base class, and change with its version
        folder = cached()
        if folder is None:
            raise CheckpointError(f"{text}: not fetched from the hub ({one_line(error)}), nor in its cache") from error
        logger.warning("%s: the hub was not reached (%s); the copy in its cache is taken", text, one_line(error))
    if folder is None:
        raise CheckpointError(f"{text}: {repository} has nothing at {inner or 'its top'}")
    return folder / inner


def _download(
    repository: str, revision: str | None, inner: str, subfolders: Sequence[str], options: dict[str, Any]
) -> Path | None:
    """Return the snapshot with the wanted files of a repository, or None if it has none there."""
    from huggingface_hub import HfApi, snapshot_download

    endpoint = os.environ.get("HF_ENDPOINT")
    # unlike other calls, this one does not retry for half a minute without a network
    info = HfApi(endpoint=endpoint, token=options.get("token")).model_info(
        repository, revision=revision, timeout=TIMEOUT
    )
    names = [file.rfilename for file in info.siblings or []]
    wanted = _choose(names, inner)
    if not wanted:
        return None
    wanted += [name for folder in subfolders for name in _choose(names, f"{inner}/{folder}".strip("/"))]
    return Path(snapshot_download(repository, revision=revision, allow_patterns=wanted, endpoint=endpoint, **options))


def _cached(repository: str, revision: str | None, inner: str, cache_dir: Any) -> Path | None:
    """Return a repository's snapshot in the hub's cache, if its download has at least begun."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        needed = [inner or "config.json"]  # whether it is complete is checked by its reader
        found = snapshot_download(
            repository, revision=revision, allow_patterns=needed, cache_dir=cache_dir, local_files_only=True
        )
    except LocalEntryNotFoundError:
        return None
    return Path(found) if (Path(found) / inner).exists() else None


def _choose(found: list[str], inner: str) -> list[str]:
    """Return which of a repository's files a folder (or file) of it needs."""
    if inner in found:
        return [inner]
    here = [name for name in found if name.rpartition("/")[0] == inner and name.endswith(ENDINGS)]
    # it also lists files in subfolders, which are not downloaded; the hub has its own checksums
    here = [name for name in here if name.rpartition("/")[2] != MANIFEST]
    if any(name.endswith(".safetensors") for name in here):
        here = [name for name in here if not name.endswith((".pth", ".bin", ".bin.index.json", ".pt"))]
    return here
