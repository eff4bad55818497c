"""What a member declares about itself: the images it takes, text alone, number of turns, and when to doubt an answer.

A member that declares nothing is never refused anything, as its limits are not known. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

Size = tuple[int, int]


@dataclass(frozen=True)
class PictureKind:
    """A kind of image that a member takes.

    Attributes:
        what: Its name in words, with an article.
        width: Largest width in pixels.
        height: Largest height in pixels.
        band: Largest height in pixels once the image is scaled to fit the model's canvas; None for any.
    """

    what: str
    width: int
    height: int
    band: int | None = None

    def __post_init__(self) -> None:
        sizes = [self.width, self.height] + ([] if self.band is None else [self.band])
        if not self.what or not all(isinstance(size, int) and size > 0 for size in sizes):
            raise ValueError(f"abilities: pictures: {self.what!r}: width, height and band are whole pixels above 0")

    def takes(self, size: Size, canvas: int) -> bool:
        """Return whether an image (width, height) can be of this kind; `canvas` is the canvas's side in pixels."""
        width, height = size
        scaled = height * min(1.0, canvas / width)
        return width <= self.width and height <= self.height and (self.band is None or scaled <= self.band)

    def told(self, canvas: int) -> str:
        """Return the kind in words, with its limits."""
        band = "" if self.band is None else f", {self.band} high where it is no wider than {canvas}"
        return f"{self.what} (at most {self.width} x {self.height} pixels{band})"


@dataclass(frozen=True)
class Abilities:
    """What a member can take. None means that nothing is known, and nothing is refused.

    Attributes:
        pictures: Kinds of images; empty for a member without visual experts.
        most_pictures: Largest number of images in one conversation.
        text_alone: Whether it answers without an image.
        turns: Largest number of questions in one conversation.
        tasks: What may be asked, in words.
        probable: An answer whose tokens have a lower mean probability is most likely wrong (measured on held-out
            samples).
        larger: What to do with an image that is too large.
    """

    pictures: tuple[PictureKind, ...] | None = None
    most_pictures: int | None = None
    text_alone: bool | None = None
    turns: int | None = None
    tasks: tuple[str, ...] | None = None
    probable: float | None = None
    larger: str = ""

    @classmethod
    def from_dict(cls, given: Mapping[str, Any] | None) -> Abilities:
        """Build from a configuration's field; raise `ValueError` for an unknown field or a wrong type."""
        given = dict(given or {})
        unknown = sorted(given.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"abilities: {unknown[0]}: no such field")
        if given.get("pictures") is not None:
            try:
                given["pictures"] = tuple(PictureKind(**kind) for kind in given["pictures"])
            except TypeError as error:
                raise ValueError(f"abilities: pictures: a kind has what, width, height and band ({error})") from error
        tasks = given.get("tasks")
        if tasks is not None:
            if not isinstance(tasks, list | tuple) or not all(isinstance(task, str) for task in tasks):
                raise ValueError(f"abilities: tasks: a list of texts, not {tasks!r}")
            given["tasks"] = tuple(tasks)
        found = cls(**given)
        sure = found.probable
        if sure is not None and (isinstance(sure, bool) or not isinstance(sure, int | float) or not 0 <= sure <= 1):
            raise ValueError(f"abilities: probable: from 0 to 1, not {sure!r}")
        for name in ("turns", "most_pictures"):
            value = getattr(found, name)
            if value is not None and (type(value) is not int or value < 0):
                raise ValueError(f"abilities: {name}: a whole number, not {value!r}")
        if found.text_alone is not None and not isinstance(found.text_alone, bool):
            raise ValueError(f"abilities: text_alone: true or false, not {found.text_alone!r}")
        if not isinstance(found.larger, str):
            raise ValueError(f"abilities: larger: a text, not {found.larger!r}")
        return found

    def to_dict(self) -> dict[str, Any] | None:
        """Return the fields in JSON types, for a configuration; None where nothing is declared."""
        said: dict[str, Any] = {k: v for k, v in asdict(self).items() if v not in (None, "")}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in said.items()} or None

    def refusal(self, sizes: Sequence[Size], turn: int, canvas: int) -> str | None:
        """Return why a conversation is not taken, in one line, or None if nothing speaks against it.

        Args:
            sizes: (width, height) of all its images, in pixels.
            turn: Number of the question that is asked, from 1.
            canvas: Side of the model's canvas, in pixels.
        """
        if self.turns is not None and turn > self.turns:
            many = "one question" if self.turns == 1 else f"{self.turns} questions"
            return f"this model takes {many} in a conversation: begin a new one"
        if not sizes and self.text_alone is False:
            return f"this model takes no text alone: give it {self._pictures(canvas)}"
        if self.most_pictures is not None and len(sizes) > self.most_pictures:
            many = "one picture" if self.most_pictures == 1 else f"{self.most_pictures} pictures"
            return f"this model takes {many} in a conversation, not {len(sizes)}"
        for width, height in sizes if self.pictures is not None else ():
            if not any(kind.takes((width, height), canvas) for kind in self.pictures or ()):
                hint = f"; {self.larger}" if self.larger else ""
                return f"this model takes {self._pictures(canvas)}, not a picture of {width} x {height}{hint}"
        return None

    def doubt(self, probability: float | None) -> str | None:
        """Return the remark to show with an answer of this mean token probability, or None."""
        if probability is None or self.probable is None or probability >= self.probable:
            return None
        asked = f"; it was made for {', '.join(self.tasks)}" if self.tasks else ""
        return (
            f"this answer is most likely wrong: the model holds its tokens {100 * probability:.0f} % probable, "
            f"and what it gets right at least {100 * self.probable:.0f} %{asked}"
        )

    def _pictures(self, canvas: int) -> str:
        """Return the accepted kinds of images in words."""
        return ", or ".join(kind.told(canvas) for kind in self.pictures or ()) or "a picture"
