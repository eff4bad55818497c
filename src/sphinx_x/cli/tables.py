"""What the package contains, as text: `sphinx-x family` and `sphinx-x recipes`. Nothing here needs torch."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from sphinx_x.errors import SphinxXError


def family() -> None:
    """Print the family: parameters, views, visual tokens, memory."""
    from sphinx_x.family import MEMBERS, SHAPES, known_facts

    shapes = [shape for shape in SHAPES if shape != "1:1"]  # nothing is skipped of a square image
    made: list[Sequence[str]] = [("member", "LLM", "size", "views", "all", *(shape.split()[-1] for shape in shapes))]
    needs: list[Sequence[str]] = [("member", "GB to run", "in 8 bits", "in 4 bits", "GB to train")]
    for name, facts in known_facts().items():
        member = MEMBERS[name]
        grid = member.views
        views = f"{'1 + ' if grid.global_view else ''}{grid.rows} x {grid.columns}"
        size = f"{facts.parameters / 1e6:.1f} M" if facts.parameters < 1e9 else f"{facts.parameters / 1e9:.2f} B"
        skipping = [str(facts.typical[shape]) for shape in shapes]
        made.append((name, member.llm_name, size, views, str(facts.tokens), *skipping))
        needs.append((name, *(f"{need:.3g}" for need in (facts.run, facts.run8, facts.run4, facts.train))))
    print(_columns(made))
    print("size: parameters; all: visual tokens of all views of one image, then what skip")
    print("tokens leave of them for images of these shapes (the last is a line of text)\n")
    print(_columns(needs))
    print("to run: bfloat16 weights and a full context; to train: without activations,")
    print("experts frozen but in nano")


def _columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as columns of the necessary width, with a line under the first row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    ruled = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in ruled) + "\n"


def recipes(
    name: Annotated[str | None, typer.Argument(help="The recipe to print; without one, they are listed.")] = None,
) -> None:
    """List the packaged recipes, or print one to be copied: sphinx-x recipes nano > mine.yaml."""
    folder = resources.files("sphinx_x") / "recipes"
    known = sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".yaml"))
    if name is None:
        for stem in known:
            head = _first_sentence((folder / f"{stem}.yaml").read_text(encoding="utf-8"))
            print(f"{stem:15}{textwrap.shorten(head, 65, placeholder=' ...')}")
        print("\nsphinx-x recipes NAME prints one; sphinx-x train NAME runs it.")
        return
    stem = Path(name).stem if Path(name).suffix == ".yaml" and str(Path(name).parent) in (".", "recipes") else name
    if stem not in known:
        raise SphinxXError(f"{name}: no packaged recipe; there are {', '.join(known)}")
    print((folder / f"{stem}.yaml").read_text(encoding="utf-8"), end="")


def _first_sentence(text: str) -> str:
    """Return the first sentence of a recipe's own description."""
    head = " ".join(line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#"))
    return head.split(". ")[0].split("; ")[0].rstrip(".")
