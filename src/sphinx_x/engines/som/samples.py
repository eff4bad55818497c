"""Scenes from existing samples: those of the OCR engine, or any others that have regions with texts.

For samples of the task `objects`, the text of a region is the name of the object, and its `outline`, if it has one, are
the corners of its outline; for all others, the text is what is written there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from sphinx_x.data.sample import OBJECTS, RELATIVE
from sphinx_x.data.shards import SampleReader
from sphinx_x.engines.som.regions import Region
from sphinx_x.engines.som.scenes import Scene, SceneSource
from sphinx_x.errors import SampleError, one_line
from sphinx_x.sources.base import Malformed, Raw, Record
from sphinx_x.work.tally import QUARANTINE, UNUSABLE


def read_samples(raw: Raw) -> Iterator[Record]:
    """Yield one record for each sample of the shards *.jsonl below the folder."""
    shards = (path for path in raw.files("*.jsonl") if path.name != QUARANTINE and not path.name.startswith("."))
    for path in shards:
        reader = _reader(path)
        for index in range(len(reader)):
            try:
                yield Record(reader[index].id, (path, index))
            except UNUSABLE as error:
                yield Record(reader.where(index), Malformed(one_line(error)))


def build_sample(record: Record, raw: Raw) -> Scene:
    """Return the regions of a sample's first image."""
    path, index = record.data
    reader = _reader(path)
    sample = reader[index]
    left_out: Counter[str] = Counter()
    if not sample.images:
        return Scene(record.id, b"", (), "text")
    for field, reason in sample.problems():
        if reason == RELATIVE:
            raise SampleError(reader.where(index), field, reason)
    regions: list[Region] = []
    for region in sample.regions:
        text, (x1, y1, x2, y2) = region["text"].strip(), region["box"]
        if not text:
            left_out["region without a text"] += 1
        elif sample.task == OBJECTS:
            corners = tuple((float(x), float(y)) for x, y in region.get("outline") or ())
            regions.append(Region(text, box=(x1, y1, x2, y2), polygons=(corners,) if len(corners) > 2 else ()))
        else:
            regions.append(Region(text=text, box=(x1, y1, x2, y2)))
    domain = "natural" if sample.task == OBJECTS else "text"
    ref = sample.images[0]
    size = (ref.width, ref.height) if ref.width and ref.height else None
    picture = reader.image_bytes(sample, 0)
    return Scene(record.id, picture, tuple(regions), domain, size=size, left_out=left_out, licence=sample.licence)


@lru_cache(maxsize=32)
def _reader(path: Path) -> SampleReader:
    return SampleReader(path)


SAMPLES = SceneSource(
    "samples", "text", "as each sample says", "docs/data.md, One sample", read_samples, build_sample, upright=True
)
