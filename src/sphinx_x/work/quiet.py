"""Other libraries kept quiet for a while, and as they were afterwards."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def only_above(name: str, level: int) -> Iterator[None]:
    """Lets the logger `name` say only what is of `level` or above while it is entered."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def without_bars() -> Iterator[None]:
    """No progress bars of Transformers while it is entered."""
    from transformers.utils import logging as bars

    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()
