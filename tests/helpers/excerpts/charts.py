"""Charts with questions and tables."""

from pathlib import Path

from excerpts.files import picture, put


def _chartqa(root: Path) -> None:
    base = root / "ChartQA Dataset" / "train"
    written = [
        {"imgname": "101.png", "query": "How many bars are blue?", "label": "2"},
        {"imgname": "101.png", "query": "Is the sum of both bars above 50?", "label": "Yes"},
        {"imgname": "OECD_RATE_000001.png", "query": "Which line is lowest?", "label": "Norway"},
    ]
    generated = [{"imgname": "101.png", "query": "What percentage approved in 2015?", "label": "21"}]
    put(base / "train_human.json", written)
    put(base / "train_augmented.json", generated)
    put(base / "tables" / "101.csv", 'Entity,"Approve, %",DK\nJul 2015,33,nan\nSep 2015,21,30.0\n')
    for name in ("101", "OECD_RATE_000001"):
        figure = {"title": {"text": "-", "bbox": {}}, "x_axis": {}, "y_axis": {}, "legend": {}, "figure_info": {}}
        put(base / "annotations" / f"{name}.json", {"models": [], "type": "v_bar", "general_figure_info": figure})
        picture(base / "png" / f"{name}.png", 80, 60)


def _dvqa(root: Path) -> None:
    def entry(number: int, image: str, kind: str, question: str, answer: str, box: list[float]) -> dict:
        return {
            "question": question,
            "question_id": number,
            "template_id": kind,
            "answer": answer,
            "image": image,
            "answer_bbox": box,
        }

    first, second = "bar_train_00000001.png", "bar_train_00000002.png"
    questions = [
        entry(11, first, "structure", "How many bars are there?", "three", []),
        entry(12, first, "data", "What is the label of the second bar?", "mouse", [40.5, 60.0, 12.25, 20.0]),
        entry(21, second, "reasoning", "Are the values in percent?", "no", []),
    ]
    put(root / "qa" / "train_qa.json", questions)
    bars = {"bboxes": [[[1, 2, 3, 4]]], "names": [["mouse"]], "colors": [["red"]]}
    texts = [{"text": "mouse", "text_function": "label", "bbox": [40.5, 60.0, 12.25, 20.0]}]
    put(
        root / "metadata" / "train_metadata.json", [{"image": i, "bars": bars, "texts": texts} for i in (first, second)]
    )
    picture(root / "images" / first, 64, 64)
    picture(root / "images" / second, 64, 64)


EXCERPTS = {"chartqa": _chartqa, "dvqa": _dvqa}
