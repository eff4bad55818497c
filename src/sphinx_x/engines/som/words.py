"""The writer that needs no endpoint: dialogue about marks from what is known of them (paper, section 4.2, figure 7).

There are four kinds: a detailed description of marks, a short one, relations among marks, and questions about marks,
often after the model has said that it is ready. Only what annotations and pixels say is said, and each fact once in a
dialogue: what one answer says is not asked for again, so that no answer can be copied from an earlier one. The image is
the raw one; the first question says where the marks are, `<Mark 1> [0.56, 0.24]`.

The wording of the questions is in `writing.QUESTIONS` and `inquiries`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sphinx_x.engines.som.facts import Known, annotated, compared, counted, distance, larger_than, lies, quoted
from sphinx_x.engines.som.inquiries import choose
from sphinx_x.engines.som.nouns import a_noun, agree, several
from sphinx_x.engines.som.said import Said
from sphinx_x.engines.som.writing import Exchange, Page, Task, Turn, Written, ask, cite, in_order
from sphinx_x.sources.base import UnusedError
from sphinx_x.sources.dialogue import rng_of

READY = (
    "I'm ready. Please go ahead with your questions about the marks.",
    "Sure, I have seen the marks. What would you like to know?",
    "I am ready to answer questions about the given marks.",
    "Yes, I am ready. Ask me about the marks.",
    "Go ahead, I can see all of the marked regions.",
    "All right, I have looked at the marks. What is your first question?",
    "Ready. Which of the marks do you want to know about?",
    "Of course. Please ask your questions about the marks.",
)
PAIRS = 6
"""Largest number of lines in one answer about relations."""
QUESTIONS, ASKED = 4, 2
"""Questions of a sample, and marks whose names are left to them if other kinds describe the rest."""
OVERVIEW, ANNOUNCED, WHOLE = 0.35, 0.35, 0.3
"""How often a description begins with what all marks are on, questions with an announcement, and how often one kind
describes all marks, so that the others are left with what it does not say."""


@dataclass(frozen=True)
class GroundTruthWriter:
    """Writes from annotations alone.

    Attributes:
        questions: Largest number of questions about the marks of a sample.
    """

    name: str = "ground truth"
    questions: int = QUESTIONS

    def facts(self) -> dict:
        """What its words depend on; a folder that was begun with others is not continued."""
        return {"writer": self.name, "questions": self.questions, "version": 2}

    def write_all(self, pages: Iterable[Page]) -> Iterator[Written]:
        """Yield the exchanges of every page in turn."""
        for page in pages:
            try:
                yield [*self.write(page)]
            except UnusedError as error:
                yield error

    def write(self, page: Page) -> list[Exchange]:
        """Return one exchange of every kind that has something new to say.

        Which marks each of them names is random; `writing.in_order` orders the kinds.

        Raises:
            UnusedError: There is nothing to say.
        """
        kinds = in_order(page)
        shares = _shares(page, kinds)
        said = Said(page.known)
        exchanges: list[Exchange] = []
        for kind in kinds:
            rng = rng_of(f"{page.key} {kind}")
            exchange = _KINDS[kind](page, shares.get(kind, []), said, rng, self)
            if exchange is not None:
                exchanges.append(exchange)
            if kind == "questions":  # the marks that were not asked for are left to the next description
                _hand_on(shares, kinds, said, page)
        if not exchanges:
            raise UnusedError("nothing is known of its marks")
        return exchanges


def _shares(page: Page, kinds: Sequence[Task]) -> dict[Task, list[Known]]:
    """Return the marks that each kind names, in the order of the page; every mark is named by one of them."""
    naming: list[Task] = [kind for kind in kinds if kind != "relations"]
    if len(naming) < 2:
        return {kind: [*page.known] for kind in naming}
    rng = rng_of(f"{page.key} shares")
    marks = list(range(len(page.known)))
    rng.shuffle(marks)
    describing: list[Task] = [kind for kind in naming if kind != "questions"]
    first = rng.choice(describing)
    if len(marks) == 1 or rng.random() < WHOLE:
        return {first: [*page.known]}
    cuts: dict[Task, list[int]] = {first: marks}
    if "questions" in naming:
        asked = rng.randint(1, min(max(len(marks) // 2, 1), ASKED))
        cuts["questions"], cuts[first] = marks[:asked], marks[asked:]
    if len(describing) > 1 and len(cuts[first]) > 1:
        describing.remove(first)
        other = describing[0]
        kept = rng.randint(1, len(cuts[first]) - ("questions" not in naming))
        cuts[first], cuts[other] = cuts[first][:kept], cuts[first][kept:]
    return {kind: [page.known[k] for k in sorted(numbers)] for kind, numbers in cuts.items()}


def _hand_on(shares: dict[Task, list[Known]], kinds: Sequence[Task], said: Said, page: Page) -> None:
    """Give the marks that questions should have named, but did not, to the first kind of description after them."""
    later: list[Task] = [kind for kind in kinds[kinds.index("questions") + 1 :] if kind in shares]
    if later:
        given = {one.label for kind in ("questions", later[0]) for one in shares.get(kind, []) if not said.named(one)}
        shares[later[0]] = [one for one in page.known if one.label in given]


def _detailed(
    page: Page, marks: Sequence[Known], said: Said, rng: random.Random, writer: GroundTruthWriter
) -> Exchange | None:
    marks = [one for one in marks if not said.named(one)]
    if not marks:
        return None
    lines = []
    whole = len(marks) == len(page.known)
    if whole and len(marks) > 2 and all(one.named for one in marks) and rng.random() < OVERVIEW:
        forms = ("The marks are on {}.", "What is marked: {}.", "In this image {} are marked.")
        lines.append(rng.choice(forms).format(counted(marks)))
        said.add(*(said.count(one) for one in marks))
    for one in marks:
        said.add(said.what(one))
    others = [one for one in page.known if all(one is not other for other in marks)]
    lines += [f"Mark {one.label}: {_description(one, [*marks, *others], said, rng)}" for one in marks]
    return _exchange("detailed", page, marks, "\n".join(lines))


def _exchange(kind: Task, page: Page, marks: Sequence[Known], answer: str) -> Exchange:
    labels = tuple(one.label for one in marks)
    question = ask(kind, page.key, labels if len(labels) < len(page.known) else ())
    return Exchange(kind, [(question, answer)], labels)


def _description(one: Known, others: Sequence[Known], said: Said, rng: random.Random) -> str:
    """Return what a mark is on and where, and some of its colour, its size, how it lies, which is larger."""
    colour = "" if said.knows(said.colour(one)) else one.colour
    coloured = bool(colour) and len(one.colours) == 1 and rng.random() < 0.3
    sentences = [_opening(one, coloured, said, rng)]
    it, is_, its = one.again, agree("is", one.many), "their" if one.many else "its"
    more: list[str] = []
    if colour and not coloured and rng.random() < 0.7:
        more.append(f"{it} {is_} {colour}")
        said.add(said.colour(one))
    if one.share and not said.knows(said.size(one)) and rng.random() < 0.6:
        subject = it if one.exact else f"{its} box"
        verb = agree(rng.choice(("covers", "takes up")), one.many) if one.exact else rng.choice(("covers", "takes up"))
        more.append(f"{subject} {verb} {one.share}")
        said.add(said.size(one))
    near = sorted((other for other in others if other is not one), key=lambda other: distance(one, other))
    beside = next((other for other in near if lies(one, other) and not said.knows(said.side(one, other))), None)
    if beside is not None and (rng.random() < 0.7 or not more):
        more.append(f"{it} {rng.choice((is_, agree('lies', one.many)))} {lies(one, beside)} Mark {beside.label}")
        said.add(said.side(one, beside))
    else:
        sized = [other for other in near if compared(one, other) and not said.knows_sizes(one, other)]
        if sized and rng.random() < 0.5:
            word = larger_than(one, sized[0], smaller=compared(one, sized[0]) < 0)
            more.append(f"{it} {agree(word, one.many)} Mark {sized[0].label}")
            said.add(said.larger(one, sized[0]))
    rng.shuffle(more)
    sentences += more
    return " ".join(f"{words[0].upper()}{words[1:]}." for words in sentences)


def _opening(one: Known, coloured: bool, said: Said, rng: random.Random) -> str:
    """Return the first sentence: what is there, and mostly where in the image it is."""
    verb = agree("is", one.many)
    noun = a_noun(f"{one.colour} {one.region.name}") if coloured else one.noun
    said.add(*([said.colour(one)] if coloured else []))
    if not one.where or said.knows(said.where(one)) or rng.random() < 0.15:
        return f"{'these' if one.many else 'this'} {verb} {noun}"
    said.add(said.where(one))
    forms = ("{noun} {verb} {where}", "{where} {verb} {noun}", "{this} {verb} {noun} {where}")
    if not one.region.text:
        forms += ("there {verb} {noun} {where}", "{where} there {verb} {noun}")
    this = "these" if one.many else "this"
    return rng.choice(forms).format(noun=noun, verb=verb, where=one.where, this=this)


def _short(
    page: Page, marks: Sequence[Known], said: Said, rng: random.Random, writer: GroundTruthWriter
) -> Exchange | None:
    marks = [one for one in marks if one.named and not said.named(one)]
    if not marks:
        return None
    lines = []
    for one in marks:
        what = quoted(one.region.text) if one.region.text else a_noun(one.region.name)
        if len(one.colours) == 1 and not said.knows(said.colour(one)) and rng.random() < 0.3:
            what = a_noun(f"{one.colour} {one.region.name}")
            said.add(said.colour(one))
        lines.append(f"Mark {one.label}: {what}")
        said.add(said.what(one))
    return _exchange("short", page, marks, "\n".join(lines))


def _relations(
    page: Page, marks: Sequence[Known], said: Said, rng: random.Random, writer: GroundTruthWriter
) -> Exchange | None:
    """Return annotated pairs, then near ones until every mark is in a pair or nothing new is left to say."""
    if len(page.known) < 2:
        return None
    lines: dict[tuple[str, str], list[str]] = {}
    for first, predicate, second in annotated(page.scene, page.known)[:PAIRS]:
        words = f"{a_noun(first.region.name or 'region')} {predicate} {a_noun(second.region.name or 'region')}"
        lines.setdefault((first.label, second.label), []).append(words)
        said.add(said.relation(first, second), said.what(first), said.what(second))
    paired = {label for pair in lines for label in pair}
    for one in rng.sample(page.known, len(page.known)):
        if one.label in paired or len(lines) == PAIRS:
            continue
        others = sorted((other for other in page.known if other is not one), key=lambda other: distance(one, other))
        for other in others:
            words = _related(one, other, said, rng)
            if words:
                lines[one.label, other.label] = words
                paired |= {one.label, other.label}
                break
    if not lines:
        return None
    answer = "\n".join(f"{cite(a)}{cite(b)}: {'; '.join(words)}." for (a, b), words in lines.items())
    return Exchange("relations", [(ask("relations", page.key), answer)], tuple(sorted(paired)))


def _related(one: Known, other: Known, said: Said, rng: random.Random) -> list[str]:
    """Return what is new about how two regions lie relative to each other, and which is clearly larger."""
    first, second = f"Mark {one.label}", f"Mark {other.label}"
    words = []
    side, size = lies(one, other), compared(one, other)
    if side and not said.knows(said.side(one, other)):
        words.append(f"{first} {rng.choice(('is', 'lies'))} {side} {second}")
        said.add(said.side(one, other))
    if size and not said.knows_sizes(one, other) and (not words or rng.random() < 0.6):
        words.append(f"{first} {larger_than(one, other, smaller=size < 0)} {second}")
        said.add(said.larger(one, other))
    both = one.region.name == other.region.name and one.region.name and not one.region.text and not other.region.text
    if words and both and not (said.named(one) or said.named(other)):
        words.insert(0, f"both are {several(one.region.name)}")
        said.add(said.what(one), said.what(other))
    return words


def _questions(
    page: Page, marks: Sequence[Known], said: Said, rng: random.Random, writer: GroundTruthWriter
) -> Exchange | None:
    """Return questions with one right answer about what is new; marks that no other kind names come first."""
    turns: list[Turn] = choose(page, marks, said, rng, writer.questions)
    if not turns:
        return None
    if len(page.kinds) == 1 or rng.random() < ANNOUNCED:
        turns.insert(0, (ask("questions", page.key), rng.choice(READY)))
    return Exchange("questions", turns, ())


_KINDS = {"detailed": _detailed, "short": _short, "relations": _relations, "questions": _questions}
