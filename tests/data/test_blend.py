"""The mixture: exact shares, an order that depends on nothing but seed and index."""

import pickle
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx_x.data.blend import BLOCK, Blend, Weighted, permuted
from sphinx_x.errors import DataError


def test_shares_are_exact_in_every_block():
    blend = Blend([Weighted("a", 5000, 3), Weighted("b", 70, 1), Weighted("c", 9, 0.001)], 10 * BLOCK, seed=4)
    for block in range(10):
        counts = Counter(blend[i][0] for i in range(block * BLOCK, (block + 1) * BLOCK))
        assert abs(counts[0] - 0.75 * BLOCK) <= 2 and abs(counts[1] - 0.25 * BLOCK) <= 2
    drawn = Counter(blend[i][0] for i in range(len(blend)))
    assert abs(drawn[2] - 10 * BLOCK * 0.001 / 4.001) <= 1


def test_the_order_is_a_function_of_seed_and_index():
    sources = [Weighted("a", 100, 1), Weighted("b", 1000, 2, end=0.5)]
    blend = Blend(sources, 5000, seed=1)
    forward = [blend[i] for i in range(5000)]
    again = pickle.loads(pickle.dumps(Blend(sources, 5000, seed=1)))
    assert [again[i] for i in range(4999, -1, -1)] == forward[::-1]
    assert [Blend(sources, 5000, seed=1)[i] for i in (0, 4096, 77)] == [forward[i] for i in (0, 4096, 77)]
    assert [Blend(sources, 5000, seed=2)[i] for i in range(100)] != forward[:100]


def test_every_sample_comes_once_before_any_comes_twice():
    blend = Blend([Weighted("a", 300, 1), Weighted("b", 50, 1)], 3 * BLOCK)
    for source, size in ((0, 300), (1, 50)):
        drawn = [number for kind, number in (blend[i] for i in range(len(blend))) if kind == source]
        rounds = [drawn[k : k + size] for k in range(0, len(drawn) - size + 1, size)]
        assert all(sorted(numbers) == list(range(size)) for numbers in rounds)
        assert rounds[0] != rounds[1]


def test_blocks_stay_full_when_many_shares_change():
    fading = [Weighted(f"out{k}", 50, 1, end=0) for k in range(20)] + [
        Weighted(f"in{k}", 50, 0, end=1) for k in range(20)
    ]
    for total in (2 * BLOCK, 3 * BLOCK, 7 * BLOCK):
        blend = Blend(fading, total)
        assert blend._counts.min() >= 0 and (blend._counts.sum(1) == BLOCK).all()
        assert len([blend[k] for k in range(0, total, 97)])


def test_weights_may_change_over_the_run():
    blend = Blend([Weighted("a", 10, 1, end=0), Weighted("b", 10, 0, end=1)], 20 * BLOCK)
    shares = [sum(blend[i][0] == 0 for i in range(k * BLOCK, (k + 1) * BLOCK)) / BLOCK for k in range(20)]
    assert shares == pytest.approx([1 - (k + 0.5) / 20 for k in range(20)], abs=2 / BLOCK)


@given(size=st.integers(1, 3000), key=st.integers(0, 100))
def test_permuted_is_a_permutation(size, key):
    assert sorted(permuted(np.arange(size), size, (key,)).tolist()) == list(range(size))


@given(bounds=st.tuples(st.integers(0, 5000), st.integers(0, 5000)), seed=st.integers(0, 9))
def test_a_range_is_what_its_places_are(bounds, seed):
    first, last = sorted(bounds)
    blend = Blend([Weighted("a", 700, 2), Weighted("b", 31, 1, end=3)], 5000, seed)
    sources, numbers = blend.lookup(first, last)
    assert (
        list(zip(sources.tolist(), numbers.tolist(), strict=True))[:50] == [blend[i] for i in range(first, last)][:50]
    )
    assert len(sources) == last - first


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        ([Weighted("a", 5, -1)], "must not be negative"),
        ([Weighted("a", 0, 1)], "has no samples"),
        ([Weighted("a", 5, 0)], "no source has a weight"),
        ([Weighted("a", 5, 1, end=0)], "no source has a weight"),
    ],
)
def test_impossible_mixtures_are_refused(sources, says):
    with pytest.raises(DataError, match=says):
        Blend(sources, 100)


def test_fifty_million_samples_cost_little():
    began = time.process_time()
    blend = Blend([Weighted("a", 40_000_000, 4), Weighted("b", 10_000_000, 1)], 50_000_000)
    assert blend[49_999_999][0] in (0, 1)
    assert time.process_time() - began < 10
    assert len(pickle.dumps(blend)) < 5_000_000
