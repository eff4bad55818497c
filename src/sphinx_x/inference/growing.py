"""Keys and values that grow in place: the library's cache copies all of them for each new token.

Caches share memory, so that a prompt which goes on from a remembered one need not copy it. Only the one that reaches to
where a room is filled may write behind it; any other takes a room of its own.
"""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

LEAST, SHARE = 64, 8
"""A room has places for so many more tokens, or for this part of those that it holds, whichever is more."""


class Room:
    """Memory for keys and values (batch, heads, places, width), of which the first `filled` places are taken."""

    def __init__(self, keys: Tensor, values: Tensor, places: int) -> None:
        self.keys, self.values = (x.new_empty(*x.shape[:-2], places, x.shape[-1]) for x in (keys, values))
        self.filled, self._lock = 0, threading.Lock()

    def take(self, keys: Tensor, held: int, total: int) -> bool:
        """Take the places from `held` to `total`, if `keys` reach to where they begin and they are free."""
        mine = self.keys
        if keys.data_ptr() != mine.data_ptr() or keys.shape[:2] != mine.shape[:2] or total > mine.shape[-2]:
            return False
        if mine.is_inference() != torch.is_inference_mode_enabled():
            return False  # such tensors cannot be written elsewhere
        with self._lock:
            free = self.filled == held
            if free:
                self.filled = total
        return free


class GrowingLayer(DynamicLayer):
    """The library's layer of keys and values, with room for more behind them."""

    room: Room | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Put keys and values (batch, heads, T, width) behind those that are there, and return all; see the library."""
        held, total = self.get_seq_length(), self.get_seq_length() + key_states.shape[-2]
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None and self.values is not None
        room = self.room
        if room is None or not room.take(self.keys, held, total):
            room = Room(key_states, value_states, total + max(LEAST, total // SHARE))
            room.filled = total
            if held:
                room.keys[..., :held, :], room.values[..., :held, :] = self.keys, self.values
        room.keys[..., held:total, :], room.values[..., held:total, :] = key_states, value_states
        self.room, self.keys, self.values = room, room.keys[..., :total, :], room.values[..., :total, :]
        return self.keys, self.values


def growing_cache(config: Any) -> DynamicCache:
    """Return an empty cache of a language model, whose layers grow in place where the library's would be copied."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
