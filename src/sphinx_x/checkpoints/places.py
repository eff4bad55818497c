"""A member's places for experts, and which given expert fills which of them.

A place is named by its number, counted from 1 over all groups, or by its kind if that is unambiguous.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sphinx_x.checkpoints.parts import Backbone
from sphinx_x.checkpoints.rules import VISION
from sphinx_x.errors import CheckpointError
from sphinx_x.model.config import GroupConfig
from sphinx_x.model.experts import ExpertConfig


@dataclass(frozen=True)
class Place:
    """A place for an expert in a model.

    Attributes:
        number: Counted from 1 over all groups.
        group: Index of its group.
        config: Configuration of the expert.
        target: The beginning of our names for its tensors.
    """

    number: int
    group: int
    config: ExpertConfig
    target: str

    @property
    def kind(self) -> str:
        """The kind of its expert."""
        return self.config.kind


def expert_places(groups: Iterable[GroupConfig]) -> list[Place]:
    """Return all places for experts of a model, group by group."""
    places: list[Place] = []
    for g, group in enumerate(groups):
        for k, expert in enumerate(group.experts):
            places.append(Place(len(places) + 1, g, expert, f"{VISION}{g}.experts.{k}."))
    return places


def of_kind(places: Iterable[Place], kind: str) -> list[Place]:
    """Return the places of one kind, in order."""
    return [place for place in places if place.kind == kind]


def fresh_places(member: str, places: Sequence[Place], fresh: Iterable[str]) -> set[int]:
    """Return the numbers of the places that get new weights.

    Args:
        member: How messages refer to the member.
        places: All of its places.
        fresh: Numbers, or kinds, each of which means all places of that kind.

    Raises:
        CheckpointError: There is no such place.
    """
    found: set[int] = set()
    for name in fresh:
        named = [place.number for place in places if name in (str(place.number), place.kind)]
        if not named:
            raise CheckpointError(_no_place(member, places, name))
        found.update(named)
    return found


def given_places(
    member: str, places: Sequence[Place], given: Sequence[Backbone], fresh: Iterable[int] = ()
) -> dict[int, Backbone]:
    """Return which place each given expert fills, by number.

    An expert without a number goes to its kind's place. If the member has several of a kind, exactly as many as are
    free must be given, and they fill the places in order; otherwise each needs a number.

    Raises:
        CheckpointError: No place fits, two experts are for the same one, or it is unclear which place is meant.
    """
    filled: dict[int, Backbone] = {}
    for expert in given:
        if expert.place is None:
            continue
        place = next((place for place in places if place.number == expert.place), None)
        if place is None or place.kind != expert.kind:
            there = f"is for a {place.kind}" if place else f"is not there; it has {_listed(places)}"
            raise CheckpointError(
                f"{expert.source.name}: a {expert.kind}, and place {expert.place} of {member} {there}"
            )
        if place.number in filled:
            raise CheckpointError(f"two experts are given for place {place.number}")
        filled[place.number] = expert
    new = set(fresh)
    both = next((place for place in places if place.number in filled and place.number in new), None)
    if both:
        raise CheckpointError(f"the expert {_name(both, places)} is given, and to be made new as well")
    for kind in dict.fromkeys(expert.kind for expert in given if expert.place is None):
        experts = [expert for expert in given if expert.place is None and expert.kind == kind]
        filled |= _in_order(member, places, kind, experts, new | filled.keys())
    return filled


def _in_order(
    member: str, places: Sequence[Place], kind: str, experts: Sequence[Backbone], taken: Iterable[int]
) -> dict[int, Backbone]:
    """Return the free places of a kind, filled with experts that have no number."""
    all_of_it = of_kind(places, kind)
    free = [place.number for place in all_of_it if place.number not in set(taken)]
    if not all_of_it:
        raise CheckpointError(_no_place(member, places, kind))
    if len(experts) == len(free):
        return dict(zip(free, experts, strict=True))
    if len(all_of_it) == 1 and not free:
        raise CheckpointError(f"the expert {kind} is given, and to be made new as well")
    if len(all_of_it) == 1:
        raise CheckpointError(f"two experts of the kind {kind} are given; {member} has one place for it")
    raise CheckpointError(
        f"{len(experts)} of the kind {kind} without a number, and {member} has {len(free)} free places for it "
        f"of {_listed(all_of_it)}; say which: --expert NUMBER=PATH"
    )


def counterparts(
    member: str, new: Sequence[Place], old: Sequence[Place], without: Mapping[int, bool]
) -> dict[int, Place]:
    """Return, by number, the place of an older member that corresponds to each place of a new one.

    The first of a kind corresponds to the first of that kind, and so on. If the two have different numbers of a kind,
    as many must be left to fill as the older member has.

    Args:
        member: How messages refer to the new member.
        new: Places of the new member.
        old: Places of the older one.
        without: Whether a new place, by number, is still to be filled.

    Raises:
        CheckpointError: It is unclear which place is meant.
    """
    found: dict[int, Place] = {}
    for kind in dict.fromkeys(place.kind for place in new):
        here, there = of_kind(new, kind), of_kind(old, kind)
        left = [place for place in here if without[place.number]]
        if len(here) != len(there):
            here = left
        if there and here and len(here) != len(there):
            raise CheckpointError(
                f"the member to start from has {len(there)} experts of the kind {kind}, {member} wants {len(here)} of "
                f"them; give (--expert NUMBER=PATH) or make new (--fresh NUMBER) of {_listed(of_kind(new, kind))}"
            )
        found |= {place.number: other for place, other in zip(here, there, strict=False)}
    return found


def name_of(place: Place, places: Sequence[Place]) -> str:
    """Return a place's name on the command line: its kind, or its number if there are several of the kind."""
    return place.kind if len(of_kind(places, place.kind)) == 1 else str(place.number)


def _name(place: Place, places: Sequence[Place]) -> str:
    return place.kind if len(of_kind(places, place.kind)) == 1 else f"{place.number} ({place.kind})"


def _listed(places: Iterable[Place]) -> str:
    return ", ".join(f"{place.number} ({place.kind})" for place in places) or "none"


def _no_place(member: str, places: Sequence[Place], name: str) -> str:
    which = f"place {name}" if name.isdigit() else f"expert of the kind {name}"
    return f"{member} has no {which}; it has {_listed(places)}"
