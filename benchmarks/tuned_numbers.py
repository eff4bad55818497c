"""What the tuned numbers of the PDF reader decide: how many pages change where one of them is smaller or larger.

    python benchmarks/tuned_numbers.py FOLDER --every 4

Reads every fourth page of the PDFs below FOLDER up to its characters, and passes it through the stages after that once
with each number of `sphinx_x.engines.pdf.tuned` as it is, at 0.8 and at 1.25 times its value. A page changes where the
text, the class or the box of a block does. The figures in that table are of six manuals of Debian 12, 55 pages:
crc, fontconfig-user, ledger (`examples`), libtasn1, nettle, shared-mime-info-spec. Numbers that are used before lines
are made, and those that are no plain numbers, are not looked at. Prints JSON: name, pages at 0.8, pages at 1.25.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pypdfium2 as pdfium

from sphinx_x.engines import pdf
from sphinx_x.engines.pdf import tuned
from sphinx_x.engines.pdf.page import STAGES, State, judged, run_stages, tagged, with_stage
from sphinx_x.engines.pdf.structure import by_element, read_tags, trusted

LATE = (
    "tracking",
    "words",
    "initials",
    "formulas",
    "figures",
    "tables",
    "listings",
    "order",
    "blocks",
    "layout",
    "listed",
)
"""Modules whose numbers are used after characters were judged."""
FACTORS = (0.8, 1.25)


def pages_of(folder: Path, every: int) -> Iterator[tuple[State, dict]]:
    """Pages up to their characters, and their tags, which are read while a page is open."""
    before = STAGES[: STAGES.index(judged) + 1]
    for path in sorted(folder.rglob("*.pdf")):
        with pdfium.PdfDocument(path) as document:
            document.init_forms()
            for number in range(0, len(document), every):
                tags: dict = {}

                def keep(state: State, tags: dict = tags) -> State:
                    tags.update(read_tags(state.source))
                    return state

                yield run_stages(document, number, (*before, keep), long_edge=1024), tags


def outcome(state: State, tags: dict) -> list:
    """What the later stages make of a page."""

    def tagged_before(state: State) -> State:
        state.tags = trusted(tags, [line for block in state.blocks for line in block.lines])
        state.blocks = by_element(state.blocks, state.tags) if state.tags else state.blocks
        return state

    state = replace(state, lines={}, blocks=[], regions=[])  # what the later stages do to characters is the same twice
    for stage in with_stage(tagged, tagged_before)[STAGES.index(judged) + 1 :]:
        state = stage(state)
    return [(block.label, block.box, block.text) for block in state.blocks]


def scaled(value: float, factor: float) -> float:
    """A number times a factor; whole numbers stay so, and change by one at least."""
    if isinstance(value, float):
        return value * factor
    return round(value * factor) if round(value * factor) != value else value + (1 if factor > 1 else -1)


def users(modules: list[ModuleType], name: str) -> list[ModuleType]:
    """The modules that use a number."""
    return [module for module in modules if hasattr(module, name)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=4)
    options = parser.parse_args()
    names = [module.name for module in pkgutil.iter_modules(pdf.__path__) if module.name != "tuned"]
    modules = [importlib.import_module(f"{pdf.__name__}.{name}") for name in names]
    late = {f"{pdf.__name__}.{name}" for name in LATE}
    pages = list(pages_of(options.folder, options.every))
    usual = [outcome(*page) for page in pages]
    counts: dict[str, list[int]] = {}
    for name, value in vars(tuned).items():
        using = users(modules, name)
        if not isinstance(value, int | float) or not using or not {module.__name__ for module in using} <= late:
            continue
        counts[name] = []
        for factor in FACTORS:
            for module in using:
                setattr(module, name, scaled(value, factor))
            counts[name].append(sum(outcome(*page) != known for page, known in zip(pages, usual, strict=True)))
        for module in using:
            setattr(module, name, value)
    print(json.dumps({"pages": len(pages), **counts}))


if __name__ == "__main__":
    main()
