"""What a language has to provide for questions about a page: `Wordings` and its nouns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sphinx_x.boxes import Box
from sphinx_x.conversation import Part
from sphinx_x.sources.dialogue import Content, boxes

Texts = tuple[str, ...]


@dataclass(frozen=True)
class Noun:
    """A layout class, in the forms that sentences need.

    Attributes:
        one: With the article or the number one, as it follows `there is`.
        several: The plural, as it follows a number.
        all: The plural with the article.
        none: The form in which there is none of it.
        feminine: Whether numbers take their feminine form before it.
    """

    one: str
    several: str
    all: str
    none: str
    feminine: bool = False


@dataclass(frozen=True)
class Wordings:
    """Questions of every kind, and the wording of their answers, in one language.

    In every text, `{}` is replaced by a text, a box, a number or a name. Every field before `nouns` holds the wordings
    of one kind of question.

    Attributes:
        nouns: The forms of each layout class.
        there_is: The text before and after what is counted, if the first count is one.
        there_are: The same for several.
        none: The answer for a class that is not on the page.
        words: As there_is and there_are, for the words of a page.
        numbers: Number words from two on.
        conjunction: The word for "and".
        two: The feminine of two, where it differs.
    """

    read_page: Texts
    read_part: Texts
    read_region: Texts
    find: Texts
    spot_page: Texts
    spot_region: Texts
    layout: Texts
    layout_of: Texts
    order: Texts
    order_of: Texts
    continue_text: Texts
    nouns: Mapping[str, Noun]
    there_is: tuple[str, str]
    there_are: tuple[str, str]
    none: str
    words: tuple[tuple[str, str], tuple[str, str]]
    numbers: Texts
    conjunction: str
    two: str = ""

    def number(self, count: int, feminine: bool = False) -> str:
        """Return a count of two or more: in words up to twelve, in digits above."""
        if count == 2 and feminine and self.two:
            return self.two
        return self.numbers[count - 2] if count - 2 < len(self.numbers) else str(count)

    def counted(self, places: Mapping[str, Sequence[Box]]) -> list[str | Part]:
        """Return a sentence that counts layout classes and gives their boxes.

        For example `There are seven text blocks[...], two figures[...] and one title[...] in the image.`, the most
        frequent class first. For a class that has no box, the sentence says that there is none.
        """
        order = sorted(places.items(), key=lambda item: -len(item[1]))
        if not order[0][1]:
            return [self.none.format(self.nouns[order[0][0]].none)]
        groups: list[Sequence[str | Part]] = []
        for name, found in order:
            noun = self.nouns[name]
            count = len(found)
            said = noun.one if count == 1 else f"{self.number(count, noun.feminine)} {noun.several}"
            groups.append([said, boxes(found)])
        before, after = self.there_is if len(order[0][1]) == 1 else self.there_are
        return [before, *self.listing(groups), after]

    def spotted(self, words: Sequence[Sequence[str | Part]]) -> list[str | Part]:
        """Return `There are word[...], word[...] and word[...] in the image.` for words with their boxes."""
        before, after = self.words[len(words) > 1]
        return [before, *self.listing(words), after]

    def listing(self, items: Sequence[Sequence[str | Part]]) -> list[str | Part]:
        """Join items, each a sequence of parts, to one enumeration."""
        said: list[str | Part] = []
        for number, item in enumerate(items):
            if number:
                said.append(self._joint(item[0]) if number == len(items) - 1 else ", ")
            said += item
        return said

    def _joint(self, follows: Content) -> str:
        # `y` before the sound of an i: `e índice`, but `y hierro`
        spanish = self.conjunction == "y" and isinstance(follows, str) and re.match("(?i)h?[ií](?![aeouáéóú])", follows)
        return " e " if spanish else f" {self.conjunction} "


def nouns_of(table: str, feminine: str = "") -> dict[str, Noun]:
    """Parse a table of nouns.

    Args:
        table: One line for each class: its name and its four forms, separated by bars.
        feminine: Names of the classes whose nouns are feminine, separated by blanks.
    """
    rows = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    return {name: Noun(one, several, every, none, name in feminine.split()) for name, one, several, every, none in rows}
