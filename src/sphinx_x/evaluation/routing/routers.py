"""The routers of a language model with sparse experts: found by what they have, changed for a while, and put back.

The library's models agree on a form: a router is a module with its own `weight` (E, D) and a number `top_k`, and
returns (logits, weights, indices), of which the last two (T, k) say how much of which experts a token gets. A router is
found by this form and not by its class, so that a model that is new to the library is found as well.

Shapes: T tokens, E experts, k experts a token goes to, D width.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from sphinx_x.errors import DataError

LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")


@dataclass(frozen=True)
class Routers:
    """The routers of a language model, in the order of its layers.

    Attributes:
        config: The language model's configuration.
        modules: The routers.
        blocks: The modules that hold them, one each.
        layers: The numbers of their layers, from 0; a model may have layers without experts.
        experts: Number of experts of a layer.
        active: Number of experts a token goes to.
    """

    config: Any
    modules: tuple[Any, ...]
    blocks: tuple[Any, ...]
    layers: tuple[int, ...]
    experts: int
    active: int

    @property
    def most(self) -> int:
        """The number of experts that a token can go to at most: all, or those of the groups that a router admits."""
        return min(_admitted(router, self.experts) for router in self.modules)


def find_routers(language_model: nn.Module) -> Routers:
    """Return the routers of a language model of the library.

    Raises:
        DataError: The model has no sparse experts, its routers are none that this package can read, or they differ from
            layer to layer.
    """
    config: Any = language_model.config
    held = {id(child): block for block in language_model.modules() for child in block.children()}
    found = [(name, module) for name, module in language_model.named_modules() if _is_router(module)]
    if not found:
        experts = _has_experts(config.to_dict())
        reason = "its routers are of no kind that can be watched" if experts else "it has no sparse mixture of experts"
        raise DataError(f"--routing: the language model is a {config.model_type}: {reason}")
    modules: list[Any] = [module for _, module in found]
    sizes = {(len(module.weight), module.top_k) for module in modules}
    if len(sizes) > 1:
        raise DataError(f"--routing: the layers of this {config.model_type} differ in their numbers of experts")
    [(experts, active)] = sizes
    numbered = [LAYER.search(f"{name}.") for name, _ in found]
    layers = tuple(int(match[1]) if match else place for place, match in enumerate(numbered))
    blocks = tuple(held[id(module)] for module in modules)
    return Routers(config, tuple(modules), blocks, layers, experts, active)


def _is_router(module: Any) -> bool:
    weight = dict(module.named_parameters(recurse=False)).get("weight")
    return weight is not None and weight.ndim == 2 and isinstance(getattr(module, "top_k", None), int)


def _has_experts(settings: Mapping[str, Any]) -> bool:
    """Return whether a configuration speaks of several experts, under whatever name (Dbrx has it in `ffn_config`)."""
    parts = [value for value in settings.values() if isinstance(value, Mapping)]
    numbers = [value for name, value in settings.items() if "experts" in str(name) and isinstance(value, int)]
    return max(numbers, default=0) > 1 or any(map(_has_experts, parts))


def _admitted(router: Any, experts: int) -> int:
    # DeepSeek's routers look for experts in the best few groups only; a token can go to no others
    groups = getattr(router, "num_group", None) or 1
    return experts if groups == 1 else router.topk_group * (experts // groups)


@contextmanager
def active_experts(routers: Routers, count: int) -> Iterator[None]:
    """Let each token go to `count` experts within the context.

    The weights of the chosen experts are made by the model's own code (a Mixtral's always add up to 1).

    Raises:
        DataError: A token cannot go to so many experts.
    """
    if not 1 <= count <= routers.most:
        raise DataError(f"--routing: a token goes to 1 to {routers.most} experts of this model, not to {count}")
    with ExitStack() as changed:
        for module in (*routers.modules, *routers.blocks):
            if hasattr(module, "top_k"):
                changed.enter_context(_attribute(module, "top_k", count))
        if hasattr(routers.config, "num_experts_per_tok"):
            changed.enter_context(_attribute(routers.config, "num_experts_per_tok", count))
        yield


@contextmanager
def without_experts(routers: Routers, removed: Sequence[Sequence[int]]) -> Iterator[None]:
    """Remove experts within the context; the routers choose among the rest, as if there were no others.

    A router loses the rows of the removed experts, so that its own code normalises over the rest. What it returns is
    numbered as before.

    Args:
        routers: The routers.
        removed: The numbers of the experts that each layer loses.

    Raises:
        DataError: Too few experts are left, or the routers know experts by more than their own tensors.
    """
    with ExitStack() as changed:
        for router, block, gone in zip(routers.modules, routers.blocks, removed, strict=True):
            kept = sorted(set(range(routers.experts)) - set(gone))
            if len(kept) < routers.active:
                raise DataError(f"--routing: {len(kept)} experts are left, but a token goes to {routers.active}")
            _check_removable(routers, router, block)
            for name, tensor in _own(router):
                if tensor.shape[:1] == (routers.experts,):
                    rest = tensor.detach()[kept]
                    rest = nn.Parameter(rest, requires_grad=False) if isinstance(tensor, nn.Parameter) else rest
                    changed.enter_context(_attribute(router, name, rest))
            if hasattr(router, "num_experts"):
                changed.enter_context(_attribute(router, "num_experts", len(kept)))
            # before all other hooks, which are to see the experts' own numbers
            hook = router.register_forward_hook(_renumbering(kept), prepend=True)
            changed.callback(hook.remove)
        yield


def _renumbering(kept: Sequence[int]) -> Any:
    def renumber(_: Any, __: Any, output: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        logits, weights, indices = output
        return logits, weights, indices.new_tensor(kept)[indices]

    return renumber


def _own(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]


def _check_removable(routers: Routers, router: Any, block: nn.Module) -> None:
    """Raise DataError for a router that would go on counting with the removed experts."""
    # Ernie keeps a bias of each expert in a child of its router, Afmoe in the block that holds the router
    elsewhere = [*_own(block), *(pair for child in router.children() for pair in _own(child))]
    by_expert = any(tensor.shape[-1:] == (routers.experts,) for _, tensor in elsewhere)
    if by_expert or _admitted(router, routers.experts) < routers.experts:
        kind = routers.config.model_type
        raise DataError(f"--routing: experts of a {kind} cannot be removed (biases elsewhere, or groups of experts)")


@contextmanager
def _attribute(holder: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(holder, name)
    setattr(holder, name, value)
    try:
        yield
    finally:
        setattr(holder, name, before)
