"""Questions about marks that have exactly one right answer, and which of them a dialogue asks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sphinx_x.engines.som.checks import names_it
from sphinx_x.engines.som.facts import Known, annotated, compared, directions, quoted
from sphinx_x.engines.som.nouns import a_noun, agree, several
from sphinx_x.engines.som.said import Fact, Said
from sphinx_x.engines.som.writing import Page, Turn, cite
from sphinx_x.sources.dialogue import listing
from sphinx_x.sources.layout import number_word

PAIRS = 4
"""Largest number of random pairs of marks to compare."""


NAMING = ("what", "which", "is it", "read", "count", "relation")
"""Sorts of questions whose answers tell what marks are on."""


@dataclass(frozen=True)
class Inquiry:
    """A question with its answer.

    Attributes:
        sort: The sort of question.
        tells: Facts that the answer tells.
        stale: Groups of facts; the question is pointless once all facts of a group have been told.
    """

    sort: str
    question: str
    answer: str
    tells: tuple[Fact, ...]
    stale: tuple[tuple[Fact, ...], ...]

    def is_new(self, said: Said, chosen: Sequence[Inquiry]) -> bool:
        """Return whether the answer tells something new, in words that no other answer has."""
        told = any(all(said.knows(fact) for fact in group) for group in self.stale)
        return not told and not any(repeats(self.answer, other.answer) for other in chosen)


def repeats(one: str, other: str) -> bool:
    """Return whether one of two answers is part of the other."""
    return one in other or other in one


def choose(page: Page, marks: Sequence[Known], said: Said, rng: random.Random, most: int) -> list[Turn]:
    """Return up to `most` questions that tell something new, of as many sorts as possible.

    Args:
        page: The page.
        marks: Marks whose names may be asked for; every other question asks for one while there are any.
        said: What has been told.
        rng: The source of randomness.
        most: Largest number of questions.
    """
    pool = [*_naming(page, marks, said, rng), *_of_one(page, said, rng), *_of_two(page, said, rng)]
    rng.shuffle(pool)
    chosen: list[Inquiry] = []
    sorts: Counter[str] = Counter()
    while len(chosen) < most:
        new = [one for one in pool if one.is_new(said, chosen)]
        if not new:
            break
        naming = len(chosen) % 2 == 0
        best = min(new, key=lambda one: ((one.sort in NAMING) != naming, sorts[one.sort]))
        chosen.append(best)
        sorts[best.sort] += 1
        said.add(*best.tells)
    return [(one.question, one.answer) for one in chosen]


def _naming(page: Page, marks: Sequence[Known], said: Said, rng: random.Random) -> Iterator[Inquiry]:
    """Yield questions about names: what a mark is on, which mark is on an object, what a text says, how many."""
    known = page.known
    clear = [one for one in known if one.region.name and not one.region.text and not others_so_called(one, known)]
    for one in marks:
        if not one.named or said.named(one):
            continue
        tells = (said.what(one),)
        at = cite(one.label)
        if one.region.text:
            forms = ("What does the text at {} say?", "Read the text at {}.", "What is written at {}?")
            yield Inquiry("read", rng.choice(forms).format(at), one.region.text, tells, (tells,))
        else:
            verb = agree("is", one.many)
            question = rng.choice(("What is at {}?", "What can be seen at {}?", "What is {} on?")).format(at)
            yield Inquiry("what", question, f"There {verb} {one.noun} at {at}.", tells, (tells,))
        alone = len(known) > 1 and all(other.named for other in known) and said.times[one.key] == 1
        if alone and (one in clear or one.region.text):
            thing = f"the text {quoted(one.region.text)}" if one.region.text else a_noun(one.region.name)
            yield Inquiry("which", f"Which mark is on {thing}?", f"{at}.", tells, (tells,))
        if one in clear:
            yield from _is_it(one, clear, said, rng)
    if len(clear) == len(known) > 1 and page.scene.domain in ("natural", "document"):
        yield from _count(marks, known, said)


def _is_it(one: Known, clear: Sequence[Known], said: Said, rng: random.Random) -> Iterator[Inquiry]:
    """Yield whether a mark is on what it is on, or on what another mark is on."""
    names = sorted({other.region.name for other in clear} - {one.region.name})
    decoy = bool(names) and rng.random() < 0.5
    asked = rng.choice(names) if decoy else one.region.name
    answer = f"{'No' if decoy else 'Yes'}, there {agree('is', one.many)} {one.noun} at {cite(one.label)}."
    tells = (said.what(one),)
    yield Inquiry("is it", f"Is {cite(one.label)} on {a_noun(asked)}?", answer, tells, (tells,))


def others_so_called(one: Known, known: Sequence[Known]) -> bool:
    """Return whether other classes may be called by the name of its class, or vice versa: `man` and `guy`."""
    names = {other.region.name for other in known if not other.region.text} - {one.region.name, ""}
    return bool(one.region.name) and any(
        names_it(name, one.region.name) or names_it(one.region.name, name) for name in names
    )


def _count(marks: Sequence[Known], known: Sequence[Known], said: Said) -> Iterator[Inquiry]:
    """Yield how many marks are on one class, and which, if none of them has been named."""
    for name in sorted({one.region.name for one in marks}):
        found = [one for one in known if one.region.name == name]
        labels = "".join(map(str, listing([cite(one.label) for one in found])))
        tells = (said.count(found[0]), *map(said.what, found))
        answer = f"{number_word(len(found)).capitalize()}: {labels}."
        stale = tuple((fact,) for fact in tells)
        yield Inquiry("count", f"How many of the marks are on {several(name)}?", answer, tells, stale)


def _of_one(page: Page, said: Said, rng: random.Random) -> Iterator[Inquiry]:
    """Yield the colour of one mark, how much it covers, and where it is."""
    for one in page.known:
        at = cite(one.label)
        if one.colour:
            question = rng.choice(("What colour is the region at {}?", "Which colour does {} mostly have?")).format(at)
            tells = (said.colour(one),)
            yield Inquiry("colour", question, f"The region at {at} is {one.colour}.", tells, (tells,))
        if one.share:
            thing, subject = ("", at) if one.exact else ("the box at ", f"The box at {at}")
            question = f"How much of the image does {thing}{at} cover?"
            tells = (said.size(one),)
            yield Inquiry("size", question, f"{subject} covers {one.share}.", tells, (tells,))
        if one.where:
            question = rng.choice(("Where in the image is {}?", "In which part of the image is {}?")).format(at)
            tells = (said.where(one),)
            yield Inquiry("where", question, f"{at} is {one.where}.", tells, (tells,))


def _of_two(page: Page, said: Said, rng: random.Random) -> Iterator[Inquiry]:
    """Yield which of two is larger, whether one lies as asked, and what was annotated about two."""
    known = page.known
    pairs = [(one, other) for k, one in enumerate(known) for other in known[k + 1 :]]
    for one, other in rng.sample(pairs, min(PAIRS, len(pairs))):
        one, other = rng.sample((one, other), 2)
        yield from _larger(one, other, said)
        yield from _side(one, other, said, rng)
    found = annotated(page.scene, known)
    # of two regions with several relations, another answer would be as right
    told = Counter(frozenset((first.label, second.label)) for first, _, second in found)
    found = [one for one in found if told[frozenset((one[0].label, one[2].label))] == 1]
    if found:
        first, predicate, second = rng.choice(found)
        answer = f"{a_noun(first.region.name or 'region')} {predicate} {a_noun(second.region.name or 'region')}."
        question = f"What is the relation between {cite(first.label)} and {cite(second.label)}?"
        tells = (said.relation(first, second), said.what(first), said.what(second))
        yield Inquiry("relation", question, answer[0].upper() + answer[1:], tells, (tells[:1],))


def _larger(one: Known, other: Known, said: Said) -> Iterator[Inquiry]:
    size = compared(one, other)
    if not size:
        return
    thing = "covers more of the image" if one.exact and other.exact else "has the larger box"
    right = one if size > 0 else other
    question = f"Which {thing}, {cite(one.label)} or {cite(other.label)}?"
    tells = (said.larger(one, other),)
    yield Inquiry("larger", question, f"{cite(right.label)}.", tells, (tells, (said.size(one), said.size(other))))


def _side(one: Known, other: Known, said: Said, rng: random.Random) -> Iterator[Inquiry]:
    """Yield whether a mark is left of another or above it, or how it lies relative to it."""
    first, second = cite(one.label), cite(other.label)
    found = directions(one.mark.box, other.mark.box)
    tells = (said.side(one, other),)
    if found:
        answer = f"{first} is {' and '.join(reversed(found))} {second}."
        yield Inquiry("how", f"Where is {first} in relation to {second}?", answer, tells, (tells,))
    for word, opposite in (("to the left of", "to the right of"), ("above", "below")):
        if word not in found and opposite not in found:
            continue
        asked = rng.choice((word, opposite))
        true = asked in found
        side = asked if true else opposite if asked == word else word
        answer = f"{'Yes' if true else 'No'}, {first} is {side} {second}."
        yield Inquiry("side", f"Is {first} {asked} {second}?", answer, tells, (tells,))
