"""Questions about a drawing, each with one exact answer, and the lines in which the answer stands.

Answers are printed values, numbers of what is listed, boxes, lines of text, yes or no. A question is left out where a
second answer would be as right as the first.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sphinx_x.boxes import Box, stands_below, union
from sphinx_x.conversation import Message
from sphinx_x.engines.documents import wordings as words
from sphinx_x.engines.documents.sheet import Drawing, Fact, Line
from sphinx_x.errors import DataError
from sphinx_x.sources.base import UnusedError
from sphinx_x.sources.dialogue import Content, box, boxes, dialogue, short

WEIGHTS = {
    "field": 8, "entry": 4, "which": 1.5, "order": 0.7, "most": 0.4, "count": 1.2, "rows": 0.4, "region": 2,
    "block": 0.7, "where_text": 1.5, "where_field": 1.5, "yes_no": 2, "there": 1, "listed": 0.8, "absent": 2,
    "read": 0.5, "difference": 1, "as_table": 0.5,
}  # fmt: skip
"""How often each kind of question is drawn, relative to the others."""
ASKED_OFTEN = {"company": 7, "date": 6, "address": 6, "total": 7}
"""How often facts are asked for, relative to others."""
PLACED = ("where_text", "where_field", "region", "block", "read")
"""Kinds after which it would be idle to ask where the answer stands."""
MOST_READ = 10
"""Rows up to which a page is read as a whole."""
UNSEEN = 0.02
"""Difference of two bars, as a share of the largest, below which nobody sees which one is higher."""
MOST_CELLS = 48
"""Most numbers of a table that is asked for as a whole."""
LONGEST = 90
"""Characters of the longest line that is named in a question."""


@dataclass(frozen=True)
class Turn:
    """A question with its answer.

    Attributes:
        kind: Its kind, one of `WEIGHTS`.
        question: The question.
        answer: The answer.
        evidence: The words in which the answer stands; none if it is not there.
        facts: What is said by question or answer, so that it is not asked again.
    """

    kind: str
    question: Content
    answer: Content
    evidence: tuple[int, ...]
    facts: tuple[tuple[str, str], ...] = ()


@dataclass
class Asked:
    """A dialogue about a document.

    Attributes:
        messages: The dialogue.
        kinds: The kinds of its questions.
        evidence: For each of its answers, by number, the lines in which it stands.
        left_out: Kinds that the document does not allow.
    """

    messages: list[Message]
    kinds: list[str] = field(default_factory=list)
    evidence: dict[int, list[int]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)


def ask(
    drawing: Drawing, rng: random.Random, turns: int = 5, weights: dict[str, float] | None = None, shown: float = 0.25
) -> Asked:
    """Return a dialogue about a document.

    Args:
        drawing: The document, with boxes as in its picture.
        rng: The source of randomness.
        turns: Number of questions.
        weights: How often each kind is drawn; by default `WEIGHTS`.
        shown: Share of the answers after which it is asked where they stand.

    Raises:
        DataError: There is no such kind of question.
        UnusedError: Nothing can be asked.
    """
    weights = check_weights(WEIGHTS if weights is None else weights)
    asker = _Asker(drawing, rng)
    asked = Asked([])
    said: list[tuple[Content, Content]] = []
    known: set[tuple[str, str]] = set()

    def add(kind: str) -> None:
        turn = asker.turn(kind)
        if turn is None:
            asked.left_out[f"no {kind} question on this document"] += 1
            return
        if known.intersection(turn.facts) or any(turn.question == question for question, _ in said):
            return
        known.update(turn.facts)
        asked.kinds.append(kind)
        lines = asker.lines(turn.evidence)
        asked.evidence[len(said)] = lines
        said.append((turn.question, turn.answer))
        if lines and kind not in PLACED and rng.random() < shown:
            asked.evidence[len(said)] = lines
            said.append((rng.choice(words.EVIDENCE), asker.place(turn.evidence)))

    tries = 0
    while len(asked.kinds) < turns and tries < 6 * turns:
        tries += 1
        add(rng.choices(list(weights), list(weights.values()))[0])
    for kind in weights:  # one question more where nothing that was asked for is there
        if not any(asked.evidence.values()):
            add(kind)
    if not said:
        raise UnusedError("document that allows no question")
    asked.messages = dialogue(said)
    return asked


def check_weights(weights: dict[str, float]) -> dict[str, float]:
    """Return the weights that are not 0, in the order of `WEIGHTS`.

    Raises:
        DataError: One is of no kind of question, or below 0, or there is none.
    """
    for name, weight in weights.items():
        if name not in WEIGHTS:
            raise DataError(f"no such kind of question: {name}, but {', '.join(WEIGHTS)}")
        if weight < 0:
            raise DataError(f"the weight of {name} is below 0")
    kept = {name: weights[name] for name in WEIGHTS if weights.get(name, 0) > 0}
    if not kept:
        raise DataError("no kind of question has a weight")
    return kept


class _Asker:
    """Asks the questions about one document."""

    def __init__(self, drawing: Drawing, rng: random.Random) -> None:
        self.drawing, self.rng = drawing, rng
        counts = Counter((fact.name, fact.about) for fact in drawing.facts)
        self.facts = [fact for fact in drawing.facts if counts[fact.name, fact.about] == 1]
        self.fields = [fact for fact in self.facts if not fact.about]
        self.entries = [fact for fact in self.facts if fact.about]
        self.listed = [fact for fact in self.entries if fact.about in self._things()]
        # a chart with one series: nobody names it
        self.alone = "chart title" in drawing.could and len({fact.name for fact in self.entries}) == 1
        self.texts = Counter(line.text for line in drawing.lines)
        self.text = "\n".join(line.text for line in drawing.lines).lower()
        self.flowing = " ".join(self.text.split())  # what is wrapped stands on two lines

    def turn(self, kind: str) -> Turn | None:
        """Return a question of a kind, or None if the document has nothing for it."""
        makers: dict[str, Callable[[], Turn | None]] = {name: getattr(self, f"_{name}") for name in WEIGHTS}
        return makers[kind]()

    def lines(self, evidence: Sequence[int]) -> list[int]:
        """Return the numbers of the lines that hold some of these words."""
        wanted = set(evidence)
        return [k for k, line in enumerate(self.drawing.lines) if wanted.intersection(line.words)]

    def place(self, evidence: Sequence[int]) -> Content:
        """Return the boxes of the lines that hold these words."""
        places = [self.drawing.lines[k].box for k in self.lines(evidence)]
        return box(places[0]) if len(places) == 1 else boxes(places)

    def _pick(self, facts: Sequence[Fact]) -> Fact | None:
        if not facts:
            return None
        return self.rng.choices(facts, [ASKED_OFTEN.get(fact.name, 1) for fact in facts])[0]

    def _short(self, question: str) -> str:
        return short(question) if self.rng.random() < 0.25 else question

    def _field(self) -> Turn | None:
        return self._value("field", self._pick(self.fields))

    def _entry(self) -> Turn | None:
        return self._value("entry", self._pick(self.entries))

    def _value(self, kind: str, fact: Fact | None) -> Turn | None:
        if fact is None:
            return None
        question = words.asked_for(self.rng, fact.name, fact.about, self.alone, self._has_rivals(fact.name))
        return Turn(kind, self._short(question), fact.value, fact.words, ((fact.name, fact.about),))

    def _has_rivals(self, name: str) -> bool:
        return any(words.is_rival(name, fact.name) for fact in self.drawing.facts)

    def _which(self) -> Turn | None:
        """Ask what a value belongs to, if that is one thing only."""
        names = sorted({fact.name for fact in self.listed if words.has_which(fact.name) and fact.printed})
        if not names:
            return None
        name = self.rng.choice(names)
        counts = Counter(fact.value for fact in self.entries if fact.name == name)
        single = [fact for fact in self.listed if fact.name == name and counts[fact.value] == 1]
        if not single or len(counts) < 2:
            return None
        fact = self.rng.choice(single)
        question = words.which(self.rng, name, fact.value)
        return Turn("which", self._short(question), fact.about, self._named(fact), ((name, fact.about),))

    def _named(self, fact: Fact) -> tuple[int, ...]:
        """Return the words of a value, and those that name what it is about if they stand on the sheet."""
        name = self._things().get(fact.about, ())
        return tuple(dict.fromkeys((*name, *fact.words)))

    def _things(self) -> dict[str, tuple[int, ...]]:
        """Return what is listed, in its order, with the words that say so."""
        return {fact.value: fact.words for fact in self.drawing.listed}

    def _order(self) -> Turn | None:
        """Ask for the first or the last thing listed, or the one after another."""
        things = list(self._things().items())
        if len(things) < 3 or not self.drawing.orders:
            return None
        kind = self.rng.choice(self.drawing.orders)
        if kind == "after":
            number = self.rng.randrange(len(things) - 1)
            name, evidence = things[number + 1]
            high, low = (self.drawing.words[one[0]].box for one in (things[number][1], evidence))
            below = stands_below(high, low)  # labels of a chart stand beside each other
            question = self.rng.choice(words.AFTER if below else words.AFTER[:1]).format(self._one(), things[number][0])
        else:
            question = self.rng.choice(words.FIRST if kind == "first" else words.LAST).format(self._one())
            name, evidence = things[0 if kind == "first" else -1]
        return Turn("order", self._short(question), name, evidence)

    def _one(self) -> str:
        """Return what one of the things listed is called."""
        return self.drawing.counts[0].name.removesuffix("s") if self.drawing.counts else "item"

    def _most(self) -> Turn | None:
        """Ask for what has the highest or the lowest number of a column, if that is one thing only."""
        names = sorted({fact.name for fact in self.listed if words.has_most(fact.name)})
        if not names or not self.drawing.ranked:
            return None
        name = self.rng.choice(names)
        column = [fact for fact in self.listed if fact.name == name]
        values = [_number(fact.value) for fact in column]
        if len(values) < 2 or None in values:
            return None
        order = sorted((value, k) for k, value in enumerate(values) if value is not None)
        highest = self.rng.random() < 0.6
        (best, at), (second, _) = order[-1 if highest else 0], order[-2 if highest else 1]
        fact = column[at]
        size = max(abs(order[0][0]), abs(order[-1][0]))
        if abs(best - second) <= (0 if fact.printed else UNSEEN * size):
            return None
        question = self._short(words.most(self.rng, name, highest, self.alone))
        return Turn("most", question, fact.about, self._named(fact), ((fact.name, fact.about),))

    def _count(self) -> Turn | None:
        if not self.drawing.counts:
            return None
        count = self.rng.choice(self.drawing.counts)
        question = self.rng.choice(words.COUNT).format(count.name)
        return Turn("count", self._short(question), count.value, count.words, (("count", count.name),))

    def _rows(self) -> Turn | None:
        fact = self._pick([fact for fact in self.fields if fact.value.count(" ") > 1])
        if fact is None:
            return None
        rows = len(self.drawing.rows_of(fact.words))
        question = self._short(words.filled(self.rng, words.ROWS, fact.name))
        return Turn("rows", question, str(rows), fact.words, (("rows", fact.name),))

    def _line(self) -> Line | None:
        """Return a line that nobody takes for another one."""
        fit = [
            line
            for line in self.drawing.lines
            if self.texts[line.text] == 1
            and '"' not in line.text
            and len(line.text) <= LONGEST
            and sum(char.isalnum() for char in line.text) >= 3
            and self.text.count(line.text.lower()) == 1
        ]
        return self.rng.choice(fit) if fit else None

    def _region(self) -> Turn | None:
        fit = [line for line in self.drawing.lines if any(char.isalnum() for char in line.text)]
        if not fit:
            return None
        line = self.rng.choice(fit)
        before, after = self.rng.choice(words.REGION).split("{}")
        return Turn("region", (before, box(line.box), after), line.text, line.words)

    def _block(self) -> Turn | None:
        """Ask for some neighbouring rows, as those of a paragraph or an address, by the box around them."""
        rows = list(self.drawing.rows_of([k for line in self.drawing.lines for k in line.words]).values())
        number = self.rng.randint(2, 5)
        if len(rows) < number:
            return None
        first = self.rng.randrange(len(rows) - number + 1)
        rows = rows[max(first - 1, 0) : first + number + 1]  # with those around them, which must not reach into the box
        chosen = rows[min(first, 1) : min(first, 1) + number]
        evidence = tuple(k for row in chosen for k in row)
        if not self._apart([row[0] for row in rows]):
            return None
        place = union([self.drawing.words[k].box for k in evidence])
        if any(_within(word.box, place) for k, word in enumerate(self.drawing.words) if k not in evidence):
            return None
        before, after = self.rng.choice(words.BLOCK).split("{}")
        return Turn("block", (before, box(place), after), self._rows_of(chosen), evidence)

    def _rows_of(self, rows: Sequence[Sequence[int]]) -> str:
        """Return the text of rows, one a line."""
        return "\n".join(" ".join(self.drawing.words[k].text for k in row) for row in rows)

    def _where_text(self) -> Turn | None:
        line = self._line()
        if line is None:
            return None
        return Turn("where_text", self.rng.choice(words.WHERE_TEXT).format(line.text), box(line.box), line.words)

    def _where_field(self) -> Turn | None:
        fact = self._pick(self.fields)
        if fact is None:
            return None
        question = words.filled(self.rng, words.WHERE_FACT, fact.name)
        return Turn("where_field", question, self.place(fact.words), fact.words, (("where", fact.name),))

    def _yes_no(self) -> Turn | None:
        """Ask whether a fact has a value: its own, or another one, from the same document if there is one like it."""
        fact = self._pick([fact for fact in (*self.fields, *self.entries) if fact.printed])
        if fact is None:
            return None
        yes = self.rng.random() < 0.5
        value = fact.value if yes else self._other(fact)
        question = words.filled(self.rng, words.IS_VALUE, fact.name, fact.about, value)
        return Turn("yes_no", question, "Yes" if yes else "No", fact.words, ((fact.name, fact.about),))

    def _other(self, fact: Fact) -> str:
        """Return a wrong value that looks like the right one."""
        form = _form(fact.value)
        alike = sorted(
            {
                other.value
                for other in self.facts
                if _form(other.value) == form and _plain(other.value) != _plain(fact.value)
            }
        )
        if alike and any(char.isdigit() for char in fact.value) and self.rng.random() < 0.6:
            return self.rng.choice(alike)
        digits = [k for k, char in enumerate(fact.value) if char.isdigit()]
        if digits:
            at = self.rng.choice(digits)
            digit = self.rng.choice([char for char in "123456789" if char != fact.value[at]])
            return fact.value[:at] + digit + fact.value[at + 1 :]
        parts = fact.value.split()
        at = self.rng.randrange(len(parts))
        parts[at] = self._changed(parts[at])
        return " ".join(parts)

    def _changed(self, word: str) -> str:
        """Return a word with another letter."""
        letters = [k for k, char in enumerate(word) if char.isalpha()]
        if not letters:
            return word + "X"
        at = self.rng.choice(letters)
        pool = "BCDFGHKLMNPRSTVW" if word[at].isupper() else "bcdfghklmnprstvw"
        letter = self.rng.choice([char for char in pool if char != word[at]])
        return word[:at] + letter + word[at + 1 :]

    def _there(self) -> Turn | None:
        """Ask whether a fact is stated: once, and only if both answers are possible, so that neither is likelier."""
        present = [fact for fact in self.fields if fact.name in self.drawing.could]
        absent = self._missing()
        if not present or not absent:
            return None
        if self.rng.random() < 0.5:
            fact = self.rng.choice(present)
            name, answer, evidence = fact.name, "Yes", fact.words
        else:
            name, answer, evidence = self.rng.choice(absent), "No", ()
        return Turn("there", words.filled(self.rng, words.IS_THERE, name), answer, evidence, (("there", ""),))

    def _listed(self) -> Turn | None:
        things, absent = self._things(), self._unlisted()
        if not things or not absent:
            return None
        if self.rng.random() < 0.5:
            name = self.rng.choice(list(things))
            answer, evidence = "Yes", things[name]
        else:
            name, answer, evidence = self.rng.choice(absent), "No", ()
        return Turn("listed", self.rng.choice(words.LISTED).format(name), answer, evidence, (("listed", ""),))

    def _missing(self) -> list[str]:
        """Return the names of facts that such documents may have and this one has not."""
        there = {fact.name for fact in self.drawing.facts}
        return [name for name in self.drawing.could if name not in there and ":" not in name]

    def _unlisted(self) -> list[str]:
        """Return things that such documents may list and this one does not mention."""
        listed = {_plain(thing) for thing in self._things()}
        return [
            thing
            for thing in self.drawing.things
            if " ".join(thing.lower().split()) not in self.flowing and _plain(thing) not in listed
        ]

    def _absent(self) -> Turn | None:
        """Ask for what is not there: a fact, or one about a thing that is not listed."""
        missing, unlisted = self._missing(), self._unlisted()
        names = sorted({fact.name for fact in self.entries})
        if missing and (not (unlisted and names) or self.rng.random() < 0.7):
            name, about = self.rng.choice(missing), ""
        elif unlisted and names:
            name, about = self.rng.choice(names), self.rng.choice(unlisted)
        else:
            return None
        question = self._short(words.asked_for_missing(self.rng, name, about, self.alone, self._has_rivals(name)))
        return Turn("absent", question, words.NOT_THERE, (), ((name, about),))

    def _read(self) -> Turn | None:
        rows = list(self.drawing.rows_of([k for line in self.drawing.lines for k in line.words]).values())
        number = self.rng.randint(2, 6)
        whole = len(rows) <= MOST_READ and self.rng.random() < 0.5
        if not whole and len(rows) <= number:
            return None
        shown = rows if whole else rows[:number]
        if not self._apart([row[0] for row in rows[: len(shown) + 1]]):
            return None
        question = self.rng.choice(words.READ_ALL) if whole else self.rng.choice(words.READ).format(number)
        evidence = tuple(k for row in shown for k in row)
        return Turn("read", question, self._rows_of(shown), evidence, (("text", ""),) if whole else ())

    def _difference(self) -> Turn | None:
        """Ask by how much two numbers of a column differ."""
        names = sorted({fact.name for fact in self.listed if words.is_cell(fact.name)})
        if not names:
            return None
        name = self.rng.choice(names)
        column = [f for f in self.listed if f.name == name and f.printed and _number(f.value) is not None]
        if len(column) < 2:
            return None
        one, other = self.rng.sample(column, 2)
        places = max(len(fact.value.partition(".")[2].rstrip("%")) for fact in (one, other))
        gap = abs((_number(one.value) or 0) - (_number(other.value) or 0))
        question = words.difference(self.rng, name, one.about, other.about, self.alone)
        return Turn("difference", self._short(question), f"{gap:.{places}f}", (*self._named(one), *self._named(other)))

    def _as_table(self) -> Turn | None:
        """Ask for all figures as a table in text."""
        names = list(dict.fromkeys(fact.name for fact in self.listed if words.is_cell(fact.name)))
        cells = {(fact.about, fact.name): fact for fact in self.listed if fact.printed}
        things = list(self._things())
        summed = {fact.about for fact in self.entries if fact.name in names} - set(things)  # a row that is not listed
        if (
            not names
            or summed
            or len(things) * len(names) > MOST_CELLS
            or any((t, n) not in cells for t in things for n in names)
        ):
            return None
        rows = [" | ".join(["", *(words.head(name) for name in names)]).strip()]
        rows += [" | ".join([thing, *(cells[thing, name].value for name in names)]) for thing in things]
        evidence = tuple(dict.fromkeys(k for fact in cells.values() for k in self._named(fact)))
        return Turn("as_table", self.rng.choice(words.AS_TABLE), "\n".join(rows), evidence)

    def _apart(self, firsts: Sequence[int]) -> bool:
        """Return whether rows that begin with these words are below each other, not those of columns side by side."""
        words_ = [self.drawing.words[k] for k in firsts]
        return all(low.row - high.row > 0.8 * low.size for high, low in pairwise(words_))


def _within(box: Box, other: Box) -> bool:
    """Return whether the middle of a box is in another one."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return other[0] <= x <= other[2] and other[1] <= y <= other[3]


def _number(value: str) -> float | None:
    """Return the number that a text is, whatever stands between its thousands; None if it is none."""
    text = value.replace(",", "").replace("%", "")
    return float(text) if text.replace(".", "", 1).removeprefix("-").isdecimal() else None


def _form(value: str) -> str:
    """Return what kind of text a value is: digits as 0, letters as a."""
    return "".join("0" if char.isdigit() else "a" if char.isalpha() else char for char in value)


def _plain(value: str) -> str:
    return "".join(char for char in value.lower() if char.isalnum())
