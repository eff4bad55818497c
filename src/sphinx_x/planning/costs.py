"""What one micro-batch computes and holds, in closed form: from the shapes of a model and the lengths of its samples.

Operations: a matrix takes two for each of its numbers and each row that goes through it; once forward, once more for
the gradient of what came in where anything before it is trained, once more for its own where it is trained itself.
Attention is counted over the whole square of every group of packed samples, as it is computed.

Bytes: what a decoder layer keeps for its backward pass is a sum over its tensors, the same for every layer; the most
is held where the loss begins to go back (the logits of the rows that predict) or where a layer does. The terms are
those of the library's Llama and Mixtral with our packed attention and grouped experts; a test counts the tensors.

Visual experts are counted on their own modules without memory (PyTorch's meta device): each kind has another shape,
and all that is asked of it is a view forward.

Shapes: T tokens of the row (its filling included), A rows that attention gathers, R rows that predict, D width of the
LLM, Q and K its widths of queries and of keys, I inner width, V size of the vocabulary.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from sphinx_x.model.attention import SHORT
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.mixture import ExpertGroup
from sphinx_x.model.packed import ROWS, TOKENS, VIEWS, plan_groups, round_up
from sphinx_x.planning.outline import Size
from sphinx_x.training.recipe import Recipe

BYTES = {"float32": 4, "bfloat16": 2}
_LAYER = re.compile(r"\.language_model\.layers\.(\d+)\.(.*)")
ATTENTION_BACK, SHORT_BACK = 2.5, 2.0
"""Backward products of attention, as multiples of forward: a fused kernel computes its scores again."""


@dataclass(frozen=True)
class Load:
    """What a rank computes at once. lengths: tokens of each sample; trained: tokens that are learned."""

    lengths: tuple[int, ...]
    views: int
    trained: int

    @property
    def tokens(self) -> int:
        """Tokens of all samples."""
        return sum(self.lengths)


@dataclass(frozen=True)
class Costs:
    """Operations of a micro-batch (a multiplication and an addition are two), forward and backward together, and the
    most bytes that are held at any moment beside weights and gradients."""

    vision_flops: float
    llm_flops: float
    activations: float


class Model:
    """The shapes of what a recipe trains. sizes: its parameters, see `outline.sizes_of`."""

    def __init__(self, config: SphinxXConfig, sizes: Sequence[Size], recipe: Recipe) -> None:
        self.config, self.sizes, self.recipe = config, sizes, recipe
        text: Any = config.text_config
        self.width, self.layers, self.vocabulary = text.hidden_size, text.num_hidden_layers, text.vocab_size
        head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        self.heads, self.head = text.num_attention_heads, head
        self.queries, self.keys = head * text.num_attention_heads, head * text.num_key_value_heads
        self.inner = text.intermediate_size
        self.experts, self.chosen = getattr(text, "num_local_experts", 1), getattr(text, "num_experts_per_tok", 1)
        self.bytes = BYTES[recipe.dtype]
        self.by_layer: dict[int, list[tuple[str, Size]]] = {k: [] for k in range(self.layers)}
        for size in sizes:
            found = _LAYER.search(size.name)
            if found:
                self.by_layer[int(found[1])].append((found[2], size))

    def part(self, name: str) -> list[Size]:
        """The parameters of a part."""
        return [size for size in self.sizes if size.part == name]

    def trained(self, name: str) -> bool:
        """Whether anything of a part is trained."""
        return any(size.trained for size in self.part(name))

    def has(self, *names: str, layer: int = 0) -> bool:
        """Whether a parameter of a layer is trained whose name holds one of `names`."""
        return any(size.trained and any(name in own for name in names) for own, size in self.by_layer[layer])

    @property
    def embedding_trained(self) -> bool:
        """Whether the embedding table is trained."""
        return any(s.trained and s.name.endswith("embed_tokens.weight") for s in self.sizes)

    @property
    def output_trained(self) -> bool:
        """Whether the output layer is trained, which may be the embedding table."""
        head = [s for s in self.sizes if s.name.endswith("lm_head.weight")]
        return head[0].trained if head else self.embedding_trained

    def first_with_gradient(self, views: int) -> float:
        """The first layer through which a gradient flows to what is before it: -1 for all, infinite for none."""
        features = views and (self.trained("projector") or self.trained("experts"))
        if self.embedding_trained or features:
            return -1
        return next((k for k, own in self.by_layer.items() if any(s.trained for _, s in own)), math.inf)


def count_costs(model: Model, load: Load, short_attention: bool = True) -> Costs:
    """Operations and bytes of a micro-batch. short_attention: whether short sequences are attended to as on a CPU, see
    `sphinx_x.model.attention`."""
    views = round_up(load.views, VIEWS) if model.config.groups else 0
    experts = [_look(model, k, group) for k, group in enumerate(model.config.group_configs())] if views else []
    vision, projectors = _vision_flops(model, experts, views)
    llm = _llm_flops(model, load, views, short_attention) + projectors
    return Costs(vision, llm, _activations(model, load, views, experts, short_attention))


# --- operations


def _vision_flops(model: Model, seen: Sequence[_Seen], views: int) -> tuple[float, float]:
    """Of the experts, and of projectors and alignment head."""
    back = 2 if model.trained("experts") else 0
    experts = (1 + back) * views * sum(s.flops for s in seen)
    passes = 1 + model.trained("projector") + model.trained("experts")
    length = model.config.tokens_per_view
    rows = sum(g.length * s.channels for g, s in zip(model.config.group_configs(), seen, strict=True))
    projectors = passes * 2 * views * rows * model.width
    if views and model.recipe.align.weight:
        flows = 1 + model.trained("align") + (model.trained("projector") or model.trained("experts"))
        projectors += flows * 2 * views * (length - 1) * model.width * model.recipe.align.frames * model.vocabulary
    return experts, projectors


def _llm_flops(model: Model, load: Load, views: int, short: bool) -> float:
    T, R = round_up(load.tokens, TOKENS), max(round_up(load.trained, ROWS), ROWS)
    first, recompute = model.first_with_gradient(views), model.recipe.recompute
    squares = [(len(members) * longest**2, longest) for members, longest in plan_groups(load.lengths)]
    total = 0.0
    for k, parameters in model.by_layer.items():
        begun = k < first
        for name, size in parameters:
            if not size.matrix:
                continue
            flops = 2 * T * size.numbers * (model.chosen / size.experts if size.experts > 1 else 1)
            # the first layer's queries, keys and values come of what is not trained
            ahead = k == first and any(part in name for part in ("q_proj", "k_proj", "v_proj")) and "lora_pair.1" not in name
            inputs = not begun and not (ahead and not model.has("input_layernorm", layer=k))
            # what is computed again ends with the last tensor that is kept, ahead of the last matrix
            again = recompute and not begun and (size.experts > 1 or "down_proj" not in name)
            total += flops * (1 + inputs + size.trained + again)
        for area, longest in squares:
            forward = 4 * model.queries * area
            back = SHORT_BACK if short and longest <= SHORT else ATTENTION_BACK
            total += forward * (1 + (0 if begun else back + recompute))
    output = 2 * R * model.width * model.vocabulary
    return total + output * (1 + (first < math.inf) + model.output_trained)


# --- bytes


def _activations(model: Model, load: Load, views: int, seen: Sequence[_Seen], short: bool) -> float:
    """The most that is held: where the loss goes back, where a layer does, or while frozen experts look."""
    T, R, s, D = round_up(load.tokens, TOKENS), max(round_up(load.trained, ROWS), ROWS), model.bytes, model.width
    kept = _kept(model, load, short)
    layers = model.layers * (s * D * T if model.recipe.recompute else kept)
    features = views * model.config.tokens_per_view * D * s
    vision = views * sum(x.kept for x in seen) if model.trained("experts") else 0
    base = T * (2 * s * model.head + 16) + features + vision
    loss = (4 + s) * D * T + 12 * R * model.vocabulary + s * R * D
    # a table that is also the output layer has two gradients, which wait for each other and are added at the end
    table = s * model.vocabulary * D * model.embedding_trained
    back = table if model.config.tie_word_embeddings else 0
    norm = 24 * D * T + back
    layer = (kept if model.recipe.recompute else 0) + _layer_back(model, T) + back
    looking = views * max((x.held for x in seen), default=0)
    return max(looking, base + layers + max(loss, norm, layer), base + s * D * T + table + 2 * back)


def _layer_back(model: Model, T: int) -> float:
    """Gradients that are held at once while the feed-forward part of the last layer goes back."""
    s, D, I, k = model.bytes, model.width, model.inner, model.chosen if model.experts > 1 else 1
    own = s * model.experts * I * D * model.has("down_proj")
    if model.experts == 1:
        return max(2 * s * I * T, own + s * I * T) + s * D * T
    return max(own + s * k * (I + D) * T, 2 * own - s * k * D * T) + s * D * T


def _kept(model: Model, load: Load, short: bool) -> float:
    """Bytes that a decoder layer keeps."""
    T, s, D, Q, I = round_up(load.tokens, TOKENS), model.bytes, model.width, model.queries, model.inner
    groups = [(len(members), longest) for members, longest in plan_groups(load.lengths)]
    total = T * (8 * D + 8)  # both norms keep their input in float32, and one number of each row
    total += T * s * D * (model.has("input_layernorm") + model.has("post_attention_layernorm"))
    total += T * s * D * (model.has("q_proj", "k_proj", "v_proj") + model.has("gate_proj", "up_proj", "gate."))
    total += T * s * Q * model.has("o_proj")
    if model.experts > 1:  # copies of a row for each of its experts, and the router's scores
        total += T * (s * D + model.chosen * (s * (2 * D + 4 * I) + 24) + 4 * model.experts + 4)
    else:
        total += T * s * I * (3 + model.has("down_proj"))
    for count, longest in groups:
        rows = count * longest
        if short and longest <= SHORT:
            keys = Q if model.keys != Q else model.keys
            total += rows * (s * (Q + 2 * keys) + s * model.heads * longest)
        else:
            total += rows * (s * (2 * Q + 2 * model.keys) + 4 * model.heads)
    return total


# --- visual experts


@dataclass(frozen=True)
class _Seen:
    """A group of experts and one view: channels of its fused tokens, operations forward, bytes that are kept for the
    backward pass, and that are held at once without one."""

    channels: int
    flops: int
    kept: int
    held: int


def _look(model: Model, number: int, config: Any) -> _Seen:
    dtype, grid = getattr(torch, model.recipe.dtype), model.config.view_grid()
    with torch.device("meta"):
        group = ExpertGroup(config, model.width).to(dtype)
    view = torch.empty(1, 3, grid.view_height, grid.view_width, device="meta")
    saved: dict[int, Tensor] = {}
    weights = {p.data_ptr() for p in ()}

    def keep(tensor: Tensor) -> Tensor:
        saved[id(tensor)] = tensor
        return tensor

    own = {p.untyped_storage()._cdata for p in group.parameters()}
    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(keep, lambda x: x):
        tokens = torch.cat([group._tokens_of(e, view, grid) for e in group.experts], dim=-1)
    storages = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in saved.values()}
    storages = {key: size for key, size in storages.items() if key not in own}
    return _Seen(tokens.shape[-1], counter.get_total_flops(), sum(storages.values()), 0)
