"""Runs a model over an evaluation set and prints the figures: what `sphinx-x eval` does."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from sphinx_x.evaluation.lines import LineResult, evaluate_lines, load_line_set
from sphinx_x.inference import SphinxX
from sphinx_x.reading import READ

LONGEST_ANSWER = 120
"""Tokens: lines have at most 90 characters."""


def read_lines_with(sphinx: SphinxX, folder: Path | None, predictions: Path | None = None) -> LineResult:
    """How a loaded model reads a line set (by default the one in the package)."""

    def reader(images: list[Image.Image]) -> list[str]:
        return sphinx.chat_batch([(READ, image) for image in images], max_new_tokens=LONGEST_ANSWER)

    return evaluate_lines(reader, load_line_set(folder), batch_size=64, predictions=predictions)


def print_line_figures(model: str, folder: Path | None, predictions: Path | None, device: str | None = None) -> None:
    """Loads a model, reads the lines of a folder with it and prints the character error rate."""
    result = read_lines_with(SphinxX.load(model, device=device), folder, predictions)
    print(f"{result.lines} lines of {len(result.documents)} documents, {result.characters} characters")
    interval = f"95 % interval {100 * result.low:.2f} to {100 * result.high:.2f}"
    print(f"character error rate  {100 * result.cer:.2f} %  ({interval})")
    print(f"lines without error   {100 * result.exact:.1f} %")
    print(f"lines a second        {1 / result.seconds_per_line:.1f}")
