"""`sphinx-x serve`: the options of the server."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from sphinx_x.cli import early
from sphinx_x.cli.options import Fast
from sphinx_x.errors import needs_extra


def _hosts(given: list[str] | None) -> list[str] | None:
    wrong = next((host for host in given or () if not re.fullmatch(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d+)?", host)), None)
    if wrong is not None:
        raise typer.BadParameter(f"{wrong}: a host is name or name:port, without https:// and paths")
    return given


def serve(
    model: Annotated[str, typer.Argument(help="A built-in name, a model folder, or the hub's owner/name.")] = "nano",
    host: Annotated[str, typer.Option(help="Address to listen on; one that others can reach needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help="A file with the token that every request brings; or SPHINX_X_TOKEN.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model in the API; by default that of its folder.")] = (
        None
    ),
    device: Annotated[str | None, typer.Option(help="A PyTorch device; by default an accelerator if there is one.")] = (
        None
    ),
    bits: Annotated[Literal[4, 8] | None, typer.Option(help="Quantise the language model.")] = None,
    fast: Fast = False,
    rows: Annotated[int, typer.Option(min=1, help="Answers that are generated at once.")] = 32,
    queue: Annotated[int, typer.Option(min=0, help="Requests that may wait beyond those.")] = 64,
    cache_tokens: Annotated[int, typer.Option(min=1, help="Tokens that the answers in progress may hold.")] = 131_072,
    cache_bytes: Annotated[int, typer.Option(min=0, help="Bytes of image features to keep; 0: none.")] = 268_435_456,
    prefix_bytes: Annotated[
        int, typer.Option(min=0, help="Bytes of earlier requests' keys and values to keep; 0: none.")
    ] = 1_073_741_824,
    chunk: Annotated[int, typer.Option(min=1, help="Tokens of a prompt processed between two steps of the others.")] = (
        256
    ),
    preparing: Annotated[
        float, typer.Option(min=0, help="Time to prepare requests between two steps, in times of a step.")
    ] = 2.0,
    images: Annotated[int, typer.Option(min=0, help="Images of a request.")] = 16,
    pixels: Annotated[int, typer.Option(min=1, help="Pixels of an image.")] = 50_000_000,
    image_bytes: Annotated[int, typer.Option(min=1, help="Bytes of an image as a file.")] = 20_000_000,
    body_bytes: Annotated[int, typer.Option(min=1, help="Bytes of a request.")] = 64_000_000,
    answer_tokens: Annotated[int, typer.Option(min=1, help="Tokens that may be asked for.")] = 4096,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time that a request may take.")] = 600.0,
    grace: Annotated[float, typer.Option(min=1, help="Time for answers to end when the server is stopped.")] = 30.0,
    media_folder: Annotated[
        list[Path] | None,
        typer.Option(exists=True, file_okay=False, help="A folder from which file: addresses are read; repeatable."),
    ] = None,
    media_host: Annotated[
        list[str] | None,
        typer.Option(callback=_hosts, help="A host (name or name:port) from which images are fetched; repeatable."),
    ] = None,
    sam: Annotated[
        str | None, typer.Option(help="A SAM model that makes masks of boxes: a folder, or the hub's owner/name.")
    ] = None,
) -> None:
    """Serve a model: OpenAI's chat completions, on this machine unless told otherwise."""
    with needs_extra("serve", "the server"), early.imports():
        from sphinx_x.serving.server import read_token
        from sphinx_x.serving.server import serve as run
        from sphinx_x.serving.settings import Settings

    settings = Settings(
        host=host,
        port=port,
        token=read_token(token_file),
        name=name or os.path.basename(os.path.abspath(model)),  # also of `.`
        rows=rows,
        queue=queue,
        cache_tokens=cache_tokens,
        cache_bytes=cache_bytes,
        prefix_bytes=prefix_bytes,
        chunk=chunk,
        preparing=preparing,
        images=images,
        pixels=pixels,
        image_bytes=image_bytes,
        body_bytes=body_bytes,
        answer_tokens=answer_tokens,
        seconds=seconds,
        grace=grace,
        media_folders=tuple(media_folder or ()),
        media_hosts=tuple(media_host or ()),
        sam=sam,
    )
    run(settings, model, device=device, bits=bits, fast=fast)
