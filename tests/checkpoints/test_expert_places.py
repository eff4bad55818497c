"""Which expert goes where in a member: several of one kind, by order or by number, and a kind of its own."""

from dataclasses import replace
from pathlib import Path

import PIL.Image
import pytest
import torch

from base_weights import CONVNEXT, DINOV2, randomise
from sphinx_x.checkpoints.backbones import import_backbones
from sphinx_x.checkpoints.experts import open_expert
from sphinx_x.errors import CheckpointError
from sphinx_x.inference import SphinxX
from sphinx_x.model.views import ViewGrid


@pytest.fixture
def twins(member):
    """A member with two places for a DINOv2 in one group and one for a ConvNeXt in another."""
    first = {"experts": (DINOV2, {**DINOV2, "height": 21, "width": 21}), "tokens": (4, 4)}
    return replace(member, groups=(first, {"experts": (CONVNEXT,), "tokens": (2, 2)}))


def dinov2(folder: Path, value: float, width: int = 64) -> Path:
    """A DINOv2 of the hub whose class token is all `value`."""
    from transformers import Dinov2Config, Dinov2Model

    sizes = {"hidden_size": width, "num_hidden_layers": 1, "num_attention_heads": width // 64}
    model = randomise(Dinov2Model(Dinov2Config(**sizes, image_size=35, patch_size=7)))
    model.embeddings.cls_token.data.fill_(value)
    model.save_pretrained(folder)
    return folder


def class_tokens(folder: Path) -> list[float]:
    """The first number of the class token of each DINOv2 of a model folder, in order."""
    from sphinx_x.checkpoints.weights import WeightFiles

    made = WeightFiles(folder)
    names = sorted(name for name in made.tensors() if name.endswith("class_token"))
    return [float(made.read(name).flatten()[0]) for name in names]


def test_two_experts_for_one_place(member, parts):
    twice = [open_expert(parts / "convnext")] * 2
    with pytest.raises(CheckpointError, match="two experts of the kind convnext"):
        import_backbones(member, parts / "out", parts / "llm", twice, fresh=["dinov2"])
    with pytest.raises(CheckpointError, match="is given, and to be made new"):
        import_backbones(member, parts / "out", parts / "llm", twice[:1], fresh=["dinov2", "convnext"])


@pytest.mark.parametrize(
    ("given", "fresh", "found"),
    [
        ([(None, 3), (None, 5)], ["convnext"], [3, 5]),
        ([(None, 5), (None, 3)], ["convnext"], [5, 3]),
        ([(2, 3), (1, 5)], ["convnext"], [5, 3]),
        ([(2, 3), (None, 5)], ["3"], [5, 3]),
        ([(2, 3)], ["1", "convnext"], [0, 3]),
        ([(None, 3)], ["2", "convnext"], [3, 0]),
    ],
)
def test_two_experts_of_one_kind_by_order_or_number(twins, parts, given, fresh, found):
    experts = [open_expert(dinov2(parts / f"d{value}", value), place) for place, value in given]
    notes = import_backbones(twins, parts / "out", parts / "llm", experts, fresh)
    assert class_tokens(parts / "out") == found
    if "2" in fresh:
        assert "made new: the expert 2" in notes
    sphinx = SphinxX.load(parts / "out")
    assert isinstance(sphinx.chat("What?", PIL.Image.new("RGB", (50, 20)), max_new_tokens=2), str)


@pytest.mark.parametrize(
    ("places", "fresh", "says"),
    [
        (
            [None],
            ["convnext"],
            r"1 of the kind dinov2 .* 2 free places.*; say which: --expert NUMBER=PATH",
        ),
        ([1], ["convnext"], r"no weights for the expert 2: give --expert 2=PATH, or --fresh 2"),
        ([3], ["1", "2"], r"a dinov2, and place 3 of tiny is for a convnext"),
        ([7], ["convnext"], r"place 7 of tiny is not there; it has 1 .dinov2., 2 .dinov2., 3 .convnext."),
        ([1, 1], ["convnext"], "two experts are given for place 1"),
        ([1, None, None], ["convnext"], "2 of the kind dinov2 without a number, and tiny has 1 free"),
        ([1], ["1", "2", "3"], r"the expert 1 .dinov2. is given, and to be made new as well"),
        ([1], ["9"], r"tiny has no place 9"),
    ],
)
def test_what_is_not_clear_about_places_is_asked(twins, parts, places, fresh, says):
    folder = dinov2(parts / "d", 3)
    with pytest.raises(CheckpointError, match=says) as told:
        import_backbones(twins, parts / "out", parts / "llm", [open_expert(folder, k) for k in places], fresh)
    assert "\n" not in str(told.value) and not (parts / "out").exists()


def test_starting_from_a_member_with_two_of_a_kind(twins, member, parts):
    experts = [open_expert(dinov2(parts / "a", 3)), open_expert(dinov2(parts / "b", 5, width=128))]
    import_backbones(twins, parts / "first", parts / "llm", experts, ["convnext"])
    assert import_backbones(twins, parts / "same", start=parts / "first") == []
    assert class_tokens(parts / "same") == [3, 5]
    other = [open_expert(dinov2(parts / "c", 7, width=128), place=2)]
    assert import_backbones(twins, parts / "other", start=parts / "first", experts=other) == []
    assert class_tokens(parts / "other") == [3, 7]
    groups = [SphinxX.load(parts / name).model.model.vision.groups[0] for name in ("first", "other")]
    assert groups[0].projector[0].weight.equal(groups[1].projector[0].weight)
    with pytest.raises(CheckpointError, match="has 2 experts of the kind dinov2, tiny wants 1 of them"):
        import_backbones(member, parts / "x", start=parts / "first")


def test_a_member_with_siglip(member, parts):
    """As `tiny-sig` is made: a kind that no other file names, from its own folder to an answer."""
    from transformers import SiglipVisionConfig, SiglipVisionModel

    sizes = {"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 1, "num_attention_heads": 4}
    theirs = randomise(SiglipVisionModel(SiglipVisionConfig(**sizes, image_size=30, patch_size=7)))
    theirs.save_pretrained(parts / "siglip")
    groups = ({"experts": ({"kind": "siglip", "height": 30, "width": 30}, DINOV2), "tokens": (3, 3)},)
    experts = [open_expert(parts / "dinov2"), open_expert(parts / "siglip")]
    import_backbones(replace(member, groups=groups), parts / "out", parts / "llm", experts)
    sphinx = SphinxX.load(parts / "out", dtype=torch.float32)
    expert = sphinx.model.model.vision.groups[0].experts[0]
    pixels = torch.rand(2, 3, 30, 30, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, map_BChw = expert(pixels, ViewGrid(2, 2, 30, 30))
        wanted = theirs((pixels - 0.5) / 0.5)
    assert torch.allclose(first, wanted.pooler_output, atol=1e-5)
    assert torch.allclose(map_BChw.flatten(2).transpose(1, 2), wanted.last_hidden_state, atol=1e-5)
    assert isinstance(sphinx.chat("What?", PIL.Image.new("RGB", (50, 20)), max_new_tokens=3), str)


def test_the_command_line_takes_numbers(twins, parts):
    from sphinx_x.checkpoints.experts import open_experts

    given = [f"2={dinov2(parts / 'a', 3)}", str(dinov2(parts / "b=c", 5)), str(dinov2(parts / "4=d", 5))]
    assert [expert.place for expert in open_experts(given)] == [2, None, None]
    with pytest.raises(CheckpointError, match="--expert: an empty path"):
        open_experts([""])
