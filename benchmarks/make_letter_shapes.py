"""Makes the average letters that `sphinx_x.engines.pdf.shapes` compares the letters of a page with.

    apt-get install fonts-liberation fonts-dejavu-core fonts-cmu
    python benchmarks/make_letter_shapes.py --fonts /usr/share/fonts/truetype --out src/sphinx_x/engines/pdf/letters.npz

From faces of Liberation (SIL Open Font License 1.1), DejaVu (Bitstream Vera licence) and Computer Modern Unicode (SIL
Open Font License 1.1), Debian 12's packages. Each letter is drawn at the size of a page's text at several places
between pixels, scaled to a small square as on a page, and averaged over the faces of a style: what is stored are no
outlines, and no font can be made of it. The table has `letters` (N), `shapes` (F, N, SIDE, SIDE) in signed bytes for F
styles, and `aspects` (F, N), the logarithm of width over height.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFont

from sphinx_x.engines.pdf.shapes import SIDE, sampled

LATIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
GREEK = "αβγδεζηθικλμνξοπρσςτυφχψωΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ"
CYRILLIC = "".join(chr(code) for code in range(0x410, 0x450))
STYLES = {
    "upright": """LiberationSerif-Regular LiberationSans-Regular LiberationMono-Regular LiberationSans-Bold DejaVuSans
        cmunrm cmunbx cmunss cmuntt""",
    "slanted": "LiberationSerif-Italic LiberationSans-Italic cmunti",
}
EM = 11
"""Pixels, as of text of ten points on a page of 1024."""
FINE = 8
"""Letters are drawn so many times as large."""
SHIFTS = ((0, 0), (3, 5), (5, 3))
"""Places between pixels, in the fine pixels."""


def letter(font: ImageFont.FreeTypeFont, text: str) -> tuple[np.ndarray, float]:
    """(SIDE * SIDE,) the mean shape of a letter, and the logarithm of its width over its height."""
    shapes, aspect = [], 0.0
    for x, y in SHIFTS:
        picture = Image.new("L", (24 * FINE, 24 * FINE), 255)
        ImageDraw.Draw(picture).text((6 * FINE + x, 16 * FINE + y), text, 0, font=font, anchor="ls")
        box = ImageChops.invert(picture).point(lambda shade: 255 * (shade > 127)).getbbox()
        if box is None:
            raise SystemExit(f"{font.path}: no {text!r} in it")
        small = np.asarray(picture.reduce(FINE), np.float32)
        shapes.append(sampled(small, np.array([box]) / FINE)[0])
        aspect = float(np.log((box[2] - box[0]) / (box[3] - box[1])))
    return np.mean(shapes, axis=0), aspect


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Makes the table of average letters.")
    parser.add_argument("--fonts", type=Path, nargs="+", required=True, help="folders that hold the fonts")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    files = {path.stem: path for folder in options.fonts for path in sorted(folder.rglob("*.ttf"))}
    letters = LATIN + GREEK + CYRILLIC
    shapes = np.zeros((len(STYLES), len(letters), SIDE * SIDE), np.float32)
    aspects = np.zeros((len(STYLES), len(letters)), np.float32)
    for style, names in enumerate(STYLES.values()):
        for name in names.split():
            font = ImageFont.truetype(str(files[name]), EM * FINE, layout_engine=ImageFont.Layout.BASIC)
            for k, text in enumerate(letters):
                shape, aspect = letter(font, text)
                shapes[style, k] += shape / np.linalg.norm(shape)
                aspects[style, k] += aspect / len(names.split())
    shapes *= 127 / np.abs(shapes).max(-1, keepdims=True)
    table = np.rint(shapes).astype(np.int8).reshape(len(STYLES), len(letters), SIDE, SIDE)
    np.savez_compressed(options.out, letters=np.array(letters), shapes=table, aspects=aspects.astype(np.float16))


if __name__ == "__main__":
    main()
