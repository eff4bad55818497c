"""Fonts whose characters cannot be trusted: what the text layer says is not what the page shows.

Fonts are judged as a whole, over one page, so that small capitals, odd faces and formulas are let be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import numpy as np

from sphinx_x.data.ocr.text_layer import NAMELESS, Characters

LOW, BELOW, TALL = frozenset("acemnorsuvwxz"), frozenset("gpqy"), frozenset("bdhkl")
JUDGED = LOW | BELOW | TALL
LETTERS, WORDS = 12, 8
"""Letters and words that a font must have to be judged."""
WORDLIKE = re.compile(r"(?<![^\W_])\d+(?![^\W_])|[A-Z]?[a-z]{2,}|[A-Z]{3,}|[^\W\d_a-zA-Z]{2,}")
"""A number of its own, or letters that may be a word: in one case but for the first, or of another script."""
ENOUGH = 40
"""Letters and digits that a font must have to be judged by them."""
SYMBOLS = re.compile(
    r"cmsy|cmbsy|cmex|msam|msbm|symbol|dingbat|wasy|marvo|stmary|mathextra|txsy|pxsy|esint|bbding|manfnt|line\d|lcircle"
    r"|^xy(?:dash|[ab]tip|bsql|circ|cmat|cmbt|luat|lubt)",
    re.IGNORECASE,
)
"""Fonts of symbols, whose codes are those of letters where the file has no map."""
ALLOWED = frozenset("{}|\\*-+=<>/.,()[]")
HALF, SOME = 0.5, 0.4


def distrusted(chars: Characters) -> np.ndarray:
    """(N,) whether a character belongs to a font whose map from codes to letters is wrong, by one of four signs:

    shapes that do not fit, accented letters throughout, no words, or plain letters in a font of symbols.
    """
    fonts: dict[str, list[int]] = {}
    for k, font in enumerate(chars.font):
        fonts.setdefault(font.name, []).append(k)
    words: dict[str, list[str]] = {name: [] for name in fonts}
    for name, word in _words(chars):
        words[name].append(word)
    wrong = np.zeros(len(chars), bool)
    for name, members in fonts.items():
        if SYMBOLS.search(name):
            wrong[[k for k in members if chars.text[k].isascii() and chars.text[k] not in ALLOWED]] = True
        if shapes_wrong(chars, members) or misread(words[name]) or (name.startswith(NAMELESS) and garbled(words[name])):
            wrong[members] = True
    return wrong


def _words(chars: Characters) -> Iterator[tuple[str, str]]:
    """Words of one font each, by the white space of the text layer."""
    word = ""
    for k, text in enumerate(chars.text):
        if word and (chars.space[k] or chars.font[k].name != chars.font[k - 1].name):
            yield chars.font[k - 1].name, word
            word = ""
        word += text
    if word:
        yield chars.font[-1].name, word


def shapes_wrong(chars: Characters, members: list[int]) -> bool:
    """Whether most Latin letters of a font have ink that does not fit them, by the font's own height of small letters.

    A `p` goes below the line, an `o` does not; a `d` is higher than an `x`.
    """
    letters = [k for k in members if chars.direction[k] == 0 and chars.text[k] in JUDGED]
    low = [k for k in letters if chars.text[k] in LOW]
    if len(letters) < LETTERS or len(low) < LETTERS // 2:
        return False
    lift = float(np.median(chars.cell[low, 3] - chars.box[low, 3]))  # of the line over the lower end of a cell
    base = chars.cell[letters, 3] - lift
    below, above = chars.box[letters, 3] - base, base - chars.box[letters, 1]
    high = float(np.median(chars.box[low, 3] - chars.box[low, 1]))
    if high <= 0:
        return True
    bad = 0
    for k, down, up in zip(letters, (below / high).tolist(), (above / high).tolist(), strict=True):
        text = chars.text[k]
        bad += (down < 0.12) if text in BELOW else (down > 0.3)
        bad += (text in LOW and up > 1.5) or (text in TALL and up < 1.12)
    return bad > HALF * len(letters)


def misread(words: list[str]) -> bool:
    """Whether words are another script's in the codes of Western Europe: most of their letters are accented."""
    long = [word for word in words if sum(char.isalpha() for char in word) >= 4]
    bad = sum(
        sum("\xc0" <= char <= "\xff" for char in word) > 0.6 * sum(char.isalpha() for char in word) for word in long
    )
    return len(long) >= WORDS and bad > SOME * len(long)


def garbled(words: list[str]) -> bool:
    """Whether words are no words: few of their letters and digits are in runs that could be a word or a number."""
    text = unicodedata.normalize("NFD", " ".join(words))
    text = "".join(char for char in text if not unicodedata.combining(char))
    total = sum(char.isalnum() or char == "\ufffd" for char in text)
    good = sum(len(run) for run in WORDLIKE.findall(text) if run.isdigit() or _sounded(run))
    return total >= ENOUGH and good < HALF * total


def _sounded(run: str) -> bool:
    latin = [char for char in run.lower() if "a" <= char <= "z"]
    return len(latin) < len(run) or any(char in "aeiouy" for char in latin)
