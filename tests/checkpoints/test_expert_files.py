"""Visual experts from files of their own give what the code they come from computes."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from base_weights import CONVNEXT, randomise, timm_names
from sphinx_x.checkpoints.experts import open_expert
from sphinx_x.errors import CheckpointError
from sphinx_x.model.experts import build_expert, read_expert
from sphinx_x.model.experts.convnext import ConvNext


@pytest.mark.parametrize("source", ["timm", "open_clip"])
def test_convnext_of_timm_and_open_clip(tmp_path, source):
    from sphinx_x.model.experts.convnext import ConvNextConfig
    from sphinx_x.model.resampling import CLIP_MEAN, IMAGENET_MEAN

    fields = {k: v for k, v in CONVNEXT.items() if k != "kind"}
    expert = randomise(ConvNext(ConvNextConfig(**fields, eps=1e-6)))
    state = timm_names(expert.state_dict())
    if source == "timm":
        state |= {"head.fc.weight": torch.zeros(10, 16), "head.fc.bias": torch.zeros(10)}
        save_file(state, tmp_path / "model.safetensors")
    else:
        state = {f"visual.trunk.{name}": tensor for name, tensor in state.items()}
        state |= {"visual.head.proj.weight": torch.zeros(4, 16), "logit_scale": torch.tensor(1.0)}
        state |= {"transformer.resblocks.0.ln_1.weight": torch.zeros(4)}
        torch.save(state, tmp_path / "open_clip_pytorch_model.bin")
    backbone = open_expert(tmp_path)
    assert backbone.kind == "convnext" and backbone.config.eps == 1e-6
    assert backbone.config.mean == (IMAGENET_MEAN if source == "timm" else CLIP_MEAN)
    assert _rebuilt(backbone, 32)(torch.ones(1, 3, 32, 32)).equal(expert.features(torch.ones(1, 3, 32, 32))[1])


def rebuilt(backbone, size: int):
    """The expert that a backbone makes."""
    from sphinx_x.checkpoints.rules import convert

    expert = build_expert(replace(backbone.config, height=size, width=size))
    part = backbone.part("")
    expert.load_state_dict(dict(convert(part.rules, part.source.read)))
    return expert.eval()


def _rebuilt(backbone, size: int):
    """The expert that a backbone makes, as a function from normalised pixels to its map."""
    expert = rebuilt(backbone, size)
    return lambda pixels: expert.features(pixels)[1]


@pytest.mark.parametrize("swiglu", [False, True])
@pytest.mark.parametrize("source", ["hub", "hub 4", "official"])
def test_dinov2_of_the_hub_and_official(tmp_path, swiglu, source):
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=1, image_size=35, patch_size=7, use_swiglu_ffn=swiglu
    )
    theirs = randomise(Dinov2Model(config))
    theirs.save_pretrained(tmp_path / "hub")
    from sphinx_x.checkpoints.weights import WeightFiles

    files = WeightFiles(tmp_path / "hub")
    saved = {name: files.read(name).clone() for name in files.tensors()}
    if source == "official":
        saved = official_dinov2(saved)
    elif source == "hub 4":  # as version 4 of the library called its modules; inside a classifier
        for old, new in (
            ("attention.q_proj", "attention.attention.query"),
            ("attention.k_proj", "attention.attention.key"),
        ):
            saved = {name.replace(old, new): tensor for name, tensor in saved.items()}
        for old, new in (
            ("attention.v_proj", "attention.attention.value"),
            ("attention.o_proj", "attention.output.dense"),
        ):
            saved = {name.replace(old, new): tensor for name, tensor in saved.items()}
        saved = {f"dinov2.{name}": tensor for name, tensor in saved.items()} | {"classifier.bias": torch.zeros(3)}
    path = tmp_path / ("dinov2_vits7_pretrain.pth" if source == "official" else "model.safetensors")
    torch.save(saved, path) if source == "official" else save_file(saved, path)
    backbone = open_expert(path)
    assert backbone.kind == "dinov2" and (backbone.config.swiglu, backbone.config.positions) == (swiglu, (5, 5))
    pixels = torch.randn(2, 3, 35, 35, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = theirs(pixels).last_hidden_state[:, 1:].transpose(1, 2)
        assert torch.allclose(_rebuilt(backbone, 35)(pixels).flatten(2), wanted, atol=1e-4)


def official_dinov2(saved: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The hub's tensors under the names of DINOv2's own code."""
    names = {"embeddings.cls_token": "cls_token", "embeddings.mask_token": "mask_token"}
    names |= {
        "embeddings.position_embeddings": "pos_embed",
        "embeddings.patch_embeddings.projection": "patch_embed.proj",
    }
    names |= {"encoder.layer.": "blocks.", "layer_scale1.lambda1": "ls1.gamma", "layer_scale2.lambda1": "ls2.gamma"}
    names |= {"layernorm.": "norm.", "mlp.weights_in": "mlp.w12", "mlp.weights_out": "mlp.w3"}
    names |= {"attention.output.dense": "attn.proj", "attention.o_proj": "attn.proj"}
    out = {}
    for name, tensor in saved.items():
        for old, new in names.items():
            name = name.replace(old, new)
        out[name] = tensor
    for part in ("attention.attention.{}", "attention.{}_proj"):
        words = ("query", "key", "value") if "attention.attention" in part else "qkv"
        for k in (0, 1):
            for end in ("weight", "bias"):
                keys = [f"blocks.{k}.{part.format(word)}.{end}" for word in words]
                if keys[0] in out:
                    out[f"blocks.{k}.attn.qkv.{end}"] = torch.cat([out.pop(key) for key in keys])
    return out


def test_an_expert_that_is_none(tmp_path):
    save_file({"a.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="not a visual expert"):
        open_expert(tmp_path)
    with pytest.raises(CheckpointError, match="no such file"):
        open_expert(tmp_path / "nowhere")
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 50)
    with pytest.raises(CheckpointError, match="cut off or no safetensors"):
        open_expert(tmp_path)


SMALL_CONVNEXT = {"hidden_sizes": [8, 16, 24], "depths": [1, 2, 1], "num_stages": 3}


@pytest.mark.parametrize("form", ["model", "classifier", "file", "without scale", "own eps"])
def test_convnext_of_the_hub(tmp_path, form):
    """Against the library's own module, whose last norm here is taken position by position."""
    from transformers import ConvNextConfig, ConvNextForImageClassification, ConvNextImageProcessor, ConvNextModel

    more = {"layer_scale_init_value": 0.0} if form == "without scale" else {}
    more |= {"layer_norm_eps": 1e-2} if form == "own eps" else {}
    kind = ConvNextForImageClassification if form == "classifier" else ConvNextModel
    theirs = randomise(kind(ConvNextConfig(**SMALL_CONVNEXT, **more)))
    theirs.save_pretrained(tmp_path)
    if form == "classifier":
        ConvNextImageProcessor(image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4]).save_pretrained(tmp_path)
    backbone = open_expert(tmp_path / "model.safetensors" if form == "file" else tmp_path)
    own, usual = ((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    wanted = own if form == "classifier" else usual
    assert (backbone.kind, backbone.config.mean, backbone.config.std) == ("convnext", *wanted)
    trunk = theirs.convnext if form == "classifier" else theirs
    pixels = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        map_BhwC = trunk(pixels).last_hidden_state.permute(0, 2, 3, 1)
        assert torch.allclose(_rebuilt(backbone, 32)(pixels), trunk.layernorm(map_BhwC).permute(0, 3, 1, 2), atol=1e-5)


def small_siglip(form: str):
    """A SigLIP of the library with random weights, and its vision model."""
    from transformers import SiglipConfig, SiglipModel, SiglipVisionConfig, SiglipVisionModel

    heads = 12 if form == "unsaid heads" else 4  # 12 is the library's default, and it saves no defaults
    sizes = {"hidden_size": 48, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": heads}
    vision = SiglipVisionConfig(**sizes, image_size=30, patch_size=7, vision_use_head=form != "no head")
    if form != "whole":
        theirs = randomise(SiglipVisionModel(vision))
        return theirs, theirs
    text = {**sizes, "vocab_size": 20, "max_position_embeddings": 8}
    theirs = randomise(SiglipModel(SiglipConfig(text_config=text, vision_config=vision.to_dict())))
    return theirs, theirs.vision_model


@pytest.mark.parametrize("form", ["vision", "whole", "no head", "unsaid heads", "timm", "open_clip"])
@pytest.mark.parametrize("size", [30, 37])
def test_siglip_of_the_hub_and_timm(tmp_path, form, size):
    """Against the library's own module: its tokens, and its pooling as the global token; the patches of 7 pixels do not
    fill the 30 of its size, as those of 14 do not fill 384."""
    whole, theirs = small_siglip(form)
    if form in ("timm", "open_clip"):
        prefix = "visual.trunk." if form == "open_clip" else ""
        state = {f"{prefix}{name}": tensor for name, tensor in timm_siglip(theirs.state_dict()).items()}
        save_file(state, tmp_path / "model.safetensors")
    else:
        whole.save_pretrained(tmp_path)
    if form in ("timm", "open_clip"):  # neither says how many heads: 48 channels would be none of 64
        with pytest.raises(CheckpointError, match="48 channels are not 0 heads"):
            open_expert(tmp_path)
        (tmp_path / "config.json").write_text('{"architecture": "vit_siglip", "num_attention_heads": 4}')
    backbone = open_expert(tmp_path)
    config = backbone.config
    assert (config.kind, config.positions, config.mean, config.hidden) == ("siglip", (4, 4), (0.5, 0.5, 0.5), 40)
    expert = rebuilt(backbone, size)
    pixels = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = theirs(pixels, interpolate_pos_encoding=size != 30)
        first, map_BChw = expert.features(pixels)
    assert torch.allclose(map_BChw.flatten(2).transpose(1, 2), wanted.last_hidden_state, atol=1e-5)
    pooled = wanted.last_hidden_state.mean(1) if form == "no head" else wanted.pooler_output
    assert torch.allclose(first, pooled, atol=1e-5)


def timm_siglip(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The library's tensors under timm's names: written out here, not taken from the code under test."""
    names = {"embeddings.patch_embedding": "patch_embed.proj", "post_layernorm": "norm", "encoder.layers": "blocks"}
    names |= {"layer_norm1": "norm1", "layer_norm2": "norm2", "self_attn.out_proj": "attn.proj"}
    names |= {
        "head.attention.out_proj": "attn_pool.proj",
        "head.layernorm": "attn_pool.norm",
        "head.mlp": "attn_pool.mlp",
    }
    names |= {"head.probe": "attn_pool.latent"}
    out = {}
    for name, tensor in state.items():
        for old, new in names.items():
            name = name.replace(old, new)
        out[name] = tensor
    out["pos_embed"] = out.pop("embeddings.position_embedding.weight")[None]
    for end in ("weight", "bias"):
        whole = out.pop(f"head.attention.in_proj_{end}")
        out[f"attn_pool.q.{end}"], out[f"attn_pool.kv.{end}"] = whole[:48].clone(), whole[48:].clone()
        for k in (0, 1):
            parts = [out.pop(f"blocks.{k}.self_attn.{x}_proj.{end}") for x in "qkv"]
            out[f"blocks.{k}.attn.qkv.{end}"] = torch.cat(parts)
    return out


def test_a_siglip_for_any_shape_is_named(tmp_path):
    from transformers import Siglip2VisionConfig, Siglip2VisionModel

    sizes = {"hidden_size": 48, "intermediate_size": 40, "num_hidden_layers": 1, "num_attention_heads": 4}
    Siglip2VisionModel(Siglip2VisionConfig(**sizes, patch_size=7, num_patches=16)).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="NaFlex"):
        open_expert(tmp_path)


def test_two_experts_in_one_file_are_not_guessed_between(tmp_path):
    expert = randomise(build_expert(read_expert(CONVNEXT)))
    state = timm_names(expert.state_dict())
    save_file(
        {f"{who}.{k}": v.clone() for k, v in state.items() for who in ("student", "ema")},
        tmp_path / "model.safetensors",
    )
    with pytest.raises(CheckpointError, match=r"more than one visual expert \(ConvNeXt at .*student\."):
        open_expert(tmp_path)


def test_every_rule_of_every_form_has_a_way_back(tmp_path):
    """Import and inverse are the same tensors again, bit for bit."""
    from sphinx_x.checkpoints.rules import convert, inverse

    for form in ("vision", "timm"):
        state = {name: tensor.clone() for name, tensor in small_siglip(form)[1].state_dict().items()}
        state = timm_siglip(state) if form == "timm" else state
        (tmp_path / form).mkdir()
        save_file(state, tmp_path / form / "model.safetensors")
        (tmp_path / form / "config.json").write_text(
            '{"architecture": "x", "num_features": 1, "num_attention_heads": 4}'
        )
        part = open_expert(tmp_path / form).part("")
        ours = dict(convert(part.rules, part.source.read))
        back = dict(convert(inverse(part.rules), ours.__getitem__))
        assert back.keys() == state.keys() and all(back[name].equal(state[name]) for name in state)


def test_convnext_in_the_librarys_wrapper_of_timm(tmp_path):
    """`TimmWrapperModel`: timm's names behind `timm_model.`, timm's settings in its config."""
    import json

    from sphinx_x.model.experts.convnext import ConvNextConfig

    fields = {k: v for k, v in CONVNEXT.items() if k != "kind"}
    expert = randomise(ConvNext(ConvNextConfig(**fields, eps=1e-6)))
    save_file(
        {f"timm_model.{name}": t for name, t in timm_names(expert.state_dict()).items()}, tmp_path / "model.safetensors"
    )
    settings = {"model_type": "timm_wrapper", "architecture": "convnext_tiny"}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    backbone = open_expert(tmp_path)
    assert backbone.config.mean == (0.485, 0.456, 0.406)
    assert _rebuilt(backbone, 32)(torch.ones(1, 3, 32, 32)).equal(expert.features(torch.ones(1, 3, 32, 32))[1])
    colors = {"mean": [0.48, 0.45, 0.4], "std": [0.26, 0.26, 0.27]}
    (tmp_path / "config.json").write_text(json.dumps({**settings, "pretrained_cfg": colors}))
    assert open_expert(tmp_path).config.mean == (0.48, 0.45, 0.4)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("convnextv2", "a ConvNeXt V2"),
        ("backbone", "a ConvNeXt without its last norm"),
        ("act", "a ConvNeXt with relu"),
        ("swin", "a swin and no DINOv2"),
        ("vit", "a vit and no DINOv2"),
        ("segformer", "not a visual expert that is known"),
    ],
)
def test_relatives_of_convnext_are_named(tmp_path, kind, says):
    import transformers

    if kind == "swin":
        config = transformers.SwinConfig(embed_dim=8, depths=[1], num_heads=[1], image_size=32)
        model = transformers.SwinModel(config)
    elif kind == "vit":
        sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
        model = transformers.ViTModel(transformers.ViTConfig(**sizes, image_size=32))
    elif kind == "segformer":
        model = transformers.SegformerModel(transformers.SegformerConfig(hidden_sizes=[8, 8, 10, 8]))
    elif kind == "convnextv2":
        model = transformers.ConvNextV2Model(transformers.ConvNextV2Config(**SMALL_CONVNEXT))
    else:
        config = transformers.ConvNextConfig(**SMALL_CONVNEXT, hidden_act="relu" if kind == "act" else "gelu")
        model = (transformers.ConvNextBackbone if kind == "backbone" else transformers.ConvNextModel)(config)
    model.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=says) as caught:
        open_expert(tmp_path)
    assert "\n" not in str(caught.value)
