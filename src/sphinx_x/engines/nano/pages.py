"""What the OCR and Set-of-Marks engines make for SPHINX-Nano: parts of pages, and marks on these and on emoji.

Parts come from the pages of packages, a few documents of each; marks are put on existing samples.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt

from sphinx_x.engines.ocr.engine import make_ocr
from sphinx_x.engines.ocr.parts import PartSettings
from sphinx_x.engines.ocr.pdfs import OcrSettings
from sphinx_x.engines.ocr.questions import QuestionSettings
from sphinx_x.engines.som.engine import SomSettings, make_som
from sphinx_x.engines.som.samples import SAMPLES
from sphinx_x.engines.som.writing import Task
from sphinx_x.errors import DataError
from sphinx_x.sources.base import Raw
from sphinx_x.work.tally import Tally

LONG_EDGE = 1754
"""Pixels: an A4 page at 150 dpi, as for the lines."""
ASKED = QuestionSettings(
    turns=1,
    answer=400,
    language="en",
    weights=dict.fromkeys(QuestionSettings().weights, 0.0) | {"read_page": 6.0, "read_region": 2.0, "find_text": 2.0},
)
"""One question per part: a model this small learns to copy from a dialogue, and to repeat itself from lists of boxes.
Always in English: its alphabet lacks letters that questions in other languages need."""


class PagesConfig(BaseModel):
    """Parts of pages.

    Attributes:
        documents: Number of documents of each package, chosen at random; 0 for all.
        pages: Number of pages of each document, likewise.
    """

    model_config = ConfigDict(extra="forbid")
    packages: list[str]
    documents: NonNegativeInt = 0
    pages: NonNegativeInt = 0
    part: PartSettings = PartSettings()


class MarksConfig(BaseModel):
    """Marks on the regions of samples.

    Attributes:
        of: Shards OF-*.jsonl, or those in the folder OF.
        tasks: See `SomSettings`.
    """

    model_config = ConfigDict(extra="forbid")
    of: str
    tasks: list[Task]
    most_marks: PositiveInt = 5


def make_parts(config: PagesConfig, files: Mapping[str, Sequence[Path]], shelf: Path, out: Path, seed: int) -> Tally:
    """Write the parts of all pages into the folder `out`; `files` has the documents of each package."""
    shutil.rmtree(shelf, ignore_errors=True)
    for package in config.packages:
        paths = sorted(files[package])
        if not paths:
            raise DataError(f"{package}: no PDF file there")
        if config.documents and config.documents < len(paths):
            paths = sorted(random.Random(f"{seed} {package}").sample(paths, config.documents))
        for number, path in enumerate(paths):
            _linked(shelf / package, [path], f"{number:04d}-")
    licence = "Debian main, see the copyright file of the package"
    settings = OcrSettings(
        long_edge=LONG_EDGE,
        seed=seed,
        pages_per_document=config.pages,
        licence=licence,
        part=config.part,
        questions=ASKED,
    )
    return make_ocr(shelf, out, settings)


def make_marks(config: MarksConfig, folder: Path, shelf: Path, out: Path, seed: int) -> Tally:
    """Write samples about marks into the folder `out`; `folder` holds the samples that they are made from."""
    place = folder / config.of
    if not place.is_dir():
        _linked(shelf, sorted(folder.glob(f"{config.of}-*.jsonl")) + sorted(folder.glob(f"{config.of}-*.tar")))
        place = shelf
    settings = SomSettings(
        seed=str(seed), kinds=("point", "box"), tasks=tuple(config.tasks), most_marks=config.most_marks, inside=True
    )
    return make_som(SAMPLES, Raw(place), out, settings)


def _linked(folder: Path, paths: Iterable[Path], prefix: str = "") -> None:
    """Fill a folder with links to files."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        link = folder / f"{prefix}{path.name}"
        link.unlink(missing_ok=True)
        link.symlink_to(path.resolve())
