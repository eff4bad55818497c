"""A first look: `page` has SPHINX-Nano read a page, `answers` has SPHINX-Smol answer about four pictures."""

from __future__ import annotations

from pathlib import Path

from sphinx_x.demo.answers import draw_answers
from sphinx_x.demo.page import read_page
from sphinx_x.errors import CheckpointError, MissingToolError
from sphinx_x.inference import SphinxX


def run_demo(out: Path, model: str = "nano", answers: bool = True) -> None:
    """Let SPHINX-Nano read a page and SPHINX-Smol answer about pictures, print it, and draw it.

    Where Smol's weights cannot be had, one line says why, and Nano's part is all.

    Args:
        out: The image of the page; that of the answers is beside it, as NAME-answers.
        model: A model that reads lines of print.
        answers: Whether Smol answers; its base weights (280 MB) are fetched at first.
    """
    read_page(out, model)
    if not answers:
        return
    try:
        sphinx = SphinxX.load("smol", fast=True)
    except (CheckpointError, MissingToolError) as error:
        print(f"\nSPHINX-Smol is left out: {error}")
        return
    draw_answers(sphinx, out.with_name(f"{out.stem}-answers{out.suffix}"))
