"""Small releases and pictures for the tests of the Set-of-Marks engine."""

import json
import random
from pathlib import Path

from PIL import Image, ImageDraw

from excerpts.files import put


def coco(root: Path, images: int = 6, seed: int = 0, size: tuple[int, int] = (240, 180)) -> Path:
    """A file in COCO's form with polygons, a mask in runs, boxes and a crowd, and its pictures; gives the file."""
    rng = random.Random(seed)
    entries, annotations = [], []
    for number in range(images):
        name = f"{number:03d}.png"
        picture = Image.new("RGB", size, tuple(rng.randrange(256) for _ in range(3)))
        draw = ImageDraw.Draw(picture)
        for _ in range(rng.randint(1, 7)):
            x, y = rng.randint(0, size[0] - 40), rng.randint(0, size[1] - 40)
            w, h = rng.randint(16, size[0] - x), rng.randint(16, size[1] - y)
            draw.ellipse((x, y, x + w - 1, y + h - 1), fill=tuple(rng.randrange(256) for _ in range(3)))
            corners = [x, y + h / 2, x + w / 2, y, x + w, y + h / 2, x + w / 2, y + h]
            entry = {"id": len(annotations), "image_id": number, "category_id": rng.randint(1, 3)}
            entry |= {"bbox": [x, y, w, h], "iscrowd": 0, "area": w * h}
            if rng.random() < 0.8:
                entry["segmentation"] = [corners]
            annotations.append(entry)
        (root / "images").mkdir(parents=True, exist_ok=True)
        picture.save(root / "images" / name)
        entries.append({"id": number, "file_name": name, "width": size[0], "height": size[1]})
    runs = {"size": [size[1], size[0]], "counts": [size[1] * 20, size[1] * 60, size[1] * (size[0] - 80)]}
    extra = {"image_id": 0, "category_id": 2, "bbox": [20, 0, 60, size[1]], "area": 1}
    annotations.append(extra | {"id": len(annotations), "iscrowd": 0, "segmentation": runs})
    annotations.append(extra | {"id": len(annotations), "iscrowd": 1, "segmentation": runs})
    names = [{"id": 1, "name": "dog"}, {"id": 2, "name": "traffic light"}, {"id": 3, "name": "skis"}]
    put(root / "instances.json", {"images": entries, "annotations": annotations, "categories": names})
    return root / "instances.json"


def visual_genome(root: Path) -> None:
    """Objects and relationships of three images, one of them without objects."""
    url = "https://cs.stanford.edu/people/rak248"
    sizes = {"width": 200, "height": 150, "coco_id": None, "flickr_id": None}
    put(root / "image_data.json", [sizes | {"image_id": n, "url": f"{url}/VG_100K/{n}.jpg"} for n in (1, 2, 3)])
    for number in (1, 2, 3):
        (root / "VG_100K").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (200, 150), "teal").save(root / "VG_100K" / f"{number}.jpg")

    def thing(number: int, name: str, x: int, y: int, w: int, h: int, **more) -> dict:
        return {"object_id": number, "names": [name], "synsets": [], "x": x, "y": y, "w": w, "h": h, **more}

    man, hat = thing(10, "Man", 20, 20, 60, 120, merged_object_ids=[17]), thing(11, "hat.", 30, 20, 40, 20)
    tree = thing(12, "tree", 110, 5, 80, 120)
    objects = [{"image_id": 1, "image_url": "", "objects": [man, hat, tree, thing(13, "", 1, 1, 9, 9)]}]
    objects += [{"image_id": 2, "image_url": "", "objects": [thing(20, "cat", 5, 5, 50, 50)]}]
    objects += [{"image_id": 3, "image_url": "", "objects": []}]
    put(root / "objects.json", objects)

    def relation(number: int, subject: int, predicate: str, thing: int) -> dict:
        ends = {"subject": {"object_id": subject, "name": "?"}, "object": {"object_id": thing, "name": "?"}}
        return {"relationship_id": number, "predicate": predicate, "synsets": [], **ends}

    found = [relation(1, 17, "WEARING", 11), relation(2, 10, "wearing", 11), relation(3, 10, "near", 99)]
    put(root / "relationships.json", [{"image_id": 1, "relationships": found}, {"image_id": 2, "relationships": []}])


def copies(path: Path) -> dict[str, bytes]:
    """All files below a folder with their content, but for locks."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != ".lock"
    }


def load(path: Path) -> dict:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
