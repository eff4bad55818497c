"""Layers of 8 and 4 bits on a CPU, against products in float64."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from sphinx_x.model import cpu_linear
from sphinx_x.model.cpu_linear import FEW, GROUP, Int4Linear, Int8Linear, packed_layout, round_to_4_bits

SIZES = [(64, 64), (7, 5), (1, 1), (100, 130), (33, 2048), (256, 96)]


def weight_of(size: tuple[int, int], seed: int = 0) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)) * 0.02


def rows_of(count: int, inputs: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(count, inputs, generator=torch.Generator().manual_seed(1)).to(dtype)


def error(found: torch.Tensor, right: torch.Tensor) -> float:
    return float((found.double() - right).norm() / right.norm().clamp(min=1e-30))


def by_groups(weight: torch.Tensor) -> torch.Tensor:
    """The weight in float64 as 4-bit numbers say it, group by group, by what `round_to_4_bits` documents."""
    outputs, inputs = weight.shape
    padded = torch.zeros(outputs, -(-inputs // GROUP) * GROUP)
    padded[:, :inputs] = weight
    numbers, scales = round_to_4_bits(padded)
    scale, offset = (part.T.double().repeat_interleave(GROUP, 1) for part in scales.unbind(-1))
    return ((numbers - 8) * scale + offset)[:, :inputs]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("count", [1, 17, FEW, FEW + 1])
@pytest.mark.parametrize("size", SIZES)
def test_8_bits_are_the_product_of_rounded_numbers(size, count, dtype):
    """Each row of weights, and of tokens, is rounded to multiples of its largest number / 127 (63 on old CPUs)."""
    weight, bias = weight_of(size), weight_of((1, size[0]), 2)[0]
    x = rows_of(count, size[1], dtype)

    def rounded(rows: torch.Tensor, most: int) -> torch.Tensor:
        step = (rows.abs().amax(1, keepdim=True).float() / most).double()
        return (rows.double() / step).round() * step

    right = rounded(x, cpu_linear.activation_levels()) @ rounded(weight, 127).T + bias.double()
    layer = Int8Linear(weight, bias)
    found = layer(x)
    assert found.dtype == dtype and found.shape == right.shape
    # a number halfway between two steps may fall to either side in float32
    assert error(found, right) < (2e-3 if dtype == torch.float32 else 1e-2)
    assert error(found, x.double() @ weight.double().T + bias.double()) < 0.03


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("count", [1, 17, FEW, FEW + 1])
@pytest.mark.parametrize("size", [(64, 64), (7, 5), (1, 1), (100, 130), (70, 96)])
def test_4_bits_are_the_product_with_what_was_rounded(size, count, dtype):
    weight, bias = weight_of(size), weight_of((1, size[0]), 2)[0]
    x = rows_of(count, size[1], dtype)
    right = x.bfloat16().double() @ by_groups(weight).T + bias.double()
    found = Int4Linear(weight, bias)(x)
    assert found.dtype == dtype and found.shape == right.shape
    assert error(found, right) < 6e-3  # sums and results in bfloat16


@pytest.mark.parametrize("kind", [Int8Linear, Int4Linear])
def test_what_layers_take(kind):
    weight = weight_of((48, 64))
    before = weight.clone()
    layer = kind(weight)
    assert torch.equal(weight, before)  # float32 weights are not rounded in place
    x = rows_of(6, 64, torch.float32)
    assert torch.equal(layer(x.view(2, 3, 64)), layer(x).view(2, 3, 48))
    assert torch.equal(layer(x.T.contiguous().T), layer(x))  # rows that do not lie one after the other
    assert layer(x[:0]).shape == (0, 48) and layer(x[None, :0]).shape == (1, 0, 48)
    assert torch.equal(layer(torch.zeros(2, 64)), torch.zeros(2, 48))
    assert layer(torch.full((1, 64), float("nan"))).isnan().all()
    assert torch.equal(kind(torch.zeros(48, 64))(x), torch.zeros(6, 48))
    assert kind(torch.full((48, 64), float("nan")))(x).isnan().all()
    with pytest.raises(RuntimeError, match="no gradients"):
        layer(x.requires_grad_())
    with torch.no_grad():
        assert layer(x).shape == (6, 48)


@pytest.mark.parametrize("kind", [Int8Linear, Int4Linear])
def test_a_row_does_not_depend_on_its_neighbours(kind):
    """One row of 10,000 times the size must not cost the others their precision."""
    weight, x = weight_of((48, 64)), rows_of(3, 64, torch.float32)
    alone = kind(weight)(x)
    x[1] *= 1e4
    assert torch.allclose(kind(weight)(x)[[0, 2]], alone[[0, 2]], rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("kind", [Int8Linear, Int4Linear])
def test_layers_stay_on_the_cpu_and_keep_their_numbers(kind):
    layer, x = kind(weight_of((48, 64))), rows_of(2, 64, torch.float32)
    before = layer(x)
    assert torch.equal(nn.Sequential(layer).to(torch.float16)(x), before)
    with pytest.raises(RuntimeError, match="stay there"):
        nn.Sequential(layer).to("meta")


def test_4_bits_lose_little():
    """Better than rounding to the range of each group, and close to the best known for bells (GPU: NF4 has 9.2 %)."""
    weight = weight_of((64, 2048))
    groups = weight.view(64, -1, GROUP)
    low, high = groups.aminmax(dim=-1, keepdim=True)
    plain = ((groups - low) / (high - low) * 15).round() / 15 * (high - low) + low
    found = error(by_groups(weight), weight.double())
    assert found < 0.076 < 0.077 < error(plain.view_as(weight), weight.double())


def test_sixteen_even_values_are_kept():
    """A group that has no more than sixteen, evenly spaced, loses nothing: scales fit bfloat16 here."""
    weight = (torch.arange(GROUP) % 16 - 8).float()[None] * torch.tensor([[0.5], [0.25]]) + 1
    assert torch.equal(by_groups(weight).float(), weight)


@pytest.mark.slow
@pytest.mark.parametrize(
    "variable", [{"ATEN_CPU_CAPABILITY": "avx2"}, {"ATEN_CPU_CAPABILITY": "default"}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}]
)
def test_older_processors(variable):
    """Their kernels pack 4 bits in other ways, and add pairs of 8-bit products in 16 bits, cutting off the rest."""
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    names = "bits_are_the_product and (size1 or size3) or take or older_levels"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__, "-k", names]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | paths | variable)
    assert done.returncode == 0, done.stdout[-3000:]


def test_older_levels():
    """The largest sum that rounded rows can have is exact, whatever the processor."""
    most = cpu_linear.activation_levels()
    x = torch.ones(1, 256)
    layer = Int8Linear(torch.ones(16, 256))
    assert torch.allclose(layer(x), torch.full((1, 16), 256.0)) and most in (63, 127)
    assert packed_layout()[0] in (16, 32, 64)
