"""`fast`: bfloat16 where the device has instructions for it, and the same answers."""

import pytest
import torch

from sphinx_x import SphinxX
from sphinx_x.errors import MissingToolError, SphinxXError
from sphinx_x.evaluation.lines import load_line_set
from sphinx_x.inference import loading
from sphinx_x.model.cpu_bfloat16 import multiplies_bfloat16
from sphinx_x.reading import READ


@pytest.mark.parametrize(("has", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_the_type_is_that_of_the_devices_instructions(tiny_folder, monkeypatch, has, dtype):
    monkeypatch.setattr(loading, "multiplies_bfloat16", lambda _: has)
    assert SphinxX.load(tiny_folder, device="cpu", fast=True).model.dtype == dtype
    assert SphinxX.load(tiny_folder, device="cpu").model.dtype == torch.float32


def test_a_device_that_is_not_there_is_named(tiny_folder):
    with pytest.raises(MissingToolError, match="device nonsense"):
        SphinxX.load(tiny_folder, device="nonsense", fast=True)


def test_fast_beside_a_type_is_refused(tiny_folder):
    with pytest.raises(SphinxXError, match="fast chooses the type itself"):
        SphinxX.load(tiny_folder, dtype=torch.float32, fast=True)


@pytest.mark.parametrize(
    ("known", "has"),
    [
        ({"avx2": True, "avx512_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"neon": True, "bf16": True}, True),
        ({}, False),
    ],
)
def test_instructions_of_processors(monkeypatch, known, has):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    assert multiplies_bfloat16("cpu") is has and not multiplies_bfloat16("nonsense")


@pytest.mark.slow
def test_nano_says_the_same_in_bfloat16():
    lines = load_line_set().sample(50)
    pairs = [(READ, image) for image in lines.images(lines.lines)]
    answers = [
        SphinxX.load("nano", dtype=dtype, device="cpu").chat_batch(pairs, max_new_tokens=120)
        for dtype in (torch.float32, torch.bfloat16)
    ]
    same = sum(one == other for one, other in zip(*answers, strict=True))
    assert len(pairs) == 50 and same >= 49
