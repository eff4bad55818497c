"""Text in photos: ICDAR 2013 and 2015, SCUT-CTW1500 and Total-Text, each with one annotation file an image."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sphinx_x.boxes import Box, around
from sphinx_x.errors import DataError, one_line
from sphinx_x.sources.base import Draft, Expected, Raw, Record, Source
from sphinx_x.sources.dialogue import FIND, Content, box, dialogue, listing, pick, points, rng_of

DETECT = (
    "Detect all regions with text and give their content.",
    "Please detect all texts and provide their bounding box coordinate.",
    "Read all text in the image and give the box of each piece.",
)
FIRST = " Give the first {} in reading order."
READ = ("What does the text in the region {} say?", "Read the text in the region {}.")
FIND_TEXT = (FIND.format('the text "{}"'), 'Where is the text "{}"?')
OUTLINE = ("Give the outline of the text in the region {} as a polygon.", "Outline the text in the region {}.")
MOST = 60
"""Limit of the words in one answer."""
ASKED = 6
"""Limit of the words that are asked about one by one, which is never more than half of an image's."""


@dataclass(frozen=True)
class SpottedWord:
    """A piece of text and its corners in pixels, clockwise."""

    text: str
    corners: tuple[tuple[float, float], ...]

    @property
    def box(self) -> Box:
        """The upright box around it."""
        return around(self.corners)


Entries = Iterator[SpottedWord | str]
"""Contents of an annotation file: words, and reasons why an entry is not a word."""


def read_files(raw: Raw, pattern: str, prefix: str) -> Iterator[Record]:
    """Yield one record for each annotation file, named like the file without its prefix."""
    if raw.split != "train":
        raise DataError(f"split {raw.split!r} is not read, only 'train'")
    found = raw.files(pattern)
    if not found:
        raise DataError(f"{raw.root}: no {pattern} in it")
    for path in found:
        yield Record(path.stem.removeprefix(prefix), path)


def build_words(
    record: Record, raw: Raw, parse: Callable[[Path], Entries], folder: str, outlines: bool = False
) -> Draft:
    """Ask about single words, then about all of them; with `outlines`, corners are asked for as well."""
    left_out: Counter[str] = Counter()
    words = words_of(record, parse, left_out)
    turns = single_turns(words, record.id, outlines)
    shown = words[:MOST]
    left_out[f"word beyond the first {MOST}"] += len(words) - len(shown)
    question = pick(DETECT, record.id) + (FIRST.format(MOST) if len(words) > MOST else "")
    turns.append((question, spotted(shown)))
    return Draft(dialogue(turns), [raw.picture(f"{folder}/{record.id}")], left_out=left_out)


def words_of(record: Record, parse: Callable[[Path], Entries], left_out: Counter[str]) -> list[SpottedWord]:
    """Return the words of an image in reading order; entries that are not words are counted by reason."""
    words: list[SpottedWord] = []
    for entry in parse(record.data):
        if isinstance(entry, str):
            left_out[entry] += 1
        elif not _visible(entry.box):
            left_out["empty box"] += 1
        else:
            words.append(entry)
    return reading_order(words)


def spotted(words: Sequence[SpottedWord]) -> list:
    """Return `There are word[...], word[...] and word[...] in the image.` as parts."""
    if not words:
        return ["There is no readable text in the image."]
    verb = "is" if len(words) == 1 else "are"
    return [f"There {verb} ", *listing([[word.text, box(word.box)] for word in words]), " in the image."]


def single_turns(words: Sequence[SpottedWord], key: str, outlines: bool) -> list[tuple[Content, Content]]:
    """Ask once about each of some words: what it says, where it is (if no other text contains it), its outline."""
    rng = rng_of(key)
    kinds = ["read", "find", "outline"] if outlines else ["read", "find"]
    rng.shuffle(kinds)
    turns: list[tuple[Content, Content]] = []
    for number, word in enumerate(rng.sample(list(words), min(ASKED, len(words) // 2))):
        kind = kinds[number % len(kinds)]
        if kind == "find" and sum(word.text.casefold() in other.text.casefold() for other in words) == 1:
            turns.append((pick(FIND_TEXT, key + word.text).replace("{}", word.text), [box(word.box)]))
            continue
        before, after = pick(OUTLINE if kind == "outline" else READ, key + word.text).split("{}")
        answer: Content = points(word.corners) if kind == "outline" else word.text
        turns.append(([before, box(word.box), after], answer))
    return turns


def reading_order(words: Sequence[SpottedWord]) -> list[SpottedWord]:
    """Return words in rows from top to bottom, each from left to right.

    A row consists of the words that the middle height of its first word meets.
    """
    rest = sorted(words, key=lambda word: (word.box[1] + word.box[3], word.box[0]))
    ordered: list[SpottedWord] = []
    while rest:
        top, bottom = rest[0].box[1], rest[0].box[3]
        row = [word for word in rest if top <= (word.box[1] + word.box[3]) / 2 <= bottom]
        ordered += sorted(row, key=lambda word: word.box[0])
        taken = set(map(id, row))
        rest = [word for word in rest if id(word) not in taken]
    return ordered


def _visible(place: Box) -> bool:
    left, top, right, bottom = place
    return right - max(left, 0) >= 1 and bottom - max(top, 0) >= 1


def _word(text: str, corners: Sequence[tuple[float, float]], illegible: Sequence[str] = ("###",)) -> SpottedWord | str:
    text = " ".join(text.split())
    if not text:
        return "empty transcription"
    return "illegible word" if text in illegible else SpottedWord(text, tuple(corners))


def _lines(path: Path) -> Iterator[str]:
    return filter(str.strip, path.read_text(encoding="utf-8-sig").split("\n"))


FOCUSED = re.compile(r'(-?\d+),?\s+(-?\d+),?\s+(-?\d+),?\s+(-?\d+),?\s+"(.*)"\s*')


def parse_icdar2013(path: Path) -> Entries:
    """Read lines of `left top right bottom "transcription"`, with backslash escapes for quotes and backslashes."""
    for line in _lines(path):
        found = FOCUSED.fullmatch(line)
        if not found:
            yield "unreadable line"
            continue
        left, top, right, bottom = map(float, found.groups()[:4])
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        yield _word(re.sub(r'\\(["\\])', r"\1", found[5]), corners)


def parse_icdar2015(path: Path) -> Entries:
    """Read lines of `x1,y1,x2,y2,x3,y3,x4,y4,transcription`; the transcription may contain commas."""
    for line in _lines(path):
        *numbers, text = line.split(",", 8)
        try:
            corners = _pairs(numbers, 4)
        except ValueError:
            yield "unreadable line"
        else:
            yield _word(text, corners)


def parse_ctw1500(path: Path) -> Entries:
    """Read XML: boxes with a `label`, and 14 corners in `segs`."""
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        raise DataError(f"annotation is not XML: {one_line(error)}") from error
    for entry in root.iter("box"):
        try:
            corners = _pairs(entry.findtext("segs", "").split(","), 14)
        except ValueError:
            yield "unreadable box"
        else:
            yield _word(entry.findtext("label") or "", corners)


POLYGON = re.compile(r"x: \[\[(.*?)\]\],\s*y: \[\[(.*?)\]\],\s*ornt: \[.*?\],\s*transcriptions: (\[.*\])\s*", re.DOTALL)


def parse_totaltext(path: Path) -> Entries:
    """Read entries of `x: [[...]], y: [[...]], ornt: [u'c'], transcriptions: [u'...']`, on one or more lines."""
    for entry in re.split(r"^(?=\s*x:)", path.read_text(encoding="utf-8-sig"), flags=re.MULTILINE):
        if not entry.strip():
            continue
        found = POLYGON.fullmatch(entry.strip())
        try:
            across, down, said = found.groups() if found else ("", "", "")
            corners = [(float(x), float(y)) for x, y in zip(across.split(), down.split(), strict=True)]
            texts = ast.literal_eval(said)
            if len(corners) < 3 or len(texts) > 1:
                raise ValueError
        except (ValueError, SyntaxError):
            yield "unreadable line"
        else:
            yield _word(texts[0] if texts else "#", corners, ("#", ","))


def _pairs(numbers: Sequence[str], count: int) -> list[tuple[float, float]]:
    """Return alternating x and y as corners.

    Raises:
        ValueError: There are not `count` of them.
    """
    values = [float(number) for number in numbers]
    if len(values) != 2 * count:
        raise ValueError
    return list(zip(values[::2], values[1::2], strict=True))


def _parts(annotations: str, images: str, count: int, prefix: str, parse: Callable[[Path], Entries], **more) -> dict:
    """Return what the four sets have in common: files, count, prompts and the two functions."""
    folder = images.split("/")[0]
    return {
        "task": "spotting",
        "files": (
            Expected(annotations, "texts of an image", {"train": count}),
            Expected(images, "images", {"train": count}),
        ),
        "unit": "images",
        "count": {"train": count},
        "prompts": DETECT + READ + FIND_TEXT + (OUTLINE if more.get("outlines") else ()),
        "read": partial(read_files, pattern=annotations, prefix=prefix),
        "build": partial(build_words, parse=parse, folder=folder, **more),
    }


SOURCES = (
    Source(
        name="icdar2013",
        title="ICDAR 2013 Focused Scene Text",
        home="https://rrc.cvc.uab.es/?ch=2&com=downloads",
        licence="not stated",
        layout=(
            "https://rrc.cvc.uab.es/?ch=2&com=tasks (task 2.1; escapes) and open-mmlab/mmocr "
            "dataset_zoo/icdar2013/sample_anno.md (spaces, not commas, in the training split), textdet.py"
        ),
        note="Every archive goes into a folder of its own name. The test split, a benchmark, is not read.",
        **_parts(
            "Challenge2_Training_Task1_GT/gt_*.txt",
            "Challenge2_Training_Task12_Images/*.jpg",
            count=229,
            prefix="gt_",
            parse=parse_icdar2013,
        ),
    ),
    Source(
        name="icdar2015",
        title="ICDAR 2015 Incidental Scene Text",
        home="https://rrc.cvc.uab.es/?ch=4&com=downloads",
        licence="CC-BY-4.0 (as listed in open-mmlab/mmocr)",
        layout=(
            "https://rrc.cvc.uab.es/?ch=4&com=tasks (task 4.1) and open-mmlab/mmocr dataset_zoo/icdar2015/textdet.py, "
            "mmocr/datasets/preparers/parsers/icdar_txt_parser.py (byte order mark, ###)"
        ),
        note=(
            "Every archive goes into a folder of its own name. Words given as ### are left out; an image with no other "
            "is said to have no readable text. The test split, a benchmark, is not read."
        ),
        **_parts(
            "ch4_training_localization_transcription_gt/gt_img_*.txt",
            "ch4_training_images/img_*.jpg",
            count=1_000,
            prefix="gt_",
            parse=parse_icdar2015,
            outlines=True,
        ),
    ),
    Source(
        name="ctw1500",
        title="SCUT-CTW1500",
        home="https://github.com/Yuliang-Liu/Curve-Text-Detector",
        licence="non-commercial research only",
        layout=(
            "open-mmlab/mmocr dataset_zoo/ctw1500/textdet.py, mmocr/datasets/preparers/parsers/ctw1500_parser.py and "
            "tests/test_datasets/test_preparers/test_parsers/test_ctw1500_parser.py; count: README.md of its home"
        ),
        note=(
            "The XML labels with transcriptions (ctw1500_train_labels.zip), not the older text_label_curve without. "
            "Lines of text, not words; some are Chinese. The test split, a benchmark, is not read."
        ),
        **_parts(
            "ctw1500_train_labels/*.xml",
            "train_images/*.jpg",
            count=1_000,
            prefix="",
            parse=parse_ctw1500,
            outlines=True,
        ),
    ),
    Source(
        name="totaltext",
        title="Total-Text",
        home="https://github.com/cs-chan/Total-Text-Dataset",
        licence="non-commercial academic research only (DATASET_TERMS.md of its home)",
        layout=(
            "cs-chan/Total-Text-Dataset Dataset/README.md and Groundtruth/Text/README.md; open-mmlab/mmocr "
            "dataset_zoo/totaltext/textdet.py, sample_anno.md, mmocr/datasets/preparers/parsers/totaltext_parser.py"
        ),
        note="The text form of the polygons (txt_format.zip), not the Matlab files. The test split is not read.",
        **_parts(
            "Train/poly_gt_img*.txt",
            "Train/img*.[jJ][pP][gG]",
            count=1_255,
            prefix="poly_gt_",
            parse=parse_totaltext,
            outlines=True,
        ),
    ),
)
