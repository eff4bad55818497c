"""COCO's JSON form in four dialects, and Open Images."""

from pathlib import Path

from excerpts.files import picture, put

SIZE = {"width": 64, "height": 48}


def annotation(number: int, image: int, category: int, bbox: list, **more: object) -> dict:
    """An entry of `annotations` as COCO has it."""
    x, y, w, h = bbox
    outline = [[x, y, x + w, y, x + w, y + h]]
    entry = {"segmentation": outline, "area": w * h, "iscrowd": 0, "image_id": image, "bbox": bbox}
    return entry | {"category_id": category, "id": number} | more


def coco_image(number: int, folder: str = "train2017", **more: object) -> dict:
    """An entry of `images` as COCO has it."""
    name = f"{number:012d}.jpg"
    entry = {"license": 3, "file_name": name, "coco_url": f"http://images.cocodataset.org/{folder}/{name}"}
    entry |= SIZE | {"date_captured": "2013-11-14 11:18:45", "flickr_url": f"http://farm9.example/{number}.jpg"}
    return entry | {"id": number} | more


HEAD = {"info": {"year": 2017, "version": "1.0"}, "licenses": [{"url": "-", "id": 3, "name": "-"}]}


def _coco(root: Path) -> None:
    names = [
        ("person", 1, "person"),
        ("vehicle", 2, "bicycle"),
        ("outdoor", 10, "traffic light"),
        ("animal", 18, "dog"),
    ]
    crowd = {"iscrowd": 1, "segmentation": {"counts": [20, 5, 3047], "size": [48, 64]}}
    content = HEAD | {
        "images": [coco_image(9), coco_image(25), coco_image(30), coco_image(34), coco_image(42)],
        "annotations": [
            annotation(1, 9, 1, [10.5, 5.25, 8, 30]),
            annotation(2, 9, 1, [30.0, 2.0, 20.5, 44.0]),
            annotation(3, 9, 18, [2.0, 30.0, 12.0, 10.0]),
            annotation(4, 25, 1, [0, 0, 64, 20], **crowd),
            annotation(5, 25, 1, [5, 25, 6, 20]),
            annotation(6, 25, 10, [50, 2, 4, 9]),
            annotation(7, 34, 2, [20, 20, 0, 5]),
            annotation(8, 34, 18, [20, 20, 30, 25]),
            annotation(9, 42, 2, [1, 1, 20, 20]),
            annotation(10, 42, 18, [20, 20, 30, 25]),
            annotation(11, 42, 10, [60, 1, 3, 8]),
        ],
        "categories": [{"supercategory": group, "id": number, "name": name} for group, number, name in names],
    }
    put(root / "annotations" / "instances_train2017.json", content)
    for image in content["images"]:
        picture(root / "train2017" / image["file_name"])


def _lvis(root: Path) -> None:
    def image(number: int, folder: str, incomplete: list[int], absent: list[int]) -> dict:
        entry = coco_image(number, folder, not_exhaustive_category_ids=incomplete, neg_category_ids=absent)
        del entry["file_name"]
        return entry

    def category(number: int, name: str, meaning: str) -> dict:
        entry = {"frequency": "c", "id": number, "synset": f"{name}.n.01", "image_count": 12, "instance_count": 30}
        return entry | {"synonyms": [name], "def": meaning, "name": name}

    boxes = [
        annotation(1, 9, 12, [10.5, 5.25, 8, 30]),
        annotation(2, 9, 12, [30.0, 2.0, 20.5, 44.0]),
        annotation(3, 9, 330, [2.0, 30.0, 12.0, 10.0]),
        annotation(4, 285, 805, [5, 5, 20, 20]),
        annotation(5, 285, 330, [30, 5, 30, 20]),
    ]
    for box in boxes:
        del box["iscrowd"]
    content = HEAD | {
        "images": [
            image(9, "train2017", [], [805]),
            image(285, "val2017", [805], [12]),
            image(300, "train2017", [], [12, 330, 900]),
            image(301, "train2017", [330], []),
        ],
        "annotations": boxes,
        "categories": [
            category(12, "street_sign", "a sign"),
            category(330, "crab_(animal)", "an animal"),
            category(805, "trousers", "a garment"),
            category(900, "polo_shirt", "a shirt"),
        ],
    }
    put(root / "lvis_v1_train.json", content)
    for entry in content["images"]:
        picture(root / Path(entry["coco_url"]).parent.name / Path(entry["coco_url"]).name)


def _objects365(root: Path) -> None:
    def image(number: int) -> dict:
        name = f"images/v1/patch8/objects365_v1_{number:08d}.jpg"
        return SIZE | {"id": number, "license": 5, "file_name": name, "url": ""}

    content = {
        "images": [image(420917), image(420918), image(420919)],
        "annotations": [
            annotation(51, 420917, 53, [10, 10, 8.5, 9.25], isfake=0, isreflected=0),
            annotation(52, 420917, 13, [20, 1, 30, 40], isfake=0, isreflected=0),
            annotation(53, 420917, 4, [1, 40, 5, 5], isfake=0, isreflected=0),
            annotation(54, 420918, 35, [1, 10, 62, 30], isfake=0, isreflected=1),
            annotation(55, 420918, 13, [20, 1, 30, 40], isfake=0, isreflected=0, iscrowd=1),
            annotation(56, 420919, 35, [1, 10, 60, 30], isfake=0, isreflected=0),
            annotation(57, 420919, 53, [1, 10, 10, 3], isfake=0, isreflected=0),
        ],
        "categories": [
            {"id": 4, "name": "Other Shoes"},
            {"id": 13, "name": "Cabinet/shelf"},
            {"id": 35, "name": "SUV"},
            {"id": 53, "name": "Bakset"},
        ],
        "licenses": [{"name": "AttributionNonCommercial-ShareAlikeLicense", "id": 1, "url": "-"}],
    }
    for entry in content["annotations"]:
        del entry["segmentation"]
    put(root / "annotations" / "zhiyuan_objv2_train.json", content)
    for entry in content["images"]:
        picture(root / "train" / "patch8" / Path(entry["file_name"]).name)


def _v3det(root: Path) -> None:
    def category(number: int, name: str) -> dict:
        entry = {"name": name, "name_zh": "-", "cat_info": ["-"], "cat_info_gpt": ["-"], "novel": False}
        return entry | {"id": number}

    names = ["images/n07745046/21_371_1.jpg", "images/a00000066/3_1_2.jpg"]
    content = {
        "images": [SIZE | {"file_name": name, "id": number} for number, name in enumerate(names, 1)],
        "categories": [category(1, "ackee"), category(2, "wine bottle"), category(3, "strawberry")],
        "annotations": [
            annotation(1, 1, 1, [4, 4, 20, 20]),
            annotation(2, 1, 3, [30, 20, 10, 8]),
            annotation(3, 1, 3, [44, 20, 12, 9]),
            annotation(4, 2, 2, [3, 3, 10, 42]),
        ],
    }
    for entry in content["annotations"]:
        del entry["segmentation"], entry["id"]
    put(root / "annotations" / "v3det_2023_v1_train.json", content)
    for name in names:
        picture(root / name)


def _open_images(root: Path) -> None:
    heading = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,"
    heading += "IsInside,XClick1X,XClick2X,XClick3X,XClick4X,XClick1Y,XClick2Y,XClick3Y,XClick4Y"
    clicks = "-1.000000," * 7 + "-1.000000"
    rows = [
        f"000002b66c9c498e,xclick,/m/01g317,1,0.012500,0.195312,0.148438,0.587500,0,1,0,0,0,{clicks}",
        f"000002b66c9c498e,xclick,/m/01g317,1,0.250000,0.750000,0.125000,1.000000,0,1,0,0,0,{clicks}",
        f"000002b66c9c498e,activemil,/m/0k4j,1,0.800000,0.900000,0.500000,0.600000,-1,-1,0,0,0,{clicks}",
        f"000026e7ee790996,xclick,/m/07j7r,1,0.071875,0.145313,0.206250,0.391667,0,1,1,0,0,{clicks}",
        f"000026e7ee790996,xclick,/m/0dzct,1,0.439063,0.571875,0.264583,0.435417,0,1,0,1,0,{clicks}",
        f"000062a39995e348,xclick,/m/07j7r,1,0.439063,0.571875,0.264583,0.435417,0,1,1,0,0,{clicks}",
    ]
    put(root / "oidv6-train-annotations-bbox.csv", "\n".join([heading, *rows]) + "\n")
    names = ["/m/01g317,Person", "/m/0k4j,Car", "/m/07j7r,Tree", "/m/0dzct,Human face", "/m/014j1m,Apple"]
    put(root / "class-descriptions-boxable.csv", "\n".join(names) + "\n")
    labels = [
        "ImageID,Source,LabelName,Confidence",
        "000002b66c9c498e,verification,/m/014j1m,0",
        "000002b66c9c498e,verification,/m/01g317,1",
        "000026e7ee790996,verification,/m/0k4j,0",
        "000062a39995e348,verification,/m/014j1m,0",
    ]
    put(root / "train-annotations-human-imagelabels-boxable.csv", "\n".join(labels) + "\n")
    for name in ("000002b66c9c498e", "000026e7ee790996", "000062a39995e348"):
        picture(root / "train_0" / f"{name}.jpg", 80, 40)


EXCERPTS = {
    "coco": _coco,
    "lvis": _lvis,
    "objects365": _objects365,
    "v3det": _v3det,
    "openimages": _open_images,
}
