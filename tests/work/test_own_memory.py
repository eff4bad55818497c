"""Weights are copied out of the mapping of their file, and stay what they are."""

import sys

import pytest
import torch
from torch import nn

from sphinx_x.inference import SphinxX
from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.work.memory import _mapped_files, own_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is mapped")


def mapped(module: nn.Module) -> list[str]:
    ranges = _mapped_files()
    return [n for n, p in module.named_parameters() if any(low <= p.data_ptr() < high for low, high in ranges)]


def test_what_is_read_for_each_token_is_not_mapped(tiny_folder):
    plain = SphinxXForConditionalGeneration.from_pretrained(tiny_folder)
    loaded = SphinxX.load(tiny_folder).model
    assert len(mapped(plain.model.language_model)) > 10
    assert not mapped(loaded.model.language_model)  # its table is an output layer as well
    assert mapped(loaded.model.vision) == mapped(plain.model.vision)
    for (name, one), other in zip(plain.named_parameters(), loaded.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_nothing_is_copied_twice(tiny_folder):
    model = SphinxXForConditionalGeneration.from_pretrained(tiny_folder)
    before = {name: parameter.data for name, parameter in model.named_parameters()}
    table, llm = model.get_input_embeddings().weight.nbytes, model.model.language_model
    assert own_memory([llm, llm.layers]) == sum(p.nbytes for p in llm.parameters()) - table
    assert own_memory([llm]) == 0 and mapped(llm) == ["embed_tokens.weight"]
    assert own_memory([model, model.lm_head]) == table + sum(p.nbytes for p in model.model.vision.parameters())
    assert not mapped(model)
    # pages that were given back are there again for whoever still has the mapping
    assert all(torch.equal(before[name], parameter) for name, parameter in model.named_parameters())


def test_where_nothing_is_told_nothing_is_done(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("sphinx_x.work.memory.MAPS", tmp_path / "none")
    assert own_memory([SphinxXForConditionalGeneration.from_pretrained(tiny_folder)]) == 0
