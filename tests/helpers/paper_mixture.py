"""Lengths like those of the paper's mixture."""

import numpy as np


def realistic(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and views of a mixture like the paper's: a tenth text only, the rest images of 3 or 5 views."""
    rng = np.random.default_rng(seed)
    views = rng.choice([0, 3, 5], count, p=[0.16, 0.25, 0.59])
    text = np.exp(rng.normal(np.where(views == 0, 6.0, 4.5), 0.9)).astype(int)
    tokens = np.minimum(views * 259 + np.where(views == 3, 2, 0) + text + 40, 4096)
    return tokens, views
