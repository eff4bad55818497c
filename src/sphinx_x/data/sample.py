"""The one sample format: messages, the images that they are about, and where both come from.

Boxes and points in messages and regions are in pixels of the image that they name, once a reader has converted those
that are relative to its width and height. `shards` describes samples on disk, `dialects` the other formats that are
read.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from sphinx_x.boxes import Box
from sphinx_x.conversation import (
    LONGEST,
    Message,
    MessageError,
    Numbers,
    Place,
    count_images,
    parse_messages,
    problem_of_place,
)
from sphinx_x.errors import DataError, SampleError, one_line

EDGE = 1.0
"""Pixels by which a box may extend beyond its image, since annotators round."""
FIELDS = ("id", "images", "messages", "source", "task", "licence", "regions", "boxes")

BOXES = {"pixels": 0.0, "0..1": 1.0, "0..1000": 1000.0}
"""Units of boxes and points: the length of a side of their image, 0 for pixels."""
ROUNDED = 0.01
"""Share of a side by which a relative box may extend beyond its image; it is clipped."""
TINY = 2
"""Pixels of the side of an image in which a box of one pixel is not a mistake."""

OBJECTS = "objects"
"""The task of samples whose regions name objects; those of others hold what is written there."""
MARKS = "som"
"""The task of Set-of-Marks samples, whose regions are what is marked: objects, or lines of text."""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where the bytes of an image are: a file at `path`, `size` bytes at `offset` of `archive`, or `data` itself."""

    path: str | None = None
    archive: str | None = None
    offset: int = 0
    size: int = 0
    width: int = 0
    height: int = 0
    data: bytes | None = None

    def to_dict(self) -> dict:
        """Return it as JSON; width and height of the upright image (0: unknown) let a loader plan without decoding."""
        if self.data is not None:
            place: dict = {"data": base64.b64encode(self.data).decode()}
        elif self.path is not None:
            place = {"path": self.path}
        else:
            place = {"archive": self.archive, "offset": self.offset, "size": self.size}
        return place | {"width": self.width, "height": self.height}

    def differs(self, size: tuple[int, int]) -> str:
        """Return in words how the upright image's real size differs from what is said; empty if it does not."""
        said = (self.width, self.height)
        if not all(said) or size == said:
            return ""
        return f"is not as large as it says: {size[0]} x {size[1]} pixels, not {said[0]} x {said[1]}"

    def check_size(self, size: tuple[int, int]) -> None:
        """Raise `DataError` if the upright image is not as large as is said: places in it would be elsewhere."""
        if wrong := self.differs(size):
            raise DataError(f"image {wrong}")


@dataclass(frozen=True, slots=True)
class BoxedText:
    """A text and its box in pixels of the picture: the contents of a sample's region."""

    text: str
    box: Box


def regions_of(texts: Sequence[BoxedText]) -> list[dict]:
    """Return texts with their boxes as the regions of a sample."""
    return [{"text": one.text, "box": list(one.box)} for one in texts]


@dataclass(slots=True)
class Sample:
    """One conversation about its images; `regions` are texts with their boxes in the first image.

    Attributes:
        source: The set that it comes from.
        task: Its kind within the set (`sphinx_x.sources` has the names of both).
        boxes: Unit of its places, one of `BOXES`, empty if unknown.
    """

    id: str
    images: list[ImageRef]
    messages: list[Message]
    source: str = ""
    licence: str = ""
    regions: list[dict] = field(default_factory=list)
    task: str = ""
    boxes: str = ""

    def __post_init__(self) -> None:
        if any(isinstance(message, Mapping) for message in self.messages):  # as they are written
            self.messages = parse_messages(self.messages)  # pyright: ignore[reportArgumentType]

    def to_dict(self) -> dict:
        """Return it as JSON, the line of a shard."""
        fields = {
            "id": self.id,
            "images": [image.to_dict() for image in self.images],
            "messages": [message.to_dict() for message in self.messages],
            "source": self.source,
            "task": self.task,
            "licence": self.licence,
            "regions": self.regions,
        }
        return fields | ({"boxes": self.boxes} if self.boxes else {})

    @classmethod
    def from_dict(cls, data: object, where: str = "sample") -> Sample:
        """Check and read one sample.

        Args:
            data: The parsed line.
            where: File and line, which precede the field in an error.

        Raises:
            SampleError: A field is wrong.
        """
        if not isinstance(data, dict):
            raise SampleError(where, "", "not a JSON object")
        if not isinstance(data.get("id"), str) or not data["id"]:
            raise SampleError(where, "id", "must be a non-empty text")
        _known(data, FIELDS, where, "")
        try:
            json.dumps(data, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:  # half of a pair of surrogates
            raise SampleError(where, "", "text is not valid Unicode", one_line(error)) from error
        images = data.get("images", [])
        if not isinstance(images, list):
            raise SampleError(where, "images", "must be a list")
        refs = [_read_image(image, where, f"images[{number}]") for number, image in enumerate(images)]
        messages = data.get("messages")
        if not isinstance(messages, list) or not messages:
            raise SampleError(where, "messages", "must be a non-empty list")
        try:
            said = parse_messages(messages, len(refs))
        except MessageError as error:
            name = f"messages[{error.number}].{error.field}"
            raise SampleError(where, name, error.reason, error.detail) from error
        places = count_images(said)
        if places != len(refs):
            raise SampleError(where, "messages", "image parts and images differ", f"{places} parts, {len(refs)} images")
        regions = data.get("regions") or []
        if not isinstance(regions, list):
            raise SampleError(where, "regions", "must be a list")
        for number, region in enumerate(regions):
            if not isinstance(region, dict) or not isinstance(region.get("text"), str):
                raise SampleError(where, f"regions[{number}]", "must hold a text and a box")
            problem, detail = problem_of_place(region.get("box"), 4)
            if problem:
                raise SampleError(where, f"regions[{number}].box", problem, detail)
        for name in ("source", "licence", "task"):
            if not isinstance(data.get(name, ""), str):
                raise SampleError(where, name, "must be a text")
        boxes = data.get("boxes", "")
        if not isinstance(boxes, str) or (boxes and boxes not in BOXES):
            raise SampleError(where, "boxes", f"must be one of {', '.join(BOXES)}")
        source, licence, task = (data.get(name, "") for name in ("source", "licence", "task"))
        return cls(data["id"], refs, said, source, licence, regions, task, boxes)

    def sized(self, sizes: Sequence[tuple[int, int]]) -> Sample:
        """Return the same sample with these widths and heights of its images."""
        images = [replace(ref, width=w, height=h) for ref, (w, h) in zip(self.images, sizes, strict=True)]
        return replace(self, images=images)

    def in_pixels(self, sizes: Sequence[tuple[int, int]], where: str = "sample") -> Sample:
        """Return the same sample with its places in pixels of images of these widths and heights.

        Raises:
            SampleError: A place does not lie in its image, or is in another unit than the sample says.
        """
        unit = BOXES[self.boxes]

        def turned(name: str, image: int, place: Sequence[float]) -> list[float]:
            if image >= len(sizes):
                raise SampleError(where, name, "there is no such image", str(image))
            if not all(-ROUNDED * unit <= n <= (1 + ROUNDED) * unit for n in place):
                raise SampleError(where, name, f"does not lie in {self.boxes}", str(list(place)))
            sides = sizes[image]
            return [round(min(max(n / unit, 0), 1) * sides[k % 2], 3) for k, n in enumerate(place)]

        def moved(number: int, part: Place) -> Place:
            return part.moved(lambda place: turned(f"messages[{number}].{part.kind}", part.image, place))

        if unit > 1:
            for name in self._relative():
                raise SampleError(where, name, RELATIVE)
        messages, regions = self.messages, self.regions
        if unit:
            messages = [message.moved(partial(moved, k)) for k, message in enumerate(messages)]
            regions = [r | {"box": turned(f"regions[{k}].box", 0, r["box"])} for k, r in enumerate(regions)]
        return replace(self.sized(sizes), messages=messages, regions=regions, boxes="pixels")

    @property
    def answers(self) -> int:
        """The number of its answers."""
        return sum(message.role == "assistant" for message in self.messages)

    def check(self, where: str = "sample") -> Sample:
        """Return the sample itself, after checking that it can be trained on.

        Raises:
            SampleError: It is well-formed but cannot be trained on.
        """
        for field_, reason in self.problems():
            raise SampleError(where, field_, reason)
        return self

    def problems(self) -> list[tuple[str, str]]:
        """Return what keeps a well-formed sample from being trained on, as (field, reason); empty for a good one."""
        found = []
        answers = [(k, message) for k, message in enumerate(self.messages) if message.role == "assistant"]
        if not answers:
            found.append(("messages", "no answer"))
        elif not any(answer.trained for _, answer in answers):
            found.append(("messages", "no answer that is trained"))
        found += [(f"messages[{k}].content", "empty answer") for k, answer in answers if not answer.says_something]
        for k, message in enumerate(self.messages):
            if message.role == "user" and not message.says_something:
                found.append((f"messages[{k}].content", "empty question"))
        if not self.boxes:
            found += [(name, RELATIVE) for name in dict.fromkeys(self._relative())]
        for name, image, place in self._places():
            if not _in_picture(place, self.images[image]):
                found.append((name, f"{'box' if len(place) == 4 else 'point'} outside its image"))
        return found

    def _relative(self) -> Iterator[str]:
        """Yield the fields of boxes and points that are clearly fractions of a side, not pixels.

        These are boxes of at most a pixel in the corner, and points that all lie there, some between pixels.
        """
        points: list[tuple[str, Numbers]] = []
        for name, image, place in self._places():
            ref = self.images[image]
            if len(place) == 2:
                points.append((name, place))
            elif all(-0.5 <= n <= 1.5 for n in place) and not 0 < max(ref.width, ref.height) <= TINY:
                yield name
        numbers = [n for _, point in points for n in point]
        if all(-0.05 <= n <= 1.05 for n in numbers) and any(n != int(n) for n in numbers):
            yield points[0][0]

    def _places(self) -> Iterator[tuple[str, int, Numbers]]:
        """Yield every box and point with the name of its field and the index of its image."""
        for k, message in enumerate(self.messages):
            for part in message.parts:
                if isinstance(part, Place):
                    for place in part.places:
                        yield f"messages[{k}].{part.kind}", part.image, place
        for k, region in enumerate(self.regions if self.images else []):
            yield f"regions[{k}].box", 0, tuple(region["box"])


RELATIVE = "looks relative to its image (0..1), not like pixels: say which with `boxes`"


def _in_picture(place: Numbers, image: ImageRef) -> bool:
    """Return whether a box or point lies in its image, or as little outside as annotators round."""
    limits = (image.width, image.height)
    if not all(limits):  # unknown
        return True
    return all(-EDGE <= n <= limits[k % 2] + EDGE for k, n in enumerate(place))


def _read_image(data: object, where: str, field: str) -> ImageRef:
    if not isinstance(data, dict) or not any(isinstance(data.get(name), str) for name in ("path", "archive", "data")):
        raise SampleError(where, field, "must name a path or an archive, or hold data")
    unknown = data.keys() - {"path", "archive", "offset", "size", "width", "height", "data"}
    if unknown:
        raise SampleError(where, field, "unknown field", str(sorted(map(str, unknown))[0]))
    fields = dict(data)
    if data.get("data") is not None:
        try:
            fields["data"] = base64.b64decode(data["data"], validate=True)
        except (binascii.Error, ValueError, TypeError) as error:
            raise SampleError(where, f"{field}.data", "not base64") from error
    ref = ImageRef(**fields)
    for name in ("offset", "size", "width", "height"):
        number = getattr(ref, name)
        if type(number) is not int or number < 0:
            raise SampleError(where, f"{field}.{name}", "must be a whole number >= 0")
    if max(ref.width, ref.height) > LONGEST:
        raise SampleError(where, field, "no image is as large as that", f"{ref.width} x {ref.height}")
    if ref.path is None and ref.data is None and not ref.size:
        raise SampleError(where, f"{field}.size", "must be greater than 0")
    return ref


def _known(data: dict, names: Container[str], where: str, field: str) -> None:
    """Refuse fields of any other name.

    Raises:
        SampleError: There is one.
    """
    for name in data:
        if name not in names:
            raise SampleError(where, f"{field}.{name}" if field else str(name), "unknown field")
