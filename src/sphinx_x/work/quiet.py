"""Silencing other libraries for a while."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def only_above(name: str, level: int) -> Iterator[None]:
    """Let the logger `name` emit only messages of `level` or above within the context."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def without_bars() -> Iterator[None]:
    """Disable the progress bars of Transformers within the context."""
    from transformers.utils import logging as bars

    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()
