"""Options that several commands have in common."""

from typing import Annotated

import typer

Fast = Annotated[bool, typer.Option("--fast", help="Compute in bfloat16 where the device has instructions for it.")]
