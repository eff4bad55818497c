"""Lines with Hebrew or Arabic: from the order in which signs stand on the page to the order in which they are read.

What a program does to show such a line (Unicode's annex 9) is undone: runs against the direction of the line are found
by the same rules, which look the same from both sides, and are turned around. Brackets are mirror images on the page in
one direction, and the reader may or may not have turned them back; so which way one opens is told by what is beside it.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator, Sequence

OPEN, CLOSE = "([{\xab\u2039", ")]}\xbb\u203a"
QUOTES = "\xab\xbb\u2039\u203a"
KIND = {char: kind for kind, pair in enumerate(zip(OPEN, CLOSE, strict=True)) for char in pair}
"""Of every bracket: which pair it is of."""
SPACE = " "
STRONG = {"L": "L", "R": "R", "AL": "R", "EN": "N", "AN": "N"}
"""Directions of signs, by Unicode's classes; N is a number."""


def reading_order(signs: Sequence[str], rtl: bool) -> tuple[list[int], dict[int, str]]:
    """The numbers of signs as they are read, and the brackets among them as they open.

    signs: letters (with what is set on them), digits and other signs from left to right, a blank where there is white
    space; rtl: the direction of the line.
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
    """An order with the runs of some kinds the other way."""
    out: list[int] = []
    for against, run in itertools.groupby(order, lambda k: kinds[k] in these):
        members = list(run)
        out += members[::-1] if against else members
    return out


def _kinds(signs: Sequence[str], rtl: bool) -> list[str]:
    """L, R, N for a number or a part of one, empty for what has no direction of its own."""
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
    """The places of brackets and of those that close them, inner ones first."""
    opened: list[int] = []
    out: list[tuple[int, int]] = []
    for place, char in _told(signs).items():
        if char in OPEN:
            opened.append(place)
        elif opened and KIND[signs[opened[-1]]] == KIND[char]:
            out.append((opened.pop(), place))
    return out


def _told(signs: Sequence[str]) -> dict[int, str]:
    """Every bracket in a row of signs, by its place, as one that opens or closes, told from what is beside it."""
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
    """The next sign that is no bracket and, after one, no punctuation; a blank at an end."""
    k = place + step
    while 0 <= k < len(signs) and (signs[k] in KIND or unicodedata.category(signs[k][0]) == "Po"):
        k += step
    return signs[k] if 0 <= k < len(signs) else SPACE


def _pair_kind(kinds: Sequence[str], first: int, last: int, base: str, other: str) -> str:
    """The direction of a pair of brackets: that of the line if anything in it is, else that of what it follows."""
    inner = {"R" if kind == "N" else kind for kind in kinds[first + 1 : last]} - {""}
    if not inner or base in inner:
        return base if inner else ""
    before = kinds[:first][::-1] if other == "L" else kinds[last + 1 :]
    return other if next((kind for kind in before if kind), base) == other else base


def _numbers_of_names(kinds: list[str], base: str) -> None:
    """Numbers after letters that run to the right belong to them, as in `Windows 10`; in a line that does so itself all
    do that are not between others."""
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
    """What has no direction takes that of both sides, or of the line; numbers count as from right to left."""
    for empty, run in itertools.groupby(range(len(kinds)), lambda k: not kinds[k]):
        if not empty:
            continue
        members = list(run)
        sides = [kinds[n] if 0 <= n < len(kinds) else base for n in (members[0] - 1, members[-1] + 1)]
        sides = ["R" if side == "N" else side for side in sides]
        for k in members:
            kinds[k] = other if sides == [other, other] else base


def clusters(members: Sequence[int], texts: Sequence[str]) -> Iterator[list[int]]:
    """Numbers of characters in groups of a letter and what is set on it."""
    group: list[int] = []
    for k in members:
        if group and not unicodedata.combining(texts[k][0]):
            yield group
            group = []
        group.append(k)
    if group:
        yield group
