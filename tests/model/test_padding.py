"""Official weights are moved to corner padding: less is seen of wide images, and the rest as each view is by itself."""

import pytest
import torch
from PIL import Image

from sphinx_x.inference import SphinxX
from sphinx_x.model.padding import with_padding
from sphinx_x.model.processing import build_processor
from sphinx_x.model.views import ViewGrid


@pytest.fixture
def official():
    """A tiny model as official checkpoints are: five views, centred padding, experts that look at the whole canvas."""
    from sphinx_x.model.config import SphinxXConfig
    from sphinx_x.model.modeling import SphinxXForConditionalGeneration
    from sphinx_x.model.tokenizer import byte_tokenizer, image_tokens

    torch.manual_seed(0)
    tokenizer = byte_tokenizer()
    tokens = image_tokens(tokenizer)
    convnext = {"kind": "convnext", "height": 32, "width": 32, "channels": (4, 8), "depths": (1, 1), "kernel": 3}
    dinov2 = {"kind": "dinov2", "height": 28, "width": 28, "channels": 8, "depth": 1, "heads": 2, "hidden": 16}
    experts = [
        {**convnext, "strides": ((4, 4), (4, 4)), "resample": "canvas"},
        {**dinov2, "swiglu": False, "positions": (2, 2), "resample": "canvas"},
    ]
    grid = ViewGrid(2, 2, 32, 32, padding="center", skip=False)
    text = {"model_type": "llama", "vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 1}
    config = SphinxXConfig(
        text_config={**text, "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 24},
        groups=[{"experts": experts, "tokens": (2, 2), "resize": "nearest"}],
        views=grid,
        image_token_id=tokens.slot,
        start_token_id=tokens.start,
        end_token_id=tokens.end,
        skip_token_id=tokens.skip,
    )
    model = SphinxXForConditionalGeneration(config).eval()
    return model, build_processor(tokenizer, grid, config.tokens_per_view, "tokens", padding_color=(122, 116, 104))


def seen(model, processor, size):
    return processor(text="<image>a", images=[Image.new("RGB", size, (9, 99, 200))], return_tensors="pt")


def test_wide_images_cost_less_and_answers_still_come(official, tmp_path):
    model, processor = official
    before = seen(model, processor, (80, 40))
    with_padding(model, processor, "corner")
    after = seen(model, processor, (80, 40))
    assert len(before.pixel_values) == 5 and len(after.pixel_values) == 3
    assert int((after.input_ids == model.config.skip_token_id).sum()) == 2
    assert tuple(processor.image_processor.padding_color) == (122, 116, 104)
    model.save_pretrained(tmp_path / "moved")
    processor.save_pretrained(tmp_path / "moved")
    loaded = SphinxX.load(tmp_path / "moved")
    assert loaded.model.config.view_grid() == model.config.view_grid() == loaded.processor.image_processor.grid()
    assert (loaded.model.config.view_grid().padding, loaded.model.config.view_grid().skip) == ("corner", True)
    logits = [m(**after).logits for m in (model, loaded.model)]
    assert torch.equal(*logits)
    assert isinstance(loaded.chat("Read.", Image.new("RGB", (90, 20)), max_new_tokens=2), str)


def test_a_view_does_not_depend_on_others_any_more(official):
    model, processor = official
    with_padding(model, processor, "corner")
    views = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole, some = model.model.features(views), model.model.features(views[[0, 1, 3]])
    torch.testing.assert_close(whole[[0, 1, 3]], some)


def test_back_to_the_middle_and_nothing_twice(official):
    model, processor = official
    grid, config = model.config.view_grid(), model.config.to_dict()
    with_padding(model, processor, "center")
    assert model.config.to_dict() == config
    with_padding(model, processor, "corner")
    with_padding(model, processor, "center")
    assert model.config.view_grid() == grid and len(seen(model, processor, (80, 40)).pixel_values) == 5
    with pytest.raises(ValueError, match="padding is one of"):
        with_padding(model, processor, "left")
