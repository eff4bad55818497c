"""What a study measures: held-out answers by skill, with their own images, with none, and with those of others.

The three sets have the same questions, and images of the same sizes, so that a model gets the same number of tokens: a
white image shows what the language of the answers alone gives (blind), the image of the next item whether the answer is
read from the image (shuffled). Chance is an answer about another item, and the frequencies of its bytes.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from sphinx_x.boxes import iou
from sphinx_x.conversation import Place
from sphinx_x.data.loader import shards_of
from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import SampleReader, write_shard
from sphinx_x.engines.nano.prepare import check_data, prepare
from sphinx_x.errors import DataError
from sphinx_x.evaluation.metrics import character_errors
from sphinx_x.evaluation.samples import OVERLAP, TEXT, Asked, document_of, questions, same_answer
from sphinx_x.images import open_image
from sphinx_x.studies.declaration import HeldOut, Skill
from sphinx_x.work.files import alone_in, sha256, write_manifest
from sphinx_x.work.runs import claim

SHOWN = ("true", "blind", "shuffled")
"""The images that are shown: the item's own, white, another item's."""


@dataclass(frozen=True)
class Item:
    """A held-out answer: a sample whose last message is the only one that counts, its image, and what was asked."""

    sample: Sample
    picture: bytes
    asked: Asked


def shards(path: Path, name: str) -> list[Path]:
    """Return the shards NAME-*.jsonl of a folder, or the folder NAME in it."""
    return [path / name] if (path / name).is_dir() else shards_of(path, name)


def make_held_out(held: HeldOut) -> Path:
    """Make the held-out sets if they are not there yet, and return their folder (`true/`, `blind/`, `shuffled/`).

    Raises:
        DataError: There are too few answers of a kind, or the folder has sets with other settings.
    """
    out = held.folder / "sets"
    with alone_in(held.folder, wait=True):
        if held.data is not None:
            prepare(check_data(held.data), held.folder)
        out.mkdir(exist_ok=True)
        claim(out, held.model_dump(mode="json", include={"data", "skills", "items", "asked"}), empty=False)
        if (out / "manifest.json").exists():
            return out
        for name, skill in held.skills.items():
            items = list(items_of(held.folder, skill, held.items, name))
            if len(items) < held.items:
                raise DataError(f"{held.folder}: {len(items)} answers for {name}, and {held.items} are wanted (items)")
            for shown in SHOWN:
                pictures = shown_pictures([item.picture for item in items], shown)
                pairs = [(item.sample, [picture]) for item, picture in zip(items, pictures, strict=True)]
                write_shard(out / shown, f"{name}-00000", pairs)
                write_shard(out / shown / "asked", f"{name}-00000", pairs[: held.asked])
        write_manifest(out)
    return out


def items_of(folder: Path, skill: Skill, count: int, name: str) -> Iterator[Item]:
    """Yield the first answers of a skill, one of each sample, in the order of the shards."""
    reader = SampleReader(shards(folder, skill.of))
    found = 0
    for number in range(len(reader)):
        sample = reader[number]
        asked = next((one for one in questions(sample) if one.kind in skill.kinds), None)
        if asked is None or len(sample.images) != 1:
            continue
        before = [replace(m, trained=False) if m.role == "assistant" else m for m in asked.messages]
        answer = sample.messages[len(asked.messages)]
        # the images are written anew: a sample's id is its place in the set
        alone = replace(sample, id=f"{name}-{found}", messages=[*before, answer], images=list(sample.images))
        yield Item(alone, reader.image_bytes(sample, 0), asked)
        found += 1
        if found == count:
            return


def shown_pictures(pictures: Sequence[bytes], shown: str) -> list[bytes]:
    """Return PNG or the bytes themselves of images of the same sizes: the same, white ones, or those of the next."""
    if shown == "true":
        return list(pictures)
    opened = [open_image(picture) for picture in pictures]
    if shown == "blind":
        return [_png(Image.new("RGB", image.size, "white")) for image in opened]
    others = [*opened[1:], opened[0]]
    return [_png(other.resize(image.size)) for image, other in zip(opened, others, strict=True)]


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def hashes(paths: Mapping[str, Iterable[Path]]) -> dict[str, str]:
    """Return a hash of the files behind every name: shards, their archives, and what folders hold."""
    return {name: _hash(found) for name, found in paths.items()}


def _hash(paths: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path, path.with_suffix(".tar")]
        for file in files:
            if file.is_file() and not file.name.startswith(".") and file.suffix in (".jsonl", ".tar"):
                whole.update(f"{file.name} {sha256(file)}\n".encode())
    return whole.hexdigest()[:16]


def documents(held: HeldOut) -> dict[str, list[int]]:
    """Return by skill the number of each item's document, in the order of the items."""
    out = {}
    for name in held.skills:
        reader = SampleReader(shards(held.folder / "sets" / "true", name))
        named = [document_of(reader[k]) for k in range(len(reader))]
        numbers = {one: number for number, one in enumerate(dict.fromkeys(named))}
        out[name] = [numbers[one] for one in named]
    return out


def chance(held: HeldOut) -> dict[str, dict[str, float]]:
    """Return by skill what needs no model.

    Returns:
        `loss`: nats a byte of the frequencies of bytes in the other items' answers, the end of an answer included.
        `error`: the error rate of the next item's answer.
    """
    out = {}
    for name in held.skills:
        reader = SampleReader(shards(held.folder / "sets" / "true", name))
        asked = [next(iter(questions(reader[k]))) for k in range(len(reader))]
        sizes = [reader.image_size(reader[k], 0) for k in range(len(reader))]
        said = [_said(one, max(size)) for one, size in zip(asked, sizes, strict=True)]
        out[name] = {"loss": byte_entropy(said), "error": _others_error(asked, sizes)}
    return out


def byte_entropy(texts: Sequence[str]) -> float:
    """Return the mean loss of bytes by their frequencies in the other texts, each of 257 signs counted once more."""
    counts = [Counter([*text.encode(), 256]) for text in texts]
    whole = sum(counts, Counter())
    loss, length = 0.0, 0
    for own in counts:
        rest = whole - own
        total = sum(rest.values()) + 257
        loss -= sum(times * math.log((rest[sign] + 1) / total) for sign, times in own.items())
        length += sum(own.values())
    return loss / length


def _said(asked: Asked, side: int) -> str:
    """Return an answer's text; a box as it is written on a canvas of Nano's size."""
    if asked.box is None:
        return asked.text
    return "[" + ", ".join(f"{n / max(side, 768):.3f}" for n in asked.box.places[0]) + "]"


def _others_error(asked: Sequence[Asked], sizes: Sequence[tuple[int, int]]) -> float:
    wrong, length = 0, 0
    for number, one in enumerate(asked):
        other, size = asked[(number + 1) % len(asked)], sizes[(number + 1) % len(asked)]
        if one.box is not None and other.box is not None:
            wrong, length = (
                wrong + (iou(_fitted(other.box, size, sizes[number]), one.box.places[0]) < OVERLAP),
                length + 1,
            )
        elif one.kind == TEXT:
            errors, characters = character_errors(other.text, one.text)
            wrong, length = wrong + errors, length + characters
        else:
            wrong, length = wrong + (not same_answer(one.kind, other.text, one.text, one.references)), length + 1
    return wrong / length


def _fitted(place: Place, size: tuple[int, int], own: tuple[int, int]) -> Any:
    """Return a box in an image of another size, at the same place relative to its sides."""
    return tuple(n / size[k % 2] * own[k % 2] for k, n in enumerate(place.places[0]))
