"""COCO JSON of pages, and DocBank's tokens."""

from pathlib import Path

from excerpts.files import picture, put

PUBLAYNET = ("text", "title", "list", "table", "figure")
DOCLAYNET = (
    "Caption", "Footnote", "Formula", "List-item", "Page-footer", "Page-header", "Picture", "Section-header", "Table",
    "Text", "Title",
)  # fmt: skip
M6DOC = ("_background_", "QR code", "advertisement", "answer", "first-level title", "paragraph", "page number")


def _annotation(number: int, image: int, category: int, bbox: list[float], **more: int) -> dict:
    x, y, width, height = bbox
    corners = [x, y, x, y + height, x + width, y + height, x + width, y]
    entry = {"id": number, "image_id": image, "category_id": category, "bbox": bbox, "segmentation": [corners]}
    return entry | {"area": width * height, "iscrowd": 0} | more


def _publaynet(root: Path) -> None:
    names = ["PMC1234567_00003.jpg", "PMC1234567_00004.jpg"]
    images = [{"file_name": name, "height": 80, "id": 340000 + k, "width": 60} for k, name in enumerate(names)]
    annotations = [
        _annotation(3370001, 340000, 1, [5.5, 30.25, 22, 40]),
        _annotation(3370002, 340000, 1, [32, 30, 22, 20.5]),
        _annotation(3370003, 340000, 2, [5.5, 22, 20, 5]),
        _annotation(3370004, 340000, 5, [10, 2, 40, 18]),
        _annotation(3370005, 340001, 4, [6, 6, 48, 30]),
        _annotation(3370006, 340001, 1, [6, 40, 48, 30]),
        _annotation(3370007, 340001, 1, [0, 40, 60, 40], iscrowd=1),
    ]
    categories = [{"supercategory": "", "id": k, "name": name} for k, name in enumerate(PUBLAYNET, 1)]
    put(root / "train.json", {"images": images, "annotations": annotations, "categories": categories})
    for name in names:
        picture(root / "train" / name, 60, 80)


def _doclaynet(root: Path) -> None:
    names = ["132a855e.png", "9f01c2d3.png"]
    images = [
        {
            "id": k,
            "width": 1025,
            "height": 1025,
            "file_name": name,
            "doc_category": "financial_reports",
            "collection": "ann_reports_00_04_fancy",
            "doc_name": "NASDAQ_TEST_2002.pdf",
            "page_no": 8 + k,
            "precedence": 0,
        }
        for k, name in enumerate(names, 1)
    ]
    annotations = [
        _annotation(8, 1, 7, [434.93, -0.49, 589.85, 590.23], precedence=0),
        _annotation(9, 1, 8, [67, 112, 290.86, 13.66], precedence=0),
        _annotation(10, 1, 10, [67, 133.58, 325.35, 131.31], precedence=0),
        _annotation(11, 1, 10, [67, 272.84, 325.48, 131.3], precedence=0),
        _annotation(12, 1, 10, [67, 272, 325, 132], precedence=1),
        _annotation(13, 2, 4, [67, 100, 800, 20], precedence=0),
        _annotation(14, 2, 4, [67, 130, 800, 20], precedence=0),
        _annotation(15, 2, 5, [18.32, 1005.24, 7.44, 10.35], precedence=0),
        _annotation(16, 2, 9, [1025, 300, 12, 12], precedence=0),
    ]
    categories = [{"supercategory": name, "id": k, "name": name} for k, name in enumerate(DOCLAYNET, 1)]
    put(root / "COCO" / "train.json", {"categories": categories, "images": images, "annotations": annotations})
    for name in names:
        picture(root / "PNG" / name, 1025, 1025)


def _m6doc(root: Path) -> None:
    images = [{"id": 7, "file_name": "book_0007.jpg", "width": 90, "height": 120}]
    annotations = [
        _annotation(1, 7, 4, [10, 8, 60, 10]),
        _annotation(2, 7, 5, [10, 20, 70, 30]),
        _annotation(3, 7, 5, [10, 55, 70, 40]),
        _annotation(4, 7, 1, [60, 98, 20, 20]),
    ]
    categories = [{"supercategory": "none", "id": k, "name": name} for k, name in enumerate(M6DOC)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    put(root / "annotations" / "instances_train2017.json", content)
    picture(root / "train2017" / "book_0007.jpg", 90, 120)


def _docbank(root: Path) -> None:
    page = "11.tar_1701.00001.gz_paper_1"
    rows = [
        ("Deep\t200\t50\t260\t66", "title"),
        ("Pages\t266\t50\t330\t66", "title"),
        ("We\t100\t200\t130\t214", "paragraph"),
        ("show\t137\t200\t180\t214", "paragraph"),
        ("that\t100\t217\t140\t231", "paragraph"),
        ("E=mc2\t300\t300\t380\t314", "equation"),
        ("Next\t100\t350\t140\t364", "paragraph"),
        ('"quoted"\t147\t350\t230\t364', "paragraph"),
        ("##LTLine##\t100\t340\t900\t341", "paragraph"),
        ("##LTFigure##\t500\t400\t900\t700", "figure"),
        ("cut\t100\t400", "paragraph"),
    ]
    fonts = {"##LTFigure##": "default", "##LTLine##": "default"}
    lines = [f"{row}\t0\t0\t0\t{fonts.get(row.split()[0], 'FKLVFB+CMR12')}\t{label}\n" for row, label in rows]
    put(root / "DocBank_500K_txt" / f"{page}.txt", "".join(lines))
    put(root / "DocBank_500K_txt" / "12.tar_1701.00002.gz_other_0.txt", "".join(lines))
    put(root / "indexed_files" / "500K_train.txt", f"{page}.txt\n")
    picture(root / "DocBank_500K_ori_img" / f"{page}_ori.jpg", 170, 220)


EXCERPTS = {"publaynet": _publaynet, "doclaynet": _doclaynet, "m6doc": _m6doc, "docbank": _docbank}
