"""Questions about documents: the DocVQA challenges, the DUE benchmark, tables, pages of the web."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from releases.files import picture, put, put_lines


def _infographicsvqa(root: Path) -> None:
    rows = [
        {
            "questionId": 98313,
            "question": "Which platform has most users?",
            "image_local_name": "38771.jpeg",
            "image_url": "https://example.org/38771.jpeg",
            "ocr_output_file": "38771.json",
            "answers": ["pinterest", "Pinterest Inc"],
            "answer_type": ["single span"],
            "evidence": ["text", "figure"],
            "operation/reasoning": [],
            "data_split": "val",
        }
    ]
    head = {"dataset_name": "infographicVQA", "dataset_version": "1.0", "dataset_split": "val"}
    put(root / "infographicsvqa_qas" / "infographicsVQA_val_v1.0_withQT.json", head | {"data": rows})
    picture(root / "infographicsvqa_images" / "38771.jpeg", "white", 30, 90)


def _due(
    root: Path, title: str, folder: str, documents: Mapping[str, Sequence[tuple[str, list[dict[str, Any]]]]]
) -> None:
    """A set of DUE: its archive of questions, and that of its PDF files."""
    lines = []
    for name, annotations in documents.items():
        keys = [{"id": str(k), "key": key, "values": values} for k, (key, values) in enumerate(annotations)]
        lines.append({"name": name, "language": "en", "split": "test", "annotations": keys})
        picture(root / "due" / "pdfs" / title / title / f"{name.removesuffix('.pdf')}.pdf", "white", 61, 79)
    put_lines(root / "due" / "datasets" / title / "aws_neurips_time" / folder / "test" / "document.jsonl", lines)


def _deepform(root: Path) -> None:
    documents = {
        "35a690b0": [
            ("gross_amount", [{"value": "63705.00"}]),
            ("advertiser", [{"value": "Otters for Mayor", "value_variants": ["OTTERS FOR MAYOR INC"]}]),
        ],
        "0b1c": [("advertiser", [{"value": "Ponds"}, {"value": "Lakes"}]), ("tv_address", [{"value": "WXYZ"}])],
    }
    _due(root, "DeepForm", "DeepForm", documents)


def _kleister(root: Path) -> None:
    documents = {"1c0f.pdf": [("charity_name", [{"value": "The_Otter_Fund"}]), ("charity_number", [{"value": "7"}])]}
    _due(root, "KleisterCharity", "kleister-charity", documents)


def ureader_deepform(root: Path) -> None:
    """DeepForm as UReader releases it."""
    lines = [
        {
            "image": ["./DUE_Benchmark/DeepForm/pngs/35a690b0.pdf_page_0.png"],
            "prompt": "",
            "text": "",
            "system_instruction": "",
            "conversations": [
                {"from": "user", "value": "<image>"},
                {"from": "user", "value": f"What is the value for the {key}?"},
                {"from": "assistant", "value": value},
            ],
            "task_type": "qa_sft",
        }
        for key, value in (("advertiser", "Otters for Mayor"), ("flight_to", "None"))
    ]
    put_lines(root / "ureader_json" / "test_DeepForm.jsonl", lines)
    picture(root / "ureader_images" / "DUE_Benchmark" / "DeepForm" / "pngs" / "35a690b0.pdf_page_0.png")


def _wikitablequestions(root: Path) -> None:
    folder = root / "WikiTableQuestions"
    heading = ["id", "utterance", "context", "targetValue"]
    rows = [
        ["nu-0", "which country had the most cyclists finish within the top 10?", "csv/203-csv/733.csv", "Italy"],
        ["nu-1", "who were the first two\\p", "csv/203-csv/733.csv", "Boston, MA|Málaga"],
        ["nu-2", "how many people were there?", "csv/203-csv/733.csv", "1,200"],
    ]
    put(folder / "data" / "pristine-unseen-tables.tsv", "\n".join("\t".join(row) for row in [heading, *rows]) + "\n")
    tagged = [[*heading, "tokens", "targetCanon", "targetCanonType"]]
    forms = (("Italy", "string"), ("Boston, MA|Málaga", "string|string"), ("1200.0", "number"))
    tagged += [[*row, "which|country", *form] for row, form in zip(rows, forms, strict=True)]
    text = "\n".join("\t".join(row) for row in tagged) + "\n"
    put(folder / "tagged" / "data" / "pristine-unseen-tables.tagged", text)
    put(
        folder / "csv" / "203-csv" / "733.csv",
        '"Rank","Cyclist","Country"\n"1","A. \\"B\\"","Italy"\n"2","C","Spain"\n',
    )


def due_wikitablequestions(root: Path) -> None:
    """WikiTableQuestions as the DUE benchmark releases it."""
    documents = {"csv_203-csv_733": [("which are the two first?", [{"value": "Boston"}, {"value": "Málaga"}])]}
    _due(root, "WikiTableQuestions", "WikiTableQuestions", documents)


def _tabfact(root: Path) -> None:
    folder, table = root / "Table-Fact-Checking", "1-10006830-1.html.csv"
    simple = {
        table: [["the mi - 26 is a heavy - lift helicopter", "no aircraft has a disk ."], [1, 0], "disk loading"],
        "2-999-1.html.csv": [["this is of another split"], [1], "other"],
    }
    put(folder / "collected_data" / "r1_training_all.json", simple)
    put(folder / "collected_data" / "r2_training_all.json", {table: [["two are heavier"], [1], "disk loading"]})
    put(folder / "data" / "test_id.json", [table])
    put(folder / "data" / "all_csv" / table, "aircraft#description\nmi - 26#heavy - lift helicopter\n")


def due_tabfact(root: Path) -> None:
    """TabFact as the DUE benchmark releases it."""
    documents = {"1-10006830-1.html.csv": [("two are heavier", [{"value": "1"}]), ("none is heavy", [{"value": "0"}])]}
    _due(root, "TabFact", "TabFact", documents)


def _visualmrc(root: Path) -> None:
    folder = root / "VisualMRC"
    pairs = {
        "a": [
            ("What is the page about?", "It is about the otters of the river."),
            ("Where do they live?", "They live at the coast, in rivers and in ponds."),
        ],
        "b": [("Who wrote the page?", "The page was written by a zoologist.")],
    }
    pages = [
        {
            "id": name,
            "url": f"https://example.org/{name}",
            "screenshot_filename": f"screenshots/{name}.png",
            "image_filename": f"images/{name}.png",
            "bounding_boxes": [],
            "qa_data": [
                {"question": {"text": question}, "answer": {"text": answer, "relevant": []}}
                for question, answer in asked
            ],
        }
        for name, asked in pairs.items()
    ]
    put_lines(folder / "data" / "test.jsonl", pages)
    for name in pairs:
        picture(folder / "images" / f"{name}.png", "white", 80, 60)


def _sroie(root: Path) -> None:
    keys = {
        "000": {"company": "OTTER & SONS", "date": "25/12/2018", "address": "NO.53, JALAN SAGU 18", "total": "9.00"},
        "003": {"company": "POND CAFE", "date": "3 MAR 18", "total": "RM12.50"},
    }
    for name, key in keys.items():
        put(root / "SROIE2019" / "data" / "key" / f"{name}.json", key)
        picture(root / "SROIE2019" / "data" / "img" / f"{name}.jpg", "white", 30, 90)


RELEASES = {
    "sroie": _sroie,
    "infographicsvqa": _infographicsvqa,
    "deepform": _deepform,
    "kleister_charity": _kleister,
    "wikitablequestions": _wikitablequestions,
    "tabfact": _tabfact,
    "visualmrc": _visualmrc,
}
