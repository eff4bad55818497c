"""What `sphinx-x eval` does: runs a model over an evaluation set and prints the figures."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from sphinx_x.evaluation.lines import LONGEST_ANSWER, LineResult, evaluate_lines, load_line_set
from sphinx_x.evaluation.samples import Score, differences, rates, score_samples
from sphinx_x.inference import SphinxX
from sphinx_x.reading import READ
from sphinx_x.work.files import write_atomic


def called(model: str, bits: int | None = None, fast: bool = False) -> str:
    """Return how reports call a model that is loaded like this (`SphinxX.load`)."""
    quantised = f"{model} in {bits} bits" if bits else model
    return f"{quantised}, fast" if fast else quantised


def read_lines_with(sphinx: SphinxX, folder: Path | None, predictions: Path | None = None) -> LineResult:
    """Return how a loaded model reads a line set (by default the one in the package)."""

    def reader(images: list[Image.Image]) -> list[str]:
        return sphinx.chat_batch([(READ, image) for image in images], max_new_tokens=LONGEST_ANSWER)

    return evaluate_lines(reader, load_line_set(folder), batch_size=64, predictions=predictions)


def print_line_figures(model: str, folder: Path | None, predictions: Path | None, **loading: Any) -> None:
    """Load a model (`SphinxX.load`), let it read the lines of a folder, and print the character error rate."""
    result = read_lines_with(SphinxX.load(model, **loading), folder, predictions)
    print(f"{result.lines} lines of {len(result.documents)} documents, {result.characters} characters")
    interval = f"95 % interval {100 * result.low:.2f} to {100 * result.high:.2f}"
    print(f"character error rate  {100 * result.cer:.2f} %  ({interval})")
    print(f"lines without error   {100 * result.exact:.1f} %")
    print(f"lines a second        {1 / result.seconds_per_line:.1f}")


def print_sample_figures(
    model: str,
    against: str | None,
    samples: Sequence[Path],
    out: Path | None,
    device: str | None = None,
    bits: int | None = None,
    fast: bool = False,
) -> None:
    """Ask a model, and another one to compare with, everything that held-out samples ask; print a Markdown table.

    Args:
        model: The model.
        against: The other one.
        samples: Files of samples.
        out: A file for all answers.
        device: Where they run.
        bits: 4 or 8 quantises the model, not the other one.
        fast: As for `SphinxX.load`.
    """
    asked = [(name, few) for name, few in ((against, None), (model, bits)) if name]
    names = [called(name, few, fast) for name, few in asked]
    scores = []
    for name, few in asked:
        sphinx = SphinxX.load(name, device=device, bits=few, fast=fast)
        scores.append(
            score_samples(sphinx, samples, progress=lambda done, of: print(f"{done} of {of}", file=sys.stderr))
        )
    if out is not None:
        write_atomic(out, "".join(_line(*pair) for pair in zip(*scores, strict=True)))
    print(f"| answers | number | documents or pictures | {' | '.join(names)} |" + (" difference |" if against else ""))
    print("|---" * (len(names) + 3) + ("|---|" if against else "|"))
    tables = [rates(answers) for answers in scores]
    changes = differences(*scores) if against else {}
    for kind, first in tables[0].items():
        cells = [f"{100 * t[kind].rate:.1f} % ({100 * t[kind].low:.1f} to {100 * t[kind].high:.1f})" for t in tables]
        cells += ["{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * n for n in changes[kind]))] if against else []
        print(f"| {kind} | {first.answers} | {first.documents} | {' | '.join(cells)} |")
    print("\nErrors: of text in characters, else in answers; in brackets 95 % intervals, over draws of documents.")


def _line(*scores: Score) -> str:
    asked = scores[0].asked
    facts = {"sample": asked.sample, "turn": asked.turn, "kind": asked.kind, "document": asked.document}
    facts["true"] = asked.box.places[0] if asked.box else asked.text
    facts |= {"answers": [score.answer for score in scores], "errors": [score.errors for score in scores]}
    return json.dumps(facts, ensure_ascii=False) + "\n"
