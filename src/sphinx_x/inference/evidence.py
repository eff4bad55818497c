"""Where the image says what an answer says: the lines of text, of a member that reads lines, that hold its words.

An answer is parted into atoms, runs of letters and digits. Case, blanks and punctuation make no difference, as neither
a reader of lines nor a model is sure of them; but a number is found as a whole only, not as a part of another. The
longest runs of atoms that a line has as well are looked for, from left to right. Words of the question, and small
words, say nothing of where an answer was read.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from sphinx_x.boxes import BoxOf
from sphinx_x.model.views import Layout
from sphinx_x.text_lines.line import TextLine

WITHIN = ".,:"
"""Punctuation that is a part of a number where digits are on both sides of it: prices, thousands, times."""
SMALL = frozenset(
    (
        *("a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "have", "here", "i", "in", "is", "it"),
        *("its", "no", "none", "not", "of", "on", "or", "that", "the", "there", "this", "to", "was", "were", "with"),
        *("yes", "chart", "document", "image", "picture"),
    )
)
"""Words that say nothing of where an answer was read. "Not in the document" is said of no line."""
LEAST = 3
"""Number of letters and digits that a run has at least, unless a label says what it is or it is a whole line of
letters. So the answer to how many there are is no number that stands anywhere."""
SHARE = 0.5
"""A run is this share of what the answer says at least, or of its line. So a sentence about a photo does not point at a
line that has one of its words by chance."""
SAME_ROW = 0.5
"""How far the middles of two lines of a row may differ, in heights of the lower one."""


@dataclass(frozen=True)
class Evidence:
    """A line of text that says what an answer says, or a part of that.

    Attributes:
        text: The line's words.
        image: Number of the image in the conversation, from 0.
        pixels: The line's box in pixels of that image.
        span: The part of the answer: its first character, and the one behind its last.
        is_object: Whether it is no line but an object that a detector names.
    """

    text: str
    image: int
    pixels: BoxOf[float]
    span: tuple[int, int]
    is_object: bool = False


class _Letters:
    """The letters and digits of a text, and where they may be parted.

    Attributes:
        text: Letters and digits alone, without case.
        origins: For each of them, the number of its character in the text.
        borders: Numbers of letters before which a word may begin or end, the first 0 and the last their number.
    """

    def __init__(self, text: str) -> None:
        letters: list[str] = []
        self.origins: list[int] = []
        borders = {0}
        before, parted = "", False
        for number, character in enumerate(text):
            plain = unicodedata.normalize("NFKC", character).casefold()
            for one in plain:
                if not one.isalnum():
                    # an accent of its own parts nothing
                    parted = parted or not (unicodedata.combining(one) or _within(text, number))
                    continue
                if parted or (before and _parts(before, one)):
                    borders.add(len(letters))
                letters.append(one)
                self.origins.append(number)
                before, parted = one, False
        self.text, self.borders = "".join(letters), frozenset({*borders, len(letters)})

    def atoms(self) -> list[tuple[int, int]]:
        """Return the runs of letters between borders, as first letter and the one behind the last."""
        return list(pairwise(sorted(self.borders)))

    def has(self, words: str) -> bool:
        """Return whether words without case and blanks are here, from border to border."""
        place = self.text.find(words)
        while place >= 0:
            if place in self.borders and place + len(words) in self.borders:
                return True
            place = self.text.find(words, place + 1)
        return False


def _parts(before: str, one: str) -> bool:
    """Return whether there is a border between two letters without anything between them."""
    # no blanks part the words of Chinese and Japanese
    wide = any(unicodedata.east_asian_width(letter) in "WF" for letter in (before, one))
    return wide or before.isdigit() != one.isdigit()


def _within(text: str, number: int) -> bool:
    """Return whether a character is punctuation within a number."""
    around = text[max(number - 1, 0) : number] + text[number + 1 : number + 2]
    return text[number] in WITHIN and len(around) == 2 and around.isdigit()


class _Place(NamedTuple):
    image: int
    number: int
    line: TextLine
    letters: _Letters

    @property
    def key(self) -> tuple[int, int]:
        return self.image, self.number


class _Run(NamedTuple):
    first: int
    last: int
    weight: int


_Label = tuple[int, float]
"""How many words of the question a line or a label beside it has, and which share of the letters there they are."""


def find_evidence(answer: str, layouts: Sequence[Layout], question: str = "") -> tuple[Evidence, ...]:
    """Return the lines that say what an answer says, each once, in the order of the answer.

    Of several lines that say the same, the one is taken that goes on from the one before; then the one beside or below
    most words of the question, such as a label; then the one of which it is the largest part; then one that is written
    before an object; then the first.

    Args:
        answer: What was said.
        layouts: The images of the conversation, with their lines.
        question: What was asked.
    """
    places = [
        _Place(image, number, line, _Letters(line.text))
        for image, layout in enumerate(layouts)
        for number, line in enumerate(layout.lines)
    ]
    if not places:
        return ()
    said, asked = _Letters(answer), _words(question)
    atoms, known = said.atoms(), asked | SMALL
    weights = [0 if said.text[a:b] in known else b - a for a, b in atoms]
    telling = [said.text[a:b] for (a, b), weight in zip(atoms, weights, strict=True) if weight]
    rest = [place for place in places if any(word in place.letters.text for word in telling)]
    labels = _labels(rest, places, asked)
    found: dict[tuple[int, int], Evidence] = {}
    before: _Place | None = None
    at = 0
    while at < len(atoms):
        runs = [(place, _longest(said, atoms, weights, at, place.letters)) for place in rest]
        fitting = [
            (_rank(place, run, before, labels[place.key]), place, run)
            for place, run in runs
            if run is not None and _counts(said, atoms, run, place, weights, labels[place.key])
        ]
        if not fitting:
            at += 1
            continue
        _, place, run = max(fitting, key=lambda one: one[0])
        first, last = said.origins[atoms[run.first][0]], said.origins[atoms[run.last - 1][1] - 1] + 1
        new = Evidence(place.line.text, place.image, place.line.box, (first, last), place.line.is_object)
        found.setdefault(place.key, new)
        before, at = place, run.last
    return tuple(found.values())


def _words(text: str) -> frozenset[str]:
    letters = _Letters(text)
    return frozenset(letters.text[a:b] for a, b in letters.atoms())


def _longest(
    said: _Letters, atoms: Sequence[tuple[int, int]], weights: Sequence[int], at: int, line: _Letters
) -> _Run | None:
    """Return the longest run of atoms from number `at` on that a line has as well."""
    run = None
    for last in range(at + 1, len(atoms) + 1):
        if said.text[atoms[at][0] : atoms[last - 1][1]] not in line.text:
            break
        if line.has(said.text[atoms[at][0] : atoms[last - 1][1]]):
            run = _Run(at, last, sum(weights[at:last]))
    return run


def _counts(
    said: _Letters, atoms: Sequence[tuple[int, int]], run: _Run, place: _Place, weights: Sequence[int], label: _Label
) -> bool:
    """Return whether a run says where an answer was read."""
    words = said.text[atoms[run.first][0] : atoms[run.last - 1][1]]
    whole = words == place.letters.text and not words.isdigit()
    if not run.weight or not (run.weight >= LEAST or label[0] or whole):
        return False
    return run.weight >= SHARE * sum(weights) or len(words) >= SHARE * len(place.letters.text)


def _rank(place: _Place, run: _Run, before: _Place | None, label: _Label) -> tuple:
    """Return what makes a line better than others that have a run from the same atom on."""
    written = not place.line.is_object
    following = None if before is None or before.line.is_object else (before.image, before.number + 1)
    goes_on = written and place.key == following
    share = run.weight / len(place.letters.text)
    return run.weight, goes_on, label, share, written, -place.image, -place.number


def _labels(some: Iterable[_Place], places: Sequence[_Place], asked: frozenset[str]) -> dict[tuple[int, int], _Label]:
    """Return for each line how many words of the question it or what labels it has, and their share of the letters."""
    wanted = asked - SMALL
    labels: dict[tuple[int, int], _Label] = {}
    for place in some:
        best: _Label = (0, 0.0)
        for label in (place, *_beside(place, places)):
            own = [label.letters.text[a:b] for a, b in label.letters.atoms()]
            same = {word for word in own if word in wanted}
            if same:
                share = sum(map(len, same)) / len(label.letters.text)
                best = max(best, (len(same), share))
        labels[place.key] = best
    return labels


def _beside(place: _Place, places: Sequence[_Place]) -> Iterator[_Place]:
    """Yield the lines of the same row that stand before a line, and the one above it; objects label nothing."""
    left, top, right, bottom = place.line.box
    above: _Place | None = None
    for other in places:
        if other.image != place.image or other.number == place.number or other.line.is_object:
            continue
        x1, y1, x2, y2 = other.line.box
        lower = min(bottom - top, y2 - y1)
        if abs((y1 + y2) / 2 - (top + bottom) / 2) <= SAME_ROW * lower:
            if x1 < left:
                yield other
        elif x1 < right and x2 > left and y2 <= (top + bottom) / 2 and (above is None or y2 > above.line.box[3]):
            above = other
    # the value of a form stands below its label, not far away
    if above is not None and top - above.line.box[3] <= bottom - top:
        yield above
