"""Which pieces of lines are good samples: named rules on their text, fonts, spacing, shapes and ink.

A piece must stand on one baseline, the page must show ink in the box of every character and none beside the boxes, and
the shapes must fit the letters (a `p` goes below the line, an `o` does not).
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence

import numpy as np

from sphinx_x.engines.nano.line_pieces import Piece, on_one_baseline
from sphinx_x.engines.pdf.text_layer import NAMELESS, Characters

DPI = 150
SCALE = DPI / 72
MIN_CHARS, MAX_CHARS = 3, 90
MIN_POINTS = 5.0
KEEP_LEADERS = 0.3
"""Share of lines with dot leaders (tables of contents) or repeated characters to keep; there are far too many."""
SPACE, MONO_SPACE, NO_SPACE = 0.18, 0.38, 0.13
"""Em: the least width of a space, and the largest gap between the letters of a word."""
ODD_FONT = re.compile(
    r"cmcsc|eus|eur[mb]|rsfs|logo|sy[ms]?\d|math|sups|caps|[-_]sc\b|sfcc|sfxc|sc\d*$|goth|frak|schwab|init|icons?|music"
    r"|chess|skak|tipa|rune|runic|greek|cyr|arab|hebr|deva|txex|mtsy|mtex|script|chancery|callig|hand|dice|card|dsfont|bbm"
    r"|bbold|fetamont|fiver|tengwar|cirth|punk|emoji",
    re.IGNORECASE,
)
"""Fonts whose letters look like no others: small capitals, Fraktur, handwriting, other scripts in Latin codes.

Symbol fonts are known to the PDF reader (`engines.pdf.trust`)."""
ALLOWED = frozenset("{}|\\*")
"""The few characters that text takes from such fonts."""
DOTS = frozenset(".\xb7\u2026\u2022_")
"""Characters of leaders, which stand apart."""
ON_LINE = frozenset("acemnorsuvwxABCDEFGHIKLMNOPRSTUVWXYZbdhkl")
BELOW_LINE = frozenset("gpqy")
LOW = frozenset("acemnorsuvwxz")
TALL = frozenset("bdhkl")
ROW = re.compile(r"(\S)\1{5,}|(?:(\S) ){4}\2")
"""One character over and over: lines drawn with hyphens, passwords."""
APART = re.compile(r"(?:^| )[A-Za-z] [A-Za-z] [A-Za-z](?: |$)")
"""Three words of one letter, mostly one word that is tracked."""
COMMON = frozenset(".,:;!?'\"()-/ ")


def printable(text: str) -> bool:
    """Return whether every character is printable ASCII."""
    return all(" " <= char <= "~" for char in text)


def judge_text(chars: Characters, piece: Piece, rng: random.Random) -> str | None:
    """Return the rule that excludes a piece for its text, fonts or spacing; None for a piece to keep."""
    text, members = piece.text, piece.members
    if piece.line.direction != 0:
        return "rotated text"
    if len(text) < MIN_CHARS:
        return "shorter than 3 characters"
    if len(text) > MAX_CHARS:
        return "longer than 90 characters"
    if chars.broken[members].any():
        return "text that cannot be trusted"
    if not printable(text):
        return "not ASCII"
    if not on_one_baseline(chars, members):
        return "several baselines"
    if chars.size[members].min() < MIN_POINTS * SCALE:
        return "smaller than 5 points"
    return (
        _judge_fonts(chars, members)
        or _judge_signs(piece, rng)
        or _judge_spacing(chars, piece)
        or _judge_shapes(chars, members)
    )


def _judge_fonts(chars: Characters, members: Sequence[int]) -> str | None:
    for k in members:
        name = chars.font[k].name
        if not name or name.startswith(NAMELESS):
            return "font without a name"
        if ODD_FONT.search(name) and chars.text[k] not in ALLOWED:
            return "font of unusual letters"
    return None


def _judge_signs(piece: Piece, rng: random.Random) -> str | None:
    text = piece.text
    if APART.search(text):
        return "letters set apart"
    common = sum(char.isalnum() or char in COMMON for char in text)
    if common < 0.6 * len(text) or not any(char.isalnum() for char in text):
        return "few letters and digits"
    if (piece.leaders or ROW.search(text)) and rng.random() > KEEP_LEADERS:
        return "dot leaders"
    return None


def _judge_spacing(chars: Characters, piece: Piece) -> str | None:
    """Return the rule against a piece's spacing: a space must be wide between advances, and everything else narrow.

    Letter-spaced text satisfies neither.
    """
    first = {word[0] for word in piece.chars[1:]}
    for last, k in itertools.pairwise(piece.members):
        if np.array_equal(chars.box[k], chars.box[last]):
            continue  # the letters of a ligature
        em = max(chars.size[k], 1e-6)
        if chars.box[k, 0] - chars.box[last, 2] < -0.35 * em:
            return "characters on top of each other"
        gap = (chars.cell[k, 0] - chars.cell[last, 2]) / em
        if k in first:
            mono = chars.font[k].mono and chars.font[last].mono
            if gap < (MONO_SPACE if mono else SPACE):
                return "doubtful space"
        elif gap > NO_SPACE and not (piece.leaders and chars.text[k] in DOTS):
            return "doubtful space"
    return None


def _judge_shapes(chars: Characters, members: Sequence[int]) -> str | None:
    """Return the rule against shapes that do not fit their letters, as with a wrong map of codes or small capitals."""
    for k in members:
        text, em, level = chars.text[k], max(chars.size[k], 1e-6), chars.origin[k, 1]
        below, above = (chars.box[k, 3] - level) / em, (level - chars.box[k, 1]) / em
        if (
            (text in ON_LINE and below > 0.12)
            or (text in BELOW_LINE and below < 0.10)
            or (text in LOW and above > 0.62)
            or (text in TALL and above < 0.56)
        ):
            return "shapes do not fit the letters"
    return None


def judge_ink(grey: np.ndarray, boxes: np.ndarray) -> str | None:
    """Return the rule against a glyph without ink in its box, or against too much ink outside the boxes."""
    paper = int(np.bincount(grey.ravel(), minlength=256).argmax())
    strength = np.abs(grey.astype(np.int16) - paper)
    if strength.max() < 80:
        return "faint or no ink"
    ink = strength > 40
    share = ink.mean()
    if not 0.02 <= share <= 0.55:
        return "implausible share of ink"
    height, width = grey.shape
    sums = np.zeros((height + 1, width + 1), np.int32)
    sums[1:, 1:] = ink.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)
    low = np.clip(np.floor(boxes[:, :2] - 0.5).astype(int), 0, [width, height])
    high = np.clip(np.ceil(boxes[:, 2:] + 0.5).astype(int), 0, [width, height])
    (left, top), (right, bottom) = low.T, high.T
    filled = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    if (filled == 0).any():
        return "character without ink"
    rest = ink.copy()
    for (left, top), (right, bottom) in zip(low, high, strict=True):
        rest[top:bottom, left:right] = False
    if rest[low[:, 1].min() : high[:, 1].max()].sum() > 3 or rest.sum() > max(3, 0.015 * ink.sum()):
        return "other ink in the crop"
    return None
