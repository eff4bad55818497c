"""Phrases and their boxes: RefCOCO, RefCOCO+, RefCOCOg, as refer releases them."""

import pickle
from functools import partial
from pathlib import Path

from releases.files import picture, put

SIZES = {581857: (64, 48), 581858: (48, 64)}


def _refer(root: Path, folder: str, name: str, splits: tuple[str, ...]) -> None:
    refs, things = [], []
    for number, split in enumerate(("train", *splits)):
        image = list(SIZES)[number % 2]
        said = [
            {"tokens": text.split(), "raw": text.title(), "sent_id": 10 * number + k, "sent": text}
            for k, text in enumerate((f"man of {split}", "left"))
        ]
        refs.append(
            {
                "sent_ids": [one["sent_id"] for one in said],
                "file_name": f"COCO_train2014_{image:012d}_{900 + number}.jpg",
                "ann_id": 900 + number,
                "ref_id": number,
                "image_id": image,
                "split": split,
                "sentences": said,
                "category_id": 1,
            }
        )
        things.append({"id": 900 + number, "image_id": image, "category_id": 1, "bbox": [2.5, 4.0, 20.0, 40.0]})
    path = root / folder / name
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(refs, protocol=2))
    images = [
        {"id": number, "file_name": f"COCO_train2014_{number:012d}.jpg", "width": width, "height": height}
        for number, (width, height) in SIZES.items()
    ]
    put(root / folder / "instances.json", {"info": {}, "images": images, "annotations": things, "categories": []})
    for image in images:
        file = root / "images" / "mscoco" / "images" / "train2014" / image["file_name"]
        picture(file, "gray", image["width"], image["height"])


RELEASES = {
    "refcoco": partial(_refer, folder="refcoco", name="refs(unc).p", splits=("val", "testA", "testB")),
    "refcoco+": partial(_refer, folder="refcoco+", name="refs(unc).p", splits=("val", "testA", "testB")),
    "refcocog": partial(_refer, folder="refcocog", name="refs(umd).p", splits=("val", "test")),
}
