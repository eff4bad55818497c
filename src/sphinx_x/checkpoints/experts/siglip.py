"""SigLIP's weights as the Transformers library and timm (and open_clip with it) name them."""

from __future__ import annotations

from sphinx_x.checkpoints.experts.base import HEAD, ExpertFile, Known, form
from sphinx_x.checkpoints.probe import number
from sphinx_x.checkpoints.rules import Rule, joined, numbered, renames, reshaped, weights_and_biases
from sphinx_x.model.experts.siglip import SiglipConfig

ENDS = ("weight", "bias")
MLP = {"mlp.fc1": "mlp.up", "mlp.fc2": "mlp.down"}
HEADS = {1152: 16, 1536: 16}
"""Number of heads by width, for SO400M and the giant, whose heads are wider than the usual 64."""
DEFAULT_HEADS = 12
"""The library's default where its configuration has no value."""


def _config(file: ExpertFile, patches: str, positions: str, axis: int, blocks: str, head: str) -> SiglipConfig:
    channels, patch = file.patch(patches)
    settings = file.settings.get("vision_config", file.settings)
    if settings.get("hidden_act", "gelu_pytorch_tanh") != "gelu_pytorch_tanh":
        raise file.refused(f"a SigLIP with {settings['hidden_act']}, which no member has")
    known = str(settings.get("model_type")).startswith("siglip")
    heads = DEFAULT_HEADS if known else HEADS.get(channels, channels // HEAD)
    heads = int(number(settings, "num_attention_heads", heads, 0, channels))
    if not heads or channels % heads:
        raise file.refused(f"{channels} channels are not {heads} heads; its config.json is wanted beside it")
    return SiglipConfig(
        patch=patch,
        channels=channels,
        depth=file.count(blocks),
        heads=heads,
        hidden=file.length(f"{blocks}0.mlp.fc1.weight", 0, SiglipConfig.hidden),
        positions=file.square(positions, axis),
        eps=number(settings, "layer_norm_eps", 1e-6, 0, 1),
        mean=file.colors("image_mean", SiglipConfig.mean),
        std=file.colors("image_std", SiglipConfig.std),
        head=file.has(head),
    )


@form(
    "SigLIP",
    *("embeddings.patch_embedding.bias", "embeddings.position_embedding.weight", "post_layernorm.weight"),
    model_types=("siglip", "siglip_vision_model"),
)
def hub(file: ExpertFile) -> Known:
    """Recognise the Transformers library's names, with or without the text model, with or without the head."""
    if len(file.shape("embeddings.patch_embedding.weight")) == 2:
        raise file.refused("a SigLIP 2 for any shape of image (NaFlex), which no member has; take one of a fixed size")
    names = ("embeddings.patch_embedding.weight", "embeddings.position_embedding.weight", 0, "encoder.layers.")
    config = _config(file, *names, "head.probe")
    return Known(config, hub_rules, ("embeddings.", "encoder.", "post_layernorm.", "head."))


def hub_rules(config: SiglipConfig, source: str, target: str) -> list[Rule]:
    """Return the rules for the library's names."""
    pairs = weights_and_biases({"embeddings.patch_embedding": "patch_embed", "post_layernorm": "norm"})
    if config.head:
        same = ("probe", "attention.in_proj_weight", "attention.in_proj_bias")
        pairs |= {f"head.{name}": f"head.{name}" for name in same}
        parts = {"attention.out_proj": "attention.out_proj", "layernorm": "norm", **MLP}
        pairs |= weights_and_biases({f"head.{theirs}": f"head.{ours}" for theirs, ours in parts.items()})
    layers = {"layer_norm1": "norm1", "self_attn.out_proj": "out", "layer_norm2": "norm2", **MLP}
    pairs |= numbered(config.depth, "encoder.layers.", "blocks.", layers)
    blocks = [(f"{source}encoder.layers.{k}.self_attn", f"{target}blocks.{k}.qkv") for k in range(config.depth)]
    names = [(f"{old}.{{}}_proj.{end}", f"{new}.{end}") for old, new in blocks for end in ENDS]
    qkv = [joined(tuple(old.format(x) for x in "qkv"), new) for old, new in names]
    table, width = f"{source}embeddings.position_embedding.weight", config.channels
    positions = reshaped(table, f"{target}position_embed", (-1, width), (1, -1, width))
    return [*renames(pairs, source, target), positions, *qkv]


@form("SigLIP", "patch_embed.proj.weight", "attn_pool.latent")
def timm(file: ExpertFile) -> Known:
    """Recognise timm's and open_clip's names; computed as in training, with the tanh form of GELU."""
    config = _config(file, "patch_embed.proj.weight", "pos_embed", 1, "blocks.", "attn_pool.latent")
    return Known(config, timm_rules, ("patch_embed.", "pos_embed", "blocks.", "norm.", "attn_pool."))


def timm_rules(config: SiglipConfig, source: str, target: str) -> list[Rule]:
    """Return the rules for timm's names, whose pooling keeps the query apart from key and value."""
    layers = {"norm1": "norm1", "attn.qkv": "qkv", "attn.proj": "out", "norm2": "norm2", **MLP}
    pairs = numbered(config.depth, "blocks.", "blocks.", layers)
    pool = {"attn_pool.proj": "head.attention.out_proj", "attn_pool.norm": "head.norm"}
    pool |= {f"attn_pool.{theirs}": f"head.{ours}" for theirs, ours in MLP.items()}
    pairs |= weights_and_biases({"patch_embed.proj": "patch_embed", "norm": "norm", **pool})
    pairs |= {"pos_embed": "position_embed", "attn_pool.latent": "head.probe"}
    ours = f"{target}head.attention.in_proj_"
    parts = {end: tuple(f"{source}attn_pool.{part}.{end}" for part in ("q", "kv")) for end in ENDS}
    return [*renames(pairs, source, target), *(joined(parts[end], f"{ours}{end}", (1, 2)) for end in ENDS)]
