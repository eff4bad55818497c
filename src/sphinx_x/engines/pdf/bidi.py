"""Lines with Hebrew or Arabic: from the order of characters on the page to the order in which they are read.

This undoes what a program does to display such a line (Unicode's annex 9). Runs against the direction of the line are
found by the same rules, which give the same result from either side, and are reversed. On the page, brackets in one
direction are mirror images, and pdfium may or may not have mirrored them back; whether a bracket opens or closes is
therefore inferred from its neighbours.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator, Sequence

OPEN, CLOSE = "([{\xab\u2039", ")]}\xbb\u203a"
QUOTES = "\xab\xbb\u2039\u203a"
KIND = {char: kind for kind, pair in enumerate(zip(OPEN, CLOSE, strict=True)) for char in pair}
"""The pair that each bracket belongs to."""
SPACE = " "
STRONG = {"L": "L", "R": "R", "AL": "R", "EN": "N", "AN": "N"}
"""Directions of characters by their Unicode class; N is a number."""


def reading_order(signs: Sequence[str], rtl: bool) -> tuple[list[int], dict[int, str]]:
    """Return the indices of characters in reading order, and the brackets among them as they open or close.

    Args:
        signs: Letters (with their combining marks), digits and other characters from left to right, a blank for white
            space.
        rtl: Whether the line runs from right to left.

    Returns:
        The indices in reading order, and the right bracket for each index that has one.
    """
    base, other = ("R", "L") if rtl else ("L", "R")
    kinds = _kinds(signs, rtl)
    for first, last in _pairs(signs):
        kinds[first] = kinds[last] = _pair_kind(kinds, first, last, base, other)
    _numbers_of_names(kinds, base)
    _neutrals(kinds, base, other)
    out = list(range(len(signs)))
    if rtl:
        out = _turned(out[::-1], kinds, "LN")
    else:
        out = _turned(_turned(out, kinds, "RN"), kinds, "N")
    told = _told([signs[k] for k in out])
    return out, {out[n]: char for n, char in told.items() if char not in QUOTES or kinds[out[n]] == "R"}


def _turned(order: Sequence[int], kinds: Sequence[str], these: str) -> list[int]:
    """Return an order in which the runs of some kinds are reversed."""
    out: list[int] = []
    for against, run in itertools.groupby(order, lambda k: kinds[k] in these):
        members = list(run)
        out += members[::-1] if against else members
    return out


def _kinds(signs: Sequence[str], rtl: bool) -> list[str]:
    """Return `L`, `R`, `N` (a number or part of one), or an empty string for characters without a direction."""
    classes = [unicodedata.bidirectional(sign[0]) for sign in signs]
    kinds = [STRONG.get(name, "") for name in classes]
    arabic = rtl and "AL" in classes
    for k, name in enumerate(classes):
        left, right = (kinds[n] if 0 <= n < len(signs) else "" for n in (k - 1, k + 1))
        inside = left == right == "N" and (name == "CS" or (name == "ES" and not arabic))
        if inside or (name == "ET" and "N" in (left, right) and not arabic):
            kinds[k] = "N"
    return kinds


def _pairs(signs: Sequence[str]) -> list[tuple[int, int]]:
    """Return the indices of brackets and of those that close them, inner pairs first."""
    opened: list[int] = []
    out: list[tuple[int, int]] = []
    for place, char in _told(signs).items():
        if char in OPEN:
            opened.append(place)
        elif opened and KIND[signs[opened[-1]]] == KIND[char]:
            out.append((opened.pop(), place))
    return out


def _told(signs: Sequence[str]) -> dict[int, str]:
    """Return each bracket of a row by its index, as one that opens or closes, inferred from its neighbours."""
    out: dict[int, str] = {}
    depth = dict.fromkeys(KIND.values(), 0)
    for place, sign in enumerate(signs):
        kind = KIND.get(sign)
        if kind is None:
            continue
        before, after = _beside(signs, place, -1), _beside(signs, place, 1)
        opens = not depth[kind] if (before == SPACE) == (after == SPACE) else before == SPACE
        depth[kind] = max(depth[kind] + (1 if opens else -1), 0)
        out[place] = (OPEN if opens else CLOSE)[kind]
    return out


def _beside(signs: Sequence[str], place: int, step: int) -> str:
    """Return the next character that is not a bracket nor, after one, punctuation; a blank at either end."""
    k = place + step
    while 0 <= k < len(signs) and (signs[k] in KIND or unicodedata.category(signs[k][0]) == "Po"):
        k += step
    return signs[k] if 0 <= k < len(signs) else SPACE


def _pair_kind(kinds: Sequence[str], first: int, last: int, base: str, other: str) -> str:
    """Return the direction of a pair of brackets: the line's if anything inside has it, else of what precedes it."""
    inner = {"R" if kind == "N" else kind for kind in kinds[first + 1 : last]} - {""}
    if not inner or base in inner:
        return base if inner else ""
    before = kinds[:first][::-1] if other == "L" else kinds[last + 1 :]
    return other if next((kind for kind in before if kind), base) == other else base


def _numbers_of_names(kinds: list[str], base: str) -> None:
    """Give numbers after left-to-right letters their direction, as in `Windows 10`.

    In a left-to-right line these are all numbers except those between letters of the other direction.
    """
    strong = base
    for k, kind in enumerate(kinds):
        if kind == "N":
            mine = strong == "L" if base == "R" else not _between_right(kinds, k)
            kinds[k] = "L" if mine else "N"
            strong = "R" if base == "R" and not mine else strong
        elif kind:
            strong = kind


def _between_right(kinds: Sequence[str], k: int) -> bool:
    left = next((kind for kind in reversed(kinds[:k]) if kind in ("L", "R")), "L")
    right = next((kind for kind in kinds[k + 1 :] if kind in ("L", "R")), "L")
    return left == right == "R"


def _neutrals(kinds: list[str], base: str, other: str) -> None:
    """Give neutral characters the direction of both neighbours, or else of the line; numbers count as right to left."""
    for empty, run in itertools.groupby(range(len(kinds)), lambda k: not kinds[k]):
        if not empty:
            continue
        members = list(run)
        sides = [kinds[n] if 0 <= n < len(kinds) else base for n in (members[0] - 1, members[-1] + 1)]
        sides = ["R" if side == "N" else side for side in sides]
        for k in members:
            kinds[k] = other if sides == [other, other] else base


def clusters(members: Sequence[int], texts: Sequence[str]) -> Iterator[list[int]]:
    """Yield the indices of characters in groups of one letter and its combining marks."""
    group: list[int] = []
    for k in members:
        if group and not unicodedata.combining(texts[k][0]):
            yield group
            group = []
        group.append(k)
    if group:
        yield group
