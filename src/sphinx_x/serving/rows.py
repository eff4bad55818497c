"""The cache of the answers in progress: one row each, of its own length; rows come and go between two steps.

Keys and values of row r fill the places before its length; what is behind them is masked. So nothing moves when another
row comes, and only one row moves when one leaves.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin, DynamicLayer, DynamicSlidingWindowLayer

from sphinx_x.model.attention import GROUPED

STEP = 128
"""Places are allocated in multiples of this."""


def shared_window(model: Any) -> tuple[bool, int | None]:
    """Return whether the rows of a model can share a cache, and the sliding window of all its layers.

    They can where all layers attend alike and the attention takes a mask for each row; otherwise each answer keeps the
    library's own cache.
    """
    layers = DynamicCache(config=model.config).layers
    plain = all(type(layer) is DynamicLayer for layer in layers)
    sliding = [layer for layer in layers if isinstance(layer, DynamicSlidingWindowLayer)]
    windows = {int(layer.sliding_window) for layer in sliding}
    alike = plain or (len(sliding) == len(layers) and len(windows) == 1)
    masked = model.config.get_text_config()._attn_implementation in ("sdpa", GROUPED)
    return alike and masked and bool(layers), windows.pop() if len(windows) == 1 else None


class RowsLayer(CacheLayerMixin):
    """Keys and values of one layer, (rows, heads, places, width)."""

    is_sliding = False

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self._rows = rows
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Put the keys and values (rows, heads, 1, width) of a step behind each row; called by the library."""
        assert self.keys is not None and self.values is not None
        at, width, taking = self._rows.at.to(self.keys.device), self._rows.width, self._rows.taking
        each = torch.arange(taking.start, taking.stop, device=self.keys.device)
        self.keys[each, :, at] = key_states[:, :, 0]
        self.values[each, :, at] = value_states[:, :, 0]
        return self.keys[taking, :, :width], self.values[taking, :, :width]

    def holds(self, rows: int, places: int) -> bool:
        """Return whether so many rows and places are allocated."""
        keys, values = self.keys, self.values
        return all(t is not None and t.shape[0] >= rows and t.shape[2] >= places for t in (keys, values))

    def fit(self, like: DynamicLayer, rows: int, places: int) -> None:
        """Allocate at least so many rows and places, with heads and widths as in another layer."""
        self.keys, self.values = (
            _fitted(mine, other, rows, places) for mine, other in ((self.keys, like.keys), (self.values, like.values))
        )

    def put(self, row: int, other: DynamicLayer, place: int, length: int) -> None:
        """Copy the first keys and values of a prompt, which is one (`place`) of several, into a row."""
        for mine, theirs in ((self.keys, other.keys), (self.values, other.values)):
            assert mine is not None and theirs is not None
            mine[row, :, :length] = theirs[place, :, :length]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy one row over another."""
        for mine in (self.keys, self.values):
            assert mine is not None
            mine[target, :, :length] = mine[source, :, :length]

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Do nothing: a row is there before it takes a step."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return the number of places in a step, and where they begin."""
        return self._rows.width, 0

    def get_seq_length(self) -> int:
        """Return the number of places that are filled before a step."""
        return self._rows.width - 1

    def get_max_length(self) -> int:
        """Return -1: there is no largest length."""
        return -1


def _fitted(mine: Tensor | None, other: Tensor | None, rows: int, places: int) -> Tensor:
    assert other is not None
    if mine is not None and mine.shape[0] >= rows and mine.shape[2] >= places:
        return mine
    held = (0, 0) if mine is None else (mine.shape[0], mine.shape[2])
    # zeros, as masked places are multiplied by zero and must be finite
    new = other.new_zeros(rows, other.shape[1], places, other.shape[3])
    if mine is not None:
        kept, length = min(held[0], rows), min(held[1], places)
        new[:kept, :, :length] = mine[:kept, :, :length]
    return new


class Rows:
    """The rows of all answers in progress.

    Args:
        window: Number of last tokens that a token sees, if not all of them.
        tokens: Rows times places are never more because more rows might come.

    Attributes:
        lengths: Number of tokens in the cache, of each row.
        taking: Which rows take part in a step: all of them, or one.
        at: Where the next token of each of these goes (rows,), during a step.
        width: Number of places in a step.
    """

    def __init__(self, window: int | None = None, tokens: int = sys.maxsize) -> None:
        self._window, self._tokens = window, tokens
        self.clear()

    def clear(self) -> None:
        """Forget all rows, and free their memory."""
        self.lengths: list[int] = []
        self.taking = slice(0, 0)
        self.at, self.width = torch.empty(0, dtype=torch.int64), 0
        self._layers: list[RowsLayer] = []

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.lengths)

    def join(self, cache: DynamicCache, place: int = 0, length: int | None = None) -> None:
        """Add a row with a processed prompt.

        Args:
            cache: Its keys and values.
            place: Its row there.
            length: Number of its tokens; by default all that are there.
        """
        length, layers = cache.get_seq_length() if length is None else length, cache.layers
        if not self._layers:
            self._layers = [RowsLayer(self) for _ in layers]
        self.lengths.append(length)
        try:
            self._reserve(layers)
            for mine, other in zip(self._layers, layers, strict=True):
                assert isinstance(other, DynamicLayer)
                mine.put(self.count - 1, other, place, length)
        except Exception:  # no memory: the other rows go on
            self.lengths.pop()
            raise

    def copy(self, row: int) -> DynamicCache:
        """Return the keys and values of a row in memory of their own."""
        return copied(self._layers, row, self.lengths[row])

    def leave(self, row: int) -> None:
        """Remove a row; the last row takes its place."""
        last = self.count - 1
        if row != last:
            for layer in self._layers:
                layer.move(last, row, self.lengths[last])
            self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        if not self.lengths:
            self.clear()

    def inputs(self, ids: Sequence[int], device: torch.device, only: int | None = None) -> dict[str, Any]:
        """Return the model's inputs for a step; `grown` has to follow it. A step that fails can be taken again.

        Args:
            ids: The last id of each row that takes part.
            device: Where the model takes them.
            only: The one row that takes part; by default all do.
        """
        self.width = max(self.lengths) + 1
        self._reserve(self._layers)
        self.taking = slice(0, self.count) if only is None else slice(only, only + 1)
        self.at = torch.tensor(self.lengths[self.taking], device=device)
        places = torch.arange(self.width, device=device)
        seen = places <= self.at[:, None]
        if self._window is not None:
            seen &= places > self.at[:, None] - self._window
        return {
            "input_ids": torch.tensor(ids, device=device)[:, None],
            "attention_mask": seen[:, None, None],
            "position_ids": self.at[:, None],
            "past_key_values": Cache(layers=list(self._layers)),
        }

    def grown(self) -> None:
        """Count the token that a step added to each row."""
        self.lengths = [length + 1 for length in self.lengths]

    def _reserve(self, like: Sequence[Any]) -> None:
        held = self._layers[-1].keys  # the last to be allocated
        places = max(self.lengths) + 1
        rows = self.count
        if all(layer.holds(rows, places) for layer in self._layers):
            return
        places = -(-places // STEP) * STEP
        if held is not None:
            # rows are doubled, so that many that come one by one are not copied each time
            wanted = held.shape[0] if held.shape[0] >= rows else 2 * held.shape[0]
            rows = max(rows, min(wanted, self._tokens // places))
        for mine, other in zip(self._layers, like, strict=True):
            mine.fit(other, rows, places)


def copied(layers: Sequence[Any], row: int, length: int) -> DynamicCache:
    """Return the first keys and values of a row of some layers as a cache in memory of its own."""
    cache = DynamicCache()
    for number, layer in enumerate(layers):
        cache.update(layer.keys[row : row + 1, :, :length], layer.values[row : row + 1, :, :length], number)
    return cache
