"""Renamed verbs: the old name works for one release, is not listed, and reports the new one."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import typer


def keep_old_name(group: typer.Typer, verb: Callable[..., Any], old: str, new: str) -> None:
    """Keep an old name of a verb.

    Args:
        group: The group of the old command.
        verb: The function behind the new name.
        old: The last word of the old command.
        new: The whole new command, as it is reported.
    """

    @functools.wraps(verb)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        print(f"note: `{old}` is called `{new}` now; the old name goes with the next release", file=sys.stderr)
        return verb(*args, **kwargs)

    group.command(name=old, hidden=True)(renamed)
