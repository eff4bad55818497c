"""Lines of text rendered in open fonts: what documents show rarely, in many typefaces, sizes and colours."""

from __future__ import annotations

import functools
import random
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from sphinx_x.boxes import clip, union
from sphinx_x.data.sample import BoxedText, Sample, regions_of
from sphinx_x.data.shards import SampleReader, write_shard
from sphinx_x.engines.nano.judging import DPI, MAX_CHARS, MIN_CHARS
from sphinx_x.engines.nano.lines import MARGINS, MAX_WIDTH, MIN_HEIGHT, encode
from sphinx_x.engines.nano.tasks import ask_about_line
from sphinx_x.errors import DataError

ASCII = "".join(chr(code) for code in range(33, 127))
OVERSAMPLING = 4
POINTS = (7.0, 18.0)
MADE_UP = 0.4
"""Share of the lines that are made up here; the rest are lines of documents."""
LATIN_NOTO = re.compile(r"Noto(Sans|Serif)(Display|Mono)?-")
ODD = re.compile(
    r"symbol|dingbat|initial|smallcap|caps|csc|SC[-_.\d]|math|outline|keyboard|D050000L|Z003|chorus|uncial|dunhill"
    r"|fibonacci",
    re.IGNORECASE,
)
TOP_DOMAINS = ("com", "org", "net", "de", "io", "edu", "co.uk", "fr", "info", "gov")
MONTHS = re.findall(r"\w+", "January February March April May June July August September October November December")
LABELS = re.findall(
    r"\S+",
    "Total Subtotal Tax Date Invoice No. Name Address Phone Tel Fax Page Figure Table Section Ref ID Qty Price Amount "
    "Due Balance Item Code Version Status Type Size Weight Order Account From To Subject Time Room Score Rate Year",
)


def usable_faces(packages: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the text faces among the font files of packages.

    Raises:
        DataError: A package has none.
    """
    usable = {}
    for package, paths in packages.items():
        kept = [
            path
            for path in paths
            if not ODD.search(Path(path).name)
            and (not Path(path).name.startswith("Noto") or LATIN_NOTO.match(Path(path).name))
            and is_text_face(path)
        ]
        if not kept:
            raise DataError(f"{package}: no usable text face among {len(paths)} font files")
        usable[package] = kept
    return usable


def is_text_face(path: str) -> bool:
    """Return whether a font shows all of printable ASCII, with different shapes for upper and lower case."""
    try:
        font = ImageFont.truetype(path, 40, layout_engine=ImageFont.Layout.BASIC)
        shapes = {}
        for char in ASCII:
            mask: Any = font.getmask(char)
            shapes[char] = (mask.size, bytes(mask))
        boxes = {char: font.getbbox(char, anchor="ls") for char in "xXpdb"}
    except (OSError, ValueError):
        return False
    if any(min(size) == 0 for size, _ in shapes.values()) or len(set(shapes.values())) < len(ASCII) - 3:
        return False
    low, tall = -boxes["x"][1], -boxes["X"][1]
    return low < 0.85 * tall and boxes["p"][3] > 4 and -boxes["d"][1] > 1.15 * low


def make_text(rng: random.Random, lines: Sequence[str]) -> str:
    """Return a line of 3 to 90 printable ASCII characters, taken from `lines` or made up."""
    for _ in range(20):
        if lines and rng.random() > MADE_UP:
            text = rng.choice(lines)
            case = rng.random()
            text = text.upper() if case < 0.06 else text.title() if case < 0.10 else text
        else:
            text = _made_up(rng, lines)
        text = " ".join(text.split())
        if len(text) > MAX_CHARS:
            text = text[:MAX_CHARS].rsplit(" ", 1)[0][:MAX_CHARS]
        if len(text) >= MIN_CHARS:
            return text
    return "text"


def _made_up(rng: random.Random, lines: Sequence[str]) -> str:
    makers = (_numbers, _date, _price, _mail, _link, _label, _random_word, _symbols, _words, _words)
    pieces = [rng.choice(makers)(rng, lines) for _ in range(rng.choices((1, 2, 3), (5, 3, 2))[0])]
    return " ".join(pieces)


def _word(rng: random.Random, lines: Sequence[str]) -> str:
    words = re.findall(r"[A-Za-z]{2,}", rng.choice(lines)) if lines else []
    return rng.choice(words) if words else "".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9)))


def _words(rng: random.Random, lines: Sequence[str]) -> str:
    words = [_word(rng, lines) for _ in range(rng.randint(1, 7))]
    return rng.choice((str, str.upper, str.title, str.capitalize))(" ".join(words))


def _numbers(rng: random.Random, lines: Sequence[str]) -> str:
    del lines
    number = rng.randrange(10 ** rng.randint(1, 9))
    return rng.choice(
        (f"{number}", f"{number:,}", f"{number / 100:.2f}", f"{rng.random() * 100:.1f}%", f"#{number}", f"{number:06d}",
         f"({rng.randrange(999)}) {rng.randrange(100, 1000)}-{rng.randrange(1000, 10000)}",
         f"+{rng.randrange(1, 99)} {rng.randrange(10, 999)} {rng.randrange(10**5, 10**7)}",
         f"{rng.random():.3e}", f"-{rng.random() * 50:.3f}",
         f"{rng.randrange(40)}.{rng.randrange(20)}.{rng.randrange(20)}")
    )  # fmt: skip


def _date(rng: random.Random, lines: Sequence[str]) -> str:
    del lines
    year, month, day = rng.randrange(1950, 2035), rng.randrange(1, 13), rng.randrange(1, 29)
    name = MONTHS[month - 1]
    return rng.choice(
        (f"{year}-{month:02d}-{day:02d}", f"{day:02d}/{month:02d}/{year}", f"{month}/{day}/{year % 100:02d}",
         f"{name} {day}, {year}", f"{day} {name[:3]} {year}", f"{day:02d}.{month:02d}.{year}",
         f"{rng.randrange(24):02d}:{rng.randrange(60):02d}",
         f"{rng.randrange(1, 13)}:{rng.randrange(60):02d} {rng.choice(('AM', 'PM'))}")
    )  # fmt: skip


def _price(rng: random.Random, lines: Sequence[str]) -> str:
    del lines
    price = rng.random() * 10 ** rng.randint(1, 5)
    return rng.choice((f"${price:,.2f}", f"RM {price:.2f}", f"{price:.2f} EUR", f"USD {price:,.0f}", f"{price:.2f}"))


def _mail(rng: random.Random, lines: Sequence[str]) -> str:
    first, second = _word(rng, lines).lower(), _word(rng, lines).lower()
    joint = rng.choice((".", "_", "-", ""))
    number = rng.choice(("", "", str(rng.randrange(100))))
    return f"{first}{joint}{second}{number}@{_word(rng, lines).lower()}.{rng.choice(TOP_DOMAINS)}"


def _link(rng: random.Random, lines: Sequence[str]) -> str:
    start = rng.choice(("https://", "http://", "www.", "https://www.", "ftp://"))
    path = "".join(f"/{_word(rng, lines)}" for _ in range(rng.randrange(3)))
    word = _word(rng, lines)
    end = rng.choice(("", "/", ".html", f"?id={rng.randrange(999)}", f"#{word}", f"?q={word}&p=1"))
    return f"{start}{_word(rng, lines).lower()}.{rng.choice(TOP_DOMAINS)}{path}{end}"


def _label(rng: random.Random, lines: Sequence[str]) -> str:
    value = rng.choice((_numbers, _price, _date))(rng, lines)
    label = rng.choice(LABELS)
    return f"{label.upper() if rng.random() < 0.3 else label}{rng.choice((':', ': ', ' ', ' = ', ' - '))}{value}"


def _random_word(rng: random.Random, lines: Sequence[str]) -> str:
    del lines
    upper, both = string.ascii_uppercase + string.digits, string.ascii_letters + string.digits
    return "".join(rng.choices(rng.choice((upper, both, string.hexdigits)), k=rng.randint(3, 12)))


def _symbols(rng: random.Random, lines: Sequence[str]) -> str:
    if rng.random() < 0.5:
        return "".join(rng.choices(ASCII, k=rng.randint(3, 14)))
    left, right = rng.choice(("()", "[]", "{}", "<>", '""', "''", "``", "||", "**", "~~", "__"))
    joint = rng.choice((*"=+-*/&|^~_\\;<>@%$", "!=", "::", "->"))
    return f"{left}{_word(rng, lines)}{right}{joint}{_word(rng, lines)}"


@functools.lru_cache(maxsize=256)
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def render(text: str, path: str, rng: random.Random) -> tuple[bytes, list[BoxedText], int, int]:
    """Render a line in a typeface at a random size, colour and place.

    It is drawn at four times the size and averaged, so that glyphs fall on fractions of a pixel as in a PDF renderer.
    Words
    that would make the line too wide are left out.

    Returns:
        The PNG, the words with their boxes, and the width and height.
    """
    scale = OVERSAMPLING
    size = round(scale * min(rng.uniform(*POINTS), rng.uniform(*POINTS) + 2) * DPI / 72)
    font = _font(path, size)
    gap = font.getlength(" ") * rng.choice((1.0, 1.0, rng.uniform(0.85, 1.6)))
    margins = [rng.randint(*MARGINS) for _ in range(4)]
    limit = (MAX_WIDTH - 2 * MARGINS[1] - 2) * scale
    x, placed = 0.0, []
    for word in text.split(" "):
        left, top, right, bottom = font.getbbox(word, anchor="ls")
        start = round(x)
        if placed and start + right > limit:
            break
        placed.append((word, start, (start + left, top, start + right, bottom)))
        x += font.getlength(word) + gap
    x1, y1, x2, y2 = union(box for _, _, box in placed)
    dx, dy = (margins[side] * scale - low + rng.randrange(scale) for side, low in ((0, x1), (1, y1)))
    width = min(-((x2 + dx) // -scale) + margins[2], MAX_WIDTH)
    height = max(-((y2 + dy) // -scale) + margins[3], MIN_HEIGHT)
    mask = Image.new("L", (width * scale, height * scale), 0)
    draw = ImageDraw.Draw(mask)
    draw.fontmode = "L"
    for word, start, _ in placed:
        draw.text((start + dx, dy), word, fill=255, font=font, anchor="ls")
    mask = mask.reduce(scale)
    if rng.random() < 0.08:
        mask = mask.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.5)))
    picture = _colour(mask, rng)
    words = []
    for word, _, (left, top, right, bottom) in placed:
        box = ((left + dx) // scale, (top + dy) // scale, -((right + dx) // -scale), -((bottom + dy) // -scale))
        words.append(BoxedText(word, clip(box, (width, height))))
    return encode(picture), words, width, height


def _colour(mask: Image.Image, rng: random.Random) -> Image.Image:
    """Return a coloured line: mostly black on white, otherwise grey, noisy, inverted or in colour."""
    kind = rng.random()
    if kind < 0.72:
        ink, paper = 0, 255
    elif kind < 0.86:
        paper = rng.randint(190, 255)
        ink = rng.randint(0, paper - 120)
    elif kind < 0.92:
        ink = rng.randint(190, 255)
        paper = rng.randint(0, ink - 130)
    else:
        light, dark = (rng.randint(170, 255) for _ in range(3)), (rng.randint(0, 110) for _ in range(3))
        colours = [tuple(light), tuple(dark)]
        if rng.random() < 0.4:
            colours[0] = (255, 255, 255)
        if rng.random() < 0.25:
            colours.reverse()
        paper_picture = Image.new("RGB", mask.size, colours[0])
        paper_picture.paste(colours[1], (0, 0), mask)
        return paper_picture
    grey = paper + (ink - paper) * (np.asarray(mask, np.float32) / 255)
    if rng.random() < 0.06:
        noise = np.random.default_rng(rng.randrange(1 << 32)).normal(0, rng.uniform(2, 10), grey.shape)
        grey = grey + noise
    return Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))


def make_shard(
    out: str, name: str, size: int, seed: str, faces: Mapping[str, Sequence[str]], lines_file: str | None
) -> int:
    """Write one shard of rendered lines, and return its number of samples; the seed and texts decide all.

    Args:
        out: Folder of the shards.
        name: Name of the shard.
        size: Number of samples.
        seed: Seed of everything random.
        faces: Font files by package.
        lines_file: A shard of document lines to take texts from, or None.
    """
    rng = random.Random(seed)
    lines = []
    if lines_file:
        reader = SampleReader(lines_file)
        lines = [" ".join(region["text"] for region in reader[index].regions) for index in range(len(reader))]
    packages = list(faces)

    def samples() -> Iterator[tuple[Sample, list[bytes]]]:
        for number in range(size):
            package = rng.choice(packages)
            path = rng.choice(faces[package])
            png, words, _, _ = render(make_text(rng, lines), path, rng)
            sample = Sample(f"{name}-{number:05d}", [], ask_about_line(words, rng), f"{package}:{Path(path).name}")
            sample.licence = f"Debian main, /usr/share/doc/{package}/copyright"
            sample.regions = regions_of(words)
            yield sample, [png]

    return write_shard(out, name, samples())
