"""Frames of videos as pictures of items: of a file, or of a folder that has the frames."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from sphinx_x.errors import ImageError
from sphinx_x.evaluation.items import Item, Picture
from sphinx_x.images import open_image
from sphinx_x.video import Timeline, sample_frame

MIDDLE = 1
"""Frames of a video that a model is shown in the paper: evenly sampled, and the one in the middle taken."""


@dataclass(frozen=True, slots=True)
class PictureFrame:
    """A frame of a video, decoded when it is asked for.

    Attributes:
        video: The file, or the folder of its frames, by its name below one of the folders.
        folders: Where it is looked for, the first that has it.
        start, end: The clip that is meant, in seconds; None: to the end.
        rate: Frames a second of a folder of frames, which has no times.
        number, count: Which one (from 0) of so many that are spread evenly over the clip.
    """

    video: str
    folders: tuple[Path, ...] = ()
    start: float = 0.0
    end: float | None = None
    rate: float | None = None
    number: int = 0
    count: int = MIDDLE

    @property
    def name(self) -> str:
        """The video, its clip, and which of its frames."""
        end = "" if self.end is None else f"{self.end:g}"
        clip = f" {self.start:g}-{end} s" if self.start or end else ""
        which = "middle frame" if self.count == 1 else f"frame {self.number + 1} of {self.count}"
        return f"{self.video}{clip} ({which})"

    def find(self) -> Path | None:
        """Return where the video is; None if nowhere."""
        return next((path for folder in self.folders if (path := folder / self.video).exists()), None)

    def read(self) -> bytes:
        """Return the frame as a PNG. Raises `ImageError` where there is none."""
        path = self.find()
        if path is None:
            raise ImageError(f"{self.video}: no such video in {' or '.join(map(str, self.folders)) or 'any folder'}")
        if path.is_dir():
            return self._of_folder(path)
        content = io.BytesIO()
        frame = sample_frame(path, self.number, self.count, self.start, self.end)
        frame.save(content, "PNG", compress_level=1)  # read once, so not worth packing tight
        return content.getvalue()

    def _of_folder(self, path: Path) -> bytes:
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
        if not files or self.rate is None:
            raise ImageError(f"{path}: a folder without frames")
        timeline = Timeline(range(len(files)), (), len(files), 1 / Fraction(self.rate))
        place = timeline.wanted(str(path), [self.number], self.count, self.start, self.end)[0]
        open_image(files[place])  # what is no image is told by its name
        return files[place].read_bytes()


def with_frames(items: Iterable[Item], count: int) -> list[Item]:
    """Return the items with `count` frames of every video, evenly spread, in the place of the one in its middle."""
    return [replace(item, pictures=tuple(_spread(item.pictures, count))) for item in items]


def _spread(pictures: Sequence[Picture], count: int) -> Iterable[Picture]:
    for picture in pictures:
        if isinstance(picture, PictureFrame):
            yield from (replace(picture, number=number, count=count) for number in range(count))
        else:
            yield picture
