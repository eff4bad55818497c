"""What asking costs: prices, reservations under a cap, and the account of a run."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from sphinx_x.errors import DataError

UNIT = 10**12
"""Money is counted in whole millionths of a millionth, so that sums are exact."""


class StopError(DataError):
    """The endpoint cannot or must not be asked any more: the cap, the key, the address, inconsistent numbers."""


@dataclass
class Spending:
    """The account of a run, in the currency of the prices. Every request is in `answered` or in `failed`.

    Attributes:
        answered: Usable answers.
        cached: Those of them that came from the cache.
        failed: Failed requests by reason.
        asked: Calls made.
        retried: Calls repeated after a failure that may be temporary.
        reasked: Answers that failed the check and were requested again.
        tokens: Input and output tokens as counted by the endpoint.
        spent: Paid in this run.
        unsure: The part of `spent` that was counted in full because no believable bill came.
        before: Spent by earlier runs with the same cache folder.
        plain: The endpoint did not accept the schema, and plain JSON was requested.
    """

    answered: int = 0
    cached: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    retried: int = 0
    reasked: int = 0
    tokens: tuple[int, int] = (0, 0)
    spent: float = 0.0
    unsure: float = 0.0
    before: float = 0.0
    plain: bool = False

    def add(self, later: Spending) -> None:
        """Add the account of a later run with the same cache folder; `before` stays that of the first."""
        for name in ("answered", "cached", "failed", "asked", "retried", "reasked", "spent", "unsure"):
            setattr(self, name, getattr(self, name) + getattr(later, name))
        self.plain |= later.plain
        self.tokens = (self.tokens[0] + later.tokens[0], self.tokens[1] + later.tokens[1])


class Budget:
    """Money that may be spent, shared by threads: reserved and spent money together never exceed the cap.

    Attributes:
        cap: In `UNIT`ths.
        spent: In `UNIT`ths.
    """

    def __init__(self, cap: int, spent: int = 0) -> None:
        self.cap, self.spent, self.reserved = cap, spent, 0
        self._changed = threading.Condition()

    def reserve(self, amount: int, stopped: Callable[[], bool]) -> bool:
        """Reserve an amount, waiting as long as others' reservations may still be returned.

        Returns:
            Whether it was reserved; False if `stopped()` while waiting.

        Raises:
            StopError: The amount does not fit.
        """
        with self._changed:
            while self.spent + self.reserved + amount > self.cap:
                if stopped():
                    return False
                if not self.reserved:
                    raise StopError(self._reached(amount))
                self._changed.wait(0.1)
            self.reserved += amount
            return True

    def settle(self, reserved: int, paid: int) -> None:
        """Return a reservation and count what was paid instead."""
        with self._changed:
            self.reserved -= reserved
            self.spent += paid
            self._changed.notify_all()

    def _reached(self, amount: int) -> str:
        spent, cap, needed = (money(n) for n in (self.spent, self.cap, amount))
        return f"price cap of {cap} reached: {spent} spent so far, and the next request may cost {needed}"


def money(amount: int) -> str:
    """Return an amount in `UNIT`ths for people."""
    return f"{amount / UNIT:.6f}".rstrip("0").rstrip(".")
