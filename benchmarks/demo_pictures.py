"""Makes the pictures that the demo asks SPHINX-Smol about, in src/sphinx_x/examples, with the engines of this package.

    python benchmarks/demo_pictures.py

They are in no training data: their seeds belong to no recipe. The photo (cat.jpg) is not made here.
"""

from __future__ import annotations

import io
import random
from pathlib import Path

from PIL import Image

from sphinx_x.boxes import union
from sphinx_x.engines.charts.draw import draw_chart
from sphinx_x.engines.charts.tables import tables_of
from sphinx_x.engines.documents.engine import photographed
from sphinx_x.engines.documents.faces import FOLDERS, find_faces
from sphinx_x.engines.documents.kinds import kinds_named

EXAMPLES = Path(__file__).parent.parent / "src" / "sphinx_x" / "examples"
TABLE = "City,Rain in mm\nBergen,2250\nLisbon,774\nNairobi,925\nOslo,763\nQuito,1014\nTunis,470\n"
RECEIPT, TICKET, CHART = 2, 2, 3
"""Seeds, chosen by eye."""
MARKED = ("venue", "event date", "seat", "holder")


def document(kind: str, seed: int, wear: float):
    """A drawn document: what is known of it, and its picture."""
    rng = random.Random(f"demo {seed}")
    (chosen,) = kinds_named([kind])
    drawing, content = photographed(chosen.draw(rng, find_faces(FOLDERS)), rng, wear)
    return drawing, Image.open(io.BytesIO(content)).convert("RGB")


def main() -> None:
    receipt, picture = document("receipt", RECEIPT, 0.5)
    picture.save(EXAMPLES / "receipt.jpg", quality=80)
    print("receipt.jpg", picture.size, {fact.name: fact.value for fact in receipt.facts})
    ticket, picture = document("ticket", TICKET, 0.0)
    picture.convert("L").save(EXAMPLES / "ticket.png", optimize=True)
    for fact in ticket.facts:
        if fact.name in MARKED:
            box = union([ticket.words[number].box for number in fact.words])
            print("ticket.png", fact.name, fact.value, [round(n) for n in box])
    (table,) = tables_of(TABLE, "Rain in a year")
    kind, chart, content = draw_chart(random.Random(f"demo {CHART}"), table)
    Image.open(io.BytesIO(content)).convert("RGB").save(EXAMPLES / "chart.png", optimize=True)
    print("chart.png", kind, [(fact.name, fact.about, fact.value) for fact in chart.facts])


if __name__ == "__main__":
    main()
