"""The weights of BLIP-2's Q-Former and its vision transformer, as the Transformers library names them."""

from __future__ import annotations

from sphinx_x.checkpoints.experts.base import HEAD, ExpertFile, Known, form, official
from sphinx_x.checkpoints.rules import Rule, numbered, renames, weight_and_bias
from sphinx_x.model.experts.qformer import QFormerConfig

EVA_HEAD = 88
"""Width of an attention head in the vision transformer (EVA-g)."""


def sizes(file: ExpertFile) -> QFormerConfig:
    """Infer the configuration from the library's names of BLIP-2."""
    vision_channels, patch = file.patch("vision_model.embeddings.patch_embedding.weight")
    layers, position = "qformer.encoder.layer.", "vision_model.embeddings.position_embedding"
    queries, channels = file.shape("query_tokens", 3)[1:]
    depth = file.count(layers)
    crossing = [k for k in range(depth) if file.has(f"{layers}{k}.crossattention.attention.query.weight")]
    file.shape(position, 3)
    return QFormerConfig(
        patch=patch,
        positions=file.square(position, 1, more=1),
        vision_channels=vision_channels,
        vision_depth=file.count("vision_model.encoder.layers."),
        vision_heads=vision_channels // EVA_HEAD,
        vision_hidden=file.length("vision_model.encoder.layers.0.mlp.fc1.weight", 0, QFormerConfig.vision_hidden),
        queries=queries,
        channels=channels,
        depth=depth,
        heads=channels // HEAD,
        hidden=file.length(f"{layers}0.intermediate_query.dense.weight", 0, QFormerConfig.hidden),
        cross_every=crossing[1] - crossing[0] if len(crossing) > 1 else depth,
    )


def rules(config: QFormerConfig, source: str, target: str) -> list[Rule]:
    """Return the rules for the library's names of BLIP-2 without its language model."""
    pairs = {
        "query_tokens": "queries",
        "vision_model.embeddings.class_embedding": "vision.class_token",
        "vision_model.embeddings.position_embedding": "vision.position_embed",
        **weight_and_bias("vision_model.embeddings.patch_embedding", "vision.patch_embed"),
        **weight_and_bias("vision_model.post_layernorm", "vision.norm"),
        **weight_and_bias("qformer.layernorm", "norm"),
    }
    layers = {"layer_norm1": "norm1", "self_attn.qkv": "qkv", "self_attn.projection": "out", "layer_norm2": "norm2"}
    layers |= {"mlp.fc1": "mlp.up", "mlp.fc2": "mlp.down"}
    pairs |= numbered(config.vision_depth, "vision_model.encoder.layers.", "vision.blocks.", layers)
    attention = {f"attention.{part}": part for part in ("query", "key", "value")}
    attention |= {"output.dense": "out", "output.LayerNorm": "norm"}
    for k in range(config.depth):
        old, new = f"qformer.encoder.layer.{k}", f"layers.{k}"
        kinds = {"attention": "attention"} | ({"crossattention": "cross"} if k % config.cross_every == 0 else {})
        for their_kind, kind in kinds.items():
            for theirs, ours in attention.items():
                pairs |= weight_and_bias(f"{old}.{their_kind}.{theirs}", f"{new}.{kind}.{ours}")
        pairs |= weight_and_bias(f"{old}.intermediate_query.dense", f"{new}.up")
        pairs |= weight_and_bias(f"{old}.output_query.dense", f"{new}.down")
        pairs |= weight_and_bias(f"{old}.output_query.LayerNorm", f"{new}.norm")
    return renames(pairs, source, target)


official("qformer", "qformer.", sizes, rules)


@form("Q-Former", "query_tokens", model_types=("blip-2", "blip_2_qformer"))
def hub(file: ExpertFile) -> Known:
    """Recognise the Transformers library's names, with or without BLIP-2's language model."""
    return Known(sizes(file), rules, ("query_tokens", "vision_model.", "qformer."))
