"""What guessing gives."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from math import prod

from sphinx_x.evaluation.items import Item


def guessed_option(items: Sequence[Item]) -> float:
    """The share of right answers of somebody who takes an option blindly; an item without options is never right."""
    return sum(1 / len(item.options) for item in items if item.options) / len(items)


def guessed_by_kind(items: Sequence[Item]) -> float:
    """The mean over kinds of what `guessed_option` gives for each (`measures.ByKind`)."""
    kinds: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        kinds[item.kind].append(item)
    return sum(map(guessed_option, kinds.values())) / len(kinds)


def guessed_group(group: Callable[[Item], str | None], options: int = 0) -> Callable[[Sequence[Item]], float]:
    """The share of groups (`measures.Together`) all of which somebody gets right who guesses each item by itself.

    options: of every item, where they do not stand in it.
    """

    def share(items: Sequence[Item]) -> float:
        groups: dict[str, list[float]] = defaultdict(list)
        for item in items:
            key = group(item)
            count = options or len(item.options)
            if key is not None:
                groups[key].append(1 / count if count else 0.0)
        return sum(map(prod, groups.values())) / len(groups) if groups else 0.0

    return share
