"""The Set-of-Marks engine: from scenes to samples with marks, in whole shards and fully accounted for (paper, 4.2).

The output folder holds som-00000.jsonl, ... (the raw image, marks in the text), `marked/` (each sample's image with its
marks, for people), `quarantine.jsonl` (images and exchanges that could not be used, with their reasons), `report.html`
and, written last, `report.json`. An interrupted run continues after its last complete shard; the same scenes, settings
and writer give the same bytes for any number of workers.
"""

from __future__ import annotations

import io
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from PIL import Image

from sphinx_x.boxes import Box
from sphinx_x.data.sample import MARKS, ImageRef, Sample
from sphinx_x.data.shards import write_part
from sphinx_x.engines.som import writing
from sphinx_x.engines.som.checks import check_exchange
from sphinx_x.engines.som.draw import draw_marks
from sphinx_x.engines.som.facts import known_marks
from sphinx_x.engines.som.marks import ALPHABETS, KINDS, Kind, MarkSettings, place_marks
from sphinx_x.engines.som.report import marked_name, write_report
from sphinx_x.engines.som.scenes import Scene, SceneSource, check_upright
from sphinx_x.engines.som.words import GroundTruthWriter
from sphinx_x.engines.som.writing import Exchange, Failure, Page, Writer, Written, messages_of
from sphinx_x.errors import DataError, ImageError, one_line
from sphinx_x.images import image_size, open_image
from sphinx_x.sources.base import Malformed, PdfPage, Picture, Raw, Record, UnusedError
from sphinx_x.sources.convert import Task, chunks, read_records
from sphinx_x.sources.dialogue import rng_of
from sphinx_x.work.files import alone_in, write_atomic
from sphinx_x.work.runs import Parts, claim
from sphinx_x.work.tally import UNUSABLE, Tally, reason_of

NAME = "som"
MOST_BYTES = 500_000_000
"""Largest image file; one within the limit of pixels is hardly ever larger."""

CHOSEN = ("kind", "alphabet", "seed", "beside")
"""Properties of marks that vary between samples."""

SMALL_TEXT = ("gui", "text", "document")
"""Domains where a label must not hide text below it."""


@dataclass(frozen=True)
class SomSettings:
    """How samples are made of scenes.

    Attributes:
        seed: Seed of all random choices.
        kinds: Kinds of marks, one of which is chosen at random for each sample; polygons and masks only if all regions
            have them, and masks never over text.
        alphabets: Alphabets of labels, chosen likewise.
        tasks: Kinds of dialogue in a sample, in random order (a kind without anything new to say is left out).
        most_marks: Largest number of marks of a sample.
        groups: Largest number of samples of a scene that has more regions.
        inside: Whether images are copied into the shards.
        shard_size: Number of scenes in a shard.
        marks: How marks look (their kind, alphabet, seed and side follow from the above).
    """

    seed: str = "0"
    kinds: tuple[Kind, ...] = KINDS
    alphabets: tuple[str, ...] = ("numbers",)
    tasks: tuple[writing.Task, ...] = writing.TASKS
    most_marks: int = 10
    groups: int = 1
    inside: bool = False
    shard_size: int = 500
    marks: MarkSettings = field(default_factory=MarkSettings)

    def __post_init__(self) -> None:
        for name, given, allowed in (
            ("kinds", self.kinds, KINDS),
            ("alphabets", self.alphabets, ALPHABETS),
            ("tasks", self.tasks, writing.TASKS),
        ):
            wrong = sorted(set(given) - set(allowed))
            if wrong or not given:
                raise DataError(f"{name} must be some of {', '.join(allowed)}, not {', '.join(wrong) or 'none'}")
        if any(getattr(self.marks, name) != getattr(MarkSettings, name) for name in CHOSEN):
            raise DataError(f"marks may not set {', '.join(CHOSEN)}: kinds, alphabets and chance do")
        if min(self.most_marks, self.groups, self.shard_size) < 1:
            raise DataError("marks, groups and samples of a shard must be at least 1")


@dataclass(frozen=True)
class SomJob:
    """What every worker needs."""

    source: SceneSource
    raw: Raw
    out: Path
    settings: SomSettings
    writer: Writer


def make_som(
    source: SceneSource,
    raw: Raw,
    out: str | Path,
    settings: SomSettings | None = None,
    writer: Writer | None = None,
    workers: int | None = None,
    max_bad: float = 0.05,
    engine: str = "local",
    progress: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Write the samples of a source of scenes into a folder, continuing an interrupted run.

    Args:
        source: The scenes.
        raw: Their release.
        out: The folder to write.
        settings: The engine's settings.
        writer: The writer of dialogue, by default the one that needs no endpoint.
        workers: Number of processes, by default one per core.
        max_bad: The share of samples that may be set aside.
        engine: See `pool.run`.
        progress: Called after every shard.

    Raises:
        DataError: More samples are bad, there are none at all, or the folder holds something else.
    """
    job = SomJob(source, raw, Path(out), settings or SomSettings(), writer or GroundTruthWriter())
    facts = {
        "scenes": source.name,
        "split": raw.split,
        "release": raw.fingerprint(job.out),
        "facts": dict(source.facts),
    }
    facts["licence"] = source.licence
    facts |= job.writer.facts()
    with alone_in(job.out):
        claim(job.out, json.loads(json.dumps(facts | asdict(job.settings))))
        for half in (job.out / "marked").glob(".*.tmp"):
            half.unlink()
        tasks = chunks(read_records(source, raw), job.settings.shard_size)
        total = Parts(job.out, NAME).run(make_shard, job, tasks, max_bad, workers, engine, progress)
        if not total.samples:
            raise DataError(f"{raw.root}: no sample about marks ({total.records} images)")
        write_report(job.out, f"Set-of-Marks: {source.name}, written by {job.writer.name}", total)
        report = facts | {"settings": asdict(job.settings)} | vars(total)
        write_atomic(job.out / "report.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return total


def make_shard(job: SomJob, task: Task) -> Tally:
    """Write one shard with its marked images, its quarantined records and, last, its tally."""
    number, records = task
    tally, aside = Tally(), []
    return write_part(Parts(job.out, NAME), number, _samples(job, records, tally, aside), tally, aside)


def _samples(
    job: SomJob, records: Iterable[Record], tally: Tally, aside: list[dict]
) -> Iterator[tuple[Sample, list[bytes]]]:
    waiting: deque[tuple[Page, ImageRef]] = deque()

    def set_aside(key: str, error: Exception) -> None:
        tally.set_aside[reason_of(error)] += 1
        aside.append({"source": job.source.name, "id": key, "reason": reason_of(error), "detail": one_line(error)})

    def pages() -> Iterator[Page]:
        for record in records:
            tally.records += record.count
            try:
                for page, ref in pages_of(job, record, tally):
                    waiting.append((page, ref))
                    yield page
            except UnusedError as error:
                tally.left_out[reason_of(error)] += record.count
            except UNUSABLE as error:
                set_aside(record.id, error)

    for written in job.writer.write_all(pages()):
        page, ref = waiting.popleft()
        try:
            exchanges = []
            for kind, exchange in _checked(page, written):
                if isinstance(exchange, Exception):
                    set_aside(f"{page.name} {kind}", exchange)
                else:
                    exchanges.append(exchange)
            if not exchanges:
                continue
            sample = sample_of(job, page, ref, exchanges)
        except UnusedError as error:
            tally.left_out[reason_of(error)] += 1
            continue
        except UNUSABLE as error:
            set_aside(page.name, error)
            continue
        write_atomic(job.out / "marked" / marked_name(sample.id), page.picture)
        tally.samples += 1
        tally.turns += sample.answers
        yield sample, [] if ref.path is not None else [page.raw]


def _checked(page: Page, written: Written) -> Iterator[tuple[writing.Task, Exchange | Exception]]:
    """Yield the exchanges of a page that pass the checks, and the errors of others; raise one given in their place."""
    if isinstance(written, Exception):
        raise written
    if not written:
        raise UnusedError("nothing was written about its marks")
    for one in written:
        if isinstance(one, Failure):
            yield one.kind, one.error
        else:
            reasons = check_exchange(page, one)
            yield one.kind, DataError(reasons[0]) if reasons else one


def pages_of(job: SomJob, record: Record, tally: Tally) -> Iterator[tuple[Page, ImageRef]]:
    """Yield a record's pages, one for every group of its regions, each with the place of its raw image."""
    if isinstance(record.data, Malformed):
        raise DataError(record.data.reason)
    scene = job.source.build(record, job.raw)
    tally.left_out += scene.left_out
    if not scene.regions:
        raise UnusedError("image without regions")
    content = _content(scene.image)
    image = open_image(content)
    check_upright(job.source, scene, content)
    if scene.size and scene.size != image.size:
        shown = f"{image.width} x {image.height}, not {scene.size[0]} x {scene.size[1]}"
        raise DataError(f"image is not of the size that its annotations say: {shown}")
    scene = scene.in_pixels(image.size)
    if isinstance(scene.image, Path) and not job.settings.inside:
        path = os.path.relpath(os.path.realpath(scene.image), os.path.realpath(job.out))
        ref = ImageRef(path, width=image.width, height=image.height)
    else:
        ref = ImageRef(archive="-", size=len(content), width=image.width, height=image.height)
    avoid = [region.bounds() for region in scene.regions] if scene.domain in SMALL_TEXT else []
    for number, group in enumerate(groups_of(scene, job.settings, record.id, tally)):
        key = f"som-{job.source.name}/{record.id}" + (f"/{number}" if number else "")
        page = _page(image, content, group, avoid, key, job.settings, tally)
        if page is None:
            tally.left_out["image without room for marks"] += 1
        else:
            yield page, ref


def _content(picture: Picture) -> bytes:
    if isinstance(picture, PdfPage):
        content = io.BytesIO()
        open_image(picture.path, picture.number, picture.dpi).save(content, "PNG")
        return content.getvalue()
    if isinstance(picture, Path):
        image_size(picture)  # the first bytes show whether it is an image; a pipe or a device has no end
        if picture.stat().st_size > MOST_BYTES:
            raise ImageError(f"{picture}: is a file of more than {MOST_BYTES:,} bytes")
        return picture.read_bytes()
    return picture if isinstance(picture, bytes) else picture()


def groups_of(scene: Scene, settings: SomSettings, key: str, tally: Tally) -> Iterator[Scene]:
    """Yield the scene with some of its regions, different ones each time, in their order."""
    rng = rng_of(f"{settings.seed} {key} groups")
    numbers = list(range(len(scene.regions)))
    rng.shuffle(numbers)
    groups = [numbers[k : k + settings.most_marks] for k in range(0, len(numbers), settings.most_marks)]
    tally.left_out["region beyond the limit of an image"] += sum(map(len, groups[settings.groups :]))
    for group in groups[: settings.groups]:
        order = {number: place for place, number in enumerate(sorted(group))}
        relations = tuple(
            replace(one, subject=order[one.subject], object=order[one.object])
            for one in scene.relations
            if one.subject in order and one.object in order
        )
        yield replace(scene, regions=tuple(scene.regions[number] for number in order), relations=relations)


def _page(
    image: Image.Image,
    content: bytes,
    scene: Scene,
    avoid: Sequence[Box],
    key: str,
    settings: SomSettings,
    tally: Tally,
) -> Page | None:
    """Return a page of all regions of a scene; None if none of them has room for a mark."""
    rng = rng_of(f"{settings.seed} {key}")
    small = scene.domain in SMALL_TEXT
    possible = {"point", "box"}
    if all(region.polygons or region.mask is not None for region in scene.regions):
        possible |= {"polygon"} if small else {"polygon", "mask"}
    kinds = [kind for kind in settings.kinds if kind in possible] or ["box"]
    look = replace(
        settings.marks,
        kind=rng.choice(kinds),
        alphabet=rng.choice(settings.alphabets),
        seed=f"{settings.seed} {key}",
        beside=small,
    )
    marked = place_marks(image, scene.regions, look, avoid)
    for _, reason in marked.left_out:
        tally.left_out[reason] += 1
    if not marked.marks:
        return None
    picture = io.BytesIO()
    draw_marks(image, marked, scene.regions).save(picture, "JPEG", quality=90)
    known = tuple(known_marks(scene, marked, image))
    return Page(f"{settings.seed} {key}", key, scene, marked, known, settings.tasks, content, picture.getvalue())


def sample_of(job: SomJob, page: Page, ref: ImageRef, exchanges: Sequence[Exchange]) -> Sample:
    """Return the sample of a page and of what was written about it; raise `SampleError` if it cannot be learned."""
    regions = [
        {"text": one.region.text or one.region.name, "box": [round(n, 2) for n in one.mark.box]} for one in page.known
    ]
    messages = messages_of(page, exchanges)
    licence = page.scene.licence or job.source.licence
    sample = Sample(page.name, [ref], messages, job.source.name, licence, regions, MARKS)
    return Sample.from_dict(sample.to_dict()).check()
