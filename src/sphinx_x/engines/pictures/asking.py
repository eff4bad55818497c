"""Questions about what a picture shows, each with one exact answer.

A question is left out where a second answer would be as right as the first: about `the dog` where there may be two, or
whether something is there where nobody has looked for it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sphinx_x.boxes import Box, centre
from sphinx_x.conversation import Message
from sphinx_x.engines.documents.asking import Turn
from sphinx_x.engines.pictures.scenes import Thing
from sphinx_x.engines.pictures.words import Word, may_be_said_to_lack, related, tokens
from sphinx_x.engines.som.facts import directions
from sphinx_x.engines.som.nouns import a_noun, agree, counted_noun, is_plural, several
from sphinx_x.errors import DataError
from sphinx_x.sources.base import UnusedError
from sphinx_x.sources.dialogue import FIND, Content, box, boxes, dialogue, listing, short
from sphinx_x.sources.layout import number_word

WEIGHTS = {
    "name": 4, "kind": 1, "there": 4, "choice": 1.5, "list": 1.5, "count": 2.5, "where": 2.5, "at": 2, "side": 1.5,
    "beside": 1, "half": 1, "colour": 1.5, "largest": 0.7, "describe": 0.8,
}  # fmt: skip
"""How often each kind of question is drawn, relative to the others."""
LED = 0.5
"""Share of the dialogues that begin with the question for the name, if there is one."""
SHORTLY = 0.6
"""Share of the questions that ask for a word or a phrase."""
NEAR = 0.6
"""Share of the things that are not there which are of the same sort as what is there."""
MAIN = 1.8
"""How many times as large as the next thing the main one is."""
MOST_THERE = 2
"""Most questions of a picture whether something is there that are answered yes, and as many answered no."""
NONE = 0.08
"""Share of the questions about numbers whose answer is none."""
NAMES = (
    "What is in the picture?", "What does the picture show?", "What is shown in the image?", "What can you see here?",
    "Name the object in the image.",
)  # fmt: skip
MAINS = ("What is the main object in the picture?", "What does the picture mainly show?")
LISTS = ("What can be seen in the picture?", "Which things are in the picture?", "List what the image shows.")
DESCRIBED = ("Describe the picture.", "Describe the image in one sentence.", "Write a caption for this picture.")
SIDES = ("to the left of", "to the right of", "above", "below")
OPPOSITE: dict[str, str] = dict(zip(SIDES, ("to the right of", "to the left of", "below", "above"), strict=True))


@dataclass(frozen=True)
class Seen:
    """What is known of a picture.

    Attributes:
        kind: How it was made.
        size: Width and height.
        things: The things whose places are known; all that there are, except for `maybe`.
        main: What the picture shows as a whole, if no places are known.
        maybe: Words for what may be there as well; nothing is said about them.
        medium: What it is: `photo`, `picture`.
        looked_at: Whether anybody has looked at what it shows besides; otherwise it is not said to lack anything.
    """

    kind: str
    size: tuple[int, int]
    things: tuple[Thing, ...] = ()
    main: Word | None = None
    maybe: frozenset[str] = frozenset()
    medium: str = "picture"
    looked_at: bool = True


@dataclass(frozen=True)
class Stock:
    """The words that may be asked for: for each, its sort and how often pictures show it."""

    words: dict[str, tuple[str, float]]


@dataclass
class Asked:
    """A dialogue: its messages, the kinds of its questions, and by number of the answer the things that it is about."""

    messages: list[Message]
    kinds: list[str] = field(default_factory=list)
    evidence: dict[int, list[int]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)


def ask(seen: Seen, stock: Stock, rng: random.Random, turns: int, weights: dict[str, float]) -> Asked:
    """Return a dialogue of up to so many questions of different content.

    Raises:
        UnusedError: Nothing can be asked.
    """
    asker = _Asker(seen, stock, rng)
    asked = Asked([])
    said: list[tuple[Content, Content]] = []
    facts: set[tuple[str, str]] = set()
    kinds = [kind for kind, weight in weights.items() if weight]
    led = rng.random() < LED
    for number in range(5 * turns):
        if len(said) >= turns or not kinds:
            break
        named = led and not number and "name" in kinds
        kind = "name" if named else rng.choices(kinds, [weights[one] for one in kinds])[0]
        turn = asker.turn(kind)
        if turn is None:
            asked.left_out[f"no {kind} question on this picture"] += 1
            kinds = [one for one in kinds if one != kind]
        elif turn.facts[0] not in facts:
            facts.update(turn.facts)
            asked.kinds.append(kind)
            asked.evidence[len(said)] = list(turn.evidence)
            said.append((turn.question, turn.answer))
    if not said:
        raise UnusedError("picture that allows no question")
    asked.messages = dialogue(said)
    return asked


def check_weights(weights: dict[str, float]) -> dict[str, float]:
    """Return the weights.

    Raises:
        DataError: There is no such kind of question, a weight is below 0, or all are 0.
    """
    for kind, weight in weights.items():
        if kind not in WEIGHTS:
            raise DataError(f"weights: {kind}: no such kind of question, but {', '.join(WEIGHTS)}")
        if weight < 0:
            raise DataError(f"weights: {kind} is below 0")
    if not any(weights.values()):
        raise DataError("weights: no kind of question has one")
    return weights


class _Asker:
    def __init__(self, seen: Seen, stock: Stock, rng: random.Random) -> None:
        self.seen, self.stock, self.rng = seen, stock, rng
        self.counts = Counter(thing.word.word for thing in seen.things)
        self.said: Counter[bool] = Counter()
        self.asked_for: set[str] = set()
        self.composed = seen.main is None and not seen.maybe
        chief = self._chief()
        self.main = seen.main if chief is None else seen.things[chief].word
        self.there = set(self.counts) | ({seen.main.word} if seen.main else set())
        names = [thing.word for thing in seen.things] + ([seen.main] if seen.main else [])
        self.taken = frozenset().union(*(tokens(f"{one.name} {one.word}") for one in names))
        self.groups = {one.group for one in names if one.group}
        self.known = all(one.group for one in names)

    def turn(self, kind: str) -> Turn | None:
        """Return a question of a kind; None if the picture allows none."""
        return getattr(self, f"_{kind}")()

    def _chief(self) -> int | None:
        """Return the number of the one thing, or of one that is much larger than the others."""
        order = sorted(range(len(self.seen.things)), key=lambda k: -self.seen.things[k].area)
        areas = [self.seen.things[k].area for k in order]
        return order[0] if len(areas) == 1 or (areas and areas[0] >= MAIN * areas[1]) else None

    def _told(self, kind: str, question: str, word: str, sentence: str, *facts: tuple[str, str], **more: tuple) -> Turn:
        """Return a question that asks for a word in most cases, and else is answered in a sentence."""
        evidence = more.get("evidence", ())
        if self.rng.random() < SHORTLY:
            return Turn(kind, short(question), word, evidence, facts)
        return Turn(kind, question, f"{sentence[0].upper()}{sentence[1:]}.", evidence, facts)

    def _single(self, coloured: bool = False) -> list[tuple[int, Thing]]:
        """Return the things that `the dog` can be said of, with their numbers."""
        return [
            (k, thing)
            for k, thing in enumerate(self.seen.things)
            if self.counts[thing.word.word] == 1
            and thing.word.word not in self.seen.maybe
            and (len(thing.colours) == 1 or not coloured)
        ]

    def _absent(self, near: bool) -> str | None:
        """Return a word for what is not there, one that pictures show often more often."""
        if not self.seen.looked_at or not self.known:  # a rose is a flower, but nobody has said so
            return None
        known = self.there | self.seen.maybe
        words = {
            word: often
            for word, (group, often) in self.stock.words.items()
            if word not in known
            and may_be_said_to_lack(word, self.composed)
            and self.taken.isdisjoint(tokens(word))
            and related(word).isdisjoint(known)
            and (not near or group in self.groups)
        }
        return self.rng.choices(list(words), list(words.values()))[0] if words else None

    def _lacking(self) -> str | None:
        near = self.rng.random() < NEAR
        return self._absent(near) or self._absent(False)

    def _name(self) -> Turn | None:
        if self.main is None:
            return None
        questions = NAMES if len(self.seen.things) < 2 else MAINS
        word = self.main.word
        return self._told("name", self.rng.choice(questions), word, a_noun(word), ("name", word), ("there", word))

    def _kind(self) -> Turn | None:
        if self.main is None or not self.main.finer or len(self.main.name.split()) > 3:
            return None
        if self.counts[self.main.word] > 1:  # of which of them?
            return None
        word, name = self.main.word, self.main.name
        question = self.rng.choice(("What kind of {} is it?", "Which sort of {} does the picture show?")).format(word)
        return self._told("kind", question, name, a_noun(name), ("kind", word), *_met(word))

    def _there(self) -> Turn | None:
        known = sorted(word for word in self.there if may_be_said_to_lack(word, self.composed))
        most = min(max(len(known), 1), MOST_THERE)
        yes = self.rng.random() < 0.5
        # as many of both are possible, or the word would tell the answer: most things are not in a picture
        if self.said[yes] >= most:
            return None
        known = [word for word in known if word not in self.asked_for]
        word = self.rng.choice(known) if yes and known else self._lacking() if not yes else None
        if word is None:
            return None
        self.said[yes] += 1
        self.asked_for.add(word)
        noun = several(word) if self.counts[word] > 1 else a_noun(word)
        verb = agree("is", is_plural(noun) or self.counts[word] > 1)
        forms = ("{Is} there {} in the picture?", "{Is} there {} in the image?", "Can you see {} in the picture?")
        question = self.rng.choice(forms).format(noun, Is=verb.capitalize())
        none = f"no, there {verb} no {word}"
        sentence = f"yes, there {verb} {noun}" if yes else none
        return self._told("there", question, "Yes" if yes else "No", sentence, ("is there", word), *_met(word))

    def _choice(self) -> Turn | None:
        if self.main is None or len(self.seen.things) > 1:
            return None
        other = self._absent(True)
        if other is None:
            return None
        word = self.main.word
        pair = self.rng.sample((a_noun(word), a_noun(other)), 2)
        question = f"Does the picture show {pair[0]} or {pair[1]}?"
        return self._told("choice", question, word, a_noun(word), ("name", word), *_met(word), *_met(other))

    def _said(self) -> str:
        counted = [a_noun(word) if count == 1 else counted_noun(word, count) for word, count in self.counts.items()]
        return "".join(map(str, listing(counted)))

    def _list(self) -> Turn | None:
        if len(self.counts) < 2 or self.seen.maybe:
            return None
        every = [fact for word in self.counts for fact in _met(word)]
        return Turn("list", self.rng.choice(LISTS), f"{_capital(self._said())}.", (), (("list", ""), *every))

    def _describe(self) -> Turn | None:
        facts: list[tuple[str, str]] = [("list", "")]
        if not self.seen.things:
            if self.main is None:
                return None
            said = f"A {self.seen.medium} of {a_noun(self.main.word)}."
            return Turn("describe", self.rng.choice(DESCRIBED), said, (), _met(self.main.word)[::-1])
        if self.seen.maybe:
            return None
        pairs = [(one, other) for one in self._single() for other in self._single() if one[0] != other[0]]
        facts += [fact for word in self.counts for fact in _met(word)]
        said = f"The picture shows {self._said()}."
        self.rng.shuffle(pairs)
        for (k, one), (n, other) in pairs:
            found = directions(one.box, other.box)
            if found and len(self.seen.things) < 5:
                verb = agree("is", is_plural(one.word.word))
                said += f" The {one.word.word} {verb} {self.rng.choice(found)} the {other.word.word}."
                facts.append(("side", f"{min(k, n)} {max(k, n)}"))
                break
        return Turn("describe", self.rng.choice(DESCRIBED), said, (), tuple(facts))

    def _count(self) -> Turn | None:
        if not self.seen.things:
            return None
        known = [word for word in self.counts if word not in self.seen.maybe]
        word = self._lacking() if self.rng.random() < NONE else self.rng.choice(known) if known else None
        if word is None:
            return None
        count = self.counts[word]
        question = f"How many {several(word)} are there in the {self.rng.choice(('picture', 'image'))}?"
        sentence = f"there {agree('is', count != 1)} {number_word(count) if count else 'no'}"
        sentence += f" {word if count == 1 else several(word)}"
        evidence = tuple(k for k, thing in enumerate(self.seen.things) if thing.word.word == word)
        return self._told("count", question, str(count), sentence, ("count", word), *_met(word), evidence=evidence)

    def _where(self) -> Turn | None:
        known = [word for word in self.counts if word not in self.seen.maybe]
        if not known:
            return None
        word = self.rng.choice(known)
        evidence = tuple(k for k, thing in enumerate(self.seen.things) if thing.word.word == word)
        places = [self.seen.things[k].box for k in evidence]
        facts = (("where", word), *_met(word))
        if len(places) == 1:
            question = self.rng.choice((f"Where is the {word}?", FIND.format(word), f"Give the box of the {word}."))
            if is_plural(word):
                question = f"Where are the {word}?"
            return Turn("where", question, box(places[0]), evidence, facts)
        return Turn("where", f"Where are the {several(word)}?", boxes(sorted(places)), evidence, facts)

    def _at(self) -> Turn | None:
        if len(self.counts) < 2:
            return None
        k = self.rng.randrange(len(self.seen.things))
        thing = self.seen.things[k]
        before, after = self.rng.choice(
            (("What is at ", "?"), ("What is in the region ", "?"), ("Name what is at ", "."))
        )
        facts = (("where", thing.word.word), *_met(thing.word.word))
        if self.rng.random() < SHORTLY:
            return Turn("at", [before, box(thing.box), short(after)], thing.word.word, (k,), facts)
        return Turn("at", [before, box(thing.box), after], f"{_capital(a_noun(thing.word.word))}.", (k,), facts)

    def _side(self) -> Turn | None:
        single = self._single()
        if len(single) < 2:
            return None
        (k, one), (n, other) = self.rng.sample(single, 2)
        found = directions(one.box, other.box)
        if not found:
            return None
        true = self.rng.choice(found)
        yes = self.rng.random() < 0.5
        first, verb = one.word.word, "Are" if is_plural(one.word.word) else "Is"
        question = f"{verb} the {first} {true if yes else OPPOSITE[true]} the {other.word.word}?"
        sentence = f"{'yes' if yes else 'no'}, the {first} {verb.lower()} {true} the {other.word.word}"
        facts = (("side", f"{min(k, n)} {max(k, n)}"), *_met(first), *_met(other.word.word))
        return self._told("side", question, "Yes" if yes else "No", sentence, *facts, evidence=(k, n))

    def _beside(self) -> Turn | None:
        """Return what is on one side of a thing, if it is one thing and everything else is clearly not there."""
        single = self._single()
        if len(self.seen.things) < 2 or not single or self.seen.maybe:
            return None
        n, other = self.rng.choice(single)
        side = self.rng.choice(SIDES)
        rest = [(k, thing, directions(thing.box, other.box)) for k, thing in enumerate(self.seen.things) if k != n]
        there = [(k, thing) for k, thing, found in rest if side in found]
        if len(there) != 1 or any(side not in found and OPPOSITE[side] not in found for _, _, found in rest):
            return None
        k, thing = there[0]
        word = thing.word.word
        facts = (("side", f"{min(k, n)} {max(k, n)}"), *_met(word), *_met(other.word.word))
        question = f"What is {self.rng.choice(('', 'there '))}{side} the {other.word.word}?"
        return self._told("beside", question, word, a_noun(word), *facts, evidence=(k, n))

    def _half(self) -> Turn | None:
        found = [(k, thing, half) for k, thing in self._single() if (half := _half_of(thing.box, self.seen.size))]
        if not found:
            return None
        k, thing, half = self.rng.choice(found)
        word = thing.word.word
        pair = ("on the left", "on the right") if half in ("left", "right") else ("at the top", "at the bottom")
        verb = "Are" if is_plural(word) else "Is"
        question = f"{verb} the {word} {pair[0]} or {pair[1]} of the picture?"
        where = next(one for one in pair if one.endswith(half))
        sentence = f"the {word} {verb.lower()} {where}"
        return self._told("half", question, half, sentence, ("half", word), *_met(word), evidence=(k,))

    def _colour(self) -> Turn | None:
        found = self._single(coloured=True)
        if not found:
            return None
        k, thing = self.rng.choice(found)
        word, colour = thing.word.word, thing.colours[0]
        verb = agree("is", is_plural(word))
        question = f"{self.rng.choice(('What colour', 'What color', 'Which colour'))} {verb} the {word}?"
        sentence = f"the {word} {verb} {colour}"
        return self._told("colour", question, colour, sentence, ("colour", word), *_met(word), evidence=(k,))

    def _largest(self) -> Turn | None:
        k = self._chief()
        if k is None or len(self.counts) < 2 or self.seen.maybe:
            return None
        word = self.seen.things[k].word.word
        question = self.rng.choice(("Which thing is the largest in the picture?", "What is largest in the picture?"))
        return self._told("largest", question, word, f"the {word}", ("name", word), *_met(word), evidence=(k,))


def _met(word: str) -> tuple[tuple[str, str], ...]:
    """Return what is known once a word has been said: that such a thing is there, or is not, and what it is called."""
    return ("there", word), ("name", word)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _half_of(place: Box, size: Sequence[int]) -> str:
    """Return the half of a picture that contains all of a box; empty if there is none, or it may be said of both."""
    x, y = centre(place)
    if place[2] <= size[0] / 2 or place[0] >= size[0] / 2:
        return "left" if x < size[0] / 2 else "right"
    if place[3] <= size[1] / 2 or place[1] >= size[1] / 2:
        return "top" if y < size[1] / 2 else "bottom"
    return ""
