"""Caches that grow in place hold what the library's caches hold, whoever shares their memory."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from sphinx_x.inference.growing import GrowingLayer, growing_cache
from sphinx_x.inference.prefix import _cut

CONFIG = LlamaConfig(hidden_size=8, num_attention_heads=2, num_key_value_heads=1, num_hidden_layers=2)
STEPS = st.lists(st.tuples(st.sampled_from(["add", "one", "cut", "copy", "batch"]), st.integers(0, 9)), max_size=25)


def states(number: int, tokens: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(number)
    keys, values = torch.randn(2, batch, 1, tokens, 4, generator=generator)
    return keys, values


@given(STEPS)
def test_as_the_librarys_layer(steps):
    """Whatever is added to, cut from and copied, every copy holds what it held, and what was added to it alone."""
    pairs = [(GrowingLayer(), DynamicLayer())]
    for number, (what, count) in enumerate(steps):
        mine, theirs = pairs[count % len(pairs)]
        held = theirs.get_seq_length()
        batch = theirs.keys.shape[0] if held else 1
        if what in ("add", "one"):
            new = states(number, 1 if what == "one" else 1 + 40 * (count % 3), batch)
            for one, other in zip(mine.update(*new), theirs.update(*new), strict=True):
                assert torch.equal(one, other)
        elif what == "cut" and held > count:
            mine.crop(-count)
            theirs.crop(-count)
        elif what == "copy":
            pairs.append((copy.copy(mine), copy.copy(theirs)))
        elif what == "batch" and held and batch < 8:
            mine.batch_repeat_interleave(2)
            theirs.batch_repeat_interleave(2)
        for one, other in pairs:
            assert one.get_seq_length() == other.get_seq_length()
            if other.get_seq_length():
                assert torch.equal(one.keys, other.keys) and torch.equal(one.values, other.values)


def test_a_token_is_written_in_place():
    layer = GrowingLayer()
    first, _ = layer.update(*states(0, 10))
    places = {layer.update(*states(number, 1))[0].data_ptr() for number in range(1, 50)}
    assert places == {first.data_ptr()} and layer.get_seq_length() == 59


def test_outside_of_inference_mode():
    with torch.inference_mode():
        layer = GrowingLayer()
        layer.update(*states(0, 10))
    keys, _ = layer.update(*states(1, 1))
    assert keys.shape[-2] == 11 and torch.equal(keys[..., 10:, :], states(1, 1)[0])
    with torch.inference_mode():
        assert layer.update(*states(2, 1))[0].shape[-2] == 12


def test_a_cut_cache_shares_its_memory_until_it_grows():
    cache = growing_cache(CONFIG)
    whole = states(0, 30)
    for layer in range(2):
        cache.update(*whole, layer)
    short = _cut(cache, 20)
    assert short.layers[0].keys.data_ptr() == cache.layers[0].keys.data_ptr()
    short.update(*states(1, 1), 0)
    assert torch.equal(cache.layers[0].keys, whole[0])
    assert torch.equal(short.layers[0].keys[..., :20, :], whole[0][..., :20, :])


@pytest.mark.parametrize("window", [None, 4])
def test_only_layers_that_would_be_copied_grow(window):
    config = copy.deepcopy(CONFIG)
    if window:
        config.layer_types = ["sliding_attention", "full_attention"]
        config.sliding_window = window
    kinds = [type(layer) for layer in growing_cache(config).layers]
    assert kinds == [DynamicSlidingWindowLayer if window else GrowingLayer, GrowingLayer]
