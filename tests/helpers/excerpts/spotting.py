"""Annotation files of scene text, one an image."""

from pathlib import Path

from excerpts.files import picture, put


def _icdar2013(root: Path) -> None:
    labels, images = root / "Challenge2_Training_Task1_GT", root / "Challenge2_Training_Task12_Images"
    rows = [
        '15 12 41 18 "Footpath"',
        '44 12 50 16 "To"',
        '6 20 36 24 "Colchester"',
        '40 21 60 25 "and"',
        '6 30 50 38 "say \\"Hi\\", C:\\\\"',
        '20 40 20 44 "thin"',
    ]
    put(labels / "gt_100.txt", "\r\n".join(rows) + "\r\n")
    put(labels / "gt_101.txt", '2 2 40 20 "EXIT"\r\n')
    picture(images / "100.jpg", 64, 48)
    picture(images / "101.jpg", 64, 48)


def _icdar2015(root: Path) -> None:
    labels, images = root / "ch4_training_localization_transcription_gt", root / "ch4_training_images"
    rows = [
        "37,11,46,11,46,13,37,13,Genaxis Theatre",
        "49,11,57,12,56,14,49,14,[06]",
        "5,20,30,22,29,28,4,26,3,000",
        "40,30,60,30,60,36,40,36,EXIT",
        "5,36,25,36,25,40,5,40,exit",
        "1,1,6,1,6,3,1,3,###",
    ]
    put(labels / "gt_img_4.txt", "\ufeff" + "\r\n".join(rows) + "\r\n")
    put(labels / "gt_img_2.txt", "\ufeff7,1,12,1,12,4,7,4,###\r\n")
    picture(images / "img_4.jpg", 64, 48)
    picture(images / "img_2.jpg", 64, 48)


def _box(label: str, corners: list[tuple[int, int]]) -> str:
    across, down = zip(*corners, strict=True)
    place = (
        f'height="{max(down) - min(down)}" left="{min(across)}" top="{min(down)}" width="{max(across) - min(across)}"'
    )
    segs = ",".join(f"{x},{y}" for x, y in corners)
    return f'  <box {place}>\n   <label>{label}</label>\n   <segs>{segs}</segs>\n   <pts x="1" y="1" />\n  </box>\n'


def _bow(left: int, top: int) -> list[tuple[int, int]]:
    rise = [6, 4, 2, 0, 2, 4, 6]
    upper = [(left + 8 * k, top + rise[k]) for k in range(7)]
    return upper + [(x, y + 10) for x, y in reversed(upper)]


def _ctw1500(root: Path) -> None:
    first = [
        _box("OLATHE &amp; SONS", _bow(10, 5)),
        _box("EST. 1908", _bow(12, 24)),
        _box("", _bow(12, 30)),
        _box("FINE TOOLS", _bow(8, 42)),
        _box("OLATHE", _bow(2, 60)),
    ]
    for name, boxes in (("0004", first), ("0200", [_box("欢迎 光临", _bow(6, 6))])):
        content = f' <image file="{name}.jpg">\n{"".join(boxes)} </image>\n'
        put(root / "ctw1500_train_labels" / f"{name}.xml", f"<Annotations>\n{content}</Annotations>\n")
        picture(root / "train_images" / f"{name}.jpg", 72, 80)


def _totaltext(root: Path) -> None:
    rows = [
        "x: [[12 30 48 47\n 29 13]], y: [[10  4 10 18 12 18]], ornt: [u'c'], transcriptions: [u'PAUL']",
        "x: [[ 5 20 20  5]], y: [[22 22 30 30]], ornt: [u'h'], transcriptions: [u\"JOE'S\"]",
        "x: [[24 50 50 24]], y: [[23 22 30 31]], ornt: [u'm'], transcriptions: [u'caf\\xe9,']",
        "x: [[ 4 20 20  4]], y: [[34 34 42 42]], ornt: [u'h'], transcriptions: [u'BAR']",
        "x: [[22 38 38 22]], y: [[34 34 42 42]], ornt: [u'h'], transcriptions: [u'[1931]']",
        "x: [[40 47 49 43]], y: [[39 38 44 46]], ornt: [u'#'], transcriptions: [u'#']",
    ]
    put(root / "txt_format" / "Train" / "poly_gt_img14.txt", "\n".join(rows) + "\n")
    put(root / "txt_format" / "Test" / "poly_gt_img1.txt", rows[1] + "\n")
    picture(root / "totaltext" / "Images" / "Train" / "img14.jpg", 64, 48)
    picture(root / "totaltext" / "Images" / "Test" / "img1.jpg", 64, 48)


EXCERPTS = {"icdar2013": _icdar2013, "icdar2015": _icdar2015, "ctw1500": _ctw1500, "totaltext": _totaltext}
