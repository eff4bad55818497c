"""Attention over packed samples: many sequences in one row, without padding outside of attention itself.

The library looks up attention functions by name; `packed` is another of them. Everything but attention runs on the
packed row [1, T, D]. Attention gathers the sequences into groups of similar length, pads only within a group, runs
causal scaled-dot-product attention, and puts the rows back. So samples never see each other, and no mask is needed.

Anything else that a layer asks for is either honoured (a sliding window) or refused by name: training must not compute
another function than inference does. A model whose tokens see each other by other means than attention (a convolution,
a recurrent state), or that does not take its attention from the library, is refused as a whole.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from sphinx_x.errors import UnsupportedError
from sphinx_x.model.attention import attend

PACKED = "packed"
NEUTRAL = frozenset({"position_ids", "position_embeddings", "cache_position", "output_router_logits"})
"""Options of attention functions that do not affect how a token attends to others."""
LAYERS = frozenset({"full_attention", "sliding_attention"})
"""Kinds of layers, as the library names them, whose tokens see each other only through attention as computed here."""
GROUP = 8
"""Largest number of sequences that attention computes together."""
ALIKE = 256
"""Up to this many tokens, sequences are computed together whatever their lengths are."""
TOKENS, VIEWS, ROWS = 512, 8, 256
"""Rows, views and predictions of a micro-batch are padded to multiples of these, so that shapes recur: a CPU's matrix
library builds its kernels by shape, and rebuilding them in every step costs more than the padding."""


@dataclass(frozen=True)
class Pack:
    """How sequences lie in one row of T tokens, in order and without gaps.

    A row may be longer than its sequences: the rest belongs to no group, and nothing reads it.

    Attributes:
        position_ids: (1, T), restarting with each sequence.
        groups: (count, longest) of each group of sequences of similar length.
        gather: The rows of the pack in each group, one group after another, each count x longest, with a sequence's
            first row repeated as padding.
        put_back: Position (T,) of each row among those.
    """

    position_ids: Tensor
    groups: tuple[tuple[int, int], ...]
    gather: Tensor
    put_back: Tensor


def round_up(number: int, multiple: int) -> int:
    """Round up to a multiple: recurring shapes let a CPU's matrix library reuse the kernels it has built."""
    return -(-number // multiple) * multiple


def plan_groups(lengths: Sequence[int], group_size: int = GROUP) -> list[tuple[list[int], int]]:
    """Group sequences of similar length for attention; returns each group, and the length it is padded to.

    Sequences of more than `ALIKE` tokens are only joined if the longest is at most a tenth longer than the shortest:
    attention takes time by the square of the length it is padded to.
    """
    groups: list[tuple[list[int], int]] = []
    for k in sorted(range(len(lengths)), key=lambda k: lengths[k]):
        longest = round_up(lengths[k], 32)
        members = groups[-1][0] if groups else []
        alike = bool(members) and (longest <= ALIKE or lengths[k] <= 1.1 * lengths[members[0]])
        if alike and len(members) < group_size:
            members.append(k)
            groups[-1] = members, longest
        else:
            groups.append(([k], longest))
    return groups


def plan_pack(
    lengths: Sequence[int], group_size: int = GROUP, total: int | None = None, device: torch.device | str | None = None
) -> Pack:
    """Plan attention for consecutive sequences of these lengths.

    Args:
        lengths: Length of each sequence.
        group_size: Largest number of sequences in a group.
        total: Length of the row, by default that of all sequences.
        device: Where the plan's tensors are put.
    """
    total = sum(lengths) if total is None else total
    starts = torch.tensor([0, *lengths]).cumsum(0).tolist()
    groups: list[tuple[int, int]] = []
    gathered: list[Tensor] = []
    put_back = torch.zeros(total, dtype=torch.int64)
    done = 0
    for members, longest in plan_groups(lengths, group_size):
        for k in members:
            rows = torch.full((longest,), starts[k])
            rows[: lengths[k]] = torch.arange(starts[k], starts[k + 1])
            put_back[starts[k] : starts[k + 1]] = torch.arange(done, done + lengths[k])
            gathered.append(rows)
            done += longest
        groups.append((len(members), longest))
    behind = torch.zeros(total - starts[-1], dtype=torch.int64)
    positions = torch.cat([*[torch.arange(length) for length in lengths], behind])
    return Pack(positions[None].to(device), tuple(groups), torch.cat(gathered).to(device), put_back.to(device))


def check_packable(model: Any) -> None:
    """Raise `UnsupportedError`, with the reason, for a language model that cannot be trained on packed samples."""
    other = sorted(set(getattr(model.config, "layer_types", None) or ()) - LAYERS)
    if other:
        raise _refused(model, f"layers of another kind ({', '.join(other)})")
    if getattr(model, "_is_stateful", False):
        raise _refused(model, "a state that goes from token to token")
    if not model._supports_attention_backend:
        raise _refused(model, "attention that is not the library's")
    if "position_ids" not in inspect.signature(model.forward).parameters:
        raise _refused(model, "positions that do not begin anew with each sample")


def _refused(model: Any, what: str) -> UnsupportedError:
    return UnsupportedError(f"{type(model).__name__}: {what} is not known to packed attention, so it cannot be trained")


class _MaskError(UnsupportedError, AttributeError):
    """A mask was used as something that it is not."""


@dataclass(frozen=True)
class Window:
    """The mask of a layer whose tokens see the last `size` tokens of their sample, themselves included."""

    size: int

    def __getattr__(self, name: str) -> Any:
        # a model that does arithmetic on its masks, as Doge does
        raise _MaskError(f"packed attention has no masks of numbers, so this model cannot be trained ({name})")


def packed_mask(
    config: Any,
    local_size: int | None = None,
    use_vmap: bool = False,
    attention_mask: Tensor | None = None,
    allow_is_bidirectional_skip: bool | None = None,
    **_: Any,
) -> Window | None:
    """Stand in for the library's mask: None for a causal one, or a `Window`; the pack does the rest.

    Raises:
        UnsupportedError: Any other mask is asked for; the message names it.
    """
    window, chunk = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    asked = {
        "attention to later tokens": allow_is_bidirectional_skip is not None,
        "a mask function of its own": use_vmap,
        "attention_mask": attention_mask is not None,
        f"attention_chunk_size ({chunk})": local_size is not None and local_size in (chunk, None),
        f"attention to {local_size} tokens": local_size not in (None, window, chunk),
    }
    for name, there in asked.items():
        if there:
            raise _refused(config, name)
    return None if local_size is None else Window(local_size)


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Window | Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    pack: Pack | None = None,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Compute attention as the library calls it, on (1, heads, T, width) each, with sequences kept apart by `pack`.

    Returns:
        A tensor (1, T, heads, width), and None for the attention weights.

    Raises:
        UnsupportedError: The layer asks for anything else of its attention; the message names it.
    """
    window = attention_mask.size if isinstance(attention_mask, Window) else None
    asked = {name: value for name, value in options.items() if name not in NEUTRAL}
    asked["a mask that it made itself"] = not (attention_mask is None or isinstance(attention_mask, Window))
    asked["attention to later tokens"] = is_causal is False or not getattr(module, "is_causal", True)
    asked["attention dropout"] = dropout > 0
    asked["a sliding_window that its mask has not"] = sliding_window not in (None, window)
    for name, there in asked.items():
        if there is not None and there is not False:
            raise _refused(module, name)
    if pack is None:
        raise _refused(module, "attention that is called without the model's options")
    if query.shape[0] != 1:
        raise ValueError(f"packed attention takes one row of samples, not {query.shape[0]}")
    sizes = [count * longest for count, longest in pack.groups]
    gathered = [x[0].transpose(0, 1).index_select(0, pack.gather).split(sizes) for x in (query, key, value)]
    pieces = []
    for group, *rows in zip(pack.groups, *gathered, strict=True):
        q, k, v = (x.unflatten(0, group).transpose(1, 2) for x in rows)
        pieces.append(attend(q, k, v, causal=True, scale=scaling, window=window).transpose(1, 2).flatten(0, 1))
    return torch.cat(pieces).index_select(0, pack.put_back)[None], None


ALL_ATTENTION_FUNCTIONS.register(PACKED, packed_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(PACKED, packed_mask)
