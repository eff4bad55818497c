"""How well a reader reads text lines: character error rate over a fixed set of lines with known text.

A line set is a folder with `lines.jsonl`, one text line in each of its lines:

    {"image": "images/0007.png", "text": "the words of the line", "document": "sbcl-doc/sbcl.pdf", "page": 12}

and the images it names, in `images.zip` next to it or as files of the folder. `benchmarks/make_line_set.py` makes line
sets from the PDFs of Debian packages; a small one comes with this package (`PACKAGED`).
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sphinx_x.errors import DataError, ImageError
from sphinx_x.evaluation.metrics import character_errors, drawn_rates, interval, normalise_text

LINES = "lines.jsonl"
"""The file of a line set that lists its lines."""
PACKAGED = Path(__file__).parent / "data" / "lines"
LONGEST_ANSWER = 120
"""Tokens of an answer at most; lines have at most 90 characters."""
Reader = Callable[[list[Image.Image]], list[str]]
"""Returns the text of each of a batch of RGB images."""


@dataclass(frozen=True, slots=True)
class Line:
    """An image of a line, by name, with its text and where it comes from."""

    image: str
    text: str
    document: str
    page: int = 0


@dataclass(frozen=True, slots=True)
class LineSet:
    """The lines of a folder."""

    folder: Path
    lines: tuple[Line, ...]

    def sample(self, count: int) -> LineSet:
        """Return `count` lines spread evenly over the set, or the set itself if it has no more."""
        if count < 1:
            raise DataError(f"a sample needs at least 1 line, not {count}")
        step = max(len(self.lines) / count, 1.0)
        chosen = [self.lines[int(number * step)] for number in range(min(count, len(self.lines)))]
        return LineSet(self.folder, tuple(chosen))

    def images(self, lines: Iterable[Line]) -> list[Image.Image]:
        """Return the images of these lines in RGB."""
        archive = self.folder / "images.zip"
        if not archive.is_file():
            return [_decode(self.folder / line.image, line.image) for line in lines]
        with zipfile.ZipFile(archive) as members:
            return [_decode(io.BytesIO(_member(members, line.image)), line.image) for line in lines]


def _member(members: zipfile.ZipFile, name: str) -> bytes:
    try:
        return members.read(name)
    except KeyError as error:
        raise DataError(f"{members.filename}: holds no {name}") from error


def _decode(source: Path | io.BytesIO, name: str) -> Image.Image:
    try:
        with Image.open(source) as image:
            return image.convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise ImageError(f"{name}: not a readable image: {error}") from error


def load_line_set(folder: Path | str | None = None) -> LineSet:
    """Return the line set of a folder, or the one that comes with the package."""
    folder = Path(folder) if folder is not None else PACKAGED
    path = folder / LINES
    if not path.is_file():
        raise DataError(f"{folder}: holds no {LINES}, so it is no line set")
    try:
        rows = path.read_text("utf-8").split("\n")  # not at all the ends of lines that Unicode knows
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8") from error
    lines = tuple(_parse(row, f"{path}, line {number}") for number, row in enumerate(rows, 1) if row.strip())
    if not lines:
        raise DataError(f"{path}: holds no lines")
    return LineSet(folder, lines)


def _parse(row: str, where: str) -> Line:
    try:
        fields = json.loads(row)
        line = Line(fields["image"], fields["text"], fields["document"], int(fields.get("page", 0)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{where}: needs image, text and document ({error!r})") from error
    if not all(isinstance(value, str) for value in (line.image, line.text, line.document)):
        raise DataError(f"{where}: image, text and document must be texts")
    if not normalise_text(line.text):
        raise DataError(f"{where}: the text is empty")
    return line


@dataclass(frozen=True, slots=True)
class LineResult:
    """A reader's results on a line set; rates are fractions, not per cent."""

    cer: float
    """Summed edit distance over summed length of the texts."""
    low: float
    high: float
    """Upper end of the 95% interval of `cer`, from draws of whole documents."""
    exact: float
    """Share of lines without any error."""
    lines: int
    characters: int
    seconds_per_line: float
    documents: dict[str, float]
    """The error rate of each document."""

    def to_dict(self) -> dict:
        """Return the result as JSON types."""
        return asdict(self)


def evaluate_lines(
    reader: Reader,
    line_set: LineSet,
    batch_size: int = 16,
    predictions: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LineResult:
    """Run a reader over a line set.

    Args:
        reader: The reader.
        line_set: The lines.
        batch_size: Number of lines that are read at once.
        predictions: File for what it read, one JSON object per line.
        progress: Called after each batch with the number of lines done, and of all lines.
    """
    if batch_size < 1:
        raise DataError(f"the batch size must be at least 1, not {batch_size}")
    answers: list[str] = []
    seconds = 0.0
    for start in range(0, len(line_set.lines), batch_size):
        images = line_set.images(line_set.lines[start : start + batch_size])
        begin = time.perf_counter()
        texts = list(reader(images))
        seconds += time.perf_counter() - begin
        if len(texts) != len(images):
            raise DataError(f"the reader gave {len(texts)} texts for {len(images)} images")
        answers.extend(texts)
        if progress:
            progress(len(answers), len(line_set.lines))
    counts = [character_errors(answer, line.text) for answer, line in zip(answers, line_set.lines, strict=True)]
    if predictions is not None:
        _write_predictions(predictions, line_set, answers, counts)
    return _sum_up(line_set, counts, seconds)


def _write_predictions(path: Path, line_set: LineSet, answers: list[str], counts: list[tuple[int, int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for line, answer, (errors, _) in zip(line_set.lines, answers, counts, strict=True):
            row = asdict(line) | {"prediction": answer, "errors": errors}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _sum_up(line_set: LineSet, counts: list[tuple[int, int]], seconds: float) -> LineResult:
    totals: dict[str, list[int]] = {}
    for line, (errors, length) in zip(line_set.lines, counts, strict=True):
        total = totals.setdefault(line.document, [0, 0])
        total[0] += errors
        total[1] += length
    table = np.array(list(totals.values()), np.int64)
    low, high = interval(drawn_rates(table))
    return LineResult(
        cer=float(table[:, 0].sum() / table[:, 1].sum()),
        low=low,
        high=high,
        exact=sum(errors == 0 for errors, _ in counts) / len(counts),
        lines=len(counts),
        characters=int(table[:, 1].sum()),
        seconds_per_line=seconds / len(counts),
        documents={name: errors / length for name, (errors, length) in totals.items()},
    )


def format_results(results: Mapping[str, LineResult]) -> str:
    """Return a Markdown table of readers and their results."""
    rows = [
        "| reader | CER | 95% interval | exact lines | lines | documents | s/line |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        rows.append(
            f"| {name} | {result.cer:.2%} | {result.low:.2%} to {result.high:.2%} | {result.exact:.1%} "
            f"| {result.lines} | {len(result.documents)} | {result.seconds_per_line:.3f} |"
        )
    return "\n".join(rows)
