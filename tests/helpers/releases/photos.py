"""Text in photos, pages and charts: TextVQA, DocVQA, ChartQA, each with all fields of its release."""

from pathlib import Path

from releases.files import picture, put


def _textvqa(root: Path) -> None:
    def row(number: int, question: str, answers: list[str]) -> dict:
        return {
            "question_id": number,
            "question": question,
            "image_id": "0054c91397f2fe05",
            "image_classes": ["Sign"],
            "flickr_original_url": "https://example.org/o.jpg",
            "flickr_300k_url": "https://example.org/z.jpg",
            "image_width": 1024,
            "image_height": 730,
            "answers": answers,
            "question_tokens": question.rstrip("?").split(),
            "set_name": "val",
        }

    rows = [
        row(34602, "what is the brand?", ["nous les gosses", *["dakota"] * 8, "dakota digital"]),
        row(34603, "what year?", ["2012"] * 10),
    ]
    head = {"dataset_type": "val", "dataset_name": "textvqa", "dataset_version": "0.5.1"}
    put(root / "textvqa" / "TextVQA_0.5.1_val.json", head | {"data": rows})
    picture(root / "textvqa" / "train_images" / "0054c91397f2fe05.jpg")


def docvqa(root: Path, images: str = "spdocvqa_images") -> None:
    """DocVQA as it is downloaded now, or (`val/documents`) as it was."""
    rows = [
        {
            "questionId": 49153,
            "question": "What is the 'actual' value per 1000?",
            "question_types": ["figure/diagram"],
            "image": "documents/pybv0228_81.png",
            "docId": 14465,
            "ucsf_document_id": "pybv0228",
            "ucsf_document_page_no": "81",
            "answers": ["0.28", ".28"],
            "data_split": "val",
        }
    ]
    head = {"dataset_name": "SP-DocVQA", "dataset_version": "1.0", "dataset_split": "val"}
    file = "spdocvqa_qas/val_v1.0_withQT.json" if images == "spdocvqa_images" else "val/val_v1.0.json"
    put(root / "docvqa" / file, head | {"data": rows})
    picture(root / "docvqa" / images / "pybv0228_81.png")


def _chartqa(root: Path) -> None:
    test = root / "ChartQA Dataset" / "test"
    human = [
        {"imgname": "41699051005347.png", "query": "How many food item is shown in the bar graph?", "label": "14"},
        {"imgname": "41699051005347.png", "query": "What is the share of rice?", "label": "12%"},
    ]
    put(test / "test_human.json", human)
    made = [
        {"imgname": "two_col_103562.png", "query": "How many stores did Saint Laurent have in 2020?", "label": "267"}
    ]
    put(test / "test_augmented.json", made)
    for row in (*human, *made):
        picture(test / "png" / row["imgname"])


RELEASES = {"textvqa": _textvqa, "docvqa": docvqa, "chartqa_test": _chartqa}
