"""What guessing gives."""

from collections.abc import Sequence

from sphinx_x.evaluation.items import Item


def guessed_option(items: Sequence[Item]) -> float:
    """The share of right answers of somebody who takes an option blindly; an item without options is never right."""
    return sum(1 / len(item.options) for item in items if item.options) / len(items)
