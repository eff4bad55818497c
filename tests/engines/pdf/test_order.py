"""Reading order of lines, and the text that they make, on random pages."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from sphinx_x.engines.pdf.blocks import Block, flowing
from sphinx_x.engines.pdf.order import arrange
from sphinx_x.engines.pdf.words import Line, Word


def line_at(x: float, y: float, width: float, size: float, name: str) -> Line:
    place = (x, y, x + width, y + size)
    words = [Word(name, place, [0], place, size, (y, y + size))]
    return Line(words, size=size, box=place, place=place, marks=[-1] * 20)


@st.composite
def columns_of_text(draw):
    """Lines of a made-up page in reading order: a title, and columns of paragraphs that fill them."""
    count = draw(st.integers(1, 3))
    size = draw(st.floats(8, 20, allow_subnormal=False))
    width, gutter = (
        draw(st.floats(15, 30, allow_subnormal=False)) * size,
        draw(st.floats(1.5, 4, allow_subnormal=False)) * size,
    )
    total = count * width + (count - 1) * gutter
    lines = (
        [line_at(50, 50, total * draw(st.floats(0.9, 1, allow_subnormal=False)), size * 1.5, "a title over everything")]
        if draw(st.booleans())
        else []
    )
    top = 50 + 5 * size
    for column in range(count):
        y, x = top + draw(st.floats(0, 0.5, allow_subnormal=False)) * size, 50 + column * (width + gutter)
        for par in range(draw(st.integers(1, 4))):
            rows = draw(st.integers(3, 6))
            for row in range(rows):
                full = width if row < rows - 1 else width * draw(st.floats(0.3, 1, allow_subnormal=False))
                lines.append(line_at(x, y, full, size, f"column {column} paragraph {par} row {row}"))
                y += 1.2 * size
            y += draw(st.floats(0, 1.5, allow_subnormal=False)) * size
    return lines


@settings(max_examples=150, deadline=None)
@given(columns_of_text(), st.randoms(use_true_random=False), st.booleans())
def test_reading_order_of_columns(lines, rng, rtl):
    """Whatever order the file has, columns come one after the other, every line once; mirrored pages as well."""
    placed = lines
    if rtl:
        edge = max(line.place[2] for line in lines) + 50
        spots = [(edge - line.place[2], line.place[1], line.place[2] - line.place[0], line.size) for line in lines]
        placed = [line_at(*spot, line.text) for spot, line in zip(spots, lines, strict=True)]
    mixed = placed[:]
    rng.shuffle(mixed)
    found = [line.text for block in arrange(mixed, rtl) for line in block.lines]
    assert found == [line.text for line in placed]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 500, allow_subnormal=False),
            st.floats(0, 500, allow_subnormal=False),
            st.floats(5, 200, allow_subnormal=False),
            st.floats(6, 20, allow_subnormal=False),
        ),
        max_size=40,
    )
)
def test_every_line_comes_once(places):
    """Also on pages without any order."""
    lines = [line_at(x, y, width, size, f"line {k}") for k, (x, y, width, size) in enumerate(places)]

    def read_out(blocks: list[Block]) -> list[str]:
        return [word.text for block in blocks for line in block.lines for word in line.words]

    assert sorted(read_out(arrange(lines))) == sorted(line.text for line in lines)
    for block in arrange(lines):
        assert all(block.box[0] <= line.box[0] and line.box[3] <= block.box[3] for line in block.lines)


def test_flowing_text_of_random_lines():
    rng = random.Random(1)
    for _ in range(200):
        words = ["".join(rng.choices("abcxyz", k=rng.randint(1, 8))) for _ in range(rng.randint(1, 12))]
        lines = [line_at(0, 10 * k, 50, 8, word) for k, word in enumerate(words)]
        assert flowing(lines) == " ".join(words)
