"""A member that reads lines, with an engine that needs no weights: what it reads is a function of the pixels."""

from dataclasses import replace

import numpy as np

from sphinx_x.text_lines import reader
from sphinx_x.text_lines.line import TextLine

ENGINE = "made"


def made_lines(image) -> list[TextLine]:
    """One to three lines, whose number, places and words depend on the image."""
    mean = int(np.asarray(image).mean())
    width, height = image.size
    lines = []
    for k in range(1 + mean % 3):
        top = k * height / 4
        lines.append(TextLine((width / 8, top, width * (0.5 + 0.1 * k), top + height / 5), f"{mean} word {k}", 0.9))
    return lines


def know_engine(monkeypatch, read=made_lines) -> None:
    """Make the engine known, with nothing remembered."""
    monkeypatch.setitem(reader.READERS, ENGINE, reader.EngineKind(lambda: "made 1", lambda: read))
    monkeypatch.setattr(reader, "_MEMORY", reader._Memory())
    reader._started.cache_clear()


def lined(member):
    """The member with lines."""
    llm = {**member.llm, "vocab_size": member.llm["vocab_size"] + 1}
    return replace(member, lines={"engine": ENGINE, "least_confidence": 0.5}, llm=llm)
