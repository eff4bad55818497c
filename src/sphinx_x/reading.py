"""Reading parts of a page with a member that reads lines: the page is flattened and cut, the model reads and points.

SPHINX-Nano sees one line at a time. Here a page is turned upright, made dark on white and cut into its lines
(`sphinx_x.page_lines`, without learning), the lines are read as one batch, and the results are mapped back to the
image. Text that the model considers improbable is read again at another size, and refused if that does not help.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from PIL import Image

from sphinx_x.boxes import BoxOf, clip, grown, sides, union
from sphinx_x.errors import ImageError
from sphinx_x.inference import SphinxX
from sphinx_x.page_lines.page import MARGIN, FlatPage, Line, lay_flat

READ = "Read the text."
SURE = 0.9
"""Mean token probability above which a piece of a line is not read again."""
SIZES = (0.85, 1.2)
"""Scales at which it is read again."""
LONGEST = 160
"""Longest answer about a piece of a line, in tokens; a longer one repeats itself."""
LEAST_LINE, LEAST_PAGE = 0.7, 0.75
"""Below this mean probability a line, and (weighted by its letters) a page, counts as no readable text. Of 160 held-out
lines of print, one is below 0.7 and one in a hundred below 0.87; of the same lines made so small that half of the
characters are read wrong, half are below 0.71."""


TURNED_OVER, BETTER = 3, 0.08
"""Number of lines of a doubtful page that are also read upside down, and by how much more probable that must be:
upside-down lines get a probability of 0.8, as most rotated letters are other letters."""


@dataclass(frozen=True)
class Found:
    """A text found on a page.

    Attributes:
        box: Its box, in pixels of the page.
        line: The box of its line.
        read: What the model read there.
        likeness: Share of the text that it matches, 0 to 1.
    """

    box: BoxOf[int]
    line: BoxOf[int]
    read: str
    likeness: float


@dataclass(frozen=True)
class ReadLine:
    """A line that was read.

    Attributes:
        box: Its box, in pixels of the page.
        text: The text.
        probability: The model's probability of the text, averaged over tokens.
    """

    box: BoxOf[int]
    text: str
    probability: float


def find_lines(image: Image.Image) -> list[BoxOf[int]]:
    """Return the boxes (left, top, right, bottom) of an image's text lines in reading order, in pixels.

    Lines of a rotated page get the upright boxes around them.
    """
    page = lay_flat(image)
    return [clip(grown(page.line_box(line), MARGIN), image.size) for line in page.lines]


def read_region(
    sphinx: SphinxX, image: Image.Image, box: Sequence[float], left_out: list[ReadLine] | None = None
) -> str:
    """Return the text in a box (left, top, right, bottom, in pixels), line by line; cells of a row are one line.

    For `left_out` and the errors see `read_lines`.
    """
    return "\n".join(line.text for line in read_lines(sphinx, image, box, left_out))


def read_lines(
    sphinx: SphinxX, image: Image.Image, box: Sequence[float], left_out: list[ReadLine] | None = None
) -> list[ReadLine]:
    """Read the lines in a box of an image, in reading order.

    Args:
        sphinx: A model that reads lines.
        image: The whole page, which shows the rotation of its lines and the size of its letters.
        box: Left, top, right and bottom in pixels of the image. A letter belongs to it if its middle does.
        left_out: A list to which what was read but left out is added.

    Returns:
        Lines with at least one letter. Specks and pictures, whose text the model considers improbable, are left out if
            most of the box can be read.

    Raises:
        ImageError: The box has no area inside the image, is empty, or contains nothing that can be read.
    """
    place = clip([round(n) for n in box], image.size)
    if min(sides(place)) <= 0:
        raise ImageError(f"the box {[round(n) for n in box]} has no area in an image of {image.width} x {image.height}")
    page = lay_flat(image)
    lines = page.within(place)
    if not lines:
        raise ImageError(f"the box {[round(n) for n in box]} holds nothing to read")
    read = _read(sphinx, page, lines)
    _refuse_gibberish(sphinx, read, page, lines)
    rows: dict[int, list[tuple[Line, tuple[str, float]]]] = {}
    for line, said in zip(lines, read, strict=True):
        if said[1] < LEAST_LINE and left_out is not None:
            left_out.append(_row(page, [(line, said)]))
        if said[0] and said[1] >= LEAST_LINE:
            rows.setdefault(line.row, []).append((line, said))
    return [_row(page, row) for row in rows.values()]


def _row(page: FlatPage, cells: Sequence[tuple[Line, tuple[str, float]]]) -> ReadLine:
    """Return the cells of a row as one line."""
    box = union(page.line_box(line) for line, _ in cells)
    return ReadLine(box, " ".join(text for _, (text, _) in cells), min(p for _, (_, p) in cells))


def _refuse_gibberish(
    sphinx: SphinxX, read: Sequence[tuple[str, float]], page: FlatPage, lines: Sequence[Line]
) -> None:
    """Raise if the model considers most of what it read improbable, and give a possible reason."""
    weights = [max(len(line.members), 1) for line in lines]
    sure = sum(w * p for w, (_, p) in zip(weights, read, strict=True)) / sum(weights)
    if sure < SURE and _turned_over(sphinx, page, lines) > sure + BETTER:
        raise ImageError("this cannot be read: the page stands on its head (turn it by 180 degrees)")
    if sure >= LEAST_PAGE:
        return
    reason = "handwriting, a picture, a page on its side, another script than Latin, or print too blurred or faint"
    if page.unit / page.scale < 5:
        reason = f"letters of {page.unit / page.scale:.0f} pixels are too small"
    raise ImageError(
        f"this cannot be read: the model gives its answer a mean probability of {sure:.2f}, below {LEAST_PAGE} "
        f"({reason})"
    )


def _turned_over(sphinx: SphinxX, page: FlatPage, lines: Sequence[Line]) -> float:
    """Return the model's probability of what it reads in the longest lines after a rotation by 180 degrees."""
    longest = sorted(lines, key=lambda line: -len(line.members))[:TURNED_OVER]
    pictures = [page.picture(line, page.best_scale(line)).transpose(Image.Transpose.ROTATE_180) for line in longest]
    said = sphinx.probable_answers([(READ, picture) for picture in pictures], max_new_tokens=LONGEST)
    return sum(probability for _, probability in said) / len(said)


def _read(sphinx: SphinxX, page: FlatPage, lines: Sequence[Line]) -> list[tuple[str, float]]:
    """Return the text of each line and its probability.

    A line that is wider than the model sees without shrinking it is read in pieces; a piece that the model is not sure
    of is also read at other sizes.
    """
    grid = sphinx.processor.image_processor.grid()
    widest = grid.columns * grid.view_width - 2 * MARGIN
    scales = [page.best_scale(line) for line in lines]
    cut = [page.pieces(line, widest / scale) for line, scale in zip(lines, scales, strict=True)]
    flat = [(piece, scale) for pieces, scale in zip(cut, scales, strict=True) for piece in pieces]
    said = sphinx.probable_answers([(READ, page.picture(*one)) for one in flat], max_new_tokens=LONGEST)
    doubtful = [k for k, (_, probability) in enumerate(said) if probability < SURE]
    for size in SIZES:
        again = [(READ, page.picture(flat[k][0], flat[k][1] * size)) for k in doubtful]
        for k, answer in zip(doubtful, sphinx.probable_answers(again, max_new_tokens=LONGEST), strict=True):
            said[k] = max(said[k], answer, key=lambda one: one[1])
    found, rest = [], iter(said)
    for pieces in cut:
        some = [next(rest) for _ in pieces]
        weights = [len(piece.members) for piece in pieces]
        mean = sum(w * p for w, (_, p) in zip(weights, some, strict=True)) / sum(weights)
        found.append((" ".join(text for text, _ in some), mean))
    return found


def find_text(sphinx: SphinxX, image: Image.Image, text: str, least: float = 0.7) -> Found | None:
    """Find a text of at most one line on a page.

    All lines are read, and the one most similar to `text` is chosen; then the words of that line are read one by one,
    and the run of words most similar to it is chosen. (SPHINX-Nano's own answers to 'Where is "..."?' are not good
    enough yet.)

    Args:
        sphinx: A model that reads lines.
        image: The page.
        text: The text.
        least: Smallest share of the text that a line has to match.

    Returns:
        None if no line matches.

    Raises:
        ImageError: The page has lines, but none that can be read.
    """
    page = lay_flat(image)
    if not page.lines:
        return None
    read = _read(sphinx, page, page.lines)
    _refuse_gibberish(sphinx, read, page, page.lines)
    likeness = [_likeness(text, words) for words, _ in read]
    best = max(range(len(read)), key=likeness.__getitem__)
    if likeness[best] < least:
        return None
    line = page.lines[best]
    words, scale = page.words(line), page.best_scale(line)
    answers = sphinx.probable_answers([(READ, page.picture(word, scale)) for word in words], max_new_tokens=LONGEST)
    said = [answer.replace(" ", "") for answer, _ in answers]
    wanted = SequenceMatcher(None, b=text.replace(" ", ""), autojunk=False)

    def score(run: tuple[int, int]) -> float:
        wanted.set_seq1("".join(said[slice(*run)]))
        return wanted.ratio()

    first, end = max(((a, b + 1) for a in range(len(words)) for b in range(a, len(words))), key=score)
    box = union(page.line_box(word) for word in words[first:end])
    return Found(box, clip(grown(page.line_box(line), MARGIN), image.size), read[best][0], likeness[best])


def _likeness(text: str, line: str) -> float:
    """Return the share of the letters of `text` that occur in `line` in order, counting runs of three and more."""
    blocks = SequenceMatcher(None, text, line, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size >= min(3, len(text))) / max(len(text), 1)
