"""DINOv2's weights as its own code and the Transformers library name them."""

from __future__ import annotations

from functools import partial

from sphinx_x.checkpoints.experts.base import HEAD, ExpertFile, Known, form, official
from sphinx_x.checkpoints.rules import Rule, joined, numbered, renames, weight_and_bias
from sphinx_x.model.experts.dinov2 import DinoV2Config


def sizes(file: ExpertFile) -> DinoV2Config:
    """Infer the configuration from the names of DINOv2's own code."""
    channels, patch = file.patch("patch_embed.proj.weight")
    swiglu = not file.has("blocks.0.mlp.fc2.weight")
    file.shape("pos_embed", 3)
    return DinoV2Config(
        patch=patch,
        channels=channels,
        depth=file.count("blocks."),
        heads=channels // HEAD,
        hidden=file.length(f"blocks.0.mlp.{'w3' if swiglu else 'fc2'}.weight", 1, DinoV2Config.hidden),
        swiglu=swiglu,
        positions=file.square("pos_embed", 1, more=1),
    )


def rules(config: DinoV2Config, source: str, target: str) -> list[Rule]:
    """Return the rules for the names of DINOv2's own code."""
    pairs = {"cls_token": "class_token", "pos_embed": "position_embed"}
    pairs |= {**weight_and_bias("patch_embed.proj", "patch_embed"), **weight_and_bias("norm", "norm")}
    mlp = {"mlp.w12": "mlp.gate_up", "mlp.w3": "mlp.down"}
    if not config.swiglu:
        mlp = {"mlp.fc1": "mlp.up", "mlp.fc2": "mlp.down"}
    layers = {"norm1": "norm1", "attn.qkv": "qkv", "attn.proj": "out", "norm2": "norm2", **mlp}
    pairs |= numbered(config.depth, "blocks.", "blocks.", layers)
    for k in range(config.depth):
        pairs |= {f"blocks.{k}.ls{n}.gamma": f"blocks.{k}.scale{n}" for n in (1, 2)}
    return renames(pairs, source, target)


official("dinov2", "dinov2_vitg14.", sizes, rules)


@form("DINOv2", "patch_embed.proj.weight", "cls_token")
def own(file: ExpertFile) -> Known:
    """Recognise the names of DINOv2's own code."""
    _no_registers(file, "register_tokens")
    return Known(sizes(file), rules, ("cls_token", "pos_embed", "patch_embed.", "blocks.", "norm."))


def _no_registers(file: ExpertFile, name: str) -> None:
    if file.has(name):
        raise file.refused("a DINOv2 with register tokens, which no member has; take the one without")


@form("DINOv2", "embeddings.patch_embeddings.projection.weight", model_types=("dinov2",))
def hub(file: ExpertFile) -> Known:
    """Recognise the Transformers library's names, before and since its version 5."""
    _no_registers(file, "embeddings.register_tokens")
    channels, patch = file.patch("embeddings.patch_embeddings.projection.weight")
    layer = "encoder.layer.0."
    if not file.has(f"{layer}layer_scale1.lambda1"):  # ViT, Swin, BEiT and others have the same first names
        raise file.refused(f"a {file.model_type} and no DINOv2, which no member has")
    if file.settings.get("num_attention_heads", channels // HEAD) != channels // HEAD:
        raise file.refused(f"heads that are not {HEAD} wide, which no DINOv2 has")
    swiglu = not file.has(f"{layer}mlp.fc2.weight")
    config = DinoV2Config(
        patch=patch,
        channels=channels,
        depth=file.count("encoder.layer."),
        heads=channels // HEAD,
        hidden=file.shape(f"{layer}mlp.{'weights_out' if swiglu else 'fc2'}.weight")[1],
        swiglu=swiglu,
        positions=file.square("embeddings.position_embeddings", 1, more=1),
    )
    inside = ("embeddings.cls", "embeddings.position", "embeddings.patch", "encoder.", "layernorm.")
    return Known(config, partial(_hub_rules, newer=file.has(f"{layer}attention.q_proj.weight")), inside)


def _hub_rules(config: DinoV2Config, source: str, target: str, newer: bool) -> list[Rule]:
    """Return the rules for the library's names; `newer` means its names since version 5."""
    pairs = {
        "embeddings.cls_token": "class_token",
        "embeddings.position_embeddings": "position_embed",
        **weight_and_bias("embeddings.patch_embeddings.projection", "patch_embed"),
        **weight_and_bias("layernorm", "norm"),
    }
    mlp = {"mlp.weights_in": "mlp.gate_up", "mlp.weights_out": "mlp.down"}
    if not config.swiglu:
        mlp = {"mlp.fc1": "mlp.up", "mlp.fc2": "mlp.down"}
    attention = [f"attention.{x}_proj" for x in "qkvo"]
    if not newer:
        attention = [*(f"attention.attention.{part}" for part in ("query", "key", "value")), "attention.output.dense"]
    layers = {"norm1": "norm1", attention[3]: "out", "norm2": "norm2", **mlp}
    pairs |= numbered(config.depth, "encoder.layer.", "blocks.", layers)
    rules = []
    for k in range(config.depth):
        old, new = f"encoder.layer.{k}", f"blocks.{k}"
        pairs |= {f"{old}.layer_scale{n}.lambda1": f"{new}.scale{n}" for n in (1, 2)}
        for end in ("weight", "bias"):
            parts = tuple(f"{source}{old}.{part}.{end}" for part in attention[:3])
            rules.append(joined(parts, f"{target}{new}.qkv.{end}"))
    return [*renames(pairs, source, target), *rules]
