"""Packs: within their budgets, each sample once, the same for any number of ranks, workers and restarts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_mixture import realistic
from sphinx_x.data.packs import Budget, PackPlan, Position, fit
from sphinx_x.errors import DataError


def plan_of(total: int, budget: Budget, seed: int = 0) -> PackPlan:
    tokens, views = realistic(total, seed)
    return PackPlan(lambda first, last: (tokens[first:last], views[first:last]), total, budget, seed)


@given(
    lengths=st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9)), max_size=60),
    more_tokens=st.integers(0, 80),
    more_views=st.integers(0, 12),
)
def test_every_sample_is_in_one_pack_and_packs_keep_both_budgets(lengths, more_tokens, more_views):
    tokens = np.array([length[0] for length in lengths], int)
    views = np.array([length[1] for length in lengths], int)
    budget = (50 + more_tokens, 9 + more_views)
    packs = fit(tokens, views, *budget)
    assert sorted(k for pack in packs for k in pack) == list(range(len(lengths)))
    assert all(pack and tokens[pack].sum() <= budget[0] and views[pack].sum() <= budget[1] for pack in packs)
    # a pack was opened only where no open one would take its first sample
    for number, pack in enumerate(packs):
        for other in packs[:number]:
            before = [k for k in other if k < pack[0]] + pack[:1]
            assert tokens[before].sum() > budget[0] or views[before].sum() > budget[1]


def test_less_than_three_percent_of_a_realistic_mixture_is_padding():
    budget = Budget(16384, 64)
    plan = plan_of(20_000, budget)
    tokens, views = realistic(20_000)
    packs = [pack for number in range(plan.windows) for pack in plan.window(number)]
    fill = sum(tokens[list(pack)].sum() for pack in packs) / (len(packs) * budget.tokens)
    assert 1 - fill < 0.01
    images = [(views[list(pack)] > 0).mean() for pack in packs]
    assert np.mean([0 < share < 1 for share in images]) > 0.85, "text only and images lie in one pack"
    assert np.std([len(pack) for pack in packs]) < 2, "every pack is a fair draw of the mixture"


@settings(deadline=None, max_examples=60)
@given(
    total=st.integers(1, 700),
    window=st.integers(1, 300),
    batch=st.sampled_from([1, 2, 4, 8, 64]),
    seed=st.integers(0, 5),
    percent=st.integers(0, 100),
)
def test_ranks_and_restarts_leave_the_steps_as_they_are(total, window, batch, seed, percent):
    budget = Budget(8192, 32, window)
    steps = list(plan_of(total, budget, seed).steps(batch))
    seen = [index for step in steps for pack in step.packs for index in pack]
    assert sorted(seen) == list(range(total))
    assert [len(step.packs) for step in steps[:-1]] == [batch] * (len(steps) - 1)
    assert [step.progress for step in steps] == sorted(step.progress for step in steps) and steps[-1].progress == 1.0
    done = percent * len(steps) // 100
    start = steps[done - 1].after if done else Position()
    again = list(plan_of(total, budget, seed).steps(batch, start))
    assert again == steps[done:]
    # 1, 2 or 64 ranks, and another number of ranks after the restart: each pack once
    for ranks in (1, 2, 3, 64):
        for step in again:
            parts = [step.packs[rank::ranks] for rank in range(ranks)]
            assert sorted(pack for part in parts for pack in part) == sorted(step.packs)


def test_a_sample_over_the_budget_is_refused():
    with pytest.raises(DataError, match="over the budget"):
        fit(np.array([10, 200]), np.array([1, 1]), 100, 4)
    with pytest.raises(DataError, match="over the budget"):
        fit(np.array([10, 20]), np.array([1, 5]), 100, 4)
