"""What is true of marks: what they are on, where, how large, and how they lie to each other."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sphinx_x.data.sample import Box
from sphinx_x.data.som.marks import Mark, Marked
from sphinx_x.data.som.nouns import a_noun, agree, counted_noun, is_plural
from sphinx_x.data.som.regions import Region
from sphinx_x.data.som.scenes import Domain, Scene
from sphinx_x.data.sources.dialogue import listing
from sphinx_x.data.sources.layout import number_word

LARGER = 1.3
"""How many times as large a region must be to be called larger."""
LONGEST = 120
"""Characters of a text that is quoted."""
PLACES = (
    ("in the upper left of the image", "at the top of the image", "in the upper right of the image"),
    ("on the left of the image", "in the middle of the image", "on the right of the image"),
    ("in the lower left of the image", "at the bottom of the image", "in the lower right of the image"),
)


@dataclass(frozen=True)
class Known:
    """A mark with its region, in an image of this width and height and of this domain."""

    mark: Mark
    region: Region
    size: tuple[int, int]
    domain: Domain

    @property
    def exact(self) -> bool:
        """Whether its area is that of the thing itself, not of a box around it."""
        return self.domain != "natural" or bool(self.region.polygons) or self.region.mask is not None

    @property
    def named(self) -> bool:
        """Whether it is known what is there."""
        return bool(self.region.name or self.region.text)

    @property
    def noun(self) -> str:
        """What is there, with an article: `a dog`, `the text "EXIT"`, `a region` where nothing is known."""
        if self.region.text:
            return f"the text {quoted(self.region.text)}"
        return a_noun(self.region.name or "region")

    @property
    def called(self) -> str:
        """What it is called when it is spoken of again: `the dog`, `the text`, `the panel`."""
        return f"the {'text' if self.region.text else _kind_of(self) or 'region'}"

    @property
    def many(self) -> bool:
        """Whether it is spoken of in the plural."""
        return not self.region.text and is_plural(self.region.name)

    @property
    def key(self) -> str:
        """The same for marks on things of one kind."""
        return self.region.text or self.region.name

    @property
    def where(self) -> str:
        """The third of the image, across and down, that its middle lies in."""
        across, down = (min(int(3 * (self.mark.box[k] + self.mark.box[k + 2]) / 2 / self.size[k]), 2) for k in range(2))
        return PLACES[down][across]

    @property
    def extent(self) -> str:
        """How much of the image it or its box covers: `the box of the dog covers about 3% of the image`."""
        subject = f"{self.called} {agree('covers', self.many)}" if self.exact else f"the box of {self.called} covers"
        percent = round(100 * self.mark.share)
        return f"{subject} {f'about {percent}%' if percent >= 1 else 'less than 1%'} of the image"


def known_marks(scene: Scene, marked: Marked) -> list[Known]:
    """The marks of a scene (in pixels) with what is known of them."""
    return [Known(mark, scene.regions[mark.region], marked.size, scene.domain) for mark in marked.marks]


def quoted(text: str) -> str:
    """A text in quotation marks, long ones cut after a word."""
    short = shortened(text)
    return f'"{short}"' if short == text else f'"{short} ..."'


def shortened(text: str) -> str:
    """As much of a text as is quoted."""
    return text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0]


def directions(one: Box, other: Box) -> list[str]:
    """On which sides of a box another lies with all of it: `to the left of`, `to the right of`, `above`, `below`."""
    found = []
    if one[2] <= other[0] or other[2] <= one[0]:
        found.append("to the left of" if one[2] <= other[0] else "to the right of")
    if one[3] <= other[1] or other[3] <= one[1]:
        found.append("above" if one[3] <= other[1] else "below")
    return found


def lies(one: Known, other: Known, first: str, second: str, many: bool = False) -> str:
    """How a region lies to another, in words: `the dog is above and to the left of Mark 2`.

    first, second: what they are called; many: the first in the plural. Of boxes that are not apart only that is said
    which is true of boxes; it need not be true of the things in them.
    """
    a, b = one.mark.box, other.mark.box
    found = directions(a, b)
    if found:
        return f"{first} {agree('is', many)} {' and '.join(reversed(found))} {second}"
    if one.domain != "natural":
        words = "is inside" if _holds(b, a) else "encloses" if _holds(a, b) else "overlaps"
        return f"{first} {agree(words, many)} {second}"
    if _holds(b, a):
        return f"{first} {agree('is', many)} within the box of {second}"
    return f"the box of {first} {'encloses' if _holds(a, b) else 'overlaps'} that of {second}"


def _holds(outer: Box, inner: Box) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]


def compared(one: Known, other: Known) -> int:
    """1 where a mark's region is clearly larger than another's, -1 where it is clearly smaller, else 0."""
    ratio = one.mark.share / other.mark.share
    return (ratio >= LARGER) - (ratio <= 1 / LARGER)


def larger_than(one: Known, other: Known, smaller: bool = False) -> str:
    """`is larger than`, or what of it is true where only boxes are known."""
    word = "smaller" if smaller else "larger"
    return f"is {word} in the image than" if one.exact and other.exact else f"has a {word} box than"


def _kind_of(one: Known) -> str:
    """Its class, of panels and labelled elements without what tells them apart."""
    name = one.region.name
    return re.split(r" with | labelled ", name)[0] if one.domain in ("panel", "gui") else name


def distance(one: Known, other: Known) -> float:
    """Between the middles of two boxes."""
    a, b = one.mark.box, other.mark.box
    return math.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]) / 2


def counted(known: Sequence[Known]) -> str:
    """What the marks are on, in one phrase: `two people, a dog and the text "EXIT"`; long lists end in a number."""
    counts = Counter(_kind_of(one) for one in known if not one.region.text)
    said = [
        a_noun(name or "region") if count == 1 else counted_noun(name or "region", count)
        for name, count in counts.most_common()
    ]
    texts = sum(bool(one.region.text) for one in known)
    if texts:
        said.append("a piece of text" if texts == 1 else f"{number_word(texts)} pieces of text")
    return "".join(map(str, listing(said)))
