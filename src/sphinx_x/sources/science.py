"""Diagrams of school books and geometry problems: multiple choice, answered with the letter."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from PIL import ImageDraw, ImageFont

from sphinx_x.boxes import Box, around, centre, sides
from sphinx_x.errors import DataError
from sphinx_x.images import open_image
from sphinx_x.sources.base import Draft, Expected, Malformed, Raw, Record, Source, load_json
from sphinx_x.sources.dialogue import LETTER, LETTERS, dialogue, multiple_choice

PROMPT = "{}\nA. {}\nB. {}\n...\n" + LETTER
NO_OPTION = "{}"
"""What AI2D writes for a missing option."""

Label = tuple[Box, str]
"""A box of a diagram, (x1, y1, x2, y2), and the letter to write over it."""


def read_ai2d(raw: Raw) -> Iterator[Record]:
    """Yield questions about a diagram and, as a second record, those about it with letters for its texts."""
    if raw.split not in ("train", "test"):
        raise DataError(f"{raw.root}: AI2D has the splits train and test, not {raw.split}")
    held_out = set(raw.file("ai2d_test_ids.csv").read_text(encoding="utf-8").split())
    paths = raw.files("questions/*.json")
    if not paths:
        raise DataError(f"{raw.root}: no questions/*.json in it")
    for path in paths:
        stem = path.name.split(".")[0]
        if (stem in held_out) != (raw.split == "test"):
            continue
        groups: dict[bool, list[tuple[str, dict]]] = {}
        try:
            for question, entry in load_json(path, "questions").items():
                groups.setdefault(bool(entry["abcLabel"]), []).append((question, entry))
        except (DataError, LookupError, TypeError, AttributeError):
            yield Record(stem, Malformed("malformed questions"))
            continue
        for lettered, asked in groups.items():
            yield Record(f"{stem}-letters" if lettered else stem, (f"{stem}.png", asked, lettered), len(asked))


def build_ai2d(record: Record, raw: Raw) -> Draft:
    """Ask the questions about a diagram; if they name letters, these are written over its texts."""
    name, asked, lettered = record.data
    left_out: Counter[str] = Counter()
    turns = []
    for question, entry in asked:
        given = [option.strip() for option in entry["answerTexts"]]
        options = [option for option in dict.fromkeys(given) if option not in ("", NO_OPTION)]
        left_out["option empty or given twice"] += len(given) - len(options)
        right = given[entry["correctAnswer"]]
        if len(options) < 2 or right not in options:
            left_out["question without a choice"] += 1
        else:
            turns.append(multiple_choice(question.strip(), options, options.index(right)))
    path = raw.picture(f"images/{name}")
    picture = partial(lettered_picture, path, labels_of(raw.file(f"annotations/{name}.json"))) if lettered else path
    return Draft(dialogue(turns), [picture], left_out=left_out)


def labels_of(annotations: Path) -> list[Label]:
    """Return the boxes of a diagram's texts, and the letters that stand for them."""
    labels = []
    for text in load_json(annotations, "text").values():
        corners = [(float(x), float(y)) for x, y in text["rectangle"]]
        labels.append((around(corners), text["replacementText"].strip()))
    if not labels:
        raise DataError("no texts to be replaced by letters")
    return labels


def lettered_picture(path: Path, labels: Sequence[Label]) -> bytes:
    """Return a diagram with white boxes over its texts and a letter in each, as PNG."""
    image = open_image(path)
    draw = ImageDraw.Draw(image)
    for box, letter in labels:
        draw.rectangle(box, fill="white")
        font = ImageFont.load_default(size=max(12.0, min(*sides(box), 40.0)))
        draw.text(centre(box), letter, fill="black", font=font, anchor="mm")
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def read_geometry3k(raw: Raw) -> Iterator[Record]:
    """Yield the folder of each problem; its file is read in `build_geometry3k`."""
    paths = raw.files("{split}/*/data.json")
    if not paths:
        raise DataError(f"file missing: {raw.split}/*/data.json in {raw.root}")
    for path in paths:
        yield Record(path.parent.name, path)


def build_geometry3k(record: Record, raw: Raw) -> Draft:
    """Ask a problem with its four choices in the release's order."""
    problem = load_json(record.data)
    text = problem["annotat_text"].strip() or problem["problem_text"].strip()
    if not text:
        raise DataError("empty question")
    choices = [choice.strip() for choice in problem["choices"]]
    if not all(choices):
        raise DataError("empty choice")
    turn = multiple_choice(text, choices, list(LETTERS).index(problem["answer"]))
    picture = record.data.with_name("img_diagram.png")
    if not picture.is_file():
        raise DataError(f"image missing: {picture}")
    return Draft(dialogue([turn]), [picture])


SOURCES = (
    Source(
        name="ai2d",
        title="AI2D",
        task="vqa",
        home="https://prior.allenai.org/projects/diagram-understanding",
        licence="non-commercial research only, not to be passed on (license.txt of the release)",
        files=(
            Expected("questions/*.json", "questions, a file a diagram"),
            Expected("images/*.png", "diagrams"),
            Expected("annotations/*.json", "texts of the diagrams with the letters that replace them"),
            Expected("ai2d_test_ids.csv", "which diagrams are the test split's; a download of its own"),
        ),
        unit="questions",
        count={"train": 12_413, "test": 3_088},
        layout="README.txt of the release (aysanaghazadeh/DiagramSummarization ai2d/, with questions and annotations); "
        "google-research/big_vision big_vision/datasets/ai2d/ai2d.py",
        prompts=(PROMPT,),
        read=read_ai2d,
        build=build_ai2d,
        note="Options keep their order, in which the right one varies. Questions with `abcLabel` refer to letters "
        "that are not in the image files: as in the benchmark, these are drawn over the texts, and such images go into "
        "the shards. Categories, arrows and blobs are not used.",
    ),
    Source(
        name="geometry3k",
        title="Geometry3K",
        task="geometry",
        home="https://lupantech.github.io/inter-gps/",
        licence="MIT (repository of Inter-GPS); problems of school books",
        files=(
            Expected("{split}/*/data.json", "problems", {"train": 2_101, "val": 300, "test": 601}),
            Expected("{split}/*/img_diagram.png", "their diagrams", {"train": 2_101, "val": 300, "test": 601}),
        ),
        unit="problems",
        count={"train": 2_101, "val": 300, "test": 601},
        layout="lupantech/InterGPS README.md, symbolic_solver/test.py, annotation_tool/data_collection/data_examples",
        prompts=(PROMPT,),
        read=read_geometry3k,
        build=build_geometry3k,
        note="The text is `annotat_text`, with formulas in LaTeX. Choices keep their order, in which the right one "
        "varies. Logic forms are not used.",
    ),
)
