"""Images for people to look at: an image with its views, kept and skipped, and boxes with labels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from sphinx_x.boxes import Box, BoxOf, area, centre, intersection, sides
from sphinx_x.errors import SphinxXError
from sphinx_x.work.files import write_atomic

COLORS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e")
WRITTEN = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
SKIPPED, GRID = (128, 128, 128, 150), (60, 60, 60, 255)


@dataclass(frozen=True)
class Mark:
    """A box in pixels of the image, and the label to write next to it."""

    box: Box
    label: str


def draw_boxes(image: Image.Image, marks: Sequence[Mark], width: int = 3) -> Image.Image:
    """Draw boxes on a copy of an image, each in its own colour, with its label in free space left of or above it."""
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


Spot = tuple[Sequence[float], str, str]
"""A box (four numbers) or a point (two) in pixels, its label and its colour."""
Line = tuple[Sequence[float], str]
"""x and y of both ends in pixels, and a colour."""


def draw_places(image: Image.Image, places: Sequence[Spot], width: int = 2, lines: Sequence[Line] = ()) -> Image.Image:
    """Draw boxes and points on a copy of an image, with labels beside them that cover as little as possible.

    Args:
        image: The image; if there are labels, it gets a white margin for them.
        places: Boxes (four numbers) and points (two) in pixels, each with a label and a colour.
        width: Line width in pixels; larger images get more.
        lines: Lines to draw below the places.
    """
    font = ImageFont.load_default(size=max(12, max(image.size) // 60))
    height = round(1.4 * font.getbbox("Ag")[3])
    margin = height + 2 * width if any(label for _, label, _ in places) else 0
    out = ImageOps.expand(image.convert("RGB"), margin, "white")
    draw = ImageDraw.Draw(out)
    width = max(width, max(image.size) // 400)
    for ends, color in lines:
        draw.line([margin + n for n in ends], fill=color, width=width)
    labelled = []
    for place, label, color in places:
        # places far outside the image are drawn at its edge
        moved = [margin + min(max(n, -width), image.size[k % 2] + width) for k, n in enumerate(place)]
        x, y, *rest = moved
        if rest:
            draw.rectangle((x, y, max(rest[0], x), max(rest[1], y)), outline=color, width=width)
        else:
            rest = [x + 2 * width, y + 2 * width]
            x, y = x - 2 * width, y - 2 * width
            draw.ellipse((x, y, *rest), fill=color)
        if label:
            labelled.append(((x, y, rest[0], rest[1]), label, color))
    gray, taken = np.asarray(out.convert("L"), np.float32), []
    for box, label, color in labelled:
        size = round(draw.textlength(label, font=font)) + 6, height
        spot = _free_spot(box, size, gray, taken)
        taken.append(spot)
        draw.rectangle(spot, fill=color)
        draw.text(centre(spot), label, "white", font, "mm")
    return out


def _free_spot(box: Box, size: tuple[int, int], gray: np.ndarray, taken: Sequence[Box]) -> Box:
    """Find a place for a label beside a box: inside the image, over no other label, over the least ink."""
    (x1, y1, x2, y2), (w, h) = box, size
    height, width = gray.shape
    corners = [
        *((x1 - w - 1, y1), (x2 + 1, y1), (x1, y1 - h - 1), (x1, y2 + 1)),
        *((x2 - w, y1 - h - 1), (x2 - w, y2 + 1), (x1 - w - 1, y2 - h), (x2 + 1, y2 - h)),
    ]
    spots = []
    for x, y in corners:
        x, y = min(max(x, 0), max(width - w - 1, 0)), min(max(y, 0), max(height - h - 1, 0))
        spot = (x, y, x + w, y + h)
        covered = sum(area(intersection(spot, other)) for other in taken) * 255 + area(intersection(spot, box))
        ink = float(gray[int(y) : int(y + h) + 1, int(x) : int(x + w) + 1].std())
        spots.append((covered + 5 * ink + 2 * len(spots), len(spots), spot))
    return min(spots)[2]


def draw_views(image: Image.Image, canvas: int, content: BoxOf[int], cells: Sequence[tuple[Box, bool]]) -> Image.Image:
    """Draw the padded square that a model sees.

    Args:
        image: The image.
        canvas: Side of the square in pixels.
        content: Box of the image on the square.
        cells: Box of each sub-image, and whether it is kept; skipped ones are greyed and crossed out.
    """
    out = Image.new("RGB", (canvas, canvas), "white")
    out.paste(image.convert("RGB").resize(sides(content)), content[:2])
    draw = ImageDraw.Draw(out, "RGBA")
    for (x1, y1, x2, y2), kept in cells:
        if not kept:
            draw.rectangle((x1, y1, x2, y2), fill=SKIPPED)
            draw.line((x1, y1, x2, y2), fill=GRID)
            draw.line((x1, y2, x2, y1), fill=GRID)
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=GRID)
    return out


def beside(left: Image.Image, right: Image.Image, height: int, gap: int = 16) -> Image.Image:
    """Put two images side by side on white, each scaled to `height` pixels."""
    scaled = [picture.resize((round(picture.width * height / picture.height), height)) for picture in (left, right)]
    out = Image.new("RGB", (sum(picture.width for picture in scaled) + gap, height), "white")
    out.paste(scaled[0], (0, 0))
    out.paste(scaled[1], (scaled[0].width + gap, 0))
    return out


def picture_form(out: Path) -> str:
    """Return the format of an image file by its extension; raise `SphinxXError` if it cannot be written."""
    form = WRITTEN.get(out.suffix.lower())
    if form is None:
        raise SphinxXError(f"{out}: must end in .png, .jpg or .webp")
    return form


def check_output(out: Path, source: str | None = None) -> None:
    """Check that a drawing of a picture can be written.

    Args:
        out: Where it is to be written.
        source: The file of the picture, if it is one.

    Raises:
        SphinxXError: The extension is that of no format, or the drawing would take the picture's place.
    """
    picture_form(out)
    if source is not None and out.exists() and Path(source).exists() and out.samefile(source):
        raise SphinxXError(f"{out}: is the picture itself, which stays as it is")


def save_picture(image: Image.Image, out: Path) -> None:
    """Write an image, either complete or not at all; missing folders are created."""
    content = io.BytesIO()
    image.save(content, picture_form(out))
    write_atomic(out, content.getvalue())
