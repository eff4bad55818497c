"""A small member, and base weights for it on disk."""

from dataclasses import replace

import pytest
from safetensors.torch import save_file

from base_weights import CONVNEXT, DINOV2, base_llm, randomise, timm_names
from sphinx_x.family import get_member
from sphinx_x.model.experts.convnext import ConvNext
from sphinx_x.model.views import ViewGrid


@pytest.fixture
def member():
    """A small member with a place for each of the two kinds."""
    groups = ({"experts": (CONVNEXT, DINOV2), "tokens": (4, 4)},)
    return replace(get_member("tiny"), views=ViewGrid(2, 2, 32, 32), groups=groups)


@pytest.fixture
def parts(tmp_path):
    """A language model and two experts on disk."""
    from transformers import Dinov2Config, Dinov2Model

    base_llm(tmp_path / "llm", "llama")
    fields = {k: v for k, v in CONVNEXT.items() if k != "kind"}
    from sphinx_x.model.experts.convnext import ConvNextConfig

    (tmp_path / "convnext").mkdir()
    state = timm_names(randomise(ConvNext(ConvNextConfig(**fields, eps=1e-6))).state_dict())
    save_file({f"visual.trunk.{k}": v for k, v in state.items()}, tmp_path / "convnext" / "open_clip_model.safetensors")
    dinov2 = Dinov2Model(
        Dinov2Config(hidden_size=64, num_hidden_layers=2, num_attention_heads=1, image_size=35, patch_size=7)
    )
    randomise(dinov2).save_pretrained(tmp_path / "dinov2")
    return tmp_path
