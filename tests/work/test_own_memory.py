"""Weights are copied out of the mapping of their file, and stay what they are."""

import shutil
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
    assert all("norm" in name for name in mapped(loaded.model.language_model))
    assert mapped(loaded.model.vision) == mapped(plain.model.vision)
    for (name, one), other in zip(plain.named_parameters(), loaded.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_nothing_is_copied_twice(tiny_folder):
    model = SphinxXForConditionalGeneration.from_pretrained(tiny_folder)
    before = {name: parameter.data for name, parameter in model.named_parameters()}
    llm = model.model.language_model
    assert own_memory([llm, llm.layers]) == sum(p.nbytes for name, p in llm.named_parameters() if "_proj" in name)
    assert own_memory([llm]) == 0 and all("embed" in name or "norm" in name for name in mapped(llm))
    assert own_memory([model.lm_head]) == model.lm_head.weight.nbytes  # here the table is an output layer as well
    # pages that were given back are there again for whoever still has the mapping
    assert all(torch.equal(before[name], parameter) for name, parameter in model.named_parameters())


def test_a_file_of_the_hubs_cache_is_mapped_as_well(tiny_folder, tmp_path):
    """There, a model's files are links to others that have a hash for a name."""
    for path in tiny_folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "model.safetensors").unlink()
    shutil.copy(tiny_folder / "model.safetensors", tmp_path / "0123abcd")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "0123abcd")
    assert own_memory([SphinxXForConditionalGeneration.from_pretrained(tmp_path).model.language_model])


def test_what_does_not_fit_stays(tiny_folder, tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 1 kB\n")
    monkeypatch.setattr("sphinx_x.work.memory.MEMORY", tmp_path / "meminfo")
    assert own_memory([SphinxXForConditionalGeneration.from_pretrained(tiny_folder)]) == 0


def test_where_nothing_is_told_nothing_is_done(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("sphinx_x.work.memory.MAPS", tmp_path / "none")
    assert own_memory([SphinxXForConditionalGeneration.from_pretrained(tiny_folder)]) == 0
