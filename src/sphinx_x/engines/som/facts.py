"""What is true of marks: what they are on, where, how large, and how they are placed relative to each other."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from sphinx_x.boxes import Box, centre, encloses, sides
from sphinx_x.engines.som.marks import Mark, Marked
from sphinx_x.engines.som.nouns import a_noun, counted_noun, head, is_plural
from sphinx_x.engines.som.regions import Region, cut_out
from sphinx_x.engines.som.scenes import Domain, Scene
from sphinx_x.engines.som.tones import tones
from sphinx_x.sources.dialogue import listing
from sphinx_x.sources.layout import number_word

LARGER = 1.3
"""How many times as large a region must be to be called larger."""
LONGEST = 120
"""Characters of a text that is quoted."""
LEAST_SHARE = 0.01
"""Smallest share of the image that is mentioned."""
WIDE = 0.5
"""Share of a side from which a region is too wide to be on one side of the image."""
COLOURED = ("natural", "gui", "panel")
"""Domains with colours: regions of texts and pages have those of paper and ink."""
PEOPLE = frozenset(
    """
    person people man men woman women boy boys girl girls child children kid kids baby guy lady adult player rider
    surfer skier skateboarder snowboarder pedestrian passenger worker crowd face head hand hands arm arms leg
    legs skin hair
    """.split()  # noqa: SIM905
)
"""Names of people, who get no colour: it would be taken for that of the skin."""
PLACES = (
    ("in the upper left of the image", "at the top of the image", "in the upper right of the image"),
    ("on the left of the image", "in the middle of the image", "on the right of the image"),
    ("in the lower left of the image", "at the bottom of the image", "in the lower right of the image"),
)


@dataclass(frozen=True)
class Known:
    """A mark with its region, in an image of this width and height and of this domain.

    Attributes:
        colours: Those of most of its pixels, if these are its own and not those of a box around it.
    """

    mark: Mark
    region: Region
    size: tuple[int, int]
    domain: Domain
    colours: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The text of its mark."""
        return self.mark.label

    @property
    def exact(self) -> bool:
        """Whether its area is that of the object itself, not of a box around it."""
        return is_exact(self.region, self.domain)

    @property
    def named(self) -> bool:
        """Whether it is known what is there."""
        return bool(self.region.name or self.region.text)

    @property
    def noun(self) -> str:
        """What is there, with an article: `a dog`, `the text "EXIT"`, `a region` if nothing is known."""
        if self.region.text:
            return f"the text {quoted(self.region.text)}"
        return a_noun(self.region.name or "region")

    @property
    def again(self) -> str:
        """How to refer to it again: `it`, `they`, `the person`."""
        if self.many:
            return "they"
        return f"the {self.region.name}" if head(self.region.name.lower()) in PEOPLE else "it"

    @property
    def many(self) -> bool:
        """Whether it is referred to in the plural."""
        return not self.region.text and is_plural(self.region.name)

    @property
    def key(self) -> str:
        """A key that marks on objects of one kind share."""
        return self.region.text or self.region.name

    @property
    def where(self) -> str:
        """The third of the image, across and down, that contains its centre; empty if that would mislead.

        It would if the deepest part of a region lies in another third than the centre of its box, if the region covers
        more
        than half of the side that it is said to be on, and for `in the middle` if it extends beyond that.
        """
        box, point = self.mark.box, self.mark.point
        middles = [middle / side for middle, side in zip(centre(box), self.size, strict=True)]
        thirds = [_third(middle) for middle in middles]
        spans = [span / side for span, side in zip(sides(box), self.size, strict=True)]
        apart = any(_third(point[k] / self.size[k]) != thirds[k] for k in range(2))
        wide = any(third != 1 and span > WIDE for third, span in zip(thirds, spans, strict=True))
        beyond = any(3 * box[k] < self.size[k] or 3 * box[k + 2] > 2 * self.size[k] for k in range(2))
        if apart or wide or (thirds == [1, 1] and beyond):
            return ""
        return PLACES[thirds[1]][thirds[0]]

    @property
    def share(self) -> str:
        """How much of the image it or its box covers, `about 3% of the image`; empty below a hundredth."""
        return f"about {round(100 * self.mark.share)}% of the image" if self.mark.share >= LEAST_SHARE else ""

    @property
    def colour(self) -> str:
        """`mostly brown`, `mostly black and white`; empty if no colour is given."""
        return f"mostly {' and '.join(self.colours)}" if self.colours else ""


def is_exact(region: Region, domain: Domain) -> bool:
    """Return whether a region is the object itself; in a natural image, a box is only around it."""
    return domain != "natural" or bool(region.polygons) or region.mask is not None


def _third(part: float) -> int:
    return min(max(int(3 * part), 0), 2)


def known_marks(scene: Scene, marked: Marked, image: Image.Image | None = None) -> list[Known]:
    """Return the marks of a scene (in pixels) with what is known of them; colours need an RGB `image`."""
    known = []
    for mark in marked.marks:
        region = scene.regions[mark.region]
        colours = () if image is None else _colours(region, image, scene.domain)
        known.append(Known(mark, region, marked.size, scene.domain, colours))
    return known


def _colours(region: Region, image: Image.Image, domain: Domain) -> tuple[str, ...]:
    """Return the colours of a region's pixels, if it is exact and named, and not a person."""
    person = not PEOPLE.isdisjoint(region.name.lower().split())
    if domain not in COLOURED or region.text or not region.name or person or not is_exact(region, domain):
        return ()
    cut = cut_out(region, image.size)
    height, width = cut.mask.shape
    return tones(np.asarray(image.crop((cut.x, cut.y, cut.x + width, cut.y + height)))[cut.mask])


def quoted(text: str) -> str:
    """Return a text in quotation marks, cut after a word if it is long."""
    short = shortened(text)
    return f'"{short}"' if short == text else f'"{short} ..."'


def shortened(text: str) -> str:
    """Return as much of a text as is quoted."""
    return text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0]


def directions(one: Box, other: Box) -> list[str]:
    """Return the sides of a box on which all of another lies: `to the left of`, `to the right of`, `above`, `below`."""
    found = []
    if one[2] <= other[0] or other[2] <= one[0]:
        found.append("to the left of" if one[2] <= other[0] else "to the right of")
    if one[3] <= other[1] or other[3] <= one[1]:
        found.append("above" if one[3] <= other[1] else "below")
    return found


def lies(one: Known, other: Known) -> str:
    """Return how a region lies relative to another: `above and to the left of`, `inside`; empty if boxes do not tell.

    If boxes around objects in a natural image overlap, they say nothing of the objects.
    """
    found = directions(one.mark.box, other.mark.box)
    if found:
        return " and ".join(reversed(found))
    inside = encloses(other.mark.box, one.mark.box) and other.mark.box != one.mark.box
    return "inside" if one.domain != "natural" and inside else ""


def compared(one: Known, other: Known) -> int:
    """Return 1 if a mark's region is clearly larger than another's, -1 if it is clearly smaller, else 0."""
    ratio = one.mark.share / other.mark.share
    return (ratio >= LARGER) - (ratio <= 1 / LARGER)


def larger_than(one: Known, other: Known, smaller: bool = False) -> str:
    """Return `is larger than`, or what can be said if only boxes are known."""
    word = "smaller" if smaller else "larger"
    return f"is {word} in the image than" if one.exact and other.exact else f"has a {word} box than"


def _kind_of(one: Known) -> str:
    """Return its class; for panels and labelled elements, without what tells them apart."""
    name = one.region.name
    return re.split(r" with | labelled ", name)[0] if one.domain in ("panel", "gui") else name


def distance(one: Known, other: Known) -> float:
    """Return the distance between the centres of two boxes."""
    a, b = one.mark.box, other.mark.box
    return math.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]) / 2


def counted(known: Sequence[Known]) -> str:
    """Return what the marks are on, as one phrase: `two people, a dog and the text "EXIT"`; long ones are cut."""
    counts = Counter(_kind_of(one) for one in known if not one.region.text)
    said = [
        a_noun(name or "region") if count == 1 else counted_noun(name or "region", count)
        for name, count in counts.most_common()
    ]
    texts = sum(bool(one.region.text) for one in known)
    if texts:
        said.append("a piece of text" if texts == 1 else f"{number_word(texts)} pieces of text")
    return "".join(map(str, listing(said)))


def annotated(scene: Scene, known: Sequence[Known]) -> list[tuple[Known, str, Known]]:
    """Return the annotated relations between regions that have marks."""
    by_region = {one.mark.region: one for one in known}
    return [
        (by_region[relation.subject], relation.predicate, by_region[relation.object])
        for relation in scene.relations
        if relation.subject in by_region and relation.object in by_region
    ]
