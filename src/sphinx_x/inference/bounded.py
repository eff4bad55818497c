"""`Bounded`: a dictionary that holds at most so many bytes, and forgets what was not used for the longest time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Bounded(Generic[Value]):
    """Values of known size by key; threads may share it.

    Attributes:
        most_bytes: The most that all values together may take; 0 keeps none.
        most_values: The most values that are kept.
        hits: Number of times that a value was found.
        misses: Number of times that none was.
    """

    def __init__(self, most_bytes: int, size_of: Callable[[Value], int], most_values: int | None = None) -> None:
        if most_bytes < 0:
            raise ValueError(f"a cache holds 0 bytes or more, not {most_bytes}")
        self.most_bytes, self.most_values = most_bytes, most_values
        self.hits = self.misses = 0
        self._size_of, self._bytes = size_of, 0
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = threading.RLock()

    def get(self, key: Hashable) -> Value | None:
        """Return the value of a key, which counts as used now, or None."""
        with self._lock:
            value = self._values.get(key)
            if value is None:
                self.misses += 1
            else:
                self.hits += 1
                self._values.move_to_end(key)
            return value

    def put(self, key: Hashable, value: Value) -> None:
        """Keep a value, and forget others until all fit; one that is too large on its own is not kept."""
        size = self._size_of(value)
        with self._lock:
            self.drop(key)
            if size > self.most_bytes:
                return
            self._values[key] = value
            self._bytes += size
            while self._bytes > self.most_bytes or len(self._values) > (self.most_values or len(self._values)):
                self.drop(next(iter(self._values)))

    def drop(self, key: Hashable) -> None:
        """Forget a value, if there is one."""
        with self._lock:
            value = self._values.pop(key, None)
            if value is not None:
                self._bytes -= self._size_of(value)

    def clear(self) -> None:
        """Forget all values."""
        with self._lock:
            self._values.clear()
            self._bytes = 0

    def items(self) -> Iterator[tuple[Hashable, Value]]:
        """Return keys and values as they are now, the one not used for the longest time first."""
        with self._lock:
            return iter(list(self._values.items()))

    @property
    def bytes(self) -> int:
        """Number of bytes that the values take."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._values)
