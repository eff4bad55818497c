"""What a dialogue about marks has said already, so that nothing in it is said or asked twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sphinx_x.engines.som.facts import Known

Fact = tuple[str, ...]
"""A sort, and the labels or class that it is about."""


class Said:
    """The facts that the answers of a dialogue about these marks have told so far.

    Facts are about marks, by their labels, and about pairs of marks in either order.
    """

    def __init__(self, known: Sequence[Known]) -> None:
        self.times = Counter(one.key for one in known)
        self._facts: set[Fact] = set()

    def add(self, *facts: Fact) -> None:
        """Record that these facts were told."""
        self._facts.update(facts)

    def knows(self, fact: Fact) -> bool:
        """Return whether a fact was told."""
        return fact in self._facts

    def named(self, one: Known) -> bool:
        """Return whether it was told what a mark is on."""
        return self.knows(self.what(one))

    def knows_sizes(self, one: Known, other: Known) -> bool:
        """Return whether it was told which of two is larger, or how large both are."""
        return self.knows(self.larger(one, other)) or (self.knows(self.size(one)) and self.knows(self.size(other)))

    def what(self, one: Known) -> Fact:
        """Return the fact of what a mark is on."""
        return "what", one.label

    def where(self, one: Known) -> Fact:
        """Return the fact of where in the image it is."""
        return "where", one.label

    def size(self, one: Known) -> Fact:
        """Return the fact of how much of the image it covers."""
        return "size", one.label

    def colour(self, one: Known) -> Fact:
        """Return the fact of its colour."""
        return "colour", one.label

    def count(self, one: Known) -> Fact:
        """Return the fact of how many marks are on its class."""
        return "count", one.key

    def side(self, one: Known, other: Known) -> Fact:
        """Return the fact of how two lie relative to each other."""
        return "side", *sorted((one.label, other.label))

    def larger(self, one: Known, other: Known) -> Fact:
        """Return the fact of which of two is larger."""
        return "larger", *sorted((one.label, other.label))

    def relation(self, one: Known, other: Known) -> Fact:
        """Return the fact of what was annotated about two."""
        return "relation", one.label, other.label
