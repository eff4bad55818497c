"""What a dialogue about marks has said already, so that nothing is said or asked in it twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sphinx_x.engines.som.facts import Known

Fact = tuple[str, ...]
"""A sort and the labels or the class it is about."""


class Said:
    """The facts that the answers of a dialogue about these marks have told so far.

    Facts are of marks, by their labels, and of pairs of marks in either order.
    """

    def __init__(self, known: Sequence[Known]) -> None:
        self.times = Counter(one.key for one in known)
        self._facts: set[Fact] = set()

    def add(self, *facts: Fact) -> None:
        """Takes down that these were told."""
        self._facts.update(facts)

    def knows(self, fact: Fact) -> bool:
        """Whether a fact was told."""
        return fact in self._facts

    def named(self, one: Known) -> bool:
        """Whether it was told what a mark is on."""
        return self.knows(self.what(one))

    def knows_sizes(self, one: Known, other: Known) -> bool:
        """Whether it was told which of two is larger, or how large both are."""
        return self.knows(self.larger(one, other)) or (self.knows(self.size(one)) and self.knows(self.size(other)))

    def what(self, one: Known) -> Fact:
        """What a mark is on."""
        return "what", one.label

    def where(self, one: Known) -> Fact:
        """Where in the image it is."""
        return "where", one.label

    def size(self, one: Known) -> Fact:
        """How much of the image it covers."""
        return "size", one.label

    def colour(self, one: Known) -> Fact:
        """Which colour it has."""
        return "colour", one.label

    def count(self, one: Known) -> Fact:
        """How many of the marks are on its class."""
        return "count", one.key

    def side(self, one: Known, other: Known) -> Fact:
        """How two lie to each other."""
        return "side", *sorted((one.label, other.label))

    def larger(self, one: Known, other: Known) -> Fact:
        """Which of two is larger."""
        return "larger", *sorted((one.label, other.label))

    def relation(self, one: Known, other: Known) -> Fact:
        """What was annotated of two."""
        return "relation", one.label, other.label
