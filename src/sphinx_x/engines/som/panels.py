"""Multi-panel images: several images of any source side by side, each panel a region."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from PIL import Image

from sphinx_x.boxes import Box, BoxOf, sides
from sphinx_x.engines.som.nouns import a_noun
from sphinx_x.engines.som.regions import Region
from sphinx_x.engines.som.scenes import Scene, SceneSource, check_upright
from sphinx_x.errors import DataError
from sphinx_x.images import image_size, open_image
from sphinx_x.sources.base import Malformed, PdfPage, Picture, Raw, Record
from sphinx_x.sources.dialogue import listing, rng_of
from sphinx_x.sources.names import plural
from sphinx_x.work.tally import UNUSABLE, reason_of

SHAPES = ((1, 2), (2, 1), (1, 3), (3, 1), (2, 2), (2, 3), (3, 2))
"""Rows and columns of panels."""
SIDE = (240, 480)
"""Smallest and largest side of a panel in pixels."""
GAPS = (0, 2, 8, 16)
NAMED = 3
"""Largest number of objects mentioned for a panel."""


@dataclass(frozen=True)
class Board:
    """Draws panels as one JPEG: pictures, their boxes, the size of the whole and its background."""

    pictures: tuple[Picture, ...]
    boxes: tuple[BoxOf[int], ...]
    size: tuple[int, int]
    background: tuple[int, int, int]

    def __call__(self) -> bytes:
        """Return the composed image as an encoded file."""
        board = Image.new("RGB", self.size, self.background)
        for picture, box in zip(self.pictures, self.boxes, strict=True):
            board.paste(open_picture(picture).resize(sides(box), Image.Resampling.LANCZOS), box[:2])
        content = io.BytesIO()
        board.save(content, "JPEG", quality=92)
        return content.getvalue()


def open_picture(picture: Picture) -> Image.Image:
    """Return the RGB image of a picture of any kind.

    Raises:
        ImageError: It cannot be opened.
    """
    if isinstance(picture, PdfPage):
        return open_image(picture.path, picture.number, picture.dpi)
    return open_image(picture if isinstance(picture, Path | bytes) else picture())


def _size_of(picture: Picture) -> tuple[int, int]:
    return image_size(picture) if isinstance(picture, Path | bytes) else open_picture(picture).size


def panel_source(source: SceneSource, seed: str = "0") -> SceneSource:
    """Return a source of multi-panel images, each of several scenes of another source."""
    return SceneSource(
        f"panels-{source.name}",
        "panel",
        source.licence,
        source.layout,
        partial(_read, source=source, seed=seed),
        partial(_build, source=source, seed=seed),
        {**source.facts, "seed": seed},
        upright=True,
    )


def _read(raw: Raw, source: SceneSource, seed: str) -> Iterator[Record]:
    """Yield as many records together as the next shape has panels; what remains at the end is one record, unused."""
    group: list[Record] = []
    number = 0
    for record in source.read(raw):
        group.append(record)
        rows, columns = _shape(number, seed)
        if len(group) == rows * columns:
            yield Record(f"{number:06d}", group, sum(one.count for one in group))
            group, number = [], number + 1
    if group:
        yield Record(f"{number:06d}", group, sum(one.count for one in group))


def _shape(number: int, seed: str) -> tuple[int, int]:
    return rng_of(f"panels {seed} {number}").choice(SHAPES)


def _build(record: Record, raw: Raw, source: SceneSource, seed: str) -> Scene:
    left_out: Counter[str] = Counter()
    scenes: list[Scene] = []
    for one in record.data:
        try:
            if isinstance(one.data, Malformed):
                raise DataError(one.data.reason)
            scene = source.build(one, raw)
            _size_of(scene.image)  # a picture that is none costs its panel, not the whole board
            if isinstance(scene.image, Path | bytes):
                check_upright(source, scene, scene.image)
            scenes.append(scene)
        except UNUSABLE as error:
            left_out[f"panel that cannot be used: {reason_of(error)}"] += 1
    if len(scenes) < 2:
        raise DataError("fewer than two panels")
    rows, columns = _shape(int(record.id), seed)
    if len(scenes) < rows * columns:
        rows, columns = 1, len(scenes)
    scene = compose(scenes, rows, columns, f"{seed} {record.id}")
    licences = sorted({one.licence or source.licence for one in scenes})
    return replace(scene, id=record.id, left_out=left_out, licence="; ".join(licences))


def compose(scenes: Sequence[Scene], rows: int, columns: int, key: str) -> Scene:
    """Compose one image of rows x columns panels, in order of the scenes; all panels of a row have one height.

    Each panel keeps its aspect ratio (up to 1:3) and fills its cell except for the gap.
    """
    rng = rng_of(key)
    gap, side = rng.choice(GAPS), rng.randint(*SIDE)
    background = rng.choice(((255, 255, 255), (0, 0, 0), (235, 235, 235)))
    boxes: list[BoxOf[int]] = []
    top, right_most = gap, 0
    for row in range(rows):
        left = gap
        for scene in scenes[row * columns : (row + 1) * columns]:
            width, height = _size_of(scene.image)
            wide = round(side * min(max(width / height, 1 / 3), 3))
            boxes.append((left, top, left + max(wide, 1), top + side))
            left += wide + gap
        right_most = max(right_most, left)
        top += side + gap
    pictures = tuple(scene.image for scene in scenes)
    board = Board(pictures, tuple(boxes), (right_most, top), background)
    regions = tuple(Region(describe(scene), box=_floats(box)) for scene, box in zip(scenes, boxes, strict=True))
    return Scene(key, board, regions, "panel", size=board.size)


def _floats(box: Sequence[int]) -> Box:
    return float(box[0]), float(box[1]), float(box[2]), float(box[3])


def describe(scene: Scene) -> str:
    """Return what a panel shows, as far as its scene says: `panel with a dog and cars`."""
    if scene.domain == "gui":
        return "panel with a screenshot"
    if scene.domain == "document":
        return "panel with a document"
    texts = [region.text for region in scene.regions if region.text]
    if texts and scene.domain == "text":
        return f'panel with the text "{max(texts, key=len)[:60]}"'
    counts = Counter(region.name for region in scene.regions if region.name)
    said = [a_noun(name) if count == 1 else plural(name) for name, count in counts.most_common(NAMED)]
    return "panel with " + "".join(map(str, listing(said))) if said else "panel"
