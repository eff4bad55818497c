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
