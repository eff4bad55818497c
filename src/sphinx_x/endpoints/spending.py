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
    """The endpoint cannot or may not be asked any further: the cap, the key, the address, numbers that do not fit."""


@dataclass
class Spending:
    """The account of a run. Every request is in `answered` or in `failed`.

    answered: usable answers; cached: those of them that needed no asking; failed: by reason; asked: calls made;
    retried: calls made once more after a failure that may pass; reasked: answers that failed the check and were asked
    again; tokens: in and out, as counted by the endpoint; spent: paid in this run, of which `unsure` was counted in
    full because no believable bill came; before: spent by earlier runs with the same cache folder; plain: the endpoint
    did not take the schema, and plain JSON was asked for. Money is in the currency of the prices.
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
        """Adds the account of a later run with the same cache folder; `before` stays that of the first."""
        for name in ("answered", "cached", "failed", "asked", "retried", "reasked", "spent", "unsure"):
            setattr(self, name, getattr(self, name) + getattr(later, name))
        self.plain |= later.plain
        self.tokens = (self.tokens[0] + later.tokens[0], self.tokens[1] + later.tokens[1])


class Budget:
    """Money that may be spent, shared by threads: what is reserved and what is spent never passes the cap together.

    cap and spent in `UNIT`ths.
    """

    def __init__(self, cap: int, spent: int = 0) -> None:
        self.cap, self.spent, self.reserved = cap, spent, 0
        self._changed = threading.Condition()

    def reserve(self, amount: int, stopped: Callable[[], bool]) -> bool:
        """Sets an amount aside; waits while others' reservations may still come back.

        False where `stopped()` while waiting. Raises `StopError` where the amount does not fit.
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
        """Gives a reservation back and counts what was paid instead."""
        with self._changed:
            self.reserved -= reserved
            self.spent += paid
            self._changed.notify_all()

    def _reached(self, amount: int) -> str:
        spent, cap, needed = (money(n) for n in (self.spent, self.cap, amount))
        return f"price cap of {cap} reached: {spent} spent so far, and the next request may cost {needed}"


def money(amount: int) -> str:
    """An amount in `UNIT`ths for people."""
    return f"{amount / UNIT:.6f}".rstrip("0").rstrip(".")
