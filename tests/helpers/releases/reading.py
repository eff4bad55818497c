"""Text in pictures: OCRBench, OCR-VQA."""

from pathlib import Path

from releases.files import picture, put


def _ocrbench(root: Path) -> None:
    def row(dataset: str, number: int, path: str, question: str, answers: object, kind: str) -> dict:
        head = {"dataset_name": dataset, "id": number, "image_path": path, "question": question}
        return head | {"answers": answers, "type": kind}

    asked = "what is written in the image?"
    formula = "Please write out the expression of the formula in the image using LaTeX format."
    rows = [
        row("IIIT5K", 2843, "IIIT5K/test/918_1.png", asked, "CENTRE", "Regular Text Recognition"),
        row("ORAND", 3, "ORAND/3.png", "What is the number in the image?", "1520", "Digit String Recognition"),
        row("docVQA", 7, "docVQA/7.png", "Who signed?", ["A. B. Lee", "Lee"], "Doc-oriented VQA"),
        row("HME100k", 9, "HME/9.png", formula, "x ^ { 2 } + A", "Handwritten Mathematical Expression Recognition"),
    ]
    put(root / "OCRBench" / "OCRBench.json", rows)
    for line in rows:
        picture(root / "OCRBench" / "OCRBench_Images" / line["image_path"])


def _ocrvqa(root: Path) -> None:
    def cover(ending: str, split: int, questions: list[str], answers: list[str]) -> dict:
        head = {"imageURL": f"http://ecx.example.com/images/I/61Y5{ending}", "questions": questions, "answers": answers}
        return head | {"title": "Ponds", "authorName": "A. Otter", "genre": "Calendars", "split": split}

    covers = {
        "761183272": cover(".jpg", 1, ["Who wrote this book?"], ["A. Otter"]),
        "1611": cover(".gif", 2, ["Who wrote this book?", "Is this a games related book?"], ["A. Otter", "No"]),
        "60055": cover(".png", 3, ["What is the title of this book?"], ["Ponds"]),
    }
    put(root / "OCR-VQA" / "dataset.json", covers)
    # one is stored under another ending than its address has
    for name in ("761183272.jpg", "1611.jpg", "60055.png"):
        picture(root / "OCR-VQA" / "images" / name)


RELEASES = {"ocrbench": _ocrbench, "ocrvqa": _ocrvqa}
