"""A member that reads lines, with an engine that needs no weights: what it reads is a function of the pixels."""

from dataclasses import replace

import numpy as np

from sphinx_x.text_lines import objects, reader
from sphinx_x.text_lines.engine import EngineKind
from sphinx_x.text_lines.line import TextLine

ENGINE, DETECTOR = "made", "made detector"


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
    monkeypatch.setitem(reader.READERS, ENGINE, EngineKind(lambda: "made 1", lambda: read))
    monkeypatch.setattr(reader, "_MEMORY", reader._Memory())
    reader._started.cache_clear()


def made_objects(image) -> list[TextLine]:
    """Two objects, of which the second is the larger one and is not sure."""
    width, height = image.size
    cat = TextLine((0, 0, width / 4, height / 2), "cat", 0.9, is_object=True)
    return [cat, TextLine((0, 0, width, height / 2), "red car", 0.5, is_object=True)]


def know_detector(monkeypatch, find=made_objects) -> None:
    """Make a detector known as well; `know_engine` comes first."""
    monkeypatch.setitem(objects.DETECTORS, DETECTOR, EngineKind(lambda: "seen 1", lambda: find))


def lined(member, objects: bool = False):
    """The member with lines, and with objects."""
    llm = {**member.llm, "vocab_size": member.llm["vocab_size"] + 1}
    lines = {"engine": ENGINE, "least_confidence": 0.5, **({"objects": DETECTOR} if objects else {})}
    return replace(member, lines=lines, llm=llm)
