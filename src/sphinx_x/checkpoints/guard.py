"""The boundary between other people's files and this package: any fault in them becomes one line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from sphinx_x.errors import CheckpointError, SphinxXError, one_line

P = ParamSpec("P")
R = TypeVar("R")


def told_in_one_line(function: Callable[P, R]) -> Callable[P, R]:
    """Turn errors that malformed files cause deep inside other libraries into a `CheckpointError`.

    Expected faults are checked where files are read, with specific messages; this is for the rest. The original error
    is kept as the cause.
    """

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except SphinxXError:
            raise
        except Exception as error:
            asked = [kwargs.get("llm"), kwargs.get("start"), *args]
            flat = [item for group in asked for item in (group if isinstance(group, list) else [group])]
            name = next((str(item) for item in flat if isinstance(item, (str, Path))), "the input")
            what = f"{type(error).__name__}: {one_line(error)}"
            raise CheckpointError(f"{name[:200]}: not what it should be ({what})") from error

    return guarded
