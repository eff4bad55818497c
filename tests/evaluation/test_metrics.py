"""Metrics against values worked by hand and against rapidfuzz; line sets and what is counted over them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from sphinx_x.errors import DataError, ImageError
from sphinx_x.evaluation.lines import PACKAGED, evaluate_lines, format_results, load_line_set
from sphinx_x.evaluation.metrics import character_error_rate, character_errors, normalise_text, word_errors


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("  one \t two\nthree ", "one two three"),
        ("\ufb01ne o\ufb00er", "fine offer"),
        ("a\u00a0b\u2003c", "a b c"),
        ("x\u00b2 \u2460", "x2 1"),
        ("", ""),
    ],
)
def test_normalise_text(text: str, wanted: str) -> None:
    assert normalise_text(text) == wanted


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("kitten", "sitting", 3),
        ("flaw", "lawn", 2),
        ("aa", "aaa", 1),
        ("abab", "baba", 2),
        ("same", "same", 0),
    ],
)
def test_character_errors_by_hand(first: str, second: str, wanted: int) -> None:
    assert character_errors(first, second) == (wanted, len(second))


def test_word_errors_by_hand() -> None:
    assert word_errors("the  cat sat", "the cat sat") == (0, 3)
    assert word_errors("a cat sat down", "the cat sat") == (2, 3)
    assert word_errors("", "the cat") == (2, 2)


def test_character_error_rate_is_over_all_lines() -> None:
    # One wrong of 4 and none of 6: 1 / 10, not the mean of 1/4 and 0.
    assert character_error_rate(["abcx", "sixsix"], ["abcd", "sixsix"]) == pytest.approx(0.1)


def test_character_error_rate_normalises_both_sides() -> None:
    assert character_error_rate([" the  \ufb01rst\n"], ["the first"]) == 0
    assert character_error_rate(["the first"], ["the\u00a0\ufb01rst "]) == 0


def test_character_error_rate_counts_what_is_missing_and_what_is_too_much() -> None:
    assert character_error_rate([""], ["four"]) == 1
    assert character_error_rate(["abcabc"], ["abc"]) == 1
    assert character_error_rate(["abcabcabc"], ["abc"]) == 2


def test_character_error_rate_refuses_what_has_no_rate() -> None:
    with pytest.raises(DataError, match="1 predictions for 2 references"):
        character_error_rate(["a"], ["a", "b"])
    with pytest.raises(DataError, match="no characters"):
        character_error_rate(["a"], [" "])


def make_line_set(folder: Path, rows: Sequence[tuple[str, str]]) -> Path:
    """A line set of these (document, text) rows; the width of each picture is 10 more than the row's number."""
    folder.mkdir()
    with (folder / "lines.jsonl").open("w", encoding="utf-8") as file:
        for number, (document, text) in enumerate(rows):
            Image.new("L", (10 + number, 8), 255).save(folder / f"{number}.png")
            file.write(json.dumps({"image": f"{number}.png", "text": text, "document": document}) + "\n")
    return folder


ROWS = [("a.pdf", "abcd"), ("a.pdf", "efghij"), ("b.pdf", "klmnopqrst")]


def test_evaluate_lines_counts_by_line_document_and_set(tmp_path: Path) -> None:
    line_set = load_line_set(make_line_set(tmp_path / "set", ROWS))
    answers = {10: "abXd", 11: "efghij ", 12: "klmnopqrs"}
    seen: list[int] = []

    def read(images: list[Image.Image]) -> list[str]:
        seen.append(len(images))
        assert all(image.mode == "RGB" for image in images)
        return [answers[image.width] for image in images]

    steps: list[tuple[int, int]] = []
    path = tmp_path / "new" / "read.jsonl"
    result = evaluate_lines(read, line_set, 2, path, lambda done, total: steps.append((done, total)))
    assert seen == [2, 1]
    assert steps == [(2, 3), (3, 3)]
    assert result.cer == pytest.approx(2 / 20)
    assert result.exact == pytest.approx(1 / 3)
    assert result.documents == pytest.approx({"a.pdf": 0.1, "b.pdf": 0.1})
    assert (result.low, result.high) == pytest.approx((0.1, 0.1))  # both documents are alike
    assert (result.lines, result.characters) == (3, 20)
    rows = [json.loads(row) for row in path.read_text("utf-8").splitlines()]
    assert [row["errors"] for row in rows] == [1, 0, 1]
    assert rows[0]["prediction"] == "abXd"
    assert "| me | 10.00% | 10.00% to 10.00% | 33.3% | 3 | 2 |" in format_results({"me": result})


def test_evaluate_lines_draws_whole_documents(tmp_path: Path) -> None:
    line_set = load_line_set(make_line_set(tmp_path / "set", [("good.pdf", "aaaa"), ("bad.pdf", "bbbb")]))
    result = evaluate_lines(lambda images: ["aaaa"] * len(images), line_set)
    assert result.cer == pytest.approx(0.5)
    assert (result.low, result.high) == (0.0, 1.0)


def test_evaluate_lines_wants_a_text_for_each_image(tmp_path: Path) -> None:
    line_set = load_line_set(make_line_set(tmp_path / "set", ROWS))
    with pytest.raises(DataError, match="1 texts for 3 images"):
        evaluate_lines(lambda images: ["one"], line_set)


def test_sample_is_spread_over_the_set(tmp_path: Path) -> None:
    line_set = load_line_set(make_line_set(tmp_path / "set", [("a.pdf", f"line {n}") for n in range(10)]))
    assert [line.text for line in line_set.sample(3).lines] == ["line 0", "line 3", "line 6"]
    assert len(line_set.sample(99).lines) == 10
    with pytest.raises(DataError, match="at least 1 line"):
        line_set.sample(0)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("", "holds no lines"),
        ("{", "line 1: needs image, text and document"),
        ('{"image": "0.png", "text": "a"}', "line 1: needs image, text and document"),
        ('{"image": "0.png", "text": 3, "document": "a"}', "line 1: image, text and document must be texts"),
        ('{"image": "0.png", "text": " ", "document": "a"}', "line 1: the text is empty"),
        ("[]", "line 1: needs image, text and document"),
    ],
)
def test_load_line_set_names_the_wrong_line(tmp_path: Path, content: str, wanted: str) -> None:
    (tmp_path / "lines.jsonl").write_text(content, "utf-8")
    with pytest.raises(DataError, match=wanted):
        load_line_set(tmp_path)


def test_line_set_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no lines\.jsonl"):
        load_line_set(tmp_path)
    line_set = load_line_set(make_line_set(tmp_path / "set", ROWS))
    (line_set.folder / "1.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"1\.png: not a readable image"):
        evaluate_lines(lambda images: [], line_set)
    with zipfile.ZipFile(line_set.folder / "images.zip", "w"):
        pass
    with pytest.raises(DataError, match=r"holds no 0\.png"):
        evaluate_lines(lambda images: [], line_set)


def test_packaged_line_set_is_whole() -> None:
    line_set = load_line_set()
    lines = line_set.lines
    assert len(lines) >= 400
    assert len({line.document for line in lines}) >= 30
    assert all(6 <= len(line.text) <= 90 and line.text == normalise_text(line.text) for line in lines)
    assert all(" " <= char <= "~" for line in lines for char in line.text)
    assert all(image.mode == "RGB" and 8 <= image.height <= 60 for image in line_set.images(lines))
    licences = (PACKAGED / "LICENCES.md").read_text("utf-8")
    notices = zipfile.ZipFile(PACKAGED / "images.zip").namelist()
    for package in {line.document.split("/")[0] for line in lines}:
        assert f"| {package} |" in licences
        assert f"notices/{package}.txt" in notices
    assert sum(path.stat().st_size for path in PACKAGED.iterdir()) < 4_000_000
