"""Verbs that have been given another name: the old one works for one release, is not listed, and tells the new one."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import typer


def keep_old_name(group: typer.Typer, verb: Callable[..., Any], old: str, new: str) -> None:
    """Lets a verb be called by its old name as well.

    Args:
        group: What the old name is a command of.
        verb: The function behind the new name.
        old: The last word of the old command.
        new: The whole new command, as it is to be told.
    """

    @functools.wraps(verb)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        print(f"note: `{old}` is called `{new}` now; the old name goes with the next release", file=sys.stderr)
        return verb(*args, **kwargs)

    group.command(name=old, hidden=True)(renamed)
