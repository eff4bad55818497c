"""From token ids to text, piece by piece, up to a stop text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

BROKEN = "\ufffd"
"""What a tokenizer writes for a character whose bytes are not complete."""


class TextStream:
    """The text of one answer as it grows; all pieces together are what `SphinxX.chat` returns.

    White space around the answer is left out, and so is everything from the first stop text on. What may become part of
    a stop text, of a character of several bytes or of white space at the end is held back.

    Attributes:
        stopped: Whether a stop text has come.
    """

    def __init__(self, tokenizer: Any, stops: Sequence[str]) -> None:
        self._tokenizer, self._stops = tokenizer, [stop for stop in stops if stop]
        self._ids: list[int] = []
        self._done = self._shown = 0  # ids before `_done` are text; those from `_shown` on are decoded together with it
        self._text, self._said, self.stopped = "", 0, False

    @property
    def text(self) -> str:
        """The answer so far, up to a stop text, white space included."""
        return self._text

    def add(self, number: int) -> str:
        """Take the next id, and return the piece of text that has become certain."""
        self._ids.append(number)
        # decoded with the ids before it, as some tokenizers write the first id of a text in another way
        before = self._decode(self._ids[self._shown : self._done])
        text = self._decode(self._ids[self._shown :])
        if len(text) > len(before) and not text.endswith(BROKEN):
            self._grow(text[len(before) :])
            self._shown, self._done = self._done, len(self._ids)
        return self._piece(self.certain)

    @property
    def certain(self) -> int:
        """Number of characters of `text` that no stop text can take away any more."""
        if self.stopped:
            return len(self._text)
        begun = (k for stop in self._stops for k in range(len(stop) - 1, 0, -1) if self._text.endswith(stop[:k]))
        return len(self._text) - max(begun, default=0)

    def end(self) -> str:
        """Return the last piece: what was held back and turned out to be text."""
        if not self.stopped:
            before = self._decode(self._ids[self._shown : self._done])
            self._grow(self._decode(self._ids[self._shown :])[len(before) :])
        return self._piece(len(self._text))

    def _decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    def _grow(self, piece: str) -> None:
        first = len(self._text)
        self._text += piece
        longest = max(map(len, self._stops), default=1)
        start = max(0, first - longest + 1)
        found = [place for stop in self._stops if (place := self._text.find(stop, start)) >= 0]
        if found:
            self._text, self.stopped = self._text[: min(found)], True

    def _piece(self, upto: int) -> str:
        """Return the text from what was said to `upto`, without white space at the beginning and the end."""
        text = self._text[:upto].rstrip()
        start = self._said or len(text) - len(text.lstrip())
        if len(text) <= start:
            return ""
        self._said = len(text)
        return text[start:]
