"""Captions."""

from pathlib import Path

from excerpts.files import picture, put, put_table
from excerpts.instruction import talk


def _coco(root: Path) -> None:
    sizes = {9: (64, 48), 25: (48, 64)}
    images = [
        {
            "license": 3,
            "file_name": f"COCO_train2014_{number:012d}.jpg",
            "coco_url": f"http://images.cocodataset.org/train2014/COCO_train2014_{number:012d}.jpg",
            "height": height,
            "width": width,
            "date_captured": "2013-11-19 20:40:11",
            "flickr_url": "-",
            "id": number,
        }
        for number, (width, height) in sizes.items()
    ]
    captions = [
        (9, "A bowl of bread on a table."),
        (25, "A giraffe eats leaves\n"),
        (9, "Bread in a blue bowl"),
        (9, "A bowl of  bread on a table."),
        (9, "Some food beside a cup."),
        (25, "A tall animal stands by a tree."),
    ]
    annotations = [{"image_id": image, "id": k, "caption": text} for k, (image, text) in enumerate(captions, 101)]
    content = {"info": {"year": 2014}, "images": images, "licenses": [], "annotations": annotations}
    put(root / "annotations" / "captions_train2014.json", content)
    for image in images:
        picture(root / "train2014" / image["file_name"], image["width"], image["height"])


PICTURES = (
    "coco/train2017/000000000009.jpg",
    "llava/llava_pretrain/images/00000/000000009.jpg",
    "sam/images/sa_9.jpg",
)


def _sharegpt4v(root: Path) -> None:
    web = [f"{folder}/images/1.jpg" for folder in ("share_textvqa", "web-celebrity", "web-landmark", "wikiart")]
    records = [
        talk(PICTURES[0], "<image>\nWhat do you see happening in this image?", "A bowl of bread stands on a table."),
        talk(web[2], "Can you describe the main features of this image for me?\n<image>", "A tower above a town."),
        talk(web[3], "<image>\nWhat is this photo about?", "This is a painting of a lake.\n\nIt is calm."),
    ]
    put(root / "sharegpt4v_instruct_gpt4-vision_cap100k.json", records)
    for number, name in enumerate((*PICTURES, *web)):
        picture(root / name, 40 + number, 30)


def _sharegpt4v_pt(root: Path) -> None:
    question = "Provide a comprehensive description of the image.\n<image>"
    records = [talk(name, question, f"It is picture {k}.") for k, name in enumerate(PICTURES)]
    put(root / "share-captioner_coco_lcs_sam_1246k_1107.json", records)
    for number, name in enumerate(PICTURES):
        picture(root / name, 40 + number, 30)


def _laion(root: Path) -> None:
    links = [f"https://example.org/{name}.jpg" for name in ("lake", "cat", "road")]
    captions = ["A calm lake below mountains.", "A cat asleep on a chair.", "A road through a forest."]
    rows = [{"link": link, "caption": caption} for link, caption in zip(links, captions, strict=True)]
    put_table(
        root / "data" / "train-00000-of-00001-0123456789abcdef.parquet",
        [*rows, {"link": links[0], "caption": "A lake, captioned once more."}],
    )
    found = []
    for number, row in enumerate(rows):
        key = f"{number:09d}"
        size = {"width": 50, "height": 40, "original_width": 50, "original_height": 40}
        found.append(
            {"url": row["link"], "caption": row["caption"], "key": key, "status": "success", "error_message": None}
            | size
            | {"exif": "{}", "sha256": "-"}
        )
        picture(root / "images" / "00000" / f"{key}.jpg", 50, 40)
    put_table(root / "images" / "00000.parquet", found)


EXCERPTS = {
    "coco-captions": _coco,
    "sharegpt4v": _sharegpt4v,
    "sharegpt4v-pt": _sharegpt4v_pt,
    "laion-gpt4v": _laion,
}
