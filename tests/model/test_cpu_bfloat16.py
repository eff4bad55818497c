"""Linear layers in bfloat16 on a CPU: other ways to the same bits, and what becomes of them when weights change."""

import copy
import pickle
import shutil

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from sphinx_x.inference import SphinxX
from sphinx_x.model import cpu_bfloat16
from sphinx_x.model.cpu_bfloat16 import OneRowLinear, PackedLinear, speed_up
from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.work.files import MANIFEST

SIZES = [(64, 96, False), (64, 96, True), (48, 33, True), (300, 7, False), (1, 64, False)]
packs = pytest.mark.skipif(cpu_bfloat16._mkldnn() is None, reason="this PyTorch packs no weights in bfloat16")


def rows_of(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).bfloat16()


def layers() -> nn.ModuleList:
    torch.manual_seed(0)
    return nn.ModuleList(nn.Linear(k, n, bias=bias) for n, k, bias in SIZES).bfloat16()


@pytest.fixture
def fastest(monkeypatch):
    """Make one way the fastest."""

    def choose(way: type[nn.Linear]) -> None:
        seconds = dict.fromkeys((nn.Linear, PackedLinear, OneRowLinear), 2.0) | {way: 1.0}
        monkeypatch.setattr(cpu_bfloat16, "_seconds_of_a_row", lambda _: seconds)

    return choose


@pytest.mark.parametrize("way", [nn.Linear, PackedLinear, OneRowLinear])
@torch.no_grad()
def test_all_ways_give_the_bits_of_the_plain_layer(way, fastest):
    """For any number of rows in any number of dimensions, and rows that do not lie one after the other."""
    fastest(way)
    plain, fast = layers(), layers()
    speed_up([fast], untouched=True)
    for one, other in zip(plain, fast, strict=True):
        k = one.in_features
        for x in (rows_of(1, k), rows_of(k), rows_of(1, 1, k), rows_of(2, 3, k), rows_of(150, k), rows_of(k, 5).T):
            assert torch.equal(other(x), one(x)) and other(x).shape == one(x).shape
        assert other(rows_of(0, k)).shape == (0, one.out_features)
    for kinds, allowed in (
        ({type(layer) for layer in fast if layer.bias is None}, {nn.Linear, way}),
        ({type(layer) for layer in fast if layer.bias is not None}, {nn.Linear, PackedLinear}),
    ):
        assert kinds <= allowed


def test_other_types_and_layers_are_left_alone(fastest):
    fastest(PackedLinear)

    class Special(nn.Linear):
        pass

    kept = nn.ModuleList([nn.Linear(8, 8), Special(8, 8).bfloat16(), nn.Conv2d(1, 1, 1).bfloat16()])
    kinds = [type(layer) for layer in kept]
    assert speed_up([kept], untouched=True) == [] and [type(layer) for layer in kept] == kinds


def test_other_bits_are_no_way(fastest, monkeypatch):
    fastest(OneRowLinear)
    monkeypatch.setattr(torch, "mv", lambda weight, row: (weight @ row) * 1.01)
    right = cpu_bfloat16._product
    monkeypatch.setattr(cpu_bfloat16, "_product", lambda *args: right(*args) * 1.01)
    fast = layers()
    speed_up([fast], untouched=True)
    assert {type(layer) for layer in fast} == {nn.Linear}


def test_short_memory(fastest, monkeypatch):
    fastest(PackedLinear)
    monkeypatch.setattr(cpu_bfloat16, "available", lambda: 1)
    assert speed_up([layers()], untouched=True) == []


class Attention(nn.Module):
    """What the library's attention is, as far as its layers go."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        sizes = {"q_proj": 96, "k_proj": 32, "v_proj": 32}
        for name, size in sizes.items():
            self.add_module(name, nn.Linear(64, size, bias=False).bfloat16())

    def forward(self, x):
        return [layer(x) for layer in self.children()]


@packs
@torch.no_grad()
def test_what_has_the_same_input_is_multiplied_at_once(fastest, monkeypatch):
    fastest(PackedLinear)
    plain, fast = Attention(), Attention()
    assert len(speed_up([fast], untouched=True)) == 3
    products = []
    multiply = cpu_bfloat16._product
    monkeypatch.setattr(cpu_bfloat16, "_product", lambda *given: products.append(1) or multiply(*given))
    for x in (rows_of(1, 64), rows_of(1, 1, 64), rows_of(2, 5, 64)):
        assert all(torch.equal(one, other) for one, other in zip(fast(x), plain(x), strict=True))
        assert not hasattr(x, cpu_bfloat16.WAITING)
    assert len(products) == 3
    x = rows_of(4, 64)
    fast.q_proj(x)
    wanted = plain(x.mul_(2))
    assert torch.equal(fast.k_proj(x), wanted[1])  # the same tensor with something else in it
    assert torch.equal(fast.q_proj(x), wanted[0]) and torch.equal(fast.q_proj(x), wanted[0])
    assert torch.equal(fast.v_proj(rows_of(3, 64)), plain.v_proj(rows_of(3, 64)))  # out of turn, with another one


@packs
@pytest.mark.parametrize("name", ["q_proj", "v_proj"])
@torch.no_grad()
def test_one_of_several_that_changes_is_used_and_the_others_stay(name, fastest):
    fastest(PackedLinear)
    plain, fast = Attention(), Attention()
    speed_up([fast], untouched=True)
    for model in (plain, fast):
        model.get_submodule(name).weight.mul_(2)
    assert sum(type(layer) is PackedLinear for layer in fast.children()) == 2
    x = rows_of(2, 3, 64)
    assert all(torch.equal(one, other) for one, other in zip(fast(x), plain(x), strict=True))
    again = copy.deepcopy(fast)
    assert all(torch.equal(one, other) for one, other in zip(again(x), plain(x), strict=True))


@packs
@pytest.mark.parametrize("how", ["weight", "load", "in place", "type"])
def test_weights_that_change_are_used(how, fastest):
    fastest(PackedLinear)
    layer = layers()[1]
    assert speed_up([layer], untouched=True) == [layer] and type(layer) is PackedLinear
    wanted = {name: value * 2 for name, value in layer.state_dict().items()}
    with torch.no_grad():
        if how == "weight":  # by a way that tells nobody, as adapters are merged
            layer.weight.data.mul_(2)
            layer.bias.data.mul_(2)
        elif how == "load":
            layer.load_state_dict(wanted)
        elif how == "in place":
            for parameter in layer.parameters():
                parameter.mul_(2)
        else:
            layer.to(torch.float32).to(torch.bfloat16)
            wanted = layer.state_dict()
        x = rows_of(3, layer.in_features)
        assert torch.equal(layer(x), F.linear(x, wanted["weight"], wanted["bias"]))


@packs
def test_gradients_and_copies(fastest):
    fastest(PackedLinear)
    plain, layer = layers()[0], layers()[0]
    speed_up([layer], untouched=True)
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert all(torch.equal(one, other) for one, other in zip(copied.parameters(), plain.parameters(), strict=True))
        with torch.no_grad():
            assert torch.equal(copied(rows_of(3, 96)), plain(rows_of(3, 96)))
    grads = []
    for one in (plain, layer):
        x = rows_of(3, 96).requires_grad_()
        one(x).sum().backward()
        grads.append((x.grad, next(one.parameters()).grad))
    assert all(torch.equal(one, other) for one, other in zip(*grads, strict=True))
    assert type(layer) is PackedLinear


@packs
def test_a_loaded_model_is_what_its_files_are(tiny_folder, tmp_path, fastest):
    """Its weights can be read and saved after their pages were given back; it answers as with plain layers."""
    fastest(PackedLinear)
    folder = tmp_path / "bfloat16"
    shutil.copytree(tiny_folder, folder, ignore=shutil.ignore_patterns(MANIFEST))
    SphinxXForConditionalGeneration.from_pretrained(tiny_folder, dtype=torch.bfloat16).save_pretrained(folder)
    plain = SphinxXForConditionalGeneration.from_pretrained(folder, dtype=torch.bfloat16)
    sphinx = SphinxX.load(folder, device="cpu", dtype=torch.bfloat16)
    packed = [layer for layer in sphinx.model.modules() if isinstance(layer, PackedLinear)]
    sphinx.chat_batch([("Read the text.", Image.new("RGB", (90, 30)))] * 2, max_new_tokens=4)
    sphinx.answer("Read the text.", Image.new("RGB", (90, 30)), max_new_tokens=4)
    assert len(packed) > 10 and all(type(layer) is PackedLinear for layer in packed)  # nobody asked for their weights
    ids = torch.arange(40, 56)[None]
    with torch.inference_mode():
        assert torch.equal(sphinx.model(input_ids=ids).logits, plain(input_ids=ids).logits)
    for (name, one), other in zip(plain.named_parameters(), sphinx.model.parameters(), strict=True):
        assert torch.equal(one, other), name
    sphinx.model.save_pretrained(tmp_path / "again")
    again = SphinxXForConditionalGeneration.from_pretrained(tmp_path / "again", dtype=torch.bfloat16)
    assert all(torch.equal(one, other) for one, other in zip(plain.parameters(), again.parameters(), strict=True))
