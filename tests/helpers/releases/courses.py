"""Questions of college courses."""

from pathlib import Path

from releases.files import picture, pixels, put_lines, put_parquet


def mmmu_row(name: str, question: str, options: list[str], answer: str, images: int) -> dict[str, object]:
    """A row of the release: seven columns of images, the last of them empty."""
    facts = {"id": name, "question": question, "options": repr(options), "explanation": "", "answer": answer}
    shown = {
        f"image_{number}": {"bytes": pixels("blue", 40 + number, 30), "path": f"{name}_{number}.png"}
        if number <= images
        else None
        for number in range(1, 8)
    }
    kind = "multiple-choice" if options else "open"
    return {**facts, **shown, "topic_difficulty": "Easy", "question_type": kind, "subfield": "Optics"}


def _mmmu(root: Path) -> None:
    rows = [
        mmmu_row("validation_Physics_1", "<image 1> What is seen?", ["a lens", "a mirror, flat"], "B", 1),
        mmmu_row("validation_Physics_2", "How long is it in <image 1>?", [], "['2.50', '2.5 m']", 1),
    ]
    put_parquet(root / "MMMU" / "Physics" / "validation-00000-of-00001.parquet", rows)
    put_parquet(root / "MMMU" / "Physics" / "test-00000-of-00001.parquet", rows[:1])
    options = ["<image 2>", "<image 3>", "neither"]
    rows = [mmmu_row("validation_Art_1", "Which is of the school of <image 1>?", options, "A", 4)]
    put_parquet(root / "MMMU" / "Art" / "validation-00000-of-00001.parquet", rows)


def _cmmmu(root: Path) -> None:
    def row(number: int, kind: str, question: str, answer: str, images: list[str], *options: str) -> dict[str, object]:
        listed = {f"option{place}": option for place, option in enumerate(options, 1)}
        facts = {"id": number, "type": kind, "question": question, **listed, "answer": answer, "img_list": images}
        return {**facts, "subcategory": "艺术", "category": "艺术与设计", "img_type": ["图表"]}

    one, two = "q_00001_001.png", "q_00001_002.png"
    shown = [row(1, "选择", f'比较<img="{one}">和<img="{two}">，哪些正确？', "AC", [one, two], "红", "黄", "蓝", "绿")]
    shown += [row(2, "判断", f'<img="{two}">是油画。', "错", [two])]
    folder = root / "cmmmu-data-val" / "art_and_design"
    put_lines(folder / "art_and_design.jsonl", shown)
    for name in (one, two):
        picture(folder / name)
    gap = row(3, "填空", f'净现值为<img="{one}">____万元。', "269.87", [one]) | {
        "category": "商业",
        "subcategory": "经济",
    }
    put_lines(root / "cmmmu-data-val" / "business" / "business.jsonl", [gap])
    picture(root / "cmmmu-data-val" / "business" / one)


RELEASES = {"mmmu": _mmmu, "cmmmu": _cmmmu}
