"""The pictures engine: scenes of cut-outs, named pictures and photographs with questions, in whole shards.

The output folder holds pictures-00000.jsonl and .tar, ..., `report.html` and, written last, `report.json`. Picture k
depends on the seed, its number, the settings, the pictures and the teacher alone: the bytes are the same for any number
of workers, and an interrupted run continues after its last complete shard.
"""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from PIL import Image
from pydantic import Field, PositiveInt

from sphinx_x.data.sample import OBJECTS, ImageRef, Sample
from sphinx_x.data.shards import write_part
from sphinx_x.engines.documents.engine import Amounts, samples_of, write_run
from sphinx_x.engines.pictures.asking import WEIGHTS, Asked, Seen, Stock, ask, check_weights
from sphinx_x.engines.pictures.backdrops import behind, cropped, drawn, plain
from sphinx_x.engines.pictures.library import Library, Picture, read_library
from sphinx_x.engines.pictures.scenes import choose_pictures, compose, size_of
from sphinx_x.engines.pictures.words import classes
from sphinx_x.errors import DataError
from sphinx_x.images import open_image
from sphinx_x.sources.base import UnusedError
from sphinx_x.sources.dialogue import rng_of
from sphinx_x.work.files import content_key
from sphinx_x.work.runs import Parts
from sphinx_x.work.tally import Tally, reason_of

NAME = "pictures"
TRIES = 16
"""Scenes or photographs that are tried for one picture."""
SHARES = {"scene": 6.0, "photo": 3.0, "named": 1.0}
"""How often each kind of picture is made, relative to the others."""
COMMON_SORTS = {"nature": 0.3}
"""How often a photograph of these sorts is taken: wallpapers show little else."""
UNLIKELY = 0.005
"""Probability below which the teacher says that something is not there."""


class PictureSettings(Amounts):
    """How pictures are made; the same settings, pictures and teacher give the same bytes.

    Attributes:
        shares: How often each kind is made, relative to the others: `scene`, `photo`, `named`; those without pictures
            are not made.
        weights: How often each kind of question is drawn, relative to the others.
        teacher: What names photographs: the name of base weights in a package, a folder, or a file; empty for none.
        sure: Probability from which the teacher's word is taken.
        side: Longest side of a picture in pixels.
        held: Share of the pictures that is held back.
        part: Whether pictures are made of those for training (`train`) or of those held back (`held`).
        licence: Licence of pictures for which their folder states none.
    """

    weights: dict[str, float] = WEIGHTS
    shares: dict[str, Annotated[float, Field(ge=0)]] = SHARES
    teacher: str = ""
    sure: Annotated[float, Field(gt=0, le=1)] = 0.5
    side: Annotated[PositiveInt, Field(ge=128, le=4096)] = 640
    held: Annotated[float, Field(ge=0, lt=1)] = 0.1
    part: Literal["train", "held"] = "train"
    licence: str = ""


@dataclass(frozen=True)
class Job:
    """What every worker needs."""

    out: Path
    settings: PictureSettings
    library: Library
    stock: Stock
    shares: dict[str, float]


@dataclass(frozen=True)
class Made:
    """A picture: what is known of it, its encoded bytes, the licences of its parts, and what is asked about it."""

    seen: Seen
    picture: bytes
    licences: frozenset[str]
    asked: Asked


def make_pictures(
    sources: Sequence[str | Path],
    out: str | Path,
    settings: PictureSettings | None = None,
    workers: int | None = None,
    engine: str = "local",
    progress: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Write pictures of the pictures of some folders with questions into a folder, continuing an interrupted run.

    Args:
        sources: Folders of pictures, see `library`.
        out: The folder to write.
        settings: How pictures are made.
        workers: Number of processes, by default one per core.
        engine: See `pool.run`.
        progress: Called after every shard.

    Raises:
        DataError: There are no pictures to make any of, the settings are wrong, or the folder holds something else.
    """
    settings = settings or PictureSettings()
    check_weights(settings.weights)
    library = read_library(sources).part(settings.held, settings.part)
    shares = possible(settings, library)
    if settings.teacher:
        _teacher(settings.teacher)  # before a worker needs it: it may have to be fetched
    job = Job(Path(out), settings, library, stock_of(library, bool(settings.teacher)), shares)
    facts = {"engine": NAME, "pictures": library.key, "settings": settings.model_dump(mode="json")}
    if settings.teacher and (teacher := Path(settings.teacher)).exists():
        files = sorted(path for path in teacher.rglob("*") if path.is_file()) if teacher.is_dir() else [teacher]
        facts["teacher"] = content_key(files, teacher if teacher.is_dir() else teacher.parent)
    licences = Counter(one.licence or settings.licence for one in library.pictures)
    told: dict[str, Any] = {"licences": dict(licences.most_common()), "pictures_left_out": dict(library.left_out)}
    told |= {"cutouts": sum(map(len, library.cutouts.values())), "named": sum(map(len, library.named.values()))}
    told |= {"photos": len(library.photos)}
    return write_run("Pictures", job, make_shard, facts, told, 0.05, workers, engine, progress)


def possible(settings: PictureSettings, library: Library) -> dict[str, float]:
    """Return the kinds that can be made, with their shares.

    Raises:
        DataError: There is no such kind, or none that can be made.
    """
    for kind in settings.shares:
        if kind not in SHARES:
            raise DataError(f"shares: {kind}: no such kind of picture, but {', '.join(SHARES)}")
    there = {
        "scene": bool(library.cutouts),
        "photo": bool(library.photos) and bool(settings.teacher),
        "named": bool(library.named),
    }
    shares = {kind: share for kind, share in settings.shares.items() if share and there[kind]}
    if not shares:
        raise DataError("nothing can be made: no cut-outs, no named pictures, and no photographs with a teacher")
    return shares


def stock_of(library: Library, taught: bool) -> Stock:
    """Return the words that may be asked for: those of the named pictures and, with a teacher, of its classes."""
    words: dict[str, tuple[str, float]] = {}
    for found in (library.cutouts, library.named):
        for word, pictures in found.items():
            group = pictures[0].word.group if pictures[0].word else ""
            often = words.get(word, ("", 0.0))[1] + len(pictures) ** 0.5
            words[word] = (group, often)
    for one in classes() if taught else ():
        words.setdefault(one.word, (one.group, 0.5))
    return Stock(words)


def make_shard(job: Job, task: tuple[int, range]) -> Tally:
    """Write one shard of pictures, what could not be made and, last, its tally."""
    number, numbers = task
    tally, aside = Tally(), []

    def make(number: int) -> tuple[Sample, bytes]:
        made = make_picture(number, job.settings, job.library, job.stock, job.shares, tally.left_out)
        return sample_of(number, made), made.picture

    samples = samples_of(make, numbers, tally, aside, NAME)
    return write_part(Parts(job.out, NAME), number, samples, tally, aside)


def make_picture(
    number: int,
    settings: PictureSettings,
    library: Library,
    stock: Stock,
    shares: dict[str, float],
    left_out: Counter[str] | None = None,
) -> Made:
    """Return picture `number` of a run; tries that were not taken are counted in `left_out` by reason.

    Raises:
        UnusedError: None of `TRIES` can be used.
    """
    rng = rng_of(f"{settings.seed} {number} picture")
    kind = rng.choices(list(shares), list(shares.values()))[0]
    for _ in range(TRIES):
        try:
            seen, image, licences = _MAKERS[kind](rng, settings, library)
            asked = ask(seen, stock, rng, settings.questions(rng), settings.weights)
        except (DataError, UnusedError) as error:
            if left_out is not None:
                left_out[f"a try: {reason_of(error)}"] += 1
            continue
        content = io.BytesIO()
        image.save(content, "JPEG", quality=rng.randint(75, 95))
        told = frozenset(one or settings.licence for one in licences)
        return Made(seen, content.getvalue(), told, asked)
    raise UnusedError(f"no {kind} in {TRIES} tries")


def _teacher(name: str):
    from sphinx_x.engines.pictures.teacher import teacher_named  # which loads torch

    return teacher_named(name)


def _scene(rng: random.Random, settings: PictureSettings, library: Library) -> tuple[Seen, Image.Image, frozenset[str]]:
    """Return a scene of cut-outs; what a photograph behind them may show is neither denied nor counted."""
    size = size_of(rng, settings.side)
    maybe: frozenset[str] = frozenset()

    def backdrop(rng: random.Random, size: tuple[int, int]) -> tuple[Image.Image, frozenset[str]]:
        nonlocal maybe
        kinds = {"plain": 0.3, "drawn": 0.35, "photo": 0.35 if settings.teacher and library.photos else 0.0}
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        if kind != "photo":
            return (plain if kind == "plain" else drawn)(rng, size), frozenset()
        photo = rng.choice(library.photos)
        image = behind(rng, photo.opened(), size)
        words = _teacher(settings.teacher).opinion(image).words
        maybe = frozenset(word for word, chance in words.items() if chance >= UNLIKELY)
        return image, frozenset({photo.licence})

    made = compose(rng, choose_pictures(rng, library), size, backdrop)
    return Seen("scene", size, made.things, maybe=maybe), made.image, made.licences


def _photo(rng: random.Random, settings: PictureSettings, library: Library) -> tuple[Seen, Image.Image, frozenset[str]]:
    """Return a part of a photograph of which the teacher is sure."""
    photo = rng.choice(library.photos)
    size = size_of(rng, settings.side)
    image = photo.opened()
    size = _no_larger(size, image.size)
    image = cropped(rng, image, size, 0.3)
    opinion = _teacher(settings.teacher).opinion(image)
    word, chance = opinion.first
    if chance < settings.sure:
        raise UnusedError("teacher not sure of a photograph")
    if rng.random() > COMMON_SORTS.get(word.group, 1):
        raise UnusedError("photograph of a sort of which there are many")
    if opinion.own_chance() < settings.sure:
        word = type(word)(word.word, word.word, word.group)
    maybe = frozenset(one for one, part in opinion.words.items() if part >= UNLIKELY) - {word.word}
    return Seen("photo", size, main=word, maybe=maybe, medium="photo"), image, frozenset({photo.licence})


def _named(rng: random.Random, settings: PictureSettings, library: Library) -> tuple[Seen, Image.Image, frozenset[str]]:
    """Return most of a named picture."""
    words = list(library.named)
    weights = [len(library.named[word]) ** 0.5 for word in words]
    picture: Picture = rng.choice(library.named[rng.choices(words, weights)[0]])
    image = open_image(picture.path)
    least = rng.uniform(0.8, 1)
    part = (round(image.width * least), round(image.height * least))
    scale = min(settings.side / max(part), 2.0)
    size = (max(round(part[0] * scale), 1), max(round(part[1] * scale), 1))
    image = cropped(rng, image, size, least, mirrored=0)
    maybe: frozenset[str] = frozenset()
    if settings.teacher:
        words_seen = _teacher(settings.teacher).opinion(image).words
        maybe = frozenset(word for word, chance in words_seen.items() if chance >= UNLIKELY)
    assert picture.word is not None
    maybe -= {picture.word.word}
    seen = Seen("named", size, main=picture.word, maybe=maybe, looked_at=bool(settings.teacher))
    return seen, image, frozenset({picture.licence})


_MAKERS = {"scene": _scene, "photo": _photo, "named": _named}


def _no_larger(size: tuple[int, int], limit: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, limit[0] / size[0], limit[1] / size[1])
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def sample_of(number: int, made: Made) -> Sample:
    """Return a picture as a sample.

    Its regions are the things whose places are known: `text` is the common word, `name` its own name, `outline` the
    corners of its outline; `answers` are the numbers of the answers, from 0, that are about it.
    """
    answers: dict[int, list[int]] = {}
    for answer, things in made.asked.evidence.items():
        for k in things:
            answers.setdefault(k, []).append(answer)
    regions = [
        {
            "text": thing.word.word,
            "box": list(thing.box),
            "name": thing.word.name,
            "outline": [list(corner) for corner in thing.outline],
            "answers": answers.get(k, []),
        }
        for k, thing in enumerate(made.seen.things)
    ]
    size = ImageRef(archive="-", size=len(made.picture), width=made.seen.size[0], height=made.seen.size[1])
    licence = " + ".join(sorted(filter(None, made.licences)))
    sample = Sample(
        f"{NAME}/{number}", [size], made.asked.messages, f"{NAME}/{made.seen.kind}", licence, regions, OBJECTS
    )
    return Sample.from_dict(sample.to_dict()).check()
