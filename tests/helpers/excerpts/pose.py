"""Key points in COCO's form."""

from pathlib import Path

from excerpts.detection import HEAD, SIZE, annotation, coco_image
from excerpts.files import picture, put

SIDES = ["eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
BODY = ["nose", *(f"{side}_{part}" for part in SIDES for side in ("left", "right"))]


def _points(names: list[str], places: dict[str, list[int]]) -> dict:
    numbers = [n for name in names for n in places.get(name, [0, 0, 0])]
    return {"num_keypoints": sum(n > 0 for n in numbers[2::3]), "keypoints": numbers}


def _coco_pose(root: Path) -> None:
    small = _points(BODY, {"nose": [20, 10, 2], "left_eye": [22, 9, 2], "right_eye": [18, 9, 1]})
    large = _points(BODY, {"left_shoulder": [50, 15, 2], "right_wrist": [40, 40, 2], "left_hip": [48, 90, 2]})
    crowd = {"iscrowd": 1, "segmentation": {"counts": [3072], "size": [48, 64]}} | _points(BODY, {})
    content = HEAD | {
        "images": [coco_image(36), coco_image(49), coco_image(61)],
        "annotations": [
            annotation(11, 36, 1, [14, 5, 12, 30], **small),
            annotation(12, 36, 1, [35.5, 2, 25, 44], **large),
            annotation(13, 36, 1, [1, 1, 5, 5], **_points(BODY, {})),
            annotation(90010, 49, 1, [0, 0, 64, 48], **crowd),
        ],
        "categories": [
            {"supercategory": "person", "id": 1, "name": "person", "keypoints": BODY, "skeleton": [[16, 14], [14, 12]]}
        ],
    }
    put(root / "annotations" / "person_keypoints_train2017.json", content)
    for image in content["images"]:
        picture(root / "train2017" / image["file_name"])


def _unipose(root: Path) -> None:
    table = ["desktop corner 1", "desktop corner 2", "table leg 1"]
    animal = ["left eye", "right eye", "root of tail"]
    images = [
        coco_image(391895),
        SIZE | {"flickr_url": "unknown", "coco_url": "unknown", "file_name": "car_fifth2/images_jpg/2_07961.jpg"},
        SIZE
        | {"coco_url": "", "date_captured": "", "file_name": "017071.jpg", "flickr_url": "", "id": 17071, "license": 0},
    ]
    images[1] |= {"id": 200207961, "license": 1, "date_captured": "unknown"}
    content = {
        "images": images,
        "annotations": [
            annotation(1, 391895, 1, [14, 5, 12, 30], **_points(BODY, {"nose": [20, 10, 1]})),
            annotation(2, 200207961, 2, [4, 5, 52, 30], **_points(table, {table[0]: [5, 6, 2], table[2]: [50, 30, 1]})),
            annotation(3, 17071, 3, [3, 5, 52, 30], **_points(animal, {animal[0]: [9, 9, 2], animal[2]: [50, 20, 2]})),
        ],
        "categories": [
            {"id": 1, "name": "person", "keypoints": BODY, "skeleton": []},
            {"id": 2, "name": "table", "keypoints": table, "skeleton": []},
            {"id": 3, "name": "arctic fox", "keypoints": animal, "skeleton": []},
        ],
    }
    put(root / "unikpt_training_annotations.json", content)
    for image in images:
        picture(root / image["file_name"])


EXCERPTS = {"coco-pose": _coco_pose, "unipose": _unipose}
