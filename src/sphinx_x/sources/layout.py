"""Layout of documents: PubLayNet, DocLayNet and M6Doc, released as COCO JSON, and DocBank, which labels tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from functools import partial
from pathlib import Path

from sphinx_x.boxes import Box, clip, from_xywh, sides, union
from sphinx_x.errors import DataError
from sphinx_x.sources.base import UNVERIFIED, Draft, Expected, Malformed, Raw, Record, Source, UnusedError
from sphinx_x.sources.coco import coco_records, name_of, said, size_of
from sphinx_x.sources.dialogue import Content, box, boxes, dialogue, listing, pick, rng_of
from sphinx_x.sources.names import plural

DETECT = (
    "Detect the layout of the document.",
    "Detect all layout elements of the document and provide their bounding box coordinates.",
    "What is the layout of this page? Give every kind of region with its boxes.",
)
WHERE = (
    "Where are the {} regions?",
    "Detect all {} regions in the document.",
    "Is there any {} on this page? Provide the bounding box coordinates.",
)
WHAT = (
    "What kind of layout element is in the region {}?",
    "Name the layout class of the region {}.",
)
PROMPTS = DETECT + WHERE + WHAT
MOST = 100
"""Limit of the regions in one answer; of a page with more, only classes with fewer are asked for."""

USED = ("category_id", "bbox", "iscrowd", "precedence")
"""The fields of an annotation that are read."""

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

Region = tuple[str, Box]
"""The class of a region as it is written in text, and its box."""


def read_pages(raw: Raw, pattern: str) -> Iterator[Record]:
    """Yield one record for each image of the COCO JSON file, with its annotations and all classes."""
    content = raw.json(pattern)
    names = {entry["id"]: spoken(entry["name"]) for entry in content["categories"]}
    classes = [spoken(entry["name"]) for entry in content["categories"] if not entry["name"].startswith("_")]
    for record in coco_records(content):
        if isinstance(record.data, Malformed):
            yield record
            continue
        image, annotations = record.data
        regions = [{key: entry.get(key) for key in USED} for entry in annotations]
        yield Record(record.id, {"image": image, "annotations": regions, "names": names, "classes": classes})


def build_page(record: Record, raw: Raw, folder: str) -> Draft:
    """Ask about the regions of a page, by class."""
    left_out: Counter[str] = Counter()
    regions, picture = page_of(record, raw, folder, left_out)
    image, names = record.data["image"], record.data["names"]
    every = [(name_of(names, one["category_id"]), from_xywh(one["bbox"])) for one in record.data["annotations"]]
    named = named_on(every, image["width"], image["height"])
    turns = layout_turns(regions, record.data["classes"], record.id, left_out, named)
    return Draft(dialogue(turns), [picture], size=size_of(image), left_out=left_out)


def page_of(record: Record, raw: Raw, folder: str, left_out: Counter[str]) -> tuple[list[Region], Path]:
    """Return the regions of a page in pixels from top to bottom, and its image.

    Crowds and duplicate annotations are left out.
    """
    image, names = record.data["image"], record.data["names"]
    regions: list[Region] = []
    for entry in record.data["annotations"]:
        if said(entry, "iscrowd"):
            left_out["crowd region"] += 1
        elif int(entry["precedence"] or 0):
            left_out["redundant annotation"] += 1
        else:
            regions.append((name_of(names, entry["category_id"]), from_xywh(entry["bbox"])))
    picture = raw.picture(f"{folder.replace('{split}', raw.split)}/{image['file_name']}")
    return within(regions, image["width"], image["height"], left_out), picture


def spoken(name: str) -> str:
    """Return a class as it is written in a sentence: `List-item` becomes `list item`, `QR code` stays."""
    words = name.replace("_", " ").replace("-", " ").split()
    return " ".join(word if word.isupper() else word.lower() for word in words)


def named_on(regions: Iterable[Region], width: float, height: float) -> set[str]:
    """Return the classes of regions that are on a page of this size, even if their boxes have no area."""
    return {name for name, (x1, y1, x2, y2) in regions if x1 < width and y1 < height and x2 >= 0 and y2 >= 0}


def within(regions: Sequence[Region], width: float, height: float, left_out: Counter[str]) -> list[Region]:
    """Return the regions with at least one unit inside a page of this size, clipped, from top to bottom."""
    found = []
    for name, place in regions:
        place = clip(place, (width, height))
        if min(sides(place)) >= 1:
            found.append((name, place))
        else:
            left_out["empty box"] += 1
    return sorted(found, key=lambda region: (region[1][1], region[1][0]))


def layout_turns(
    regions: Sequence[Region], classes: Sequence[str], key: str, left_out: Counter[str], named: Set[str] = frozenset()
) -> list[tuple[Content, Content]]:
    """Ask for the class of one region, the places of another class and of an absent one, and last the whole layout.

    `named` has all classes that the annotations of the page name, those of regions that are left out among them: they
    are not absent, and without them no layout is whole.
    """
    if not regions:
        raise UnusedError("page without regions")
    rng = rng_of(key)
    places: dict[str, list[Box]] = {}
    for name, place in regions:
        places.setdefault(name, []).append(place)
    name = rng.choice(sorted(places))
    before, after = pick(WHAT, key).split("{}")
    turns: list[tuple[Content, Content]] = [([before, box(rng.choice(places[name])), after], name)]
    few = [other for other in sorted(places) if other != name and len(places[other]) <= MOST]
    whole = len(regions) <= MOST
    asked = rng.sample(few, min(len(few), 1 if whole else 3))
    absent = sorted(set(classes) - set(places) - named)
    for other in [*asked, *([rng.choice(absent)] if absent else [])]:
        turns.append((pick(WHERE, key + other).format(other), counted({other: places.get(other, [])})))
    if whole and named <= places.keys():
        turns.append((pick(DETECT, key), counted(places)))
    else:
        reason = "region of a page with regions left out" if whole else "region of a crowded page"
        left_out[reason] += len(regions) - sum(len(places[other]) for other in asked)
    return turns


UNCOUNTED = {"text": "text block", "code": "code block"}
"""Classes that cannot be counted, and what is counted instead."""


def counted(places: dict[str, list[Box]]) -> list:
    """Return `There are seven text blocks[...], two figures[...] and one title[...] in the image.`, commonest first."""
    order = sorted(places.items(), key=lambda item: -len(item[1]))
    groups = []
    for name, found in order:
        noun = UNCOUNTED.get(name, name)
        said = f"{number_word(len(found))} {plural(noun) if len(found) > 1 else noun}"
        groups.append([said, *([boxes(found)] if found else [])])
    verb = "is" if len(order[0][1]) < 2 else "are"
    return [f"There {verb} ", *listing(groups), " in the image."]


def number_word(number: int) -> str:
    """Return a count in words up to twelve, in digits above."""
    return NUMBERS[number] if number < len(NUMBERS) else str(number)


LABELS = (
    "abstract", "author", "caption", "date", "equation", "figure", "footer", "list", "paragraph", "reference",
    "section", "table", "title",
)  # fmt: skip
NEAR_X, NEAR_Y = 15, 16
"""How far apart tokens of one block may be, in thousandths of the page."""


def read_docbank(raw: Raw) -> Iterator[Record]:
    """Yield one record for each page in the split's index, with the path of its tokens."""
    for name in raw.file("500K_{split}.txt").read_text(encoding="utf-8").split():
        stem = name.removesuffix(".txt")
        try:
            yield Record(stem, raw.file(f"{stem}.txt"))
        except DataError:
            yield Record(stem, Malformed("tokens of the page missing"))


def build_docbank(record: Record, raw: Raw) -> Draft:
    """Ask about regions, which are tokens of one label that are near each other."""
    left_out: Counter[str] = Counter()
    tokens = read_tokens(record.data, left_out)
    regions = within(blocks(tokens), 1000, 1000, left_out)
    turns = layout_turns(regions, LABELS, record.id, left_out, named_on(tokens, 1000, 1000))
    picture = raw.picture(f"DocBank_500K_ori_img/{record.id}_ori.jpg")
    return Draft(dialogue(turns), [picture], unit=1000, left_out=left_out)


def read_tokens(path: Path, left_out: Counter[str]) -> list[Region]:
    """Return the tokens of a page, label and box; ruled lines, which are listed as tokens, are left out."""
    tokens: list[Region] = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != 10 or fields[9] not in LABELS:
            left_out["unreadable token"] += 1
        elif fields[0] == "##LTLine##":
            left_out["ruled line"] += 1
        else:
            x1, y1, x2, y2 = map(float, fields[1:5])
            tokens.append((fields[9], (x1, y1, x2, y2)))
    return tokens


def blocks(tokens: Sequence[Region]) -> list[Region]:
    """Join tokens of one label that are near each other, directly or through others, into the box around them."""
    found: list[Region] = []
    for label in dict.fromkeys(name for name, _ in tokens):
        groups: list[tuple[Box, list[Box]]] = []  # the box around, and the members that what follows can be near to
        for place in sorted((place for name, place in tokens if name == label), key=lambda place: place[1]):
            joined, others = (place, [place]), []
            for around, members in groups:
                members = [other for other in members if place[1] - other[3] <= NEAR_Y]
                if any(place[0] - other[2] <= NEAR_X and other[0] - place[2] <= NEAR_X for other in members):
                    joined = (union([around, joined[0]]), joined[1] + members)
                else:
                    others.append((around, members))
            groups = [*others, joined]
        found += [(label, around) for around, _ in groups]
    return found


def _coco(pattern: str, folder: str) -> dict:
    return {"read": partial(read_pages, pattern=pattern), "build": partial(build_page, folder=folder)}


SOURCES = (
    Source(
        name="publaynet",
        title="PubLayNet",
        task="layout",
        home="https://developer.ibm.com/exchanges/data/all/publaynet/",
        licence="CDLA-Permissive-1.0 (annotations); pages of PubMed Central's open access, commercial use",
        files=(
            Expected("{split}.json", "regions, COCO JSON", {"train": 1, "val": 1}),
            Expected("{split}/*.jpg", "pages", {"train": 335_703, "val": 11_245}),
        ),
        unit="pages",
        count={"train": 335_703, "val": 11_245},
        layout=(
            "ibm-aur-nlp/PubLayNet README.md and examples/samples.json; folders as in "
            "creative-graphic-design/huggingface-datasets_PubLayNet PubLayNet.py"
        ),
        prompts=PROMPTS,
        note="The test split has no public annotations. train.json is read at once and needs much memory.",
        **_coco("{split}.json", "{split}"),
    ),
    Source(
        name="doclaynet",
        title="DocLayNet",
        task="layout",
        home="https://github.com/DS4SD/DocLayNet",
        licence="CDLA-Permissive-1.0",
        files=(
            Expected("COCO/{split}.json", "regions, COCO JSON", {"train": 1, "val": 1, "test": 1}),
            Expected("PNG/*.png", "pages of all splits, 1025x1025", dict.fromkeys(("train", "val", "test"), 80_863)),
        ),
        unit="pages",
        count={"train": 69_375, "val": 6_489, "test": 4_999},
        layout="DS4SD/DocLayNet README.md; counts of the splits: https://huggingface.co/datasets/ds4sd/DocLayNet-v1.1",
        prompts=PROMPTS,
        note="The core dataset is enough; the extra files (PDF, text cells) are not read. Pages without regions are "
        "left out.",
        **_coco("COCO/{split}.json", "PNG"),
    ),
    Source(
        name="m6doc",
        title="M6Doc",
        task="layout",
        home="https://github.com/HCIILAB/M6Doc",
        licence="CC-BY-NC-ND-4.0",
        files=(
            Expected("annotations/instances_{split}2017.json", "regions, COCO JSON", {"train": 1, "val": 1}),
            Expected("{split}2017/*.jpg", "pages"),
        ),
        unit="pages",
        count={},
        layout=f"directory format in HCIILAB/M6Doc README.md; the JSON itself, taken to be as COCO's: {UNVERIFIED}",
        prompts=PROMPTS,
        note="Access to the training split is granted on application. Classes are named as in the file.",
        **_coco("annotations/instances_{split}2017.json", "{split}2017"),
    ),
    Source(
        name="docbank",
        title="DocBank",
        task="layout",
        home="https://doc-analysis.github.io/docbank-page/index.html",
        licence="CC-BY-NC-ND-4.0",
        files=(
            Expected("500K_{split}.txt", "names of the split's pages", {"train": 1, "dev": 1, "test": 1}),
            Expected(
                "DocBank_500K_txt/*.txt",
                "labelled tokens of a page, of all splits",
                dict.fromkeys(("train", "dev", "test"), 500_000),
            ),
            Expected(
                "DocBank_500K_ori_img/*_ori.jpg",
                "pages of all splits",
                dict.fromkeys(("train", "dev", "test"), 500_000),
            ),
        ),
        unit="pages",
        count={"train": 400_000, "dev": 50_000, "test": 50_000},
        layout=(
            "doc-analysis/DocBank README.md, DocBank_samples/README.md and indexed_files/500K_dev.txt (its training "
            "counterpart was not seen, only told of in README.md); "
            "doc-analysis/DocBankLoader docbank_loader/docbank_loader.py, docbank_converter.py (regions out of tokens)"
        ),
        prompts=PROMPTS,
        note=(
            "Needs the index files of the repository's folder indexed_files, so that no page of another split is "
            "included. MSCOCO_Format_Annotation.zip is not read: its classes do not match the set, as VGT's authors "
            "report."
        ),
        read=read_docbank,
        build=build_docbank,
    ),
)
