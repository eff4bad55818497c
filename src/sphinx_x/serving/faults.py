"""Work on several requests at once, where a fault of one takes nothing from the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


class Faults:
    """Faults inside the server.

    Attributes:
        number: How many there were.
    """

    def __init__(self, count: Callable[[str], None]) -> None:
        self.number, self._count = 0, count

    def note(self, stage: str, error: Exception) -> None:
        """Count a fault in a stage of the work, and write it to the log with its traceback."""
        self.number += 1
        self._count(stage)
        log.error("the server failed in the stage %r", stage, exc_info=error)

    def apart(
        self, stage: str, items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Result]]
    ) -> list[Result | Exception]:
        """Work on all items together or, where that fails, on one after another.

        Args:
            stage: The stage of the work, for the count.
            items: The items.
            work: Makes a result of each of several items; it can be called again with some of them after a fault.

        Returns:
            For each item its result, or its fault.
        """
        try:
            return list(work(items))
        except Exception as error:
            self.note(stage, error)
            if len(items) == 1:
                return [error]
        return [self.apart(stage, [item], work)[0] for item in items]
