"""The documents engine: made-up documents with questions about them, in whole shards and fully accounted for.

The output folder holds documents-00000.jsonl and .tar, ..., `report.html` and, written last, `report.json`. Document k
depends on the seed, its number, the settings and the fonts alone: the bytes are the same for any number of workers, and
an interrupted run continues after its last complete shard.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

from sphinx_x.boxes import union
from sphinx_x.data.sample import ImageRef, Sample
from sphinx_x.data.shards import write_part
from sphinx_x.engines.documents.asking import WEIGHTS, Asked, ask, check_weights
from sphinx_x.engines.documents.faces import FOLDERS, Faces, find_faces
from sphinx_x.engines.documents.kinds import Kind, kinds_named
from sphinx_x.engines.documents.look import encoded, make_look, shade
from sphinx_x.engines.documents.report import write_report
from sphinx_x.engines.documents.sheet import Drawing
from sphinx_x.engines.documents.warp import make_warp, warped
from sphinx_x.errors import DataError, one_line
from sphinx_x.sources.base import UnusedError
from sphinx_x.sources.dialogue import rng_of
from sphinx_x.work.files import alone_in, write_atomic
from sphinx_x.work.runs import Parts, claim
from sphinx_x.work.tally import UNUSABLE, Tally, reason_of

NAME = "documents"
LICENCE = "CC0-1.0"
"""Of what is made up here."""


class Amounts(BaseModel):
    """How much a run makes, and its seed.

    Attributes:
        count: Number of pictures.
        seed: Seed of all random choices.
        turns: Number of questions about a picture, which are one dialogue.
        fewest: Least number of them, if it is drawn for every picture.
        shard_size: Number of pictures in a shard.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: PositiveInt = 1000
    seed: NonNegativeInt = 0
    turns: PositiveInt = 5
    fewest: PositiveInt | None = None
    shard_size: PositiveInt = 500

    @model_validator(mode="after")
    def _in_order(self) -> Amounts:
        if self.fewest is not None and self.fewest > self.turns:
            raise ValueError(f"fewest: {self.fewest} questions are more than turns, {self.turns}")
        return self

    def questions(self, rng: random.Random) -> int:
        """Return how many questions are asked about the next picture."""
        return self.turns if self.fewest is None else rng.randint(self.fewest, self.turns)


class RunSettings(Amounts):
    """What a run of made-up pages is told.

    Attributes:
        weights: How often each kind of question is drawn, relative to the others.
        shown: Share of the answers after which it is asked where they stand.
    """

    weights: dict[str, float] = WEIGHTS
    shown: Annotated[float, Field(ge=0, le=1)] = 0.25


class DocumentSettings(RunSettings):
    """How documents are made; the same settings and fonts give the same bytes.

    Attributes:
        kinds: Kinds of documents; none for all of them.
        shares: How often each kind is made, relative to the others; kinds that are not named keep their own share.
        wear: Most wear of a document: 0 is as printed, 1 a photograph of handled paper.
    """

    kinds: tuple[str, ...] = ()
    shares: dict[str, float] = {}
    wear: Annotated[float, Field(ge=0, le=1)] = 1.0

    def chosen(self) -> dict[str, float]:
        """Return the kinds to make with their shares.

        Raises:
            DataError: There is no such kind, or none with a share.
        """
        check_weights(self.weights)
        kinds = {kind.name: kind.share for kind in kinds_named(self.kinds)}
        for name, share in self.shares.items():
            if name not in kinds:
                kinds_named([name])
                raise DataError(f"shares: {name} is not among the kinds that are made")
            if share < 0:
                raise DataError(f"shares: the share of {name} is below 0")
            kinds[name] = share
        kinds = {name: share for name, share in kinds.items() if share}
        if not kinds:
            raise DataError("shares: no kind of document has one")
        return kinds


@dataclass(frozen=True)
class Job:
    """What every worker needs."""

    out: Path
    settings: DocumentSettings
    faces: Faces


@dataclass(frozen=True)
class Made:
    """A document.

    Attributes:
        kind: Its kind.
        drawing: The truth about it in pixels of its picture.
        picture: The picture.
        asked: What is asked about it.
        licence: Of what it shows, if that is not the run's.
    """

    kind: str
    drawing: Drawing
    picture: bytes
    asked: Asked
    licence: str = ""


def make_documents(
    out: str | Path,
    settings: DocumentSettings | None = None,
    fonts: tuple[Path, ...] = FOLDERS,
    workers: int | None = None,
    engine: str = "local",
    progress: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Write made-up documents with questions into a folder, continuing an interrupted run.

    Args:
        out: The folder to write.
        settings: How documents are made.
        fonts: Folders with fonts.
        workers: Number of processes, by default one per core.
        engine: See `pool.run`.
        progress: Called after every shard.

    Raises:
        DataError: The settings make nothing, there are no fonts, or the folder holds something else.
    """
    settings = settings or DocumentSettings()
    kinds = settings.chosen()
    job = Job(Path(out), settings, find_faces(fonts))
    facts = {"engine": NAME, "kinds": kinds, "fonts": job.faces.key, "settings": settings.model_dump(mode="json")}
    told = {"faces": [face.family for face in job.faces.faces]}
    return write_run("Made-up documents", job, make_shard, facts, told, 0.05, workers, engine, progress)


class AnyJob(Protocol):
    """What every worker of a run needs, whatever it makes."""

    @property
    def out(self) -> Path:
        """The run's folder."""
        ...

    @property
    def settings(self) -> Amounts:
        """How much is made."""
        ...


JobT = TypeVar("JobT", bound=AnyJob)


def write_run(
    title: str,
    job: JobT,
    make_shard: Callable[[JobT, tuple[int, range]], Tally],
    facts: Mapping[str, Any],
    told: Mapping[str, Any],
    most_bad: float,
    workers: int | None,
    engine: str,
    progress: Callable[[Tally], None],
) -> Tally:
    """Write the shards of a run that are not there yet, then `report.html` and, last, `report.json`.

    Args:
        title: The report's.
        job: What every worker needs.
        make_shard: Writes one shard, by its number and the numbers of its samples.
        facts: What the samples depend on, `engine` (the run's name) first: a folder of others is refused.
        told: What `report.json` says besides.
        most_bad: Share of the samples that may be set aside.
        workers: Number of processes, by default one per core.
        engine: See `pool.run`.
        progress: Called after every shard.
    """
    begun = time.perf_counter()
    with alone_in(job.out):
        claim(job.out, json.loads(json.dumps(facts)))
        tasks = list(enumerate(ranges(job.settings.count, job.settings.shard_size)))
        total = Parts(job.out, facts["engine"]).run(make_shard, job, tasks, most_bad, workers, engine, progress)
        write_report(job.out, title, total, time.perf_counter() - begun)
        said = {**facts, **told, **vars(total)}
        write_atomic(job.out / "report.json", json.dumps(said, indent=1, ensure_ascii=False) + "\n")
    return total


def make_shard(job: Job, task: tuple[int, range]) -> Tally:
    """Write one shard of documents, what could not be drawn and, last, its tally."""
    number, numbers = task
    tally, aside = Tally(), []
    make = partial(make_document, settings=job.settings, faces=job.faces)
    samples = samples_of(lambda number: sampled(number, make(number), NAME, LICENCE), numbers, tally, aside, NAME)
    return write_part(Parts(job.out, NAME), number, samples, tally, aside)


def ranges(count: int, size: int) -> list[range]:
    """Return the numbers up to `count` in pieces of a size."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def sampled(number: int, made: Made, name: str, licence: str) -> tuple[Sample, bytes]:
    """Return a document as a sample, and its picture."""
    return sample_of(number, made, name, licence), made.picture


def samples_of(
    make: Callable[[int], tuple[Sample, bytes]], numbers: range, tally: Tally, aside: list[dict], name: str
) -> Iterator[tuple[Sample, list[bytes]]]:
    """Yield the samples of a run with their pictures; what is not used is counted, and what fails is set aside.

    Args:
        make: Makes one by its number.
        numbers: Which ones.
        tally: Counts them.
        aside: Gets what is set aside.
        name: The run's name, the first part of the names of its samples.
    """
    for number in numbers:
        tally.records += 1
        try:
            sample, picture = make(number)
        except UnusedError as error:
            tally.left_out[reason_of(error)] += 1
            continue
        except UNUSABLE as error:
            tally.set_aside[reason_of(error)] += 1
            aside.append({"source": name, "id": str(number), "reason": reason_of(error), "detail": one_line(error)})
            continue
        tally.samples += 1
        tally.turns += sample.answers
        yield sample, [picture]


def make_document(number: int, settings: DocumentSettings, faces: Faces) -> Made:
    """Return document `number` of a run."""
    rng = rng_of(f"{settings.seed} {number}")
    kinds = settings.chosen()
    kind: Kind = kinds_named(rng.choices(list(kinds), list(kinds.values())))[0]
    drawing, picture = photographed(kind.draw(rng, faces), rng, settings.wear)
    asked = ask(drawing, rng, settings.questions(rng), settings.weights, settings.shown)
    return Made(kind.name, drawing, picture, asked)


def photographed(drawing: Drawing, rng: random.Random, wear: float) -> tuple[Drawing, bytes]:
    """Return a drawing as it is in a picture of its paper, and the picture."""
    wear *= rng.random()
    bent = rng.random() ** 2 * wear
    seen = warped(drawing, make_warp(rng, drawing.ink.size, bent))
    look = make_look(rng, wear)
    totals = [fact for fact in seen.facts if fact.name == "total"]
    circle = union([seen.words[k].box for k in totals[0].words]) if totals else None
    return seen, encoded(shade(seen.ink, look, rng, circle), look.quality)


def sample_of(number: int, made: Made, name: str = NAME, licence: str = LICENCE) -> Sample:
    """Return a document as a sample.

    Its regions are its lines; `answers` of a region are the numbers of the answers, from 0, that stand there, and
    `facts` names the facts that it says.
    """
    answers: dict[int, list[int]] = {}
    for answer, lines in made.asked.evidence.items():
        for line in lines:
            answers.setdefault(line, []).append(answer)
    facts: dict[int, list[str]] = {}
    for fact in made.drawing.facts:
        for k, line in enumerate(made.drawing.lines):
            if not set(fact.words).isdisjoint(line.words):
                facts.setdefault(k, []).append(fact.name)
    regions = [
        {"text": line.text, "box": list(line.box), "answers": answers.get(k, []), "facts": facts.get(k, [])}
        for k, line in enumerate(made.drawing.lines)
    ]
    size = ImageRef(archive="-", size=len(made.picture), width=made.drawing.ink.width, height=made.drawing.ink.height)
    source = f"{name}/{made.kind}"
    told = made.licence or licence
    sample = Sample(f"{name}/{number}", [size], made.asked.messages, source, told, regions, name)
    return Sample.from_dict(sample.to_dict()).check()
