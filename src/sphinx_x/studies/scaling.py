"""What sizes by amounts say: one law for the mean of the skills and one for each, and how well it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sphinx_x.studies.law import Fit, Law, fit_law, fit_with_intervals
from sphinx_x.studies.results import Line

ALL = "mean"
"""The name of the mean over all skills."""


@dataclass(frozen=True)
class Prediction:
    """What a law fitted without the largest size says of one of its results.

    Attributes:
        predicted: The loss that it expects.
        measured: The loss that was measured.
    """

    point: str
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """Relative error of the prediction."""
        return self.predicted / self.measured - 1


def loss_of(line: Line, skill: str, shown: str = "true") -> float:
    """Return a result's loss of a skill, or the mean of all skills."""
    if skill == ALL:
        return float(np.mean([one[shown] for one in line["loss"].values()]))
    return line["loss"][skill][shown]


def fit_of(lines: Sequence[Line], skill: str) -> Fit:
    """Return the law of a skill's loss, with intervals."""
    return fit_with_intervals([line["run"] for line in lines], *_numbers(lines, skill))


def predictions(lines: Sequence[Line], skill: str) -> list[Prediction]:
    """Return what the smaller sizes say of the largest, at each of its amounts."""
    largest = max(line["parameters"] for line in lines)
    rest = [line for line in lines if line["parameters"] < largest]
    law = fit_law(*_numbers(rest, skill))
    return [
        Prediction(line["point"], float(law.loss(line["parameters"], line["samples"])), loss_of(line, skill))
        for line in lines
        if line["parameters"] == largest
    ]


def halved(lines: Sequence[Line], skill: str) -> float | None:
    """Return after how many samples a run's loss is half of what chance gives, on a line between logarithms.

    Args:
        lines: The results of one run, by amount.
        skill: The skill.

    Returns:
        The number; infinity if that is after the largest amount, and None if it is before the smallest.
    """
    wanted = lines[0]["chance"][skill]["loss"] / 2
    losses, amounts = [loss_of(line, skill) for line in lines], [line["samples"] for line in lines]
    after = next((k for k, loss in enumerate(losses) if loss <= wanted), None)
    if not after:
        return None if after == 0 else float("inf")
    left, right = np.log(amounts[after - 1 : after + 1])
    above, below = np.log(losses[after - 1 : after + 1])
    return float(np.exp(left + (right - left) * (above - np.log(wanted)) / (above - below)))


def _numbers(lines: Sequence[Line], skill: str) -> tuple[list[float], list[float], list[float]]:
    return (
        [line["parameters"] for line in lines],
        [line["samples"] for line in lines],
        [loss_of(line, skill) for line in lines],
    )


def per_sample(lines: Sequence[Line]) -> float:
    """Return the operations of one sample and parameter, as the mean over results."""
    return float(np.mean([line["flops"] / line["parameters"] / line["samples"] for line in lines]))


def optimal(law: Law, lines: Sequence[Line], count: int = 50) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return operations over the measured range, and the parameters and samples that are best for each."""
    flops = [line["flops"] for line in lines]
    grid = np.geomspace(min(flops), max(flops), count)
    return grid, *law.optimum(grid, per_sample(lines))
