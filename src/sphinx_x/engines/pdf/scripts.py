"""How the script of a character is written: without spaces, from right to left."""

from __future__ import annotations

import unicodedata

EAST = "\u2e80"
"""No character before this one is Chinese or Japanese."""


def is_cjk(char: str) -> bool:
    """Return whether a character is Chinese, Japanese or their punctuation, written without spaces."""
    code = ord(char[0])
    return code >= 0x2E80 and (
        0x2E80 <= code <= 0x30FF or 0x31F0 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF
        or 0xFE30 <= code <= 0xFE4F or 0xFF00 <= code <= 0xFF9F or 0x20000 <= code <= 0x3FFFF
    )  # fmt: skip


def is_rtl(char: str) -> bool:
    """Return whether a character is a letter of a script that runs from right to left."""
    return unicodedata.bidirectional(char[0]) in ("R", "AL")
