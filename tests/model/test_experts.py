"""Visual experts and their mixture: what they see, what they give, and that they are what they claim to be."""

import pytest
import torch
from torch import nn

from sphinx_x.model.config import GroupConfig
from sphinx_x.model.experts.convnext import ConvNext, ConvNextConfig
from sphinx_x.model.experts.dinov2 import DinoV2, DinoV2Config
from sphinx_x.model.mixture import ExpertGroup, MixtureOfVisualExperts
from sphinx_x.model.views import ViewGrid

CONV = ConvNextConfig(height=32, width=32, channels=(8, 16), depths=(1, 1), strides=((4, 4), (2, 2)), eps=1e-6)
DINO = DinoV2Config(height=28, width=28, patch=(7, 7), channels=24, depth=2, heads=3, hidden=40, positions=(4, 4))
GRID = ViewGrid(2, 2, 32, 32)


def seen_views(sphinx, size):
    """Numbers of views that each expert was given for one image of this size."""
    import PIL.Image

    counts = []
    hooks = [
        expert.register_forward_pre_hook(lambda _, inputs: counts.append(len(inputs[0])))
        for expert in sphinx.model.model.vision.groups[0].experts
    ]
    sphinx.chat("What?", PIL.Image.new("RGB", size), max_new_tokens=2)
    for hook in hooks:
        hook.remove()
    return counts


# the canvas has 128 pixels: 8 x 2 bands of 16 x 64
@pytest.mark.parametrize(
    ("size", "kept"), [((128, 128), 16), ((128, 64), 8), ((120, 40), 6), ((120, 12), 2), ((60, 9), 1)]
)
def test_no_expert_sees_a_skipped_view(tiny, size, kept):
    assert seen_views(tiny, size) == [kept, kept]


def test_experts_run_once_for_a_batch(tiny):
    import PIL.Image

    counts = []
    expert = tiny.model.model.vision.groups[0].experts[0]
    hook = expert.register_forward_pre_hook(lambda _, inputs: counts.append(len(inputs[0])))
    # colours of their own: pictures that another test has shown are not encoded again
    pictures = [PIL.Image.new("RGB", (60, 9), "#123456"), PIL.Image.new("RGB", (120, 9), "#234567")]
    tiny.chat_batch(list(zip(("A?", "B?"), pictures, strict=True)), max_new_tokens=2)
    hook.remove()
    assert counts == [3]


@pytest.mark.parametrize("experts", [(CONV,), (CONV, DINO), (DINO, CONV, DINO, CONV)])
def test_any_number_of_experts(experts):
    group = ExpertGroup(GroupConfig(experts, tokens=(4, 4)), width=10)
    assert group.projector[0].in_features == sum(16 if e is CONV else 24 for e in experts)
    assert group(torch.rand(3, 3, 32, 32), GRID).shape == (3, 17, 10)


@pytest.mark.parametrize("resize", ["bilinear", "nearest"])
def test_a_map_of_another_grid_is_resized_in_every_type(resize):
    group = ExpertGroup(GroupConfig((CONV,), tokens=(2, 2), resize=resize), width=10)
    pixels = torch.rand(2, 3, 32, 32)
    wanted = group.fuse(pixels, GRID)
    for dtype in (torch.bfloat16, torch.float16):
        found = group.to(dtype).fuse(pixels, GRID)
        assert found.dtype == dtype and (found.float() - wanted).abs().max() < 0.05 * wanted.abs().max()
        group.float()


def test_groups_follow_each_other():
    groups = (GroupConfig((CONV,), (4, 4)), GroupConfig((DINO,), (2, 2)))
    assert MixtureOfVisualExperts(groups, GRID, 10)(torch.rand(2, 3, 32, 32)).shape == (2, 17 + 5, 10)


def test_global_token_first_then_the_map_row_by_row():
    group = ExpertGroup(GroupConfig((CONV,), (4, 4)), width=16)
    group.projector = nn.Sequential(nn.Identity())
    pixels = torch.rand(2, 3, 32, 32)
    first, grid = group.experts[0](pixels, GRID)
    tokens = group(pixels, GRID)
    assert torch.equal(tokens[:, 0], first)
    assert torch.allclose(first, grid.mean((2, 3)))
    assert torch.equal(tokens[:, 1 + 4 * 2 + 3], grid[:, :, 2, 3])


def test_a_kind_is_one_file_on_each_side_and_registers_itself():
    """Nothing else in the package has to name a kind: what is in the one folder is in the other, and is known."""
    import pkgutil

    from sphinx_x.checkpoints import experts as files
    from sphinx_x.model import experts

    modules = {module.name for module in pkgutil.iter_modules(experts.__path__)} - {"base", "vit"}
    assert modules == {module.name for module in pkgutil.iter_modules(files.__path__)} - {"base"}
    assert {"convnext", "dinov2", "clip", "qformer", "siglip"} <= modules
    for kind in modules:
        config = experts.read_expert({"kind": kind})
        with torch.device("meta"):
            expert = experts.build_expert(config)
        assert type(expert).config_class is type(config) and expert.channels == config.token_channels


def test_a_kind_that_is_taken_or_not_known_is_refused():
    from dataclasses import dataclass

    from sphinx_x.model.experts import Expert, ExpertConfig, read_expert, register

    @dataclass(frozen=True)
    class AgainConfig(ExpertConfig):
        kind: str = "convnext"

    with pytest.raises(ValueError, match="Again needs a kind of its own, not 'convnext'"):
        register(AgainConfig)(type("Again", (Expert,), {}))
    with pytest.raises(ValueError, match="needs a kind of its own"):
        register(ExpertConfig)(Expert)
    with pytest.raises(ValueError, match="unknown kind of visual expert 'vit'; known: clip, convnext, dinov2"):
        read_expert({"kind": "vit"})
    with pytest.raises(ValueError, match="resample must be one of"):
        read_expert({"kind": "clip", "resample": "area"})


def test_each_expert_has_its_own_size_and_colours():
    conv = ConvNext(CONV)
    seen = {}
    conv.features = lambda pixels: seen.update(pixels=pixels) or (None, None)  # type: ignore[method-assign]
    conv(torch.full((1, 3, 64, 64), 0.5), GRID)
    assert seen["pixels"].shape == (1, 3, 32, 32)
    expected = [(0.5 - m) / s for m, s in zip(CONV.mean, CONV.std, strict=True)]
    assert seen["pixels"].mean((0, 2, 3)).tolist() == pytest.approx(expected, abs=1e-5)


def test_convnext_equals_the_library():
    from transformers import ConvNextConfig as TheirConfig
    from transformers import ConvNextModel

    torch.manual_seed(0)
    theirs = ConvNextModel(TheirConfig(hidden_sizes=[8, 16], depths=[1, 2], num_stages=2, patch_size=4)).eval()
    ours = ConvNext(
        ConvNextConfig(channels=(8, 16), depths=(1, 2), strides=((4, 4), (2, 2)), eps=1e-6, height=32, width=32)
    )
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.2)
    source = dict(theirs.named_parameters())
    ours_values = list(ours.named_parameters())
    order = [
        *["embeddings.patch_embeddings.weight", "embeddings.patch_embeddings.bias"],
        *["embeddings.layernorm.weight", "embeddings.layernorm.bias"],
        *_block("encoder.stages.0.layers.0"),
        *[f"encoder.stages.1.downsampling_layer.{k}.{kind}" for k in (0, 1) for kind in ("weight", "bias")],
        *_block("encoder.stages.1.layers.0"),
        *_block("encoder.stages.1.layers.1"),
    ]
    names = [name for name, _ in ours_values if not name.startswith("norm.")]
    assert len(names) == len(order)
    with torch.no_grad():
        for name, other in zip(names, order, strict=True):
            dict(ours_values)[name].copy_(source[other])
        pixels = torch.randn(2, 3, 32, 32)
        expected = theirs(pixels).last_hidden_state
        found = pixels
        for stage in ours.stages:
            found = stage(found)
    assert torch.allclose(found, expected, atol=1e-5)


def _block(prefix: str) -> list[str]:
    """Names of a block of the library in the order of our parameters."""
    names = [
        f"{prefix}.{part}.{kind}"
        for part in ("dwconv", "layernorm", "pwconv1", "pwconv2")
        for kind in ("weight", "bias")
    ]
    return [f"{prefix}.layer_scale_parameter", *names]


@pytest.mark.parametrize("swiglu", [False, True])
def test_dinov2_equals_the_library(swiglu):
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, image_size=28, patch_size=7, use_swiglu_ffn=swiglu
    )
    theirs = Dinov2Model(config).eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.2)
    state = theirs.state_dict()
    mlp = {name: value for name, value in state.items() if ".0.mlp." in name}
    hidden = next(value.shape[1] for name, value in mlp.items() if name.endswith(("fc2.weight", "down_proj.weight")))
    sizes = {"height": 28, "width": 28, "patch": (7, 7), "channels": 24, "depth": 2, "heads": 3, "positions": (4, 4)}
    ours = DinoV2(DinoV2Config(**sizes, hidden=hidden, swiglu=swiglu))
    with torch.no_grad():
        _copy_dinov2(ours, state, swiglu)
        pixels = torch.randn(2, 3, 28, 28)
        expected = theirs(pixels).last_hidden_state
        first, grid = ours.features(pixels)
    assert torch.allclose(first, expected[:, 0], atol=1e-5)
    assert torch.allclose(grid.flatten(2).transpose(1, 2), expected[:, 1:], atol=1e-5)


def _copy_dinov2(ours: DinoV2, state: dict, swiglu: bool) -> None:
    ours.class_token.copy_(state["embeddings.cls_token"])
    ours.position_embed.copy_(state["embeddings.position_embeddings"])
    ours.patch_embed.weight.copy_(state["embeddings.patch_embeddings.projection.weight"])
    ours.patch_embed.bias.copy_(state["embeddings.patch_embeddings.projection.bias"])
    ours.norm.weight.copy_(state["layernorm.weight"])
    ours.norm.bias.copy_(state["layernorm.bias"])
    for number, block in enumerate(ours.blocks):
        prefix = f"encoder.layer.{number}."
        layer = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        for kind in ("weight", "bias"):
            parts = [layer[f"attention.{x}_proj.{kind}"] for x in "qkv"]
            getattr(block.qkv, kind).copy_(torch.cat(parts))
            getattr(block.out, kind).copy_(layer[f"attention.o_proj.{kind}"])
            getattr(block.norm1, kind).copy_(layer[f"norm1.{kind}"])
            getattr(block.norm2, kind).copy_(layer[f"norm2.{kind}"])
            if swiglu:
                gate_up = [layer[f"mlp.{x}.{kind}"] for x in ("gate_proj", "up_proj")]
                getattr(block.mlp.gate_up, kind).copy_(torch.cat(gate_up))
                getattr(block.mlp.down, kind).copy_(layer[f"mlp.down_proj.{kind}"])
            else:
                getattr(block.mlp.up, kind).copy_(layer[f"mlp.fc1.{kind}"])
                getattr(block.mlp.down, kind).copy_(layer[f"mlp.fc2.{kind}"])
        block.scale1.copy_(layer["layer_scale1.lambda1"])
        block.scale2.copy_(layer["layer_scale2.lambda1"])
