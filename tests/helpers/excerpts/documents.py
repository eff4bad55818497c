"""Documents and tables."""

from pathlib import Path

from excerpts.files import picture, put, put_lines


def _docvqa(root: Path) -> None:
    def question(number: int, page: str, text: str, answers: list[str]) -> dict:
        return {
            "questionId": number,
            "question": text,
            "question_types": ["form"],
            "image": f"documents/{page}.png",
            "docId": 279,
            "ucsf_document_id": page.split("_")[0],
            "ucsf_document_page_no": page.split("_")[1],
            "answers": answers,
            "data_split": "train",
        }

    data = [
        question(337, "xnbl0037_1", "what is the date mentioned in this letter?", ["1/8/93"]),
        question(340, "abcd0001_12", "Who signed?", ["A. B. Lee", "A. B. LEE"]),
        question(338, "xnbl0037_1", "what is the contact person's name?", ["P. Carter", "p. carter"]),
    ]
    head = {"dataset_name": "SP-DocVQA", "dataset_version": "1.0", "dataset_split": "train"}
    put(root / "spdocvqa_qas" / "train_v1.0_withQT.json", head | {"data": data})
    for page in ("xnbl0037_1", "abcd0001_12"):
        picture(root / "spdocvqa_images" / f"{page}.png", 34, 44)


def _infographicsvqa(root: Path) -> None:
    def question(number: int, image: str, text: str, answers: list[str]) -> dict:
        return {
            "questionId": number,
            "question": text,
            "image_local_name": image,
            "image_url": f"https://example.org/{image}",
            "ocr_output_file": image.replace("jpeg", "json"),
            "answers": answers,
            "data_split": "train",
        }

    data = [
        question(65718, "20471.jpeg", "Which social platform has heavy female audience?", ["pinterest"]),
        question(65719, "20471.jpeg", "What percent use both?", ["10%", "10"]),
        question(65720, "37313.jpeg", "Which regions are named?", ["north, south"]),
    ]
    head = {"dataset_name": "InfographicsVQA", "dataset_version": "1.0", "dataset_split": "train"}
    put(root / "infographicsvqa_qas" / "infographicsVQA_train_v1.0.json", head | {"data": data})
    picture(root / "infographicsvqa_images" / "20471.jpeg", 30, 90)
    picture(root / "infographicsvqa_images" / "37313.jpeg", 30, 60)


def _visualmrc(root: Path) -> None:
    def page(name: str, pairs: list[tuple[str, str, list[str]]]) -> dict:
        shape = {"x": 2, "y": 2, "width": 40, "height": 8}
        region = {"id": f"{name}-1", "structure": "Heading/Title", "shape": shape}
        return {
            "id": name,
            "url": f"https://example.org/{name}",
            "screenshot_filename": f"screenshots/{name}.png",
            "image_filename": f"images/{name}.png",
            "bounding_boxes": [
                region | {"ocr_info": [{"word": "Otters", "confidence": 96, "bbox": shape}]},
                {"id": f"{name}-2", "structure": "Image", "shape": shape},
            ],
            "qa_data": [
                {"question": {"text": question}, "answer": {"text": answer, "relevant": relevant}}
                for question, answer, relevant in pairs
            ],
        }

    otters = [
        ("What is the page about?", "It is about otters.", ["a-1"]),
        ("Where do they live?", "Otters live in rivers and at coasts.", ["a-1", "a-2"]),
    ]
    put_lines(
        root / "data" / "train.jsonl", [page("a", otters), page("b", [("Who wrote it?", "A zoologist did.", [])])]
    )
    picture(root / "images" / "a.png", 80, 60)
    picture(root / "images" / "b.png", 80, 50)


def _due(root: Path, name: str, folder: str, documents: dict[str, dict[str, list[str]]]) -> None:
    lines = []
    for document, values in documents.items():
        annotations = [
            {"id": str(k), "key": key, "values": [{"value": value} for value in found]}
            for k, (key, found) in enumerate(values.items())
        ]
        lines.append({"name": document, "language": "en", "annotations": annotations, "split": "train"})
        picture(root / "pdfs" / name / f"{document.removesuffix('.pdf')}.pdf", 61, 79)
    put_lines(root / "aws_neurips_time" / folder / "train" / "document.jsonl", lines)


def _deepform(root: Path) -> None:
    documents = {
        "35a690b0-0081-10b9-1077-26ea74749d49": {
            "gross_amount": ["63705.00"],
            "advertiser": ["Otters for Mayor"],
            "contract_num": ["1339936"],
            "flight_from": ["02/01/20"],
            "flight_to": ["02/12/20"],
        },
        "0b1c": {"advertiser": ["Friends of Ponds", "FRIENDS OF PONDS"], "gross_amount": ["120.50"]},
    }
    _due(root, "DeepForm", "DeepForm", documents)


def _kleister(root: Path) -> None:
    documents = {
        "008482cf51383c158b54e593cfa5fbf7.pdf": {
            "address__post_town": ["OLDHAM"],
            "address__postcode": ["OL3 5DE"],
            "address__street_line": ["1 POND ROAD"],
            "charity_name": ["The Otter Fund"],
            "charity_number": ["1156398"],
            "income_annually_in_british_pounds": ["103373.00"],
            "report_date": ["2016-04-29"],
            "spending_annually_in_british_pounds": ["43497.00"],
        },
        "1c0f.pdf": {"charity_name": ["Ponds"], "charity_number": ["702321"], "report_date": ["2014-03-31"]},
    }
    _due(root, "KleisterCharity", "kleister-charity", documents)


def _wikitablequestions(root: Path) -> None:
    rows = [
        "id\tutterance\tcontext\ttargetValue",
        "nt-0\twhat was the last year?\tcsv/204-csv/590.csv\t2005",
        'nt-1\t"away" matches were won against whom?\tcsv/203-csv/590.csv\tMálaga CF|Otters \\p Co',
        "nt-2\thow many wins are there?\tcsv/204-csv/590.csv\t9",
    ]
    put(root / "data" / "training.tsv", "\n".join(rows) + "\n")
    put(root / "csv" / "204-csv" / "590.csv", '"Year","Wins","Notes"\n"2004","7",""\n"2005","2","called \\"draw\\""\n')
    put(root / "csv" / "203-csv" / "590.csv", '"Opponent","Score\n(away)"\n"Málaga CF","0-1"\n"Otters | Co","1-2"\n')


def _tabfact(root: Path) -> None:
    aircraft, scores, other = "1-10006830-1.html.csv", "2-1859269-1.html.csv", "2-999-1.html.csv"
    simple = {
        aircraft: [["the mil mi - 26 is a heavy - lift helicopter", "no aircraft has a disk."], [1, 0], "disk loading"],
        other: [["this belongs to another split"], [1], "other"],
    }
    complex_ = {
        aircraft: [["two aircraft are heavier than 20000 kg ."], [1], "disk loading"],
        scores: [["the otters scored least of all teams"], [0], "2007 - 08 pond league"],
    }
    put(root / "collected_data" / "r1_training_all.json", simple)
    put(root / "collected_data" / "r2_training_all.json", complex_)
    put(root / "data" / "train_id.json", [aircraft, scores])
    tables = root / "data" / "all_csv"
    put(
        tables / aircraft,
        "aircraft#description#weight\nch - 47d#tandem rotor#22680 kg\nmil mi - 26#heavy - lift#56000 kg\n",
    )
    put(tables / scores, "team#points\notters#9\nfrogs#\n")
    put(tables / other, "a#b\n1#2\n")


EXCERPTS = {
    "docvqa": _docvqa,
    "infographicsvqa": _infographicsvqa,
    "visualmrc": _visualmrc,
    "deepform": _deepform,
    "kleister-charity": _kleister,
    "wikitablequestions": _wikitablequestions,
    "tabfact": _tabfact,
}
