"""What one micro-batch computes and holds, in closed form: from the shapes of a model and the lengths of its samples.

Operations: a matrix takes two for each of its numbers and each row that it is applied to; once in the forward pass,
once more for the gradient of its input if anything before it is trained, and once more for its own gradient if it is
trained itself. Attention is counted over the whole square of every group of packed samples, as it is computed.

Bytes: what a decoder layer keeps for its backward pass is a sum over its tensors, the same for every layer; memory
peaks where the backward pass starts (the logits of the rows that predict) or within a layer. The terms are those of the
library's Llama and Mixtral with our packed attention and grouped experts; a test counts the tensors.

Visual experts are counted on their own modules without memory (PyTorch's meta device), as each kind has another shape,
and only the forward pass of a view is needed. Their backward pass is taken to cost twice the forward pass; PyTorch's
own counter gives more for a depthwise convolution (ConvNeXt), whose gradients it counts as if every channel saw all
others.

Shapes: T tokens of the row (its padding included), A rows that attention gathers, R rows that predict, D width of the
LLM, Q its width of queries, s bytes of a number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from sphinx_x.model.attention import SHORT
from sphinx_x.model.config import GroupConfig, SphinxXConfig
from sphinx_x.model.mixture import ExpertGroup
from sphinx_x.model.packed import ROWS, TOKENS, VIEWS, plan_groups, round_up
from sphinx_x.model.views import ViewGrid
from sphinx_x.planning.outline import Size
from sphinx_x.recipe import Recipe

BYTES = {"float32": 4, "bfloat16": 2}
_LAYER = re.compile(r"\.language_model\.layers\.(\d+)\.(.*)")
ATTENTION_BACK, SHORT_BACK = 2.5, 2.0
"""Cost of attention's backward pass as a multiple of the forward pass: a fused kernel recomputes its scores."""


@dataclass(frozen=True)
class Load:
    """What a rank computes at once.

    Attributes:
        lengths: Number of tokens of each sample.
        views: Number of views.
        trained: Number of tokens that are learned.
    """

    lengths: tuple[int, ...]
    views: int
    trained: int

    @property
    def tokens(self) -> int:
        """Number of tokens of all samples."""
        return sum(self.lengths)


@dataclass(frozen=True)
class Costs:
    """The costs of a micro-batch.

    Attributes:
        vision_flops: Operations of the vision part, forward and backward; a multiply-add counts as two.
        llm_flops: Those of the language model.
        activations: Peak bytes besides weights and gradients.
    """

    vision_flops: float
    llm_flops: float
    activations: float


class Model:
    """The shapes of what a recipe trains.

    Args:
        config: The model's configuration.
        recipe: The recipe.
        sizes: Its parameters, see `outline.sizes_of`.
    """

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
        """Return the parameters of a part."""
        return [size for size in self.sizes if size.part == name]

    def trained(self, name: str) -> bool:
        """Return whether anything in a part is trained."""
        return any(size.trained for size in self.part(name))

    def has(self, *names: str, layer: int = 0) -> bool:
        """Return whether a parameter of a layer is trained whose name contains one of `names`."""
        return any(size.trained and any(name in own for name in names) for own, size in self.by_layer[layer])

    @property
    def embedding_trained(self) -> bool:
        """Whether the embedding table is trained."""
        return any(s.trained and s.name.endswith("embed_tokens.weight") for s in self.sizes)

    @property
    def output_trained(self) -> bool:
        """Whether the output layer, which may be the embedding table, is trained."""
        head = [s for s in self.sizes if s.name.endswith("lm_head.weight")]
        return head[0].trained if head else self.embedding_trained

    def first_with_gradient(self, views: int) -> float:
        """Return the first layer that passes a gradient on to its input: -1 for all layers, infinity for none."""
        features = views and (self.trained("projector") or self.trained("experts"))
        if self.embedding_trained or features:
            return -1
        return next((k for k, own in self.by_layer.items() if any(s.trained for _, s in own)), math.inf)


def count_costs(model: Model, load: Load, short_attention: bool = True) -> Costs:
    """Return operations and bytes of a micro-batch.

    Args:
        model: The shapes.
        load: The micro-batch.
        short_attention: Whether attention over short sequences is computed as on a CPU, see `sphinx_x.model.attention`.
    """
    views = round_up(load.views, VIEWS) if model.config.groups else 0
    shape = model.config.view_grid(), model.width, model.recipe.dtype
    experts = [_look(group, *shape) for group in model.config.group_configs()] if views else []
    vision, projectors = _vision_flops(model, experts, views)
    llm = _llm_flops(model, load, views, short_attention) + projectors
    return Costs(vision, llm, _activations(model, load, views, experts, short_attention))


# --- operations


def _vision_flops(model: Model, seen: Sequence[_Seen], views: int) -> tuple[float, float]:
    """Return the operations of the experts, and of projectors and alignment head."""
    back = 2 if model.trained("experts") else 0
    experts = (1 + back) * views * sum(s.flops for s in seen)
    passes = 1 + model.trained("projector") + model.trained("experts")
    length = model.config.tokens_per_view
    rows = sum(g.length * s.channels for g, s in zip(model.config.group_configs(), seen, strict=True)) if views else 0
    projectors = passes * 2 * views * rows * model.width
    if views and model.recipe.align.weight:
        flows = 1 + model.trained("align") + (model.trained("projector") or model.trained("experts"))
        projectors += flows * 2 * views * (length - 1) * model.width * model.recipe.align.frames * model.vocabulary
    return experts, projectors


def _llm_flops(model: Model, load: Load, views: int, short: bool) -> float:
    """Return the operations of the language model's layers and output layer."""
    T, R = round_up(load.tokens, TOKENS), max(round_up(load.trained, ROWS), ROWS)
    first, recompute = model.first_with_gradient(views), model.recipe.activation_checkpointing
    total = 0.0
    for k, parameters in model.by_layer.items():
        begun = k < first
        for name, size in parameters:
            if not size.matrix:
                continue
            flops = 2 * T * size.numbers * (model.chosen / size.experts if size.experts > 1 else 1)
            # the input of the first layer's queries, keys and values is not trained
            ahead = k == first and re.search("[qkv]_proj", name) and "lora_B" not in name
            inputs = not begun and not (ahead and not model.has("input_layernorm", layer=k))
            # recomputation ends with the last tensor that is kept, before the last matrix
            again = recompute and not begun and (size.experts > 1 or "down_proj" not in name)
            total += flops * (1 + inputs + size.trained + again)
        for rows, longest in _groups(load):
            forward = 4 * model.queries * rows * longest
            back = SHORT_BACK if short and longest <= SHORT else ATTENTION_BACK
            total += forward * (1 + (0 if begun else back + recompute))
    output = 2 * R * model.width * model.vocabulary
    return total + output * (1 + (first < math.inf) + model.output_trained)


# --- bytes


def _activations(model: Model, load: Load, views: int, seen: Sequence[_Seen], short: bool) -> float:
    """Return the peak: where the backward pass starts, within a layer's, or while frozen experts run."""
    T, R, s, D = round_up(load.tokens, TOKENS), max(round_up(load.trained, ROWS), ROWS), model.bytes, model.width
    attention = _kept_by_attention(model, load, short)
    kept = attention + _kept_by_feed_forward(model, T)
    recompute = model.recipe.activation_checkpointing
    first = model.first_with_gradient(views)
    layers = (model.layers if first < 0 else max(model.layers - first, 0)) * (s * D * T if recompute else kept)
    features = views * model.config.tokens_per_view * D * s
    vision = views * sum(x.kept for x in seen) if model.trained("experts") else 0
    base = T * (2 * s * model.head + 16) + features + vision
    loss = (4 + s) * D * T + 12 * R * model.vocabulary + s * R * D
    # a table that is also the output layer has two gradients, both held until they are added at the end
    table = s * model.vocabulary * D * model.embedding_trained
    back = table if model.config.tie_word_embeddings else 0
    norm = 24 * D * T + back
    again = kept if recompute else 0
    layer = again + _feed_forward_back(model, T) + back
    attended = again + attention - kept + _attention_back(model, load, short) + back
    looking = views * max((x.held for x in seen), default=0)
    most = max(loss, norm, layer, attended) if layers else loss
    return max(looking, base + layers + most, base + s * D * T + table + 2 * back)


def _feed_forward_back(model: Model, T: int) -> float:
    """Return the bytes of gradients held at once in the backward pass of the last layer's feed-forward part."""
    s, D, inner, k = model.bytes, model.width, model.inner, model.chosen if model.experts > 1 else 1
    own = s * model.experts * inner * D * model.has("down_proj")
    if model.experts == 1:
        return max(2 * s * inner * T, own + s * inner * T) + s * D * T
    return max(own + s * k * (inner + D) * T, 2 * own - s * k * D * T) + s * D * T


def _attention_back(model: Model, load: Load, short: bool) -> float:
    """Return the bytes held in the backward pass of the last layer's attention, besides what the forward pass kept.

    The longest group comes first, and each frees what it kept for its gradients.
    """
    s, Q = model.bytes, model.queries
    most, done = 0.0, 0.0
    for rows, longest in reversed(_groups(load)):
        fast = short and longest <= SHORT
        scores = 2 * s * model.heads * longest if fast else 2 * s * Q
        most = max(most, done + rows * (2 * s * Q + scores))
        done += rows * (s * (Q + 2 * model.keys) - _kept_by_row(model, longest, short))
    return s * model.width * round_up(load.tokens, TOKENS) + s * Q * sum(rows for rows, _ in _groups(load)) + most


def _groups(load: Load) -> list[tuple[int, int]]:
    """Return, for each group of samples, the rows that attention computes and how many keys each of them sees."""
    return [(len(members) * longest, longest) for members, longest in plan_groups(load.lengths)]


def _kept_by_row(model: Model, longest: int, short: bool) -> float:
    """Return the bytes that attention keeps for a row."""
    if short and longest <= SHORT:
        return model.bytes * (3 * model.queries + model.heads * longest)
    return model.bytes * (2 * model.queries + 2 * model.keys) + 4 * model.heads


def _kept_by_attention(model: Model, load: Load, short: bool) -> float:
    """Return the bytes that a decoder layer's attention keeps, with its norm."""
    T, s, D, Q = round_up(load.tokens, TOKENS), model.bytes, model.width, model.queries
    total = T * (4 * D + 4)  # the norm keeps its input in float32, and one number for each row
    total += T * s * D * (model.has("input_layernorm") + model.has("q_proj", "k_proj", "v_proj"))
    total += T * s * Q * model.has("o_proj")
    return total + sum(rows * _kept_by_row(model, longest, short) for rows, longest in _groups(load))


def _kept_by_feed_forward(model: Model, T: int) -> float:
    """Return the bytes that a decoder layer's feed-forward part keeps, with its norm."""
    s, D, inner = model.bytes, model.width, model.inner
    total = T * (4 * D + 4)
    total += T * s * D * (model.has("post_attention_layernorm") + model.has("gate_proj", "up_proj", "gate."))
    if model.experts > 1:  # a copy of a row for each of its experts, and the router's scores
        return total + T * (s * D + model.chosen * (s * (2 * D + 4 * inner) + 24) + 4 * model.experts + 4)
    return total + T * s * inner * (3 + model.has("down_proj"))


# --- visual experts


@dataclass(frozen=True)
class _Seen:
    """A group of experts applied to one view.

    Attributes:
        channels: Channels of its fused tokens.
        flops: Operations of the forward pass.
        kept: Bytes kept for the backward pass.
        held: Bytes held at once without one.
    """

    channels: int
    flops: float
    kept: float
    held: float


@lru_cache(maxsize=64)  # an estimate asks several times, and a study for many packs
def _look(config: GroupConfig, grid: ViewGrid, width: int, dtype: str) -> _Seen:
    """Apply a group of experts to the views of one image, without memory, and divide by their number."""
    count = grid.cells + grid.global_view  # some members scale the whole image before cutting it
    with torch.device("meta"):
        group = ExpertGroup(config, width).to(getattr(torch, dtype))
        views = torch.empty(count, 3, grid.view_height, grid.view_width)
    saved: list[Tensor] = []
    widest = [0]

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    def note(_: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        # besides a layer's output: a function of it, its input, and the residual
        widest[0] = max(widest[0], 2 * (given[0].nbytes + out.nbytes))

    for layer in group.experts.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            layer.register_forward_hook(note)
    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        tokens = group.fuse(views, grid)
    own = {parameter.untyped_storage()._cdata for parameter in group.parameters()}
    kept = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in saved}
    total = sum(size for key, size in kept.items() if key not in own)
    held = views.nbytes + widest[0]
    return _Seen(tokens.shape[-1], counter.get_total_flops() / count, total / count, held / count)
