"""What a member says of itself: which pictures it takes, whether text alone, how many turns, when it is to be doubted.

A member that says nothing is asked whatever the user likes: what it cannot do is not known. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

Size = tuple[int, int]


@dataclass(frozen=True)
class PictureKind:
    """A kind of picture that a member takes.

    what: in words, with an article; width, height: the largest in pixels. band: the most pixels of height that may be
    left once the picture is scaled to fit the model's canvas; None for any.
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
        """Whether a picture of a size (width, height) can be of this kind. canvas: side of the model's, in pixels."""
        width, height = size
        scaled = height * min(1.0, canvas / width)
        return width <= self.width and height <= self.height and (self.band is None or scaled <= self.band)

    def told(self, canvas: int) -> str:
        """The kind in words, with its limits."""
        band = "" if self.band is None else f", {self.band} high where it is no wider than {canvas}"
        return f"{self.what} (at most {self.width} x {self.height} pixels{band})"


@dataclass(frozen=True)
class Abilities:
    """What a member can take; of what is None nothing is known, and nothing is refused.

    pictures: kinds of picture, none for a member without eyes; most_pictures: in one conversation; text_alone: whether
    it answers without a picture; turns: questions in one conversation; tasks: what may be asked, in words; probable:
    an answer whose tokens have a lower mean probability is most likely wrong (measured on held-out samples); larger:
    what to do with a picture that is too large.
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
        """From a configuration's field; raises `ValueError` for a field that is none, or of another type."""
        given = dict(given or {})
        unknown = sorted(given.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"abilities: {unknown[0]}: no such field")
        if given.get("pictures") is not None:
            try:
                given["pictures"] = tuple(PictureKind(**kind) for kind in given["pictures"])
            except TypeError as error:
                raise ValueError(f"abilities: pictures: a kind has what, width, height and band ({error})") from error
        if given.get("tasks") is not None:
            given["tasks"] = tuple(given["tasks"])
        found = cls(**given)
        if found.probable is not None and not 0 <= found.probable <= 1:
            raise ValueError(f"abilities: probable: from 0 to 1, not {found.probable}")
        for name in ("turns", "most_pictures"):
            value = getattr(found, name)
            if value is not None and (not isinstance(value, int) or value < 0):
                raise ValueError(f"abilities: {name}: a whole number, not {value!r}")
        return found

    def to_dict(self) -> dict[str, Any] | None:
        """As a configuration holds it (what JSON knows); None where nothing is said."""
        said: dict[str, Any] = {k: v for k, v in asdict(self).items() if v not in (None, "")}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in said.items()} or None

    def refusal(self, sizes: Sequence[Size], turn: int, canvas: int) -> str | None:
        """Why a conversation is not taken, in one line; None where nothing speaks against it.

        Args:
            sizes: (width, height) of all its pictures, in pixels.
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
        """What is to be said of an answer with a mean probability of its tokens; None where nothing is."""
        if probability is None or self.probable is None or probability >= self.probable:
            return None
        asked = f"; it was made for {', '.join(self.tasks)}" if self.tasks else ""
        return (
            f"this answer is most likely wrong: the model holds its tokens {100 * probability:.0f} % probable, "
            f"and what it gets right at least {100 * self.probable:.0f} %{asked}"
        )

    def _pictures(self, canvas: int) -> str:
        """The kinds that are taken, in words."""
        return ", or ".join(kind.told(canvas) for kind in self.pictures or ()) or "a picture"
