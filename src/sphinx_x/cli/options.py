"""Options that several commands have in common."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer

from sphinx_x.errors import SphinxXError

Fast = Annotated[bool, typer.Option("--fast", help="Compute in bfloat16 where the device has instructions for it.")]
Frame = Literal["center", "corner"]
"""Where the padded square has the picture."""


def check_out(out: Path, read: Iterable[Path]) -> None:
    """Refuse to overwrite a file that is read."""
    if out.exists() and out.resolve() in {file.resolve() for file in read}:
        raise SphinxXError(f"{out}: is what is read; give another file with -o")
