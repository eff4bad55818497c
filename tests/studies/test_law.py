"""The fit of the law: made-up laws with known numbers are found again."""

import numpy as np
import pytest

from sphinx_x.errors import DataError
from sphinx_x.studies.law import Law, _grid, _loss, fit_law, fit_with_intervals

pytest.importorskip("scipy", reason="needs scipy (pip install 'sphinx-x[study]')")

SIZES = (1.1e6, 2.9e6, 7.3e6, 1.5e7)
AMOUNTS = (6144, 12288, 24576, 49152, 98304)
KNOWN = {
    "chinchilla": Law(e=1.69, a=406.4, b=410.7, alpha=0.34, beta=0.28),
    "more from data": Law(e=0.3, a=90.0, b=2500.0, alpha=0.3, beta=0.75),
}


def made(law: Law, noise: float = 0.0, seed: int = 0) -> tuple[list[str], list[float], list[float], list[float]]:
    """Results of a law: runs, parameters, samples, losses, with three seeds at the smallest and the largest size."""
    rng = np.random.default_rng(seed)
    rows = [(f"{n}-{s}", n, d) for n in SIZES for s in range(3 if n in (SIZES[0], SIZES[-1]) else 1) for d in AMOUNTS]
    losses = [float(law.loss(n, d)) * float(np.exp(noise * rng.normal())) for _, n, d in rows]
    return [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows], losses


@pytest.mark.parametrize("name", KNOWN)
def test_a_law_without_noise_is_found(name):
    law = KNOWN[name]
    found = fit_law(*made(law)[1:])
    assert found.alpha == pytest.approx(law.alpha, rel=0.01) and found.beta == pytest.approx(law.beta, rel=0.01)
    assert found.e == pytest.approx(law.e, rel=0.02)
    far = found.loss(5e7, 500_000)  # beyond anything that was fitted
    assert far == pytest.approx(law.loss(5e7, 500_000), rel=0.005)


def test_known_exponents_lie_in_their_intervals():
    law = KNOWN["more from data"]
    fit = fit_with_intervals(*made(law, noise=0.003), draws=40)
    for name, value in (("alpha", law.alpha), ("beta", law.beta), ("e", law.e), ("size", law.exponents[0])):
        low, high = fit.intervals[name]
        assert low <= value <= high, (name, low, value, high)
        assert low < high
    assert fit.intervals["beta"][1] - fit.intervals["beta"][0] < 0.3


def test_a_fit_tells_how_far_off_it_is_and_what_it_did_not_find():
    runs, sizes, amounts, losses = made(KNOWN["more from data"], noise=0.01)
    good = fit_with_intervals(runs, sizes, amounts, losses, draws=5)
    assert 0.005 < good.off < 0.015 and not good.limited
    sudden = [2.5 if amount < 30000 else 0.5 for amount in amounts]  # no law of powers has such a step
    poor = fit_with_intervals(runs, sizes, amounts, sudden, draws=5)
    assert poor.off > 0.2 and poor.limited


def test_what_points_leave_open_is_told():
    """Where the size changes nothing, its term is any small one: intervals do not show one start of the search."""
    runs, sizes, amounts, _ = made(KNOWN["more from data"])
    losses = [0.3 + 2500 * amount**-0.75 * (1 + 0.001 * (k % 3)) for k, amount in enumerate(amounts)]
    fit = fit_with_intervals(runs, sizes, amounts, losses, draws=10)
    assert fit.intervals["beta"][1] - fit.intervals["beta"][0] < 0.1
    assert fit.intervals["alpha"][1] - fit.intervals["alpha"][0] > 0.5


def test_the_gradient_is_that_of_the_loss():
    """Against differences of the loss itself."""
    logs = [np.log(np.array(one)) for one in made(KNOWN["chinchilla"], noise=0.02)[1:]]
    for start in _grid()[::37]:
        _, gradient = _loss(start, *logs)
        for k in range(5):
            step = np.zeros(5)
            step[k] = 1e-6
            slope = (_loss(start + step, *logs)[0] - _loss(start - step, *logs)[0]) / 2e-6
            assert gradient[k] == pytest.approx(slope, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("name", KNOWN)
def test_the_best_size_is_the_best(name):
    """No other split of the same operations has a smaller loss."""
    law, flops, each = KNOWN[name], np.array([1e15, 1e17]), 30.0
    n, d = law.optimum(flops, each)
    assert np.allclose(n * d * each, flops)
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert (law.loss(n * factor, d / factor) > law.loss(n, d)).all()
    grown = np.log(n[1] / n[0]) / np.log(flops[1] / flops[0])
    assert law.exponents[0] == pytest.approx(grown) and sum(law.exponents) == pytest.approx(1)


def test_too_few_results_are_refused():
    with pytest.raises(DataError, match="at least 6 results of two sizes and two amounts"):
        fit_law([1e6] * 8, list(range(1, 9)), [1.0] * 8)
    with pytest.raises(DataError, match="not 2"):
        fit_law([1e6, 2e6], [1, 2], [1.0, 2.0])
