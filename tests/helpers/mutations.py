"""Documents with one thing in them spoilt."""

import copy
import random


def mutated(content, rng: random.Random):
    """A JSON document with one thing in it taken away, emptied or replaced by something else."""
    content = copy.deepcopy(content)
    place = content
    while True:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        inner = place[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.85:
            place = inner
            continue
        change = rng.randrange(4)
        if change == 0:
            del place[key]
        else:
            place[key] = [None, "\u0000", -7][change - 1]
        return content
