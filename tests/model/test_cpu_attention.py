"""Causal attention in blocks: the same values and gradients as the library's, and no more memory by the square."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sphinx_x.model.attention import SHORT, attend
from sphinx_x.model.cpu_attention import BLOCK, BlockedCausalAttention

LENGTHS = (1, BLOCK - 1, BLOCK, 2 * BLOCK + 3)


def drawn(heads: int, groups: int, tokens: int, width: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    torch.manual_seed(tokens)
    shapes = [(2, number, tokens, width) for number in (heads, groups, groups, heads)]
    return [torch.randn(shape, dtype=torch.float64).to(dtype) for shape in shapes]


def results(function, query: Tensor, key: Tensor, value: Tensor, d_out: Tensor) -> list[Tensor]:
    inputs = [x.clone().requires_grad_() for x in (query, key, value)]
    out = function(*inputs)
    return [out.detach(), *torch.autograd.grad(out, inputs, d_out)]


def library(scale: float | None):
    def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        times = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)
        return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)

    return attention


@pytest.mark.parametrize(("groups", "tokens"), list(product((1, 2, 6), LENGTHS)))
def test_values_and_gradients_are_those_of_the_library(groups, tokens):
    given = drawn(6, groups, tokens, 8)
    found = results(lambda q, k, v: BlockedCausalAttention.apply(q, k, v, 0.3), *given)
    for mine, right in zip(found, results(library(0.3), *given), strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-6, atol=1e-6)


def test_gradients_are_those_of_differences():
    query, key, value, _ = drawn(4, 2, 9, 3)
    inputs = [x.requires_grad_() for x in (query, key, value)]
    # sums over the tokens are in float32
    assert torch.autograd.gradcheck(lambda *x: BlockedCausalAttention.apply(*x, 0.5), inputs, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("tokens", [SHORT // 2, SHORT + 70])
@pytest.mark.parametrize("groups", [2, 6])
def test_what_training_computes_is_as_near_to_the_truth_as_the_library_is(groups, tokens):
    """In bfloat16, against the same numbers in float64: at most twice as far off as the fused kernel."""
    given = drawn(6, groups, tokens, 16, torch.bfloat16)
    exact = results(library(None), *(x.double() for x in given))
    mine = results(lambda q, k, v: attend(q, k, v, causal=True), *given)
    theirs = results(library(None), *given)
    for one, other, right in zip(mine, theirs, exact, strict=True):
        off, fused = (float((x.double() - right).norm() / right.norm()) for x in (one, other))
        assert off <= 2.0 * fused + 1e-3


def test_no_token_sees_a_later_one():
    query, key, value, _ = drawn(2, 1, BLOCK + 5, 4)
    before = BlockedCausalAttention.apply(query, key, value, 0.5)
    key[:, :, BLOCK + 1 :], value[:, :, BLOCK + 1 :] = 7.0, 7.0
    after = BlockedCausalAttention.apply(query, key, value, 0.5)
    torch.testing.assert_close(before[:, :, : BLOCK + 1], after[:, :, : BLOCK + 1], rtol=0, atol=0)
    assert not torch.equal(before, after)


def test_nothing_by_the_square_of_the_length_is_kept():
    kept: list[int] = []

    def count(x: Tensor) -> Tensor:
        kept.append(x.numel())
        return x

    query, key, value, _ = drawn(2, 1, 5 * BLOCK, 4, torch.bfloat16)
    with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
        attend(query.requires_grad_(), key, value, causal=True)
    assert kept and max(kept) <= query.numel()
