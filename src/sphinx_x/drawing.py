"""Pictures for people: an image with its views, kept and skipped, and boxes with labels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from sphinx_x.errors import SphinxXError
from sphinx_x.jobs import write_atomic

Box = tuple[float, float, float, float]
COLORS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e")
WRITTEN = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
SKIPPED, GRID = (128, 128, 128, 150), (60, 60, 60, 255)


@dataclass(frozen=True)
class Mark:
    """A box in pixels of the image, and what to write at it."""

    box: Box
    label: str


def draw_boxes(image: Image.Image, marks: Sequence[Mark], width: int = 3) -> Image.Image:
    """A copy of the image with each box in its own colour and its label in the free space left of or above it."""
    out = image.convert("RGB")
    draw = ImageDraw.Draw(out)
    font = ImageFont.load_default(size=max(12, image.width // 60))
    for number, mark in enumerate(marks):
        color = COLORS[number % len(COLORS)]
        draw.rectangle(mark.box, outline=color, width=width)
        x1, y1, _, _ = mark.box
        left, top, right, bottom = draw.textbbox((0, 0), mark.label, font=font)
        place = (max(x1, 0), max(y1 - (bottom - top) - 8, 0))
        draw.rectangle((*place, place[0] + right - left + 8, place[1] + bottom - top + 8), fill=color)
        draw.text((place[0] + 4 - left, place[1] + 4 - top), mark.label, fill="white", font=font)
    return out


def draw_places(image: Image.Image, places: Sequence[tuple[Sequence[float], str, str]], width: int = 2) -> Image.Image:
    """A copy of the image with boxes (four numbers) and points (two) in pixels, each with a label and a colour."""
    out = image.convert("RGB")
    draw = ImageDraw.Draw(out)
    width = max(width, max(image.size) // 300)
    font = ImageFont.load_default(size=max(11, max(image.size) // 45))
    for place, label, color in places:
        # what lies far outside is drawn at the edge
        x, y, *rest = (min(max(n, -width), image.size[k % 2] + width) for k, n in enumerate(place))
        if rest:
            draw.rectangle((x, y, max(rest[0], x), max(rest[1], y)), outline=color, width=width)
        else:
            draw.ellipse((x - 2 * width, y - 2 * width, x + 2 * width, y + 2 * width), fill=color)
        if label:
            draw.text((x + width, y + width), label, fill=color, font=font, stroke_width=2, stroke_fill="white")
    return out


def draw_views(
    image: Image.Image, canvas: int, content: tuple[int, int, int, int], cells: Sequence[tuple[Box, bool]]
) -> Image.Image:
    """The padded square that a model sees. canvas: its side; content: the image's box on it; cells: the box of each
    sub-image with whether it is kept. Skipped ones are greyed and crossed out."""
    out = Image.new("RGB", (canvas, canvas), "white")
    out.paste(image.convert("RGB").resize((content[2] - content[0], content[3] - content[1])), content[:2])
    draw = ImageDraw.Draw(out, "RGBA")
    for (x1, y1, x2, y2), kept in cells:
        if not kept:
            draw.rectangle((x1, y1, x2, y2), fill=SKIPPED)
            draw.line((x1, y1, x2, y2), fill=GRID)
            draw.line((x1, y2, x2, y1), fill=GRID)
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=GRID)
    return out


def beside(left: Image.Image, right: Image.Image, height: int, gap: int = 16) -> Image.Image:
    """Two pictures side by side on white, each scaled to `height` pixels."""
    scaled = [picture.resize((round(picture.width * height / picture.height), height)) for picture in (left, right)]
    out = Image.new("RGB", (sum(picture.width for picture in scaled) + gap, height), "white")
    out.paste(scaled[0], (0, 0))
    out.paste(scaled[1], (scaled[0].width + gap, 0))
    return out


def picture_form(out: Path) -> str:
    """What a picture's file is to be, by its ending; raises `SphinxXError` where it is none that is written."""
    form = WRITTEN.get(out.suffix.lower())
    if form is None:
        raise SphinxXError(f"{out}: must end in .png, .jpg or .webp")
    return form


def save_picture(image: Image.Image, out: Path) -> None:
    """Writes a picture, whole or not at all; missing folders are made."""
    content = io.BytesIO()
    image.save(content, picture_form(out))
    write_atomic(out, content.getvalue())
