"""Readings of the images of data sets, put where training looks for them, before it begins.

Reading an image takes seconds, more than all else that a sample costs. Of what an engine has drawn it is known what is
written where: `made_reading` makes of it what a recogniser would have read, in no time. How it differs from what was
drawn was measured on readings of PP-OCRv6 (small) of drawn documents, where 97 of 100 lines were read without a fault,
4 were split and 4 joined with their neighbour; photographs are read worse, so the share of faults is drawn for each
page. In the same way `made_objects` makes of things whose names are known what a detector might have seen, also of
things that no detector at hand has a name for: what there is to learn is to believe it, and not its names. Its faults
are not those of any detector, but small ones.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sphinx_x.boxes import union
from sphinx_x.data.sample import MARKS, OBJECTS, Sample
from sphinx_x.data.shards import SampleReader
from sphinx_x.errors import DataError, one_line
from sphinx_x.images import image_size
from sphinx_x.text_lines.line import TextLine
from sphinx_x.text_lines.objects import NAMES, object_in
from sphinx_x.text_lines.order import in_reading_order
from sphinx_x.text_lines.reader import LineReader
from sphinx_x.work.tally import UNUSABLE, Tally, reason_of

logger = logging.getLogger(__name__)

READINGS = "readings"
"""Name of the folder of readings in a recipe's `folder`."""
SPLIT = JOINED = 0.04
"""Share of the lines that are found in two pieces, and of those found as one with what follows in their row."""
LOST = 0.003
"""Share of the lines that are not found."""
FAULTS = 0.004, 0.04
"""Share of the letters that are misread: its mean on most pages, and on a fifth of them, which are worn."""
WORN = 0.2
GLUED, BLANKS = 0.6, 0.45
"""Share of the pages on which many blanks are lost, as on photographs, and the largest share that is lost there. Of 40
photographed receipts, 13 of 100 blanks were lost: none on the best page, 42 on the worst."""
GROWN, SPREAD = 0.25, 0.12
"""How far a found box reaches beyond the ink on each side, in heights of the line, and its standard deviation."""
NEAR = 2.5
"""Widest gap in a row over which lines are joined, in heights of a line."""
TWINS = "O0 l1 S5 B8 Z2 G6 g9 ce uv RP DQ"
ALIKE = {
    **{pair[0]: pair[1] for pair in (*TWINS.split(), *TWINS[::-1].split())},
    **{"I": "l", "'": "", ",": ".", ".": ",", ":": ".", "-": "_", "n": "r", "m": "n", "7": "1", "4": "9", "t": "f"},
}
"""What a letter is taken for."""
OVERLOOKED, SMALL, SMALL_OVERLOOKED = 0.08, 0.02, 0.4
"""Share of the things that are overlooked; what share of the picture a small thing is below; and their share."""
MISTAKEN, IMAGINED = 0.04, 0.04
"""Share of the things that get another name, and of the pictures in which something is seen that is not there."""
SHIFTED = 0.03
"""Standard deviation of the edges of a thing that is seen, in its sides."""


class NoRegionsError(DataError):
    """A sample has no regions of which a reading can be made."""


def made_reading(regions: Sequence[dict[str, Any]], rng: random.Random) -> tuple[TextLine, ...]:
    """Return what a recogniser might have read of lines that are known, in reading order.

    Args:
        regions: The lines, each with its `text` and `box`.
        rng: Where the faults are drawn from.
    """
    faults = rng.expovariate(1 / FAULTS[rng.random() < WORN])
    lost = rng.uniform(0, BLANKS) if rng.random() < GLUED else 3 * faults
    lines = [TextLine(tuple(region["box"]), region["text"], 1.0) for region in regions if region["text"].strip()]
    found = [piece for line in _joined(lines, rng) if rng.random() >= LOST for piece in _split(line, rng)]
    return in_reading_order(_seen(line, faults, lost, rng) for line in found)


def _joined(lines: Sequence[TextLine], rng: random.Random) -> Iterator[TextLine]:
    """Yield lines, some of them as one with the next, if that stands close behind in the same row."""
    waiting: TextLine | None = None
    for line in lines:
        if waiting is not None and _follows(waiting, line) and rng.random() < 2 * JOINED:
            line = TextLine(union([waiting.box, line.box]), f"{waiting.text} {line.text}", 1.0)
        elif waiting is not None:
            yield waiting
        waiting = line
    if waiting is not None:
        yield waiting


def _follows(line: TextLine, other: TextLine) -> bool:
    height = line.box[3] - line.box[1]
    shared = min(line.box[3], other.box[3]) - max(line.box[1], other.box[1])
    return shared > 0.6 * height and 0 <= other.box[0] - line.box[2] < NEAR * height


def _split(line: TextLine, rng: random.Random) -> list[TextLine]:
    """Return a line, or its two pieces if it is split at a blank."""
    blanks = [place for place, letter in enumerate(line.text) if letter == " " and 0 < place < len(line.text) - 1]
    if not blanks or rng.random() >= SPLIT:
        return [line]
    left, top, right, bottom = line.box
    place = rng.choice(blanks)
    middle = left + (right - left) * (place + 0.5) / len(line.text)
    gap = 0.1 * (bottom - top)
    first = replace(line, text=line.text[:place], box=(left, top, max(middle - gap, left + 1), bottom))
    return [first, replace(line, text=line.text[place + 1 :], box=(min(middle + gap, right - 1), top, right, bottom))]


def _seen(line: TextLine, faults: float, lost: float, rng: random.Random) -> TextLine:
    """Return a line with some letters misread and some blanks lost, in a box somewhat larger than its ink."""
    letters = []
    for letter in line.text:
        wrong = rng.random() < (lost if letter == " " else faults)
        letters.append(letter if not wrong else "" if letter == " " else ALIKE.get(letter, letter))
    height = line.box[3] - line.box[1]
    left, top, right, bottom = (rng.gauss(GROWN, SPREAD) * height for _ in range(4))
    x1, y1, x2, y2 = line.box
    box = max(x1 - left, 0.0), max(y1 - top, 0.0), x2 + right, y2 + bottom
    rounded: Any = tuple(round(edge, 2) for edge in box)
    said = " ".join("".join(letters).split()) or line.text
    return TextLine(rounded, said, round(rng.uniform(0.9, 1.0), 4))


def made_objects(regions: Sequence[dict[str, Any]], size: tuple[int, int], rng: random.Random) -> list[TextLine]:
    """Return what a detector might have seen of things that are known.

    Args:
        regions: The things, each with its name as `text` and its `box`.
        size: Width and height of the image.
        rng: Where the faults are drawn from.
    """
    names = [name for name in NAMES if name]
    seen = []
    for region in regions:
        left, top, right, bottom = region["box"]
        small = (right - left) * (bottom - top) < SMALL * size[0] * size[1]
        if rng.random() < (SMALL_OVERLOOKED if small else OVERLOOKED):
            continue
        mistaken = rng.random() < MISTAKEN
        name = rng.choice(names) if mistaken else region["text"]
        confidence = rng.uniform(0.3, 0.7) if mistaken else rng.betavariate(4, 1)
        shifts = [rng.gauss(0, SHIFTED) * side for side in 2 * (right - left, bottom - top)]
        box = [edge + shift for edge, shift in zip(region["box"], shifts, strict=True)]
        seen.append(object_in(size, box, name, confidence))
    if rng.random() < IMAGINED:
        corner = rng.uniform(0, 0.7) * size[0], rng.uniform(0, 0.7) * size[1]
        sides = (rng.uniform(0.1, 0.4) * side for side in size)
        edges = (*corner, *(start + side for start, side in zip(corner, sides, strict=True)))
        name, confidence = rng.choice(names), rng.uniform(0.3, 0.6)
        seen.append(object_in(size, edges, name, confidence))
    return [one for one in seen if one is not None]


def keep_readings(
    samples: SampleReader,
    reader: LineReader,
    made: bool = False,
    objects: bool = False,
    seed: int = 0,
    max_bad: float = 0.01,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[int, Tally]:
    """Read all images of a set into the reader's folder; those that were read before are not read again.

    A sample that cannot be used, as if an image of it is damaged, is counted and named in a note; a run sets it aside
    as well.

    Args:
        samples: The set.
        reader: The reader; a run takes readings from `READINGS` in its recipe's `folder`.
        made: Whether readings are made of the samples' regions, which must hold all that is written, one line each. A
            detector is asked for the objects all the same, if the image is no page of text.
        objects: Whether objects are made of the samples' regions, which must be things by their names. Of a sample
            without regions, the detector finds them.
        seed: Of the faults of made readings and objects.
        max_bad: Share of the samples that may be unusable.
        progress: Gets the number of samples that are done.

    Returns:
        How many images were read or made now, and the counts of samples.

    Raises:
        NoRegionsError: A sample has no regions for a made reading.
        DataError: More than a share `max_bad` is unusable, or both kinds are to be made, or objects for a reader that
            finds none.
        CheckpointError: The detector is needed and cannot be fetched.
    """
    if made and objects:
        raise DataError("the regions of a set are lines or things: make up readings of it or objects, not both")
    if objects and reader.objects is None:
        raise DataError("this member is shown no objects: none can be made up for it")
    new, tally = 0, Tally()
    for number in range(len(samples)):
        tally.records += 1
        try:
            sample = samples[number]
            contents = [samples.image_bytes(sample, place) for place in range(len(sample.images))]
            unread = [content for content in contents if not reader.has_read(content)]
            for content in unread:
                _make_up(sample, content, reader, made, objects, random.Random(f"{seed} {sample.id}"))
                reader.read_file(content)  # what is not made
        except UNUSABLE as error:
            # of the disk that readings are written to, or of a set that has nothing to make them of: not of the sample
            if isinstance(error, OSError | NoRegionsError):
                raise
            tally.set_aside[reason_of(error)] += 1
            logger.warning("note: %s: set aside: %s", samples.where(number), one_line(error))
            tally.check_share(max_bad, samples.files[0])
            continue
        new += len(unread)
        tally.samples += 1
        tally.turns += sample.answers
        progress(tally.records)
    tally.check_share(max_bad, samples.files[0], final=True)
    return new, tally


def _make_up(sample: Sample, content: bytes, reader: LineReader, made: bool, objects: bool, rng: random.Random) -> None:
    """Keep the lines or the objects of an image that are made of its sample's regions; see `keep_readings`."""
    if made and not reader.has_lines(content):
        reader.keep_file(content, made_reading(_lines_of(sample), rng))
    if objects and sample.regions:
        reader.keep_objects(content, made_objects(_things_of(sample), image_size(content), rng))


def _lines_of(sample: Sample) -> list[dict[str, Any]]:
    if len(sample.images) != 1 or not sample.regions:
        told = "readings are made for samples of one image whose regions are its lines"
        raise NoRegionsError(f"sample {sample.id}: {told}")
    if sample.task == OBJECTS or not _plain(sample):
        told = "its regions are things or blocks, not lines: no reading is made of them"
        raise NoRegionsError(f"sample {sample.id}: {told}")
    return sample.regions


def _things_of(sample: Sample) -> list[dict[str, Any]]:
    if len(sample.images) != 1 or sample.task not in (OBJECTS, MARKS) or not _plain(sample):
        raise NoRegionsError(f"sample {sample.id}: objects are made for samples of one image whose regions are things")
    return sample.regions


def _plain(sample: Sample) -> bool:
    """Return whether regions have neither the class of a block nor several lines."""
    return not any("class" in one or "\n" in one["text"] for one in sample.regions)
