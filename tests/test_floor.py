"""What the floor counts: the operations that have to be done."""

import sys

import torch
import torch.nn.functional as F

from paths import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import floor


def test_of_causal_attention_half_of_the_products_are_needed():
    query, key, value = torch.randn(3, 1, 4, 96, 16).unbind(0)

    def attend(causal, backward=False):
        leaves = [tensor.clone().requires_grad_(backward) for tensor in (query, key, value)]

        def work():
            out = F.scaled_dot_product_attention(*leaves, is_causal=causal)
            if backward:
                out.sum().backward()

        return floor.counted(work)

    products = 2 * 4 * 96 * 96 * 16  # one of queries with keys, by hand
    assert attend(False) == 2 * products and attend(True) == products
    assert attend(False, backward=True) == 7 * products and attend(True, backward=True) == 3.5 * products
