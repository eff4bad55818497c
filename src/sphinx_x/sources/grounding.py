"""Phrases and the regions they refer to: Visual Genome, RefCOCO, RefCOCO+, RefCOCOg and Flickr30k Entities."""

from __future__ import annotations

import pickle
import random
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from sphinx_x.boxes import from_xywh
from sphinx_x.conversation import Part
from sphinx_x.errors import DataError, one_line
from sphinx_x.sources.base import Draft, Expected, Malformed, Raw, Record, Source, UnusedError, grouped
from sphinx_x.sources.coco import size_of, visible
from sphinx_x.sources.detection import MAX_BOXES
from sphinx_x.sources.dialogue import FIND, Content, box, boxes, dialogue, pick, rng_of

FIND_ALL = "Please provide the bounding box coordinates of all regions this phrase describes: {}."
NAME = (
    "Describe the region {} in a short phrase.",
    "What is in the region {}? Give a short phrase.",
    "Please provide a short description of the region {}.",
)
GROUNDED_CAPTION = "Describe the image concisely. Include the bounding box for each mentioned object."
"""As in the reference's demo."""
MAX_REGIONS, MAX_EXPRESSIONS, MAX_PHRASES = 8, 12, 5
"""Limits of what is asked about one image; the rest is counted."""


def phrase_of(text: str) -> str:
    """Return a phrase as it appears within a question: with single blanks and without a full stop."""
    return " ".join(text.split()).rstrip(" .")


def by_id(entries: Any, key: str) -> dict[str, dict]:
    """Return entries of a JSON list by their id; those without one are skipped, and reported where they are needed."""
    return {record.id: record.data[0] for record in grouped(entries, key) if not isinstance(record.data, Malformed)}


def read_visual_genome(raw: Raw) -> Iterator[Record]:
    """Read images with the regions described in them."""
    images = by_id(raw.json("image_data.json"), "image_id")
    for record in grouped(raw.json("region_descriptions.json"), "id"):
        if not isinstance(record.data, Malformed):
            record = Record(record.id, (images.get(record.id), record.data), record.count)
        yield record


def build_visual_genome(record: Record, raw: Raw) -> Draft:
    """Ask about some of the regions, alternating between phrase to box and box to phrase.

    A phrase that describes several regions of an image is never asked for.
    """
    image, entries = record.data
    if image is None:
        raise DataError("image is not in image_data.json")
    regions = [region for entry in entries for region in entry["regions"]]
    times = Counter(phrase_of(region["phrase"]).lower() for region in regions)
    rng_of(record.id).shuffle(regions)
    left_out: Counter[str] = Counter()
    turns: list[tuple[Content, Content]] = []
    for region in regions:
        phrase, place = phrase_of(region["phrase"]), from_xywh([region[key] for key in ("x", "y", "width", "height")])
        if not phrase:
            left_out["region without a phrase"] += 1
        elif not visible(place, image["width"], image["height"]):
            left_out["empty box"] += 1
        elif len(turns) == MAX_REGIONS:
            left_out["region beyond the limit of an image"] += 1
        elif len(turns) % 2 or times[phrase.lower()] > 1:
            before, after = pick(NAME, f"{record.id} {phrase}").split("{}")
            turns.append(([before, box(place), after], phrase))
        else:
            turns.append((FIND.format(phrase), box(place)))
    if not turns:
        raise UnusedError("image without regions")
    name = "/".join(image["url"].split("/")[-2:])
    return Draft(dialogue(turns), [raw.picture(name)], size=size_of(image), left_out=left_out)


class PlainUnpickler(pickle.Unpickler):
    """Unpickler of plain lists, dictionaries, numbers and texts; everything else is refused, so no code can run."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse every class and function."""
        raise pickle.UnpicklingError(f"{module}.{name} is no plain data")


def load_pickle(path: Path) -> Any:
    """Return the content of a pickle of plain data, even from Python 2; raise `DataError` naming the file."""
    try:
        with path.open("rb") as file:
            return PlainUnpickler(file, encoding="latin1").load()
    except (
        pickle.UnpicklingError,
        EOFError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
    ) as error:
        raise DataError(f"{path}: no pickle of plain data: {one_line(error)}") from error


def read_refs(pickled: str, instances: str, raw: Raw) -> Iterator[Record]:
    """Read images of the split with the objects that expressions refer to.

    Args:
        pickled: The file of the expressions.
        instances: The file of the boxes.
        raw: The release.
    """
    content = raw.json(instances)
    images, objects = by_id(content["images"], "id"), by_id(content["annotations"], "id")
    refs = load_pickle(raw.file(pickled))
    wanted = (ref for ref in refs if not isinstance(ref, dict) or ref.get("split", raw.split) == raw.split)
    for record in grouped(wanted, "image_id"):
        if not isinstance(record.data, Malformed):
            pairs = [(ref, objects.get(str(ref.get("ann_id")))) for ref in record.data]
            record = Record(record.id, (images.get(record.id), pairs), record.count)
        yield record


def build_refs(record: Record, raw: Raw) -> Draft:
    """Make every expression a turn: the first about each object, then the second about each, and so on."""
    image, pairs = record.data
    if image is None:
        raise DataError("image is not in instances.json")
    left_out: Counter[str] = Counter()
    usable = []
    for ref, found in pairs:
        place = from_xywh(found["bbox"]) if found else []
        if found and visible(place, image["width"], image["height"]):
            usable.append((place, [phrase_of(sentence["sent"]) for sentence in ref["sentences"]]))
        else:
            left_out["object with an empty box" if found else "object is not in instances.json"] += 1
    named: dict[str, set[tuple[float, ...]]] = {}
    for place, sentences in usable:
        for expression in sentences:
            named.setdefault(expression.lower(), set()).add(tuple(place))
    turns: list[tuple[Content, Content]] = []
    seen = {""}
    for number in range(max((len(sentences) for _, sentences in usable), default=0)):
        for place, sentences in usable:
            expression = sentences[number] if number < len(sentences) else None
            if expression is None:
                continue
            if len(named[expression.lower()]) > 1 and expression:
                left_out["expression for different objects"] += 1
            elif expression.lower() in seen:
                left_out["expression that is empty or occurs twice"] += 1
            elif len(turns) == MAX_EXPRESSIONS:
                left_out["expression beyond the limit of an image"] += 1
            else:
                turns.append((FIND.format(expression), box(place)))
            seen.add(expression.lower())
    return Draft(dialogue(turns), [raw.picture(image["file_name"])], size=size_of(image), left_out=left_out)


Pieces = list[tuple[str, str]]
"""A caption in pieces: a text with "", or a phrase with the id of what it refers to."""
Places = dict[str, list[list[float]]]
"""Boxes by the id of what they show."""
MARKED = re.compile(r"\[/EN#(\d+)/\S+ ([^\]]*)\]")


def pieces_of_caption(line: str) -> Pieces:
    """Return a caption of Flickr30k Entities in pieces, without its blanks before punctuation."""
    line = re.sub(r"\s+([.,;:!?](?=\s|$)|'s\b|n't\b)", r"\1", line.strip())
    pieces: Pieces = []
    end = 0
    for match in MARKED.finditer(line):
        pieces += [(line[end : match.start()], ""), (match[2], match[1])]
        end = match.end()
    return [piece for piece in [*pieces, (line[end:], "")] if piece[0]]


def places_of_entities(content: bytes, left_out: Counter[str]) -> tuple[Places, tuple[int, int]]:
    """Return the boxes of an annotation of Flickr30k Entities by id, and the size of the image.

    The ids of scenes and of invisible things have no box.
    """
    places: Places = {}
    try:
        root = ET.fromstring(content)
    except ET.ParseError as error:
        raise DataError(f"annotation is no XML: {one_line(error)}") from error
    width, height = (int(root.findtext(f"size/{key}", "")) for key in ("width", "height"))
    for entry in root.findall("object"):
        corners = entry.find("bndbox")
        if corners is not None:
            place = [float(corners.findtext(key, "")) - 1 for key in ("xmin", "ymin", "xmax", "ymax")]
            if not visible(place, width, height):
                left_out["empty box"] += 1
                continue
            for name in entry.findall("name"):
                places.setdefault(name.text or "", []).append(place)
    return places, (width, height)


def read_flickr30k(raw: Raw) -> Iterator[Record]:
    """Read the images of the split, with the numbers (from 1) of captions that are listed as unrelated."""
    unrelated: dict[str, set[int]] = {}
    for path in raw.files("UNRELATED_CAPTIONS"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip() and not line.startswith("#"):
                image, number = line.split()
                unrelated.setdefault(image, set()).add(int(number))
    for image in raw.file("{split}.txt").read_text(encoding="utf-8").split():
        yield Record(image, unrelated.get(image, set()))


def build_flickr30k(record: Record, raw: Raw) -> Draft:
    """Give one caption with boxes after its phrases, then ask for some phrases of the other captions."""
    sentences, annotation = raw.file(f"Sentences/{record.id}.txt"), raw.file(f"Annotations/{record.id}.xml")
    left_out: Counter[str] = Counter()
    places, size = places_of_entities(annotation.read_bytes(), left_out)
    lines = sentences.read_text(encoding="utf-8").splitlines()
    captions = []
    for number, line in enumerate(lines, 1):
        if number in record.data:
            left_out["caption that has nothing to do with the image"] += 1
        elif line.strip():
            captions.append(pieces_of_caption(line))
    rng = rng_of(record.id)
    good = [pieces for pieces in captions if 0 < sum(len(places.get(chain, ())) for _, chain in pieces) <= MAX_BOXES]
    turns: list[tuple[Content, Content]] = []
    known: set[str] = set()
    if good:
        chosen = rng.choice(good)
        turns.append((GROUNDED_CAPTION, _grounded(chosen, places)))
        known = {phrase_of(text).lower() for text, chain in chosen if chain in places}
        left_out["caption of which only phrases are used"] += len(captions) - 1
    turns += _phrases(captions, places, known, rng, left_out)
    if not turns:
        raise UnusedError("image without boxes")
    return Draft(dialogue(turns), [raw.picture(f"{record.id}.jpg")], size=size, left_out=left_out)


def _grounded(pieces: Pieces, places: Places) -> list[str | Part]:
    """Return `<p>A man</p>[...] in <p>a red hat</p>[...].`; phrases without boxes are plain text."""
    parts: list[str | Part] = []
    for text, chain in pieces:
        parts += [f"<p>{text}</p>", boxes(places[chain])] if chain in places else [text]
    return parts


def _phrases(
    captions: list[Pieces], places: Places, known: set[str], rng: random.Random, left_out: Counter[str]
) -> list[tuple[Content, Content]]:
    """Return turns about phrases that are not `known`, except those that mean different things in two captions."""
    chains: dict[str, set[str]] = {}
    for text, chain in (piece for pieces in captions for piece in pieces):
        if chain in places:
            chains.setdefault(phrase_of(text).lower(), set()).add(chain)
        elif chain:
            left_out["phrase without a box"] += 1
    phrases = sorted(phrase for phrase in chains if phrase and phrase not in known)
    rng.shuffle(phrases)
    turns: list[tuple[Content, Content]] = []
    for phrase in phrases:
        found = [place for chain in chains[phrase] for place in places[chain]]
        if len(chains[phrase]) > 1 or len(found) > MAX_BOXES:
            left_out["phrase for different things, or for too many"] += 1
        elif len(turns) == MAX_PHRASES:
            left_out["phrase beyond the limit of an image"] += 1
        else:
            turns.append(((FIND if len(found) == 1 else FIND_ALL).format(phrase), boxes(found)))
    return turns


EVERY_SPLIT: dict[str, int] = dict.fromkeys(("train", "val", "test"), 31_783)
REFER = "lichengunc/refer README.md and refer.py"
REFER_NOTE = (
    "Images are those of COCO 2014 (train2014). Validation and test images of RefCOCOg are in the training parts of "
    "RefCOCO and RefCOCO+, and vice versa; all of them are in COCO's training part."
)


def _refs(name: str, title: str, file: str, counts: tuple[int, ...]) -> Source:
    parts = ("train", "val", "test") if len(counts) == 3 else ("train", "val", "testA", "testB")
    instances = file.split("/")[0] + "/instances.json"
    return Source(
        name=name,
        title=title,
        task="grounding",
        home="https://github.com/lichengunc/refer",
        licence="Apache-2.0 (the repository of the release); COCO images under Flickr's terms",
        files=(
            Expected(file, "objects referred to, with expressions"),
            Expected(instances, "boxes"),
            Expected("COCO_train2014_*.jpg", "images of COCO 2014"),
        ),
        unit="objects",
        count=dict(zip(parts, counts, strict=True)),
        layout=REFER,
        prompts=(FIND,),
        read=partial(read_refs, file, instances),
        build=build_refs,
        note=REFER_NOTE,
    )


SOURCES = (
    Source(
        name="visual-genome",
        title="Visual Genome, region descriptions",
        task="grounding",
        home="https://homes.cs.washington.edu/~ranjay/visualgenome/api.html",
        licence="CC-BY-4.0 (annotations); images under Flickr's terms",
        files=(
            Expected("region_descriptions.json", "phrases and boxes"),
            Expected("image_data.json", "sizes and addresses of images"),
            Expected("VG_100K*/*.jpg", "images, in VG_100K and VG_100K_2", {"train": 108_077}),
        ),
        unit="images",
        count={"train": 108_077},
        layout="ranjaykrishna/visual_genome_python_driver visual_genome/local.py and utils.py; "
        "https://huggingface.co/datasets/ranjaykrishna/visual_genome (fields, count)",
        prompts=(FIND, *NAME),
        read=read_visual_genome,
        build=build_visual_genome,
        note="The release has no split. About half of its images are COCO's, some of them of the validation and test "
        "parts of RefCOCO, RefCOCO+ and RefCOCOg.",
    ),
    _refs("refcoco", "RefCOCO", "refcoco/refs(unc).p", (42_404, 3_811, 1_975, 1_810)),
    _refs("refcoco-plus", "RefCOCO+", "refcoco+/refs(unc).p", (42_278, 3_805, 1_975, 1_798)),
    _refs("refcocog", "RefCOCOg (UMD split)", "refcocog/refs(umd).p", (42_226, 2_573, 5_023)),
    Source(
        name="flickr30k",
        title="Flickr30k Entities",
        task="grounding",
        home="https://github.com/BryanPlummer/flickr30k_entities",
        licence="non-commercial research and education only; images under Flickr's terms",
        files=(
            Expected("{split}.txt", "ids of the images of the split", {"train": 1, "val": 1, "test": 1}),
            Expected("Sentences/*.txt", "captions with marked phrases", EVERY_SPLIT),
            Expected("Annotations/*.xml", "boxes", EVERY_SPLIT),
            Expected("*.jpg", "images of Flickr30k, to be had from its owners"),
        ),
        unit="images",
        count={"train": 29_783, "val": 1_000, "test": 1_000},
        layout="BryanPlummer/flickr30k_entities README.md, flickr30k_entities_utils.py and UNRELATED_CAPTIONS",
        prompts=(GROUNDED_CAPTION, FIND, FIND_ALL),
        read=read_flickr30k,
        build=build_flickr30k,
        note="annotations.zip of the repository must be unpacked. Captions that UNRELATED_CAPTIONS lists are left out. "
        "The images and captions are those of Flickr30k, so its test part must not be scored after training on all.",
    ),
)
