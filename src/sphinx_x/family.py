"""The family as a table: visual experts, views and LLM of every member (paper, sections 3.1 and 3.4, table 9).

A member is data. Nothing here loads weights; `build_config` returns the configuration that a member's model is made
from.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from sphinx_x.errors import SphinxXError
from sphinx_x.model.views import ViewGrid, plan_views

CONVNEXT_XXL = {"kind": "convnext"}
DINOV2_GIANT = {"kind": "dinov2"}
SIGLIP_SO400M = {"kind": "siglip"}
"""The experts of the big members are the defaults of `ConvNextConfig`, `DinoV2Config` and `SiglipConfig`."""

EFFICIENTNET_LITE2 = {"kind": "efficientnet", "height": 256, "width": 256}
DINOV2_SMALL = {"kind": "dinov2", "channels": 384, "depth": 12, "heads": 6, "hidden": 1536, "swiglu": False}

NANO_VIEW = (48, 384)
NANO_CONVNEXT = {
    "kind": "convnext",
    "height": NANO_VIEW[0],
    "width": NANO_VIEW[1],
    "channels": (48, 128, 192, 256),
    "depths": (1, 2, 2, 2),
    "strides": ((4, 4), (2, 2), (2, 1), (3, 1)),
    "kernel": 3,
    "eps": 1e-5,
}
NANO_DINOV2 = {
    "kind": "dinov2",
    "height": NANO_VIEW[0],
    "width": NANO_VIEW[1],
    "patch": (48, 8),
    "channels": 192,
    "depth": 4,
    "heads": 3,
    "hidden": 576,
    "swiglu": False,
    "positions": (1, 48),
}


@dataclass(frozen=True)
class Member:
    """One member of the family.

    Attributes:
        lines: How it reads lines of text and finds objects in images, as fields of a `LineReader`; None if it does not.
        published: Parameter counts of its published parts, by name.
    """

    name: str
    llm_name: str
    llm: dict[str, Any]
    views: ViewGrid = field(default_factory=ViewGrid)
    groups: tuple[dict[str, Any], ...] = ({"experts": (CONVNEXT_XXL, DINOV2_GIANT), "tokens": (16, 16)},)
    template: str = "sphinx"
    box_decimals: int = 2
    lines: dict[str, Any] | None = None
    published: dict[str, int] = field(default_factory=dict)


IMAGE_VOCABULARY = 4
"""Number of tokens that images add to a vocabulary: slot, start, end, skip. Lines add one more."""


def _llama(
    width: int, layers: int, heads: int, groups: int, hidden: int, vocabulary: int, **more: Any
) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "intermediate_size": hidden,
        "vocab_size": vocabulary + IMAGE_VOCABULARY,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        **more,
    }


_EXPERTS = {"ConvNeXt-XXL": 843_400_000, "DINOv2-g": 1_136_500_000}

MEMBERS = {
    member.name: member
    for member in (
        Member(
            name="nano",
            llm_name="byte Llama, 4 layers",
            llm={
                **_llama(256, 4, 4, 4, 704, 262, max_position_embeddings=4096, tie_word_embeddings=True),
                "rms_norm_eps": 1e-6,
                "initializer_range": 0.06,
                "pad_token_id": 0,
                "bos_token_id": 1,
                "eos_token_id": 2,
            },
            views=ViewGrid(16, 2, *NANO_VIEW, global_view=False, max_upscale=1.0),
            groups=({"experts": (NANO_CONVNEXT, NANO_DINOV2), "tokens": (1, 48)},),
            template="tokens",
            box_decimals=3,
        ),
        Member(
            name="smol",
            llm_name="SmolLM2-135M",
            llm=_llama(
                *(576, 30, 9, 3, 1536, 49152 + 1),  # the token of lines
                **{"rope_theta": 1e5, "max_position_embeddings": 8192, "tie_word_embeddings": True},
            ),
            views=ViewGrid(2, 2, 256, 256),
            # both maps have 8 x 8 positions or a multiple: 335 visual tokens at most
            groups=({"experts": (EFFICIENTNET_LITE2, DINOV2_SMALL), "tokens": (8, 8)},),
            template="chatml",
            lines={"engine": "pp-ocrv6", "least_confidence": 0.5, "enough": 24, "objects": "ssd-mobilenetv2"},
            published={"SmolLM2-135M": 134_515_008, "EfficientNet-Lite2": 4_782_024, "DINOv2-S/14": 22_056_576},
        ),
        Member(
            name="tiny",
            llm_name="TinyLlama-1.1B",
            llm=_llama(2048, 22, 32, 4, 5632, 32000, max_position_embeddings=2048),
            published={"TinyLlama-1.1B": 1_100_048_384, **_EXPERTS},
        ),
        Member(
            name="tiny-sig",
            llm_name="TinyLlama-1.1B",
            llm=_llama(2048, 22, 32, 4, 5632, 32000, max_position_embeddings=2048),
            groups=({"experts": (SIGLIP_SO400M, DINOV2_GIANT), "tokens": (16, 16)},),
            published={
                "TinyLlama-1.1B": 1_100_048_384,
                "SigLIP-SO400M/14": 428_225_600,
                "DINOv2-g": _EXPERTS["DINOv2-g"],
            },
        ),
        Member(
            name="intern2",
            llm_name="InternLM2-7B",
            llm=_llama(4096, 32, 32, 8, 14336, 92544, rope_theta=1e6, max_position_embeddings=32768),
            published={"InternLM2-7B": 7_737_708_544, **_EXPERTS},
        ),
        Member(
            name="plus",
            llm_name="LLaMA2-13B",
            llm=_llama(5120, 40, 40, 40, 13824, 32000, max_position_embeddings=4096),
            published={"LLaMA2-13B": 13_015_864_320, **_EXPERTS},
        ),
        Member(
            name="plus-2k",
            llm_name="LLaMA2-13B",
            llm=_llama(5120, 40, 40, 40, 13824, 32000, max_position_embeddings=4096),
            views=ViewGrid(rows=3, columns=3),
            published={"LLaMA2-13B": 13_015_864_320, **_EXPERTS},
        ),
        Member(
            name="moe",
            llm_name="Mixtral-8x7B",
            llm={
                **_llama(4096, 32, 32, 8, 14336, 32000, rope_theta=1e6, max_position_embeddings=32768),
                "model_type": "mixtral",
                "num_local_experts": 8,
                "num_experts_per_tok": 2,
                "sliding_window": None,
            },
            published={"Mixtral-8x7B": 46_702_792_704, **_EXPERTS},
        ),
    )
}


def get_member(name: str) -> Member:
    """Return the member with that name; raise `SphinxXError` listing the known ones."""
    if name not in MEMBERS:
        raise SphinxXError(f"unknown member {name!r}; the family has {', '.join(MEMBERS)}")
    return MEMBERS[name]


def vary(
    member: Member,
    width: float = 1.0,
    experts: Sequence[str] | None = None,
    grid: tuple[int, int] | None = None,
    canvas: int | None = None,
    skip: bool | Literal["drop"] | None = None,
) -> Member:
    """Return a variant of a member for comparisons with it; nothing of it can be loaded from the member's weights.

    Args:
        member: The member; one with views cut from a canvas of bands, as SPHINX-Nano.
        width: Factor of every width: language model, visual experts and what is within them. Depth and number of heads
            stay; fresh weights get smaller as sums get longer.
        experts: The kinds of visual experts that stay (`convnext`, `dinov2`).
        grid: Rows and columns of the grid; a token shows as many pixels as before.
        canvas: Side of the canvas in pixels.
        skip: What happens to sub-images that are padding only, see `ViewGrid`.

    Raises:
        SphinxXError: There is no such variant.
    """
    if width != 1.0:
        member = _scaled(member, width)
    if experts is not None:
        member = replace(member, groups=tuple(_with_experts(group, experts) for group in member.groups))
    if grid is not None or canvas is not None:
        member = _with_grid(member, grid or (member.views.rows, member.views.columns), canvas or member.views.canvas)
    return member if skip is None else replace(member, views=replace(member.views, skip=skip))


def _scaled(member: Member, factor: float) -> Member:
    llm, heads = dict(member.llm), member.llm["num_attention_heads"]
    llm["hidden_size"] = _times(llm["hidden_size"], factor, 2 * heads)  # a head is turned by pairs of numbers
    llm["intermediate_size"] = _times(llm["intermediate_size"], factor)
    if "initializer_range" in llm:
        llm["initializer_range"] /= factor**0.5
    groups = []
    for group in member.groups:
        experts = [
            {name: _scaled_field(name, value, factor, expert.get("heads", 1)) for name, value in expert.items()}
            for expert in group["experts"]
        ]
        groups.append({**group, "experts": tuple(experts)})
    return replace(member, llm=llm, groups=tuple(groups))


def _scaled_field(name: str, value: Any, factor: float, heads: int) -> Any:
    if name == "channels":
        return tuple(_times(n, factor) for n in value) if isinstance(value, tuple) else _times(value, factor, 2 * heads)
    return _times(value, factor) if name == "hidden" else value


def _times(number: int, factor: float, multiple: int = 2) -> int:
    return max(round(number * factor / multiple), 1) * multiple


def _with_experts(group: dict[str, Any], kinds: Sequence[str]) -> dict[str, Any]:
    found = tuple(expert for expert in group["experts"] if expert["kind"] in kinds)
    missing = set(kinds) - {expert["kind"] for expert in found}
    if missing or not found:
        known = ", ".join(expert["kind"] for expert in group["experts"])
        raise SphinxXError(f"no expert {', '.join(sorted(missing)) or 'at all'}: the member has {known}")
    return {**group, "experts": found}


def _with_grid(member: Member, grid: tuple[int, int], canvas: int) -> Member:
    (rows, columns), before = grid, member.views
    if canvas % rows or canvas % columns:
        raise SphinxXError(f"grid: a canvas of {canvas} pixels cannot be cut into {rows} x {columns} equal views")
    size = canvas // rows, canvas // columns

    def positions(value: tuple[int, int]) -> tuple[int, int]:
        pairs = zip(value, size, (before.view_height, before.view_width), strict=True)
        exact = [Fraction(n * new, old) for n, new, old in pairs]
        if any(n.denominator != 1 for n in exact):
            raise SphinxXError(f"grid: views of {size[0]} x {size[1]} pixels are no whole number of tokens")
        return int(exact[0]), int(exact[1])

    groups = []
    for group in member.groups:
        experts = [
            {**expert, "height": size[0], "width": size[1]}
            | ({"positions": positions(expert["positions"])} if "positions" in expert else {})
            for expert in group["experts"]
        ]
        groups.append({**group, "experts": tuple(experts), "tokens": positions(group["tokens"])})
    views = replace(before, rows=rows, columns=columns, view_height=size[0], view_width=size[1])
    return replace(member, views=views, groups=tuple(groups))


def build_config(member: Member, tokens: Any = None) -> Any:
    """Return the `SphinxXConfig` of a member; `tokens` (`ImageTokens`) are by default the last of its vocabulary."""
    from sphinx_x.model.config import ImageTokens, SphinxXConfig

    count = IMAGE_VOCABULARY + (member.lines is not None)
    tokens = tokens or ImageTokens(*range(member.llm["vocab_size"] - count, member.llm["vocab_size"]))
    return SphinxXConfig(
        text_config=member.llm,
        groups=member.groups,
        views=member.views,
        image_token_id=tokens.slot,
        start_token_id=tokens.start,
        end_token_id=tokens.end,
        skip_token_id=tokens.skip,
        lines=member.lines,
        line_token_id=tokens.line,
    )


def new_model(member: Member, seed: int = 0) -> tuple[Any, Any]:
    """Return a member with fresh weights (float32), and its processor.

    Only SPHINX-Nano has its own tokenizer; the others start from a base LLM's.

    Raises:
        SphinxXError: The member has no tokenizer of its own.
    """
    import torch

    from sphinx_x.model.modeling import SphinxXForConditionalGeneration
    from sphinx_x.model.tokenizer import byte_tokenizer, image_tokens

    if member.name != "nano":
        raise SphinxXError(f"{member.name} starts from the weights and the tokenizer of {member.llm_name}")
    tokenizer = byte_tokenizer(member.lines is not None)
    config = build_config(member, image_tokens(tokenizer, member.lines is not None))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SphinxXForConditionalGeneration(config)
    return model, new_processor(member, tokenizer, config.tokens_per_view)


def new_processor(member: Member, tokenizer: Any, tokens_per_view: int) -> Any:
    """Return the processor of a member around a tokenizer that has the image tokens."""
    from sphinx_x.model.processing import build_processor

    template, decimals = member.template, member.box_decimals
    return build_processor(tokenizer, member.views, tokens_per_view, template, decimals, lines=member.lines)


@dataclass(frozen=True)
class Facts:
    """Size and memory needs of a member, in GB (10^9 bytes).

    Attributes:
        parameters: Number of parameters, counted; likewise the following three parts.
        llm: Those of the language model.
        experts: Those of the visual experts.
        projector: Those of the projectors, and of what embeds the places of lines.
        tokens: Number of tokens of one image.
        typical: Maps the name of an image shape to its visual tokens, with skipping.
        run: bfloat16 weights and the key-value cache of one full context.
        run8: The same with the LLM's matrices in 8 bits, on a GPU.
        run4: The same with the LLM's matrices in 4 bits, likewise.
        train: bfloat16 weights and, for what is trained, float32 masters, two moments and gradients, without
            activations; the large members' experts are frozen.
    """

    parameters: int
    llm: int
    experts: int
    projector: int
    tokens: int
    typical: dict[str, int]
    run: float
    run8: float
    run4: float
    train: float


QUANTIZED = {8: 1.0, 4: 0.516}
"""Bytes per weight on a GPU: int8, and NF4 with its scales quantised as well (`model.cpu_linear` has 1 and 0.625)."""
SHAPES = {"1:1": (1000, 1000), "3:2": (1500, 1000), "2:1": (2000, 1000), "3:1": (3000, 1000), "line of text": (800, 26)}


def cache_size(language_model: Any) -> int:
    """Return the bytes of the key-value cache of one full context in bfloat16, as the library itself would fill it.

    Args:
        language_model: A trunk on the meta device, whose type becomes bfloat16. A pass through it costs neither memory
            nor time, and leaves a cache of the right shapes whatever the architecture keeps there: heads with their own
            size (Qwen3), windows (Gemma 3), compressed keys and values (DeepSeek).
    """
    import torch

    text = language_model.config
    with torch.device("meta"), torch.no_grad():
        prompt_1TD = torch.empty(1, text.max_position_embeddings, text.hidden_size, dtype=torch.bfloat16)
        cache = language_model.bfloat16()(inputs_embeds=prompt_1TD, use_cache=True).past_key_values
    held = (value for layer in cache.layers for value in vars(layer).values())
    return sum(x.numel() * x.element_size() for x in held if isinstance(x, torch.Tensor) and x.is_floating_point())


def describe(member: Member) -> Facts:
    """Build the member without memory (on the meta device) and count."""
    import torch

    from sphinx_x.model.modeling import SphinxXForConditionalGeneration

    config = build_config(member)
    with torch.device("meta"):
        model = SphinxXForConditionalGeneration(config)
    groups = model.model.vision.groups
    total = sum(p.numel() for p in model.parameters())
    projector = sum(p.numel() for name, p in groups.named_parameters() if ".projector." in name)
    experts = sum(p.numel() for p in groups.parameters()) - projector
    if model.model.line_places is not None:
        projector += sum(p.numel() for p in model.model.line_places.parameters())
    view = config.tokens_per_view + 2
    layouts = {name: plan_views(*size, member.views) for name, size in SHAPES.items()}
    cache = cache_size(model.model.language_model)
    trained = total if member.name == "nano" else total - experts
    table = config.text_config.vocab_size * config.text_config.hidden_size
    # in 8 bits the output layer is not quantised; if it is the embedding table itself, never
    matrices = {8: total - experts - projector - table * (1 if config.tie_word_embeddings else 2)}
    matrices[4] = total - experts - projector - table
    saved = {bits: matrices[bits] * (2 - size) for bits, size in QUANTIZED.items()}
    return Facts(
        parameters=total,
        llm=total - experts - projector,
        experts=experts,
        projector=projector,
        tokens=(member.views.cells + member.views.global_view) * view,
        typical={name: layout.views * view + layout.skip_tokens for name, layout in layouts.items()},
        run=(2 * total + cache) / 1e9,
        run8=(2 * total + cache - saved[8]) / 1e9,
        run4=(2 * total + cache - saved[4]) / 1e9,
        train=(2 * total + trained * (4 + 8 + 2)) / 1e9,
    )


FACTS = Path(__file__).with_name("family.json")


def known_facts() -> dict[str, Facts]:
    """Return the results of `describe` for every member from a file: counting takes the libraries, and seconds."""
    return {name: Facts(**facts) for name, facts in json.loads(FACTS.read_text(encoding="utf-8")).items()}


def write_facts() -> None:
    """Count every member and write the file that `known_facts` reads."""
    facts = {name: asdict(describe(member)) for name, member in MEMBERS.items()}
    FACTS.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
