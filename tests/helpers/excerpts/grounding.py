"""Phrases with boxes: JSON of Visual Genome, pickles of the refer release, text and XML of Flickr30k Entities."""

import pickle
from pathlib import Path

from excerpts.detection import annotation, coco_image
from excerpts.files import picture, put


def _visual_genome(root: Path) -> None:
    def region(number: int, image: int, phrase: str, box: tuple[int, int, int, int]) -> dict:
        x, y, width, height = box
        entry = {"region_id": number, "width": width, "height": height, "image_id": image, "phrase": phrase}
        return entry | {"y": y, "x": x}

    first = [
        region(1382, 1, "the clock is green in colour", (10, 5, 12, 20)),
        region(1383, 1, "a man ", (30, 8, 10, 35)),
        region(1384, 1, "A man", (45, 8, 10, 35)),
        region(1385, 1, "street light.", (2, 2, 3, 40)),
        region(1386, 1, "", (2, 2, 3, 40)),
        region(1387, 1, "shadow on the wall", (70, 2, 3, 4)),
    ]
    regions = {1: first, 2: [region(2001, 2, "red car", (-1, 20, 30, 20))], 3: []}
    put(root / "region_descriptions.json", [{"regions": found, "id": image} for image, found in regions.items()])
    folders = {1: "VG_100K_2", 2: "VG_100K", 3: "VG_100K"}
    sizes = {"width": 64, "height": 48, "coco_id": None, "flickr_id": None}
    url = "https://cs.stanford.edu/people/rak248"
    put(
        root / "image_data.json",
        [sizes | {"image_id": n, "url": f"{url}/{folder}/{n}.jpg"} for n, folder in folders.items()],
    )
    for number, folder in folders.items():
        picture(root / folder / f"{number}.jpg")


def _refer(root: Path, folder: str, name: str) -> None:
    def ref(number: int, thing: int, image: int, split: str, *sentences: str) -> dict:
        said = [
            {"tokens": text.split(), "raw": text.title(), "sent_id": number * 10 + k, "sent": text}
            for k, text in enumerate(sentences)
        ]
        entry = {"sent_ids": [one["sent_id"] for one in said], "file_name": f"COCO_train2014_{image:012d}_{thing}.jpg"}
        entry |= {"ann_id": thing, "ref_id": number, "image_id": image, "split": split, "sentences": said}
        return entry | {"category_id": 1}

    refs = [
        ref(0, 1719310, 581857, "train", "the lady with the blue shirt", "lady w back to us", "blue shirt"),
        ref(1, 1719311, 581857, "train", "guy on left", "left"),
        ref(2, 1719312, 581858, "val", "the dog"),
        ref(3, 1719313, 581859, "train", "umbrella", "umbrella", ""),
    ]
    (root / folder).mkdir(parents=True)
    (root / folder / name).write_bytes(pickle.dumps(refs, protocol=2))
    images = [coco_image(n) | {"file_name": f"COCO_train2014_{n:012d}.jpg"} for n in (581857, 581858, 581859)]
    things = [
        annotation(1719310, 581857, 1, [30.5, 4.0, 20.25, 40.0]),
        annotation(1719311, 581857, 1, [2.0, 4.0, 14.0, 40.0]),
        annotation(1719312, 581858, 18, [2.0, 4.0, 14.0, 20.0]),
        annotation(1719313, 581859, 28, [8.0, 4.0, 50.0, 20.0]),
    ]
    categories = [{"supercategory": "person", "id": 1, "name": "person"}]
    head = {"info": {"description": "-"}, "licenses": []}
    put(root / folder / "instances.json", head | {"images": images, "annotations": things, "categories": categories})
    for image in images:
        picture(root / "images" / "mscoco" / "images" / "train2014" / image["file_name"])


def _entities(image: str, objects: str) -> str:
    size = "<size><width>64</width><height>48</height><depth>3</depth></size>"
    return f"<annotation><filename>{image}.jpg</filename>{size}{objects}</annotation>\n"


def _entity(ids: list[int], box: tuple[int, ...] | None) -> str:
    names = "".join(f"<name>{number}</name>" for number in ids)
    if box is None:
        return f"<object>{names}<scene>1</scene><nobndbox>0</nobndbox></object>"
    corners = "".join(f"<{key}>{n}</{key}>" for key, n in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object>{names}<bndbox>{corners}</bndbox></object>"


def _flickr30k(root: Path) -> None:
    captions = [
        "[/EN#1/people Two young guys] with [/EN#2/bodyparts shaggy hair] hang out in [/EN#3/scene the yard] .",
        "[/EN#1/people Two young , White males] are outside near [/EN#4/other many bushes] .",
        "[/EN#5/people A man] in [/EN#6/clothing a blue shirt] is standing , [/EN#0/notvisual it] seems .",
        "[/EN#1/people Friends] enjoy [/EN#0/notvisual time] together .",
        "The market was busy .",
    ]
    put(root / "Sentences" / "1000092795.txt", "\n".join(captions) + "\n")
    objects = _entity([1, 5], (3, 5, 20, 45)) + _entity([1], (31, 6, 50, 46)) + _entity([2], (32, 7, 40, 12))
    objects += _entity([3], None) + _entity([4], (1, 1, 64, 20)) + _entity([6], (4, 16, 18, 30))
    put(root / "Annotations" / "1000092795.xml", _entities("1000092795", objects + _entity([4], (9, 9, 9, 9))))
    put(root / "Sentences" / "10002456.txt", "[/EN#7/scene A quiet street] at night .\n")
    put(root / "Annotations" / "10002456.xml", _entities("10002456", _entity([7], None)))
    put(root / "train.txt", "1000092795\n10002456\n")
    put(root / "UNRELATED_CAPTIONS", "# format: <imageID> <sentence number>\n1000092795 5\n")
    for name in ("1000092795", "10002456"):
        picture(root / "flickr30k-images" / f"{name}.jpg")


EXCERPTS = {
    "visual-genome": _visual_genome,
    "refcoco": lambda root: _refer(root, "refcoco", "refs(unc).p"),
    "refcoco-plus": lambda root: _refer(root, "refcoco+", "refs(unc).p"),
    "refcocog": lambda root: _refer(root, "refcocog", "refs(umd).p"),
    "flickr30k": _flickr30k,
}
