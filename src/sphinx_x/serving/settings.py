"""The settings of the server, each with its default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sphinx_x.inference.features import CACHE_BYTES as FEATURE_BYTES
from sphinx_x.inference.prefix import CACHE_BYTES as PREFIX_BYTES


@dataclass(frozen=True)
class Settings:
    """What the server allows and how it works.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 for a free one.
        token: What every request has to bring; None for none, which only a loopback address may have.
        name: Name of the model in the API.
        rows: Number of answers that are generated at once.
        queue: Number of requests that may wait beyond those.
        cache_tokens: Number of tokens, rows times the longest, that the answers in progress may hold together.
        cache_bytes: The most bytes of image features to remember; 0 remembers none.
        prefix_bytes: The most bytes of keys and values of earlier requests to remember; 0 remembers none.
        chunk: Number of tokens of a prompt that are processed between two steps of the other answers.
        preparing: Time for the preparation of requests between two steps, in times of a step: where more of it is
            left, another piece is done. 0 does one piece, which is best for the flow of answers in progress.
        images: Number of images of a request.
        pixels: Number of pixels of an image.
        all_pixels: Number of pixels of all images of a request together.
        image_bytes: Bytes of an image as a file.
        body_bytes: Bytes of the body of a request.
        depth: How deep the JSON of a request may be nested.
        characters: Number of characters of all texts of a request.
        answer_tokens: Largest number of tokens that may be asked for.
        seconds: Time that a request may take, waiting included.
        body_seconds: Time that the body of a request may take to arrive.
        stalled_seconds: Time that a client may take to accept a piece of an answer.
        grace: Time for answers in progress to end when the server is stopped.
        media_folders: Folders from which `file:` addresses may be read.
        media_hosts: Hosts (`name` or `name:port`) from which images may be fetched.
        fetch_seconds: Time that fetching an image may take, redirects included.
        hops: Number of redirects that are followed.
        sam: A SAM model (a folder, hub id or address) that makes masks of boxes; None for none.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    name: str = "nano"
    rows: int = 32
    queue: int = 64
    cache_tokens: int = 131_072
    cache_bytes: int = FEATURE_BYTES
    prefix_bytes: int = PREFIX_BYTES
    chunk: int = 256
    preparing: float = 2.0
    images: int = 16
    pixels: int = 50_000_000
    all_pixels: int = 100_000_000
    image_bytes: int = 20_000_000
    body_bytes: int = 64_000_000
    depth: int = 32
    characters: int = 200_000
    answer_tokens: int = 4096
    seconds: float = 600.0
    body_seconds: float = 60.0
    stalled_seconds: float = 60.0
    grace: float = 30.0
    media_folders: tuple[Path, ...] = ()
    media_hosts: tuple[str, ...] = ()
    fetch_seconds: float = 10.0
    hops: int = 3
    sam: str | None = None
