"""One micro-batch forward and backward on tensors that have a shape but no memory: what it computes and what it keeps.

Nothing is loaded and nothing is multiplied, so SPHINX-MoE is rehearsed on a laptop in seconds. Operations and memory
are those of the very modules that train, not of formulas that would have to be kept like them.

Shapes: V views, T tokens of the row, R rows that predict a trained token, D width of the LLM.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from transformers.initialization import no_init_weights

from sphinx_x.errors import RecipeError
from sphinx_x.model import attention, moe
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.model.moe import Experts
from sphinx_x.model.packed import ROWS, TOKENS, VIEWS, Pack, plan_pack, round_up
from sphinx_x.training.alignment import AlignmentHead
from sphinx_x.training.objective import Objective
from sphinx_x.training.packing import MicroBatch
from sphinx_x.training.parts import freeze
from sphinx_x.training.recipe import LoraRecipe, Recipe


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
class Rehearsal:
    """Operations of a micro-batch (a multiplication and an addition are two), forward and backward together, and the
    most bytes that are held at any moment beside weights and gradients."""

    vision_flops: int
    llm_flops: int
    activations: int


def build(config: SphinxXConfig, recipe: Recipe) -> Objective:
    """What the recipe trains, with its frozen parts and adapters. Call it where tensors need no memory (on the meta
    device, in a `FakeTensorMode`)."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, recipe.dtype))
    try:
        with no_init_weights():
            model = SphinxXForConditionalGeneration(config)
        model.tie_weights()
        text = config.text_config
        head = _Head(text.hidden_size, text.vocab_size, recipe.align.frames) if recipe.align.weight else None
        objective = Objective(model, head).train()
        freeze(objective, recipe.freeze)
        if recipe.lora is not None:
            model.requires_grad_(False)
            _adapt(model.model.language_model, recipe.lora)
        return objective
    finally:
        torch.set_default_dtype(before)


class _Head(AlignmentHead):
    """The head without its texts: all it computes but the sums along the paths of a text."""

    def forward(self, features_VND: Tensor, examples: Any) -> tuple[Tensor, int]:
        """See `AlignmentHead.forward`."""
        scores = self.scores(features_VND[:, 1:]).unflatten(-1, (self.frames, -1))
        return scores.float().log_softmax(-1).mean(), 0


def _adapt(language_model: nn.Module, lora: LoraRecipe) -> None:
    """Gives every layer that the recipe names an adapter, which computes what PEFT's would. Raises `RecipeError` where
    there is no such layer."""
    found = set()
    for name, layer in list(language_model.named_modules()):
        target = name.rpartition(".")[2]
        if isinstance(layer, nn.Linear) and target in lora.targets:
            down, up = nn.Linear(layer.in_features, lora.rank, False), nn.Linear(lora.rank, layer.out_features, False)
            layer.lora_pair = nn.ModuleList([down, up])
            layer.register_forward_hook(lambda _, x, y, down=down, up=up: y + up(down(x[0])) * 2.0)
            found.add(target)
    missing = [target for target in lora.targets if target not in found]
    if missing or not found:
        raise RecipeError(f"lora.targets: {', '.join(missing) or 'nothing'}: no linear layer of this language model")


def slice_of(config: SphinxXConfig, ranks: int) -> SphinxXConfig:
    """The model as one of `ranks` ranks computes it that share the matrices of every layer: fewer heads, fewer hidden
    units. Embedding and output layer stay whole."""
    config = copy.deepcopy(config)
    text: Any = config.text_config
    text.head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    text.num_attention_heads = max(text.num_attention_heads // ranks, 1)
    text.num_key_value_heads = max(text.num_key_value_heads // ranks, 1)
    text.intermediate_size = max(text.intermediate_size // ranks, 1)
    return config


def rehearse(config: SphinxXConfig, recipe: Recipe, load: Load, short_attention: bool = True) -> Rehearsal:
    """Runs one micro-batch of `load` without memory. short_attention: whether short sequences are attended to as on a
    CPU, see `sphinx_x.model.attention`."""
    pack = plan_pack(load.lengths, total=round_up(load.tokens, TOKENS))
    with ExitStack() as stack:
        fake = stack.enter_context(FakeTensorMode())
        stack.enter_context(_close_groups())
        if not short_attention:
            stack.enter_context(_long_attention())
        objective = build(config, recipe)
        trunk: Any = objective.model.model
        if recipe.recompute:
            objective.recompute()
        for parameter in objective.parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(lambda p: setattr(p, "grad", None))
        gathered = {name: fake.from_tensor(getattr(pack, name)) for name in ("position_ids", "gather", "put_back")}
        meter = stack.enter_context(Meter())
        vision, features = [0], trunk.get_image_features

        def counted(*args: Any, **kwargs: Any) -> Any:
            out = features(*args, **kwargs)
            vision[0] = meter.flops
            return out

        trunk.get_image_features = counted
        _without_numbers(objective)
        losses, align, *_ = objective(_micro_batch(trunk, load, replace(pack, **gathered)))
        forward = meter.flops - vision[0]
        (losses.sum() + align).backward()
        backward = meter.flops - forward - vision[0]
        # the vision's part of the backward pass: inputs and weights, each as many as forward, or nothing
        behind = 2 * vision[0] if any(p.requires_grad for p in _experts(trunk)) else 0
    return Rehearsal(vision[0] + behind, forward + backward - behind, meter.peak)


def _experts(trunk: Any) -> Iterator[nn.Parameter]:
    return (p for group in trunk.vision.groups for p in group.experts.parameters())


def _without_numbers(objective: Any) -> None:
    """Takes over what asks for the values of tensors, where there are none: which experts a token goes to, and how many
    slots there are. Neither changes what is computed or held."""
    trunk = objective.model.model
    trunk.embed = partial(_embed, trunk)
    objective._routing = lambda routers, micro: (torch.zeros(()), torch.empty(0))
    for module in trunk.language_model.modules():
        if isinstance(module, Experts):
            module._sorted = partial(_sorted, module.num_experts)


def _sorted(experts: int, chosen_Tk: Tensor) -> tuple[Tensor, Tensor]:
    """See `Experts._sorted`."""
    return chosen_Tk.flatten().argsort(stable=True), torch.zeros(experts, dtype=torch.int64)


def _embed(trunk: Any, ids: Tensor, features: Tensor | None) -> Tensor:
    """As the model does it, but for the check that slots and features are as many, which needs numbers."""
    embeddings = trunk.get_input_embeddings()(ids)
    if features is None:
        return embeddings
    slots = (ids == trunk.config.image_token_id)[..., None]
    return embeddings.masked_scatter(slots, features.to(embeddings.dtype))


def _micro_batch(trunk: Any, load: Load, pack: Pack) -> MicroBatch:
    grid, row = trunk.config.view_grid(), pack.position_ids.shape[1]
    seen = round_up(load.views, VIEWS) if len(trunk.vision.groups) else 0
    views = torch.empty((seen, 3, grid.view_height, grid.view_width), dtype=torch.uint8)
    rows = torch.zeros(max(round_up(load.trained, ROWS), ROWS), dtype=torch.int64)
    ids = torch.zeros((1, row), dtype=torch.int64)
    views = views.contiguous(memory_format=torch.channels_last)
    return MicroBatch([], [row], ids, views, load.views if seen else 0, rows, rows, load.trained, pack)


class Meter(TorchDispatchMode):
    """Counts what is computed and held while it is entered.

    flops: of matrix products, convolutions and attention (all of its square, also where it is causal); now, peak: bytes
    of the tensors that were made since and are still there, and the most there were. (PyTorch's own counter of
    operations keeps tensors of a backward pass alive, so the two cannot be used together.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = function(*args, **kwargs)
        packet = function._overloadpacket
        if packet in _OWN:
            self.flops += _OWN[packet](*args)
        elif packet in flop_registry:
            self.flops += flop_registry[packet](*args, **kwargs, out_val=out)
        given = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in given | self._known:
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        size, key = storage.nbytes(), storage._cdata
        self.now += size
        self.peak = max(self.peak, self.now)
        self._known.add(key)

        def forget() -> None:
            self.now -= size
            self._known.discard(key)

        weakref.finalize(storage, forget)


def _product(a: Tensor, b: Tensor, *_: Any) -> int:
    """Rows times one of several matrices each, or the gradient of those matrices."""
    return 2 * a.shape[0] * a.shape[1] * b.shape[-1]


def _attended(query: Tensor, key: Tensor, *_: Any) -> int:
    """Scores and their sums of values."""
    return 2 * 2 * query.shape[0] * query.shape[1] * query.shape[2] * key.shape[2] * query.shape[3]


def _attended_back(_: Tensor, query: Tensor, key: Tensor, *__: Any) -> int:
    """The scores again, and four gradients."""
    return 5 * _attended(query, key) // 2


_OWN = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attended,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attended_back,
    torch.ops.aten._grouped_mm: _product,
}
"""Operations that PyTorch's list does not have."""


@contextmanager
def _close_groups() -> Iterator[None]:
    """The rows of experts one behind the other: the room that a CPU leaves between them depends on numbers.

    Where tensors have no memory, the grouped product takes bfloat16 alone; in float32, one product of the same size
    stands for it.
    """
    before = moe._spaced, moe._by_group, moe._outer_by_group

    def by_group(rows_RK: Tensor, weight_EKN: Tensor, ends_E: Tensor) -> Tensor:
        return rows_RK @ weight_EKN[0] if rows_RK.dtype == torch.float32 else before[1](rows_RK, weight_EKN, ends_E)

    def outer_by_group(left_RN: Tensor, right_RK: Tensor, ends_E: Tensor) -> Tensor:
        if left_RN.dtype != torch.float32:
            return before[2](left_RN, right_RK, ends_E)
        return (left_RN.mT @ right_RK).expand(len(ends_E), -1, -1).contiguous()

    moe._spaced = lambda counts_E, total: (None, counts_E.cumsum(0, dtype=torch.int32), total)
    moe._by_group, moe._outer_by_group = by_group, outer_by_group
    try:
        yield
    finally:
        moe._spaced, moe._by_group, moe._outer_by_group = before


@contextmanager
def _long_attention() -> Iterator[None]:
    """Attention as on an accelerator."""
    before, attention.SHORT = attention.SHORT, 0
    try:
        yield
    finally:
        attention.SHORT = before
