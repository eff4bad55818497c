"""The weights of CLIP's vision transformer as open_clip names them."""

from __future__ import annotations

from sphinx_x.checkpoints.experts.base import HEAD, ExpertFile, Known, form, official
from sphinx_x.checkpoints.rules import Rule, numbered, renames, reshaped, weight_and_bias
from sphinx_x.model.experts.clip import ClipConfig


def sizes(file: ExpertFile, head: int = HEAD) -> ClipConfig:
    """Infer the configuration from open_clip's names; `head` is the width of an attention head."""
    channels, patch = file.patch("conv1.weight")
    file.shape("positional_embedding", 2)
    return ClipConfig(
        patch=patch,
        channels=channels,
        depth=file.count("transformer.resblocks."),
        heads=channels // head,
        hidden=file.length("transformer.resblocks.0.mlp.c_fc.weight", 0, ClipConfig.hidden),
        positions=file.square("positional_embedding", 0, more=1),
    )


def rules(config: ClipConfig, source: str, target: str) -> list[Rule]:
    """Return the rules for open_clip's names of the vision transformer."""
    pairs = {
        "conv1.weight": "patch_embed.weight",
        **weight_and_bias("ln_pre", "pre_norm"),
        **weight_and_bias("ln_post", "norm"),
    }
    layers = {"ln_1": "norm1", "attn.out_proj": "out", "ln_2": "norm2", "mlp.c_fc": "mlp.up", "mlp.c_proj": "mlp.down"}
    pairs |= numbered(config.depth, "transformer.resblocks.", "blocks.", layers)
    for k in range(config.depth):
        old, new = f"transformer.resblocks.{k}", f"blocks.{k}"
        pairs |= {f"{old}.attn.in_proj_{kind}": f"{new}.qkv.{kind}" for kind in ("weight", "bias")}
    channels, positions = config.channels, 1 + config.positions[0] * config.positions[1]
    return [
        reshaped(f"{source}class_embedding", f"{target}class_token", (channels,), (1, 1, channels)),
        reshaped(
            f"{source}positional_embedding",
            f"{target}position_embed",
            (positions, channels),
            (1, positions, channels),
        ),
        *renames(pairs, source, target),
    ]


official("clip", "clip.visual.", sizes, rules)


@form("CLIP", "conv1.weight", "class_embedding")
def open_clip(file: ExpertFile) -> Known:
    """Recognise open_clip's names."""
    model = file.settings.get("model_cfg", {})
    if model.get("quick_gelu"):
        raise file.refused("a CLIP with QuickGELU, which no member has")
    config = sizes(file, model.get("vision_cfg", {}).get("head_width", HEAD))
    inside = ("class_embedding", "positional_embedding", "conv1.", "ln_pre.", "ln_post.", "transformer.")
    return Known(config, rules, inside)
