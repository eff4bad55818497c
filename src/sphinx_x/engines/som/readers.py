"""Readers of scenes: COCO's format and LVIS, Visual Genome, SeeClick, scene text, document layouts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

from sphinx_x.boxes import from_xywh
from sphinx_x.engines.som.regions import Polygon, Region, Rle
from sphinx_x.engines.som.samples import SAMPLES
from sphinx_x.engines.som.scenes import Domain, Relation, Scene, SceneSource
from sphinx_x.errors import DataError
from sphinx_x.sources import SOURCES
from sphinx_x.sources.agent import element_problem, read_seeclick
from sphinx_x.sources.base import UNVERIFIED, Malformed, Raw, Record, Source, grouped
from sphinx_x.sources.coco import COCO_API, coco_picture, name_of, said, size_of, visible
from sphinx_x.sources.detection import COCO, LVIS, read_coco
from sphinx_x.sources.grounding import by_id, phrase_of
from sphinx_x.sources.layout import page_of
from sphinx_x.sources.spotting import Entries, parse_icdar2015, read_files, words_of


def build_coco(record: Record, raw: Raw, domain: Domain = "natural") -> Scene:
    """Return the objects of an image in COCO's format: their class with a mask, polygons or a box."""
    image, annotations, names, _ = record.data
    regions: list[Region] = []
    left_out: Counter[str] = Counter()
    for annotation in annotations:
        name, place = name_of(names, annotation["category_id"]), from_xywh(annotation["bbox"])
        if said(annotation, "iscrowd"):
            left_out["crowd"] += 1
        elif not name:
            left_out["class whose name says nothing"] += 1
        elif not visible(place, image["width"], image["height"]):
            left_out["empty box"] += 1
        else:
            polygons, mask = _segments(annotation.get("segmentation"))
            regions.append(Region(name, box=place, polygons=polygons, mask=mask))
    picture = raw.picture(coco_picture(image))
    return Scene(record.id, picture, tuple(regions), domain, size=size_of(image), left_out=left_out)


def _segments(segmentation: Any) -> tuple[tuple[Polygon, ...], Rle | None]:
    if isinstance(segmentation, Mapping):
        return (), Rle.from_coco(segmentation)
    pieces = [piece for piece in segmentation or () if len(piece) >= 6]
    return tuple(tuple(zip(map(float, p[::2]), map(float, p[1::2]), strict=True)) for p in pieces), None


def read_visual_genome(raw: Raw) -> Iterator[Record]:
    """Yield images with their objects and, if that file exists, the relationships between them."""
    images = by_id(raw.json("image_data.json"), "image_id")
    relations: dict[str, list[dict]] = {}
    if raw.files("relationships.json"):
        found = by_id(raw.json("relationships.json"), "image_id")
        relations = {image: entry["relationships"] for image, entry in found.items()}
    for record in grouped(raw.json("objects.json"), "image_id"):
        if not isinstance(record.data, Malformed):
            data = (images.get(record.id), record.data, relations.get(record.id, []))
            record = Record(record.id, data, record.count)
        yield record


def build_visual_genome(record: Record, raw: Raw) -> Scene:
    """Return objects with the first of their names, and relationships between those that are used."""
    image, entries, relationships = record.data
    if image is None:
        raise DataError("image is not in image_data.json")
    regions: list[Region] = []
    numbers: dict[int, int] = {}
    left_out: Counter[str] = Counter()
    for thing in (thing for entry in entries for thing in entry["objects"]):
        names, place = thing.get("names") or [thing.get("name") or ""], from_xywh([thing[key] for key in "xywh"])
        name = phrase_of(names[0]).lower()
        if not name:
            left_out["object without a name"] += 1
        elif not visible(place, image["width"], image["height"]):
            left_out["empty box"] += 1
        else:
            for number in (thing["object_id"], *thing.get("merged_object_ids", ())):
                numbers[number] = len(regions)
            regions.append(Region(name, box=place))
    relations: list[Relation] = []
    for entry in relationships:
        first, second = (numbers.get(entry[end]["object_id"]) for end in ("subject", "object"))
        predicate = phrase_of(entry["predicate"]).lower()
        if first is None or second is None or first == second or not predicate:
            left_out["relationship without its objects"] += 1
        else:
            relations.append(Relation(first, predicate, second))
    picture = raw.picture("/".join(image["url"].split("/")[-2:]))
    unique = tuple(dict.fromkeys(relations))
    return Scene(record.id, picture, tuple(regions), "natural", unique, size=size_of(image), left_out=left_out)


def build_seeclick(record: Record, raw: Raw) -> Scene:
    """Return elements of a page: those with a text, and those with a label that is shown at the pointer."""
    regions: list[Region] = []
    left_out: Counter[str] = Counter()
    for element in (element for entry in record.data for element in entry["elements"]):
        problem = element_problem(element)
        if problem:
            left_out[problem] += 1
            continue
        left, top, right, bottom = element["bbox"]
        box, said = (left, top, min(right, 1.0), min(bottom, 1.0)), element["instruction"].strip()
        if element["data_type"] == "text":
            regions.append(Region(text=said, box=box))
        else:
            regions.append(Region(f'element labelled "{said}"', box=box))
    return Scene(record.id, raw.picture(record.id), tuple(regions), "gui", unit=1, left_out=left_out)


def build_words(
    record: Record, raw: Raw, parse: Callable[[Path], Entries], folder: str, domain: Domain = "text"
) -> Scene:
    """Return words or lines of an image with their outlines."""
    left_out: Counter[str] = Counter()
    words = words_of(record, parse, left_out)
    regions = tuple(Region(text=word.text, box=word.box, polygons=(word.corners,)) for word in words)
    return Scene(record.id, raw.picture(f"{folder}/{record.id}"), regions, domain, left_out=left_out)


def build_page(record: Record, raw: Raw, folder: str) -> Scene:
    """Return layout regions of a page."""
    left_out: Counter[str] = Counter()
    found, picture = page_of(record, raw, folder, left_out)
    regions = tuple(Region(name, box=place) for name, place in found)
    size = size_of(record.data["image"])
    return Scene(record.id, picture, regions, "document", size=size, left_out=left_out)


def _derived(name: str, domain: Domain) -> SceneSource:
    """Return scenes of a public set whose records and pictures are read as its converter does."""
    source: Source = SOURCES[name]
    settings: dict[str, Any] = cast(partial, source.build).keywords
    if domain == "text":
        build = partial(build_words, parse=settings["parse"], folder=settings["folder"])
    else:
        build = partial(build_page, folder=settings["folder"])
    return SceneSource(name, domain, source.licence, source.layout, source.read, build)


def coco_source(pattern: str, name: str = "coco-json") -> SceneSource:
    """Return a source for files of this name in COCO's format, with any classes."""
    licence, layout = "as its owner says", COCO_API
    if name in SOURCES:
        licence, layout = SOURCES[name].licence, SOURCES[name].layout
    return SceneSource(name, "natural", licence, layout, partial(read_coco, pattern), build_coco)


SCENES: dict[str, SceneSource] = {
    source.name: source
    for source in (
        coco_source(COCO, "coco"),
        coco_source(LVIS, "lvis"),
        SceneSource(
            "visual-genome",
            "natural",
            SOURCES["visual-genome"].licence,
            "huggingface/datasets datasets/visual_genome/visual_genome.py (fields of objects and relationships, "
            "merged_object_ids of 1.4)",
            read_visual_genome,
            build_visual_genome,
        ),
        SceneSource(
            "seeclick", "gui", SOURCES["seeclick"].licence, SOURCES["seeclick"].layout, read_seeclick, build_seeclick
        ),
        *(_derived(name, "text") for name in ("totaltext", "ctw1500", "icdar2013", "icdar2015")),
        *(_derived(name, "document") for name in ("m6doc", "doclaynet", "publaynet")),
        SceneSource(
            "sroie",
            "document",
            "not stated",
            f"lines as in zzzDavid/ICDAR-2019-SROIE data/*.csv; folders box and img: {UNVERIFIED}",
            partial(read_files, pattern="box/*.csv", prefix=""),
            partial(build_words, parse=parse_icdar2015, folder="img", domain="document"),
        ),
        SAMPLES,
    )
}
"""Sources of scenes by name; `coco_source`, `sam.sam_source` and `panels.panel_source` make others."""


def open_scenes(
    place: str | Path, name: str | None = None, images: Iterable[str | Path] = (), split: str = "train"
) -> tuple[SceneSource, Raw]:
    """Return the scenes at a place.

    Args:
        place: A JSON file in COCO's format, or the folder of a release.
        name: Name of the release, a key of `SCENES`.
        images: Further folders with images.
        split: Split of the release.

    Raises:
        DataError: It cannot be told what is there.
    """
    path = Path(place)
    if name is not None and name not in SCENES:
        raise DataError(f"no source of scenes is called {name!r}, but {', '.join(SCENES)}")
    if path.is_file():
        if name not in (None, "coco", "lvis"):
            raise DataError(f"{path}: is a file; {name} is read from the folder of its release")
        return coco_source(path.name, name or "coco-json"), Raw(path.parent, split, images)
    if name is None:
        raise DataError(f"{path}: no file in COCO's form; of a folder, name the source: {', '.join(SCENES)}")
    return SCENES[name], Raw(path, split, images)
