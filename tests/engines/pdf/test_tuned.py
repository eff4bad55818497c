"""The tuned numbers of the PDF reader stand in one table, each with what it was measured on."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sphinx_x.engines import pdf

FOLDER = Path(pdf.__path__[0])
MODULES = sorted(path for path in FOLDER.glob("*.py") if path.name not in ("tuned.py", "__init__.py"))
NO_NUMBERS = {"OBLIQUE", "VERTICAL", "INVISIBLE", "SOFT_HYPHEN", "HYPHENS", "JOINERS", "JOINING", "LAYER"}
"""Codes and names that are written as numbers."""
FIXED = {"IMAGE", "SIDE"}
"""A mark of images, and the side of the shapes in `letters.npz`: nothing that could be tuned."""
MEASURED = re.compile(r"\[(agreement|layout|maps|tests|eye|limit|speed)(; (-|\d+, \d+))?\]$")


def numbers(node: ast.expr) -> bool:
    """Whether an expression is a number, or several."""
    inner = [child for child in ast.walk(node) if isinstance(child, ast.Constant)]
    plain = (ast.Constant, ast.Tuple, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Load)
    good = all(isinstance(child, plain) for child in ast.walk(node))
    return bool(inner) and good and all(isinstance(child.value, int | float) for child in inner)


def assigned(path: Path) -> Iterator[tuple[str, ast.expr, str]]:
    """Names, values and docstrings of a module's own."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Assign):
            said = after.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
            for target in node.targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        yield name.id, node.value, str(said.value) if said else ""


def test_each_says_what_it_was_measured_on():
    table = list(assigned(FOLDER / "tuned.py"))
    assert len(table) > 100
    wrong = [name for name, value, said in table if not numbers(value) or not MEASURED.search(" ".join(said.split()))]
    assert wrong == []


def test_each_is_used():
    code = "\n".join(path.read_text(encoding="utf-8") for path in MODULES)
    assert [name for name, _, _ in assigned(FOLDER / "tuned.py") if len(re.findall(rf"\b{name}\b", code)) < 2] == []


STAGES = [path for path in MODULES if path.stem != "languages"]
"""Languages are told for the report, by no part of the reader."""


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_no_other_module_has_any(path: Path):
    here = {name for name, value, _ in assigned(path) if numbers(value)}
    assert here <= NO_NUMBERS | FIXED
