"""Fonts whose characters cannot be trusted: what the text layer says is not what the page shows.

Fonts are judged as a whole, over one page, so that small capitals, odd typefaces and formulas are left alone.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from PIL import Image

from sphinx_x.engines.pdf.languages import COMMON
from sphinx_x.engines.pdf.shapes import known_letters, misfit
from sphinx_x.engines.pdf.text_layer import NAMELESS, Characters
from sphinx_x.engines.pdf.tuned import (
    DIFFERENT_LETTERS,
    FIRST_LETTERS,
    FITTING,
    HALF,
    JUDGED_CHARACTERS,
    JUDGED_LETTERS,
    JUDGED_WORDS,
    LETTER_PLACES,
    LOWEST_LETTERS,
    MANY_SCRIPTS,
    SOME,
    SUFFICIENT_LETTERS,
    UNLIKE,
    VOUCHED_SHARE,
    VOUCHED_WORDS,
)

LOW, BELOW, TALL = frozenset("acemnorsuvwxz"), frozenset("gpqy"), frozenset("bdhkl")
KINDS = (LOW, BELOW, TALL)
KIND_OF = {letter: kind for kind, letters in enumerate(KINDS, 1) for letter in letters}
WORDLIKE = re.compile(r"(?<![^\W_])\d+(?![^\W_])|[A-Z]?[a-z]{2,}|[A-Z]{3,}|[^\W\d_a-zA-Z]{2,}")
"""A number by itself, or letters that may be a word: in one case except for the first, or of another script."""
LONG = re.compile(r"[^\W\d_]{3,}")
SYMBOLS = re.compile(
    r"cmsy|cmbsy|cmex|msam|msbm|symbol|dingbat|wasy|marvo|stmary|mathextra|txsy|pxsy|esint|bbding|manfnt|line\d|lcircle"
    r"|^xy(?:dash|[ab]tip|bsql|circ|cmat|cmbt|luat|lubt)|wingd|webd|awesome|lasy|ornament|braille|barcode|ean13",
    re.IGNORECASE,
)
"""Symbol fonts, whose codes are those of letters if the file has no map."""
ALLOWED = frozenset("{}|\\*-+=<>/.,()[]")
MARKED = re.compile("[\u0620-\u06d3][\u0363-\u036f]")
"""A small Latin letter as a combining mark, on an Arabic letter."""
SHIFTS = tuple((across, down) for across in (-0.7, 0, 0.7) for down in (-0.7, 0, 0.7) if across or down)
"""Offsets in pixels, right and down, that the boxes of a font may all have."""


def distrusted(chars: Characters, image: Image.Image) -> np.ndarray:
    """Return whether each character belongs to a font whose map from codes to letters is wrong, (N,).

    The signs are heights that do not fit, accented letters throughout, many scripts in one word, no words, plain
    letters in
    a symbol font, or pictures unlike the letters that they should be. Latin marks on Arabic letters are distrusted too.

    Args:
        chars: The characters.
        image: Picture of the page, upright.
    """
    fonts: dict[str, list[int]] = {}
    for start, end in pairwise([*chars.runs, len(chars)]):
        fonts.setdefault(chars.font[start].name, []).extend(range(start, end))
    kinds = _kinds(chars)
    words: dict[str, list[str]] = {name: [] for name in fonts}
    for name, word in _words(chars):
        words[name].append(word)
    wrong = np.zeros(len(chars), bool)
    for name, members in fonts.items():
        if SYMBOLS.search(name):
            wrong[[k for k in members if chars.text[k].isascii() and chars.text[k] not in ALLOWED]] = True
        nameless = name.startswith(NAMELESS)
        if (
            misread(words[name])
            or jumbled(words[name])
            or (nameless and garbled(words[name]))
            or shapes_wrong(chars, members, kinds)
        ):
            wrong[members] = True
    if MARKED.search("".join(chars.text)):
        pairs = pairwise(chars.text)
        wrong |= [False, *(MARKED.fullmatch(one[-1] + other) is not None for one, other in pairs)]
    doubtful = [name for name in unvouched(words) if not wrong[fonts[name]].all()]
    for members in _unlike(chars, image, [fonts[name] for name in doubtful]):
        wrong[members] = True
    return wrong


def unvouched(words: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the fonts whose letters are not surely right: few of their words are common ones or also in a sure font.

    Args:
        words: The words of each font.
    """
    known = set(COMMON)
    doubtful = []
    for name in sorted(words, key=lambda name: -len(words[name])):
        long = LONG.findall(" ".join(words[name]).lower())
        found = [word for word in long if word in known]
        if len(found) > VOUCHED_SHARE * len(long) and len(set(found)) >= VOUCHED_WORDS:
            known.update(long)
        else:
            doubtful.append(name)
    return doubtful


def _unlike(chars: Characters, image: Image.Image, fonts: Sequence[list[int]]) -> Iterator[list[int]]:
    """Yield those of the fonts, given by their characters, whose letters look unlike what the text layer says."""
    grey: np.ndarray | None = None
    for members in fonts:
        places = _places(chars, members) if len(members) >= JUDGED_CHARACTERS else {}
        if places:
            grey = np.asarray(image.convert("L")) if grey is None else grey
            if unlike(grey, list(places), [chars.box[seen] for seen in places.values()]):
                yield members


def unlike(grey: np.ndarray, letters: Sequence[str], boxes: Sequence[np.ndarray]) -> bool:
    """Return whether letters look like other letters; a few are compared first, and all only if those leave a doubt.

    Light letters on dark are tried as well, and boxes that are all a little off, as those of bitmap fonts may be: both
    the
    boxes as they are and the offset at which they look most like letters must misfit.

    Args:
        grey: (H, W).
        letters: The letters that they should be.
        boxes: (K, 4) for each letter.
    """
    if misfit(grey, letters[:FIRST_LETTERS], [places[:1] for places in boxes[:FIRST_LETTERS]])[1] < FITTING:
        return False
    plain = [misfit(grey, letters, boxes, both) for both in (False, True)]
    if min(less for _, less in plain) < UNLIKE:
        return False
    ways = list(plain)
    for across, down in SHIFTS:
        shifted = [places + np.array([across, down, across, down]) for places in boxes]
        ways += [misfit(grey, letters, shifted, both) for both in (False, True)]
    return max(ways)[1] > UNLIKE


def _places(chars: Characters, members: Sequence[int]) -> dict[str, list[int]]:
    """Return distinct letters of a font with some upright places of each; empty if there are too few to judge."""
    known = known_letters().places
    places: dict[str, list[int]] = {}
    for k in members:
        text = chars.text[k]
        if text in known and chars.direction[k] == 0 and not chars.hidden[k]:
            seen = places.setdefault(text, [])
            if len(seen) < LETTER_PLACES:
                seen.append(k)
            if len(places) >= SUFFICIENT_LETTERS:
                break
    if sum(text.isalpha() for text in places) < DIFFERENT_LETTERS:
        return {}
    first = [seen[0] for seen in places.values()]
    inked = (chars.box[first] != chars.cell[first]).any(1)  # else pdfium did not know where the ink is
    high = chars.box[first, 3] - chars.box[first, 1]
    return places if inked.mean() > HALF and np.median(high) >= LOWEST_LETTERS else {}


def _words(chars: Characters) -> Iterator[tuple[str, str]]:
    """Yield words of one font each, separated by the white space of the text layer."""
    changes = [k for k in chars.runs[1:] if chars.font[k].name != chars.font[k - 1].name]
    starts = sorted({0, *changes, *(k for k, space in enumerate(chars.space) if space)}) if len(chars) else []
    for start, end in pairwise([*starts, len(chars)]):
        yield chars.font[start].name, "".join(chars.text[start:end])


def _kinds(chars: Characters) -> np.ndarray:
    """Return which of `KINDS` upright characters are, counted from 1, as (N,); 0 for all others."""
    kinds = np.array([KIND_OF.get(text, 0) for text in chars.text], np.int8)
    kinds[chars.direction != 0] = 0
    return kinds


def shapes_wrong(chars: Characters, members: Sequence[int], kinds: np.ndarray) -> bool:
    """Return whether most Latin letters of a font have ink that does not fit them, given the font's own x-height.

    A `p` goes below the line, an `o` does not; a `d` is higher than an `x`.

    Args:
        chars: The characters.
        members: Indices of those of the font.
        kinds: See `_kinds`, of all characters.
    """
    if len(members) < JUDGED_LETTERS:
        return False
    letters = np.array(members)
    letters = letters[kinds[letters] > 0]
    kind = kinds[letters]
    low = letters[kind == 1]
    if len(letters) < JUDGED_LETTERS or len(low) < JUDGED_LETTERS // 2:
        return False
    lift = float(np.median(chars.cell[low, 3] - chars.box[low, 3]))  # of the line over the lower end of a cell
    base = chars.cell[letters, 3] - lift
    below, above = chars.box[letters, 3] - base, base - chars.box[letters, 1]
    high = float(np.median(chars.box[low, 3] - chars.box[low, 1]))
    if high <= 0:
        return True
    down, up = below / high, above / high
    bad = np.where(kind == 2, down < 0.12, down > 0.3).sum()
    bad += (((kind == 1) & (up > 1.5)) | ((kind == 3) & (up < 1.12))).sum()
    return bool(bad > HALF * len(letters))


def misread(words: list[str]) -> bool:
    """Return whether words are another script in the codes of Western Europe: most of their letters are accented."""
    if all(map(str.isascii, words)):
        return False
    long = [word for word in words if sum(char.isalpha() for char in word) >= 4]
    bad = sum(
        sum("\xc0" <= char <= "\xff" for char in word) > 0.6 * sum(char.isalpha() for char in word) for word in long
    )
    return len(long) >= JUDGED_WORDS and bad > SOME * len(long)


def jumbled(words: list[str]) -> bool:
    """Return whether words mix many scripts, as when a font's codes are taken for those of Unicode."""
    kinds: Counter[str] = Counter()
    pairs = changes = 0
    for word in words:
        if word.isascii():
            continue
        found = [_script(char) for char in word if char.isalpha()]
        kinds.update(found)
        pairs += max(len(found) - 1, 0)
        changes += sum(a != b for a, b in pairwise(found))
    return sum(count > 1 for count in kinds.values()) >= MANY_SCRIPTS and changes > SOME * pairs


@functools.cache
def _script(char: str) -> str:
    """Return the script of a letter by its name, with one script for everything in Chinese and Japanese."""
    name = unicodedata.name(char, "other").split()[0]
    return "CJK" if name in ("HIRAGANA", "KATAKANA", "BOPOMOFO") else name


def garbled(words: list[str]) -> bool:
    """Return whether words are not words: few letters and digits are in runs that could be a word or a number."""
    text = unicodedata.normalize("NFD", " ".join(words))
    text = "".join(char for char in text if not unicodedata.combining(char))
    total = sum(char.isalnum() or char == "\ufffd" for char in text)
    good = sum(len(run) for run in WORDLIKE.findall(text) if run.isdigit() or _sounded(run))
    return total >= JUDGED_CHARACTERS and good < HALF * total


def _sounded(run: str) -> bool:
    latin = [char for char in run.lower() if "a" <= char <= "z"]
    return len(latin) < len(run) or any(char in "aeiouy" for char in latin)
