"""The writer that needs no endpoint: dialogue about marks out of what is known of them (paper, section 4.2, figure 7).

Four kinds: a detailed description of each mark, a short one, relations among marks, and questions about marks after the
model has said that it is ready. Only what the annotations say is said. The image is the raw one; where the marks are
stands in the first question, `<Mark 1> [0.56, 0.24]`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sphinx_x.data.som.checks import names_it
from sphinx_x.data.som.facts import Known, compared, counted, directions, distance, larger_than, lies, quoted
from sphinx_x.data.som.nouns import a_noun, agree, several
from sphinx_x.data.som.scenes import Scene
from sphinx_x.data.som.writing import Exchange, Page, Turn, Written, ask, cite
from sphinx_x.data.sources.base import UnusedError
from sphinx_x.data.sources.dialogue import listing, rng_of
from sphinx_x.data.sources.layout import number_word

READY = (
    "I'm ready. Please go ahead with your questions about the marks.",
    "Sure, I have seen the marks. What would you like to know?",
    "I am ready to answer questions about the given marks.",
)
PAIRS = 8
"""Pairs of marks in one answer, beyond those that name every mark once."""
QUESTIONS = 4


@dataclass(frozen=True)
class GroundTruthWriter:
    """Writes from annotations alone. questions: asked about the marks of a sample, at most."""

    name: str = "ground truth"
    questions: int = QUESTIONS

    def facts(self) -> dict:
        """What its words depend on; a folder that was begun with others is not gone on with."""
        return {"writer": self.name, "questions": self.questions}

    def write_all(self, pages: Iterable[Page]) -> Iterator[Written]:
        """The exchanges of every page in turn."""
        for page in pages:
            try:
                yield [*self.write(page)]
            except UnusedError as error:
                yield error

    def write(self, page: Page) -> list[Exchange]:
        """One exchange of every kind that there is something to say of; raises `UnusedError` where there is none."""
        exchanges: list[Exchange] = []
        for kind in page.kinds:
            answers = _ANSWERS[kind](page, rng_of(f"{page.key} {kind}"), self)
            if answers:
                exchanges.append(Exchange(kind, answers))
        if not exchanges:
            raise UnusedError("nothing is known of its marks")
        return exchanges


def _detailed(page: Page, rng: random.Random, writer: GroundTruthWriter) -> list[Turn]:
    lines = []
    if len(page.known) > 1 and all(one.named for one in page.known):
        lines.append(f"The marks are on {counted(page.known)}.")
    lines += [f"Mark {one.mark.label}: {_description(one, page, rng)}" for one in page.known]
    return [(ask("detailed", page.key), "\n".join(lines))]


def _description(one: Known, page: Page, rng: random.Random) -> str:
    """What a mark is on, where and how large it is, and how it lies to its neighbour."""
    verb = agree("is", one.many)
    said = [rng.choice((f"{one.noun} {verb} {one.where}", f"there {verb} {one.noun} {one.where}"))]
    if rng.random() < 0.8:
        said.append(one.extent)
    others = [other for other in page.known if other is not one]
    if others:
        other = min(others, key=lambda other: distance(one, other))
        said.append(lies(one, other, one.called, _called(other), one.many))
    return " ".join(f"{words[0].upper()}{words[1:]}." for words in said)


def _called(one: Known) -> str:
    """`the dog at Mark 2`."""
    if one.region.text or not one.region.name:
        return f"Mark {one.mark.label}"
    return f"the {one.region.name} at Mark {one.mark.label}"


def _short(page: Page, rng: random.Random, writer: GroundTruthWriter) -> list[Turn]:
    if not all(one.named for one in page.known):
        return []
    lines = [
        f"Mark {one.mark.label}: {quoted(one.region.text) if one.region.text else a_noun(one.region.name)}"
        for one in page.known
    ]
    return [(ask("short", page.key), "\n".join(lines))]


def _relations(page: Page, rng: random.Random, writer: GroundTruthWriter) -> list[Turn]:
    """Pairs that were annotated, then near ones until every mark is in a pair."""
    if len(page.known) < 2:
        return []
    said: dict[tuple[str, str], list[str]] = {}
    for first, predicate, second in annotated(page.scene, page.known)[:PAIRS]:
        words = f"{a_noun(first.region.name or 'region')} {predicate} {a_noun(second.region.name or 'region')}"
        said.setdefault((first.mark.label, second.mark.label), []).append(words)
    named = {label for pair in said for label in pair}
    for one in page.known:
        if one.mark.label in named:
            continue
        other = min((other for other in page.known if other is not one), key=lambda other: distance(one, other))
        said[one.mark.label, other.mark.label] = _related(one, other)
        named |= {one.mark.label, other.mark.label}
    lines = [f"{cite(a)}{cite(b)}: {'; '.join(words)}." for (a, b), words in said.items()]
    return [(ask("relations", page.key), "\n".join(lines))]


def annotated(scene: Scene, known: Sequence[Known]) -> list[tuple[Known, str, Known]]:
    """The annotated relations between regions that have marks."""
    by_region = {one.mark.region: one for one in known}
    return [
        (by_region[relation.subject], relation.predicate, by_region[relation.object])
        for relation in scene.relations
        if relation.subject in by_region and relation.object in by_region
    ]


def _related(one: Known, other: Known) -> list[str]:
    """How two regions lie to each other, and which is larger where that is clear."""
    first, second = f"Mark {one.mark.label}", f"Mark {other.mark.label}"
    shown = [first, second]
    words = []
    if one.named and other.named and not one.region.text and not other.region.text:
        if one.region.name == other.region.name:
            words.append(f"both are {several(one.region.name)}")
        else:
            shown = [f"{mark} ({known.noun})" for mark, known in ((first, one), (second, other))]
    words.append(lies(one, other, shown[0], shown[1]))
    size = compared(one, other)
    if size:
        words.append(f"{first} {larger_than(one, other, smaller=size < 0)} {second}")
    return words


def _questions(page: Page, rng: random.Random, writer: GroundTruthWriter) -> list[Turn]:
    turns = _pool(page, rng)
    if not turns:
        return []
    rng.shuffle(turns)
    return [(ask("questions", page.key), rng.choice(READY)), *turns[: writer.questions]]


def _pool(page: Page, rng: random.Random) -> list[Turn]:
    """Questions with one right answer each, one of every sort."""
    known = page.known
    turns: list[Turn] = []
    times = Counter(one.key for one in known)
    named = [one for one in known if one.region.name and not one.region.text]
    if named:
        one = rng.choice(named)
        turns.append(
            (
                rng.choice(("What is at {}?", "What can be seen at {}?")).format(_at(one)),
                f"There {agree('is', one.many)} {one.noun} at {_at(one)}.",
            )
        )
    texts = [one for one in known if one.region.text]
    if texts:
        one = rng.choice(texts)
        forms = ("What does the text at {} say?", "Read the text at {}.")
        turns.append((rng.choice(forms).format(_at(one)), one.region.text))
    if len(known) > 1:
        unique = [one for one in known if one.named and times[one.key] == 1 and not _others_so_called(one, known)]
        if unique and all(one.named for one in known):
            one = rng.choice(unique)
            thing = f"the text {quoted(one.region.text)}" if one.region.text else a_noun(one.region.name)
            turns.append((f"Which mark is on {thing}?", f"{cite(one.mark.label)}."))
        turns += _comparisons(known, rng)
        clear = [one for one in named if not _others_so_called(one, named)]
        if clear and len(named) == len(known) and page.scene.domain in ("natural", "document"):
            turns.append(_count(clear, rng))
    turns += _annotated(page, rng)
    return turns


def _others_so_called(one: Known, known: Sequence[Known]) -> bool:
    """Whether other classes may be called by the name of its class, or it by theirs: `man` and `guy`."""
    names = {other.region.name for other in known if not other.region.text} - {one.region.name, ""}
    return bool(one.region.name) and any(
        names_it(name, one.region.name) or names_it(one.region.name, name) for name in names
    )


def _at(one: Known) -> str:
    return cite(one.mark.label)


def _comparisons(known: Sequence[Known], rng: random.Random) -> list[Turn]:
    """Which of two is larger, and whether one lies as it is asked."""
    one, other = rng.sample(list(known), 2)
    turns: list[Turn] = []
    size = compared(one, other)
    if size:
        thing = "covers more of the image" if one.exact and other.exact else "has the larger box"
        right = one if size > 0 else other
        turns.append((f"Which {thing}, {_at(one)} or {_at(other)}?", f"{_at(right)}."))
    found = directions(one.mark.box, other.mark.box)
    for word, opposite in (("to the left of", "to the right of"), ("above", "below")):
        if word in found or opposite in found:
            asked = rng.choice((word, opposite))
            if asked in found:
                answer = f"Yes, {_at(one)} is {asked} {_at(other)}."
            else:
                answer = f"No, {_at(one)} is {opposite if asked == word else word} {_at(other)}."
            turns.append((f"Is {_at(one)} {asked} {_at(other)}?", answer))
    return turns


def _count(named: Sequence[Known], rng: random.Random) -> Turn:
    """How many of the marks are on one class, and which."""
    name = rng.choice(sorted({one.region.name for one in named}))
    found = [one for one in named if one.region.name == name]
    marks = "".join(map(str, listing([_at(one) for one in found])))
    return f"How many of the marks are on {several(name)}?", f"{number_word(len(found)).capitalize()}: {marks}."


def _annotated(page: Page, rng: random.Random) -> list[Turn]:
    found = annotated(page.scene, page.known)
    if not found:
        return []
    first, predicate, second = rng.choice(found)
    answer = f"{a_noun(first.region.name or 'region')} {predicate} {a_noun(second.region.name or 'region')}."
    return [(f"What is the relation between {_at(first)} and {_at(second)}?", answer[0].upper() + answer[1:])]


_ANSWERS = {"detailed": _detailed, "short": _short, "relations": _relations, "questions": _questions}
