"""Where a run stands, and the signal that asks it to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sphinx_x.data.loader import STOPPING


@dataclass
class TrainState:
    """Where a run stands.

    Attributes:
        step: Number of steps done.
        samples: Number of samples seen.
        bad_samples: How many of them could not be used.
        window: Window of the next pack.
        pack: Number of the next pack in its window.
        progress: Share of the run that is done.
        nonfinite: Number of steps whose loss was not finite.
        nonfinite_in_a_row: How many of those were the last steps in a row.
        best: Lowest validation loss.
    """

    step: int = 0
    samples: int = 0
    bad_samples: int = 0
    window: int = 0
    pack: int = 0
    progress: float = 0.0
    nonfinite: int = 0
    nonfinite_in_a_row: int = 0
    best: float | None = None

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> TrainState:
        """Read a saved state, from this release or the previous one."""
        old = {"holes": "bad_samples", "bad": "nonfinite", "bad_in_a_row": "nonfinite_in_a_row"}
        return cls(**{old.get(name, name): value for name, value in facts.items()})


class StopSignal:
    """Context that remembers SIGTERM, SIGINT and SIGHUP, so that a step can end and be saved first."""

    number: int = 0

    def __enter__(self) -> StopSignal:
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                # under nohup the run continues when its terminal closes; a shell that starts a run in the background
                # has it ignore SIGINT, but whoever sends it a SIGINT means it
                if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._remember)
        return self

    def _remember(self, number: int, _: Any) -> None:
        self.number = number

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
