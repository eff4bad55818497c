"""Screens of HTML pages: words lie where the boxes say, covered ones are none, headings come in their order."""

import io
import itertools
import random
import shutil

import numpy as np
import pytest
from PIL import Image

from commands import run
from sphinx_x.data.shards import SampleReader
from sphinx_x.engines.screens import chromium
from sphinx_x.engines.screens.chromium import Chromium, find_chromium
from sphinx_x.engines.screens.engine import ScreenSettings, headings_of, make_screen, make_screens
from sphinx_x.engines.screens.truth import AFTER, WALK, joined, overlapping, truth_of
from sphinx_x.errors import DataError, MissingToolError

TEXT = "Rivers carry sand and stones down to the sea where they build banks that move with every tide of the year. "
PAGE = f"""<!doctype html><html><head><title>t</title><style>body {{ font: 16px sans-serif; background: white }}
.two {{ columns: 2 }} .over {{ position: fixed; right: 0; bottom: 0; width: 160px; height: 60px; background: #eee }}
</style></head><body><h1>On rivers</h1><p>{TEXT * 2}</p><h2>Banks of sand</h2><p class="two">{TEXT * 3}</p>
<h2>Tides</h2><p>A call of <code>move</code>(<i>bank</i>) moves it. {TEXT}</p><div style="height: 900px"></div>
<h2>Far below</h2><p>{TEXT * 4}</p><p style="visibility: hidden">unseen words</p><div class="over"></div>
<script>document.fonts.ready.then(() => fetch('http://example.invalid/').catch(() => 0))</script></body></html>"""


def word(text, left, top, right, bottom, **more):
    return {"text": text, "box": [[left, top, right, bottom]], "how": "whole", "size": 16.0, "begins": True,
            "ends": True} | more  # fmt: skip


def rows(count=4, wide=8):
    return [
        word(f"w{r}{k}", 10 + 50 * k, 20 + 30 * r, 50 + 50 * k, 38 + 30 * r) for r in range(count) for k in range(wide)
    ]


WHITE = Image.new("RGB", (500, 300), "white")


def test_words_of_a_row_are_a_line_and_columns_are_two():
    right = [one | {"box": [[n + d for n, d in zip(one["box"][0], (450, 0, 450, 0), strict=True)]]} for one in rows(2)]
    drawing = truth_of({"words": rows(2) + right, "headings": []}, Image.new("RGB", (950, 300)))
    assert [line.text.split()[0] for line in drawing.lines] == ["w00", "w00", "w10", "w10"]
    assert all(len(line.words) == 8 for line in drawing.lines)


def test_headings_follow_each_other_and_cut_ones_are_none():
    heads = [word("First¶", 10, 150, 60, 170, heading=0), word("Second", 10, 200, 60, 220, heading=1)]
    drawing = truth_of({"words": rows() + heads, "headings": ["First", "Second"]}, WHITE, ("Third",))
    assert [fact.value for fact in drawing.listed] == ["First", "Second"] and drawing.things == ("Third",)
    assert [(fact.name, fact.about, fact.value) for fact in drawing.facts] == [(AFTER, "First", "Second")]
    assert drawing.counts[0].value == "2"
    heads.append(word("Last", 10, 240, 60, 260, heading=2))
    heads[1]["how"] = "cut"
    drawing = truth_of({"words": rows() + heads, "headings": ["First", "Second", "Last"]}, WHITE)
    assert not drawing.listed and not drawing.counts and not drawing.facts, "nobody knows what comes after the first"


def test_the_next_heading_is_one_below_and_what_is_shown_is_not_absent():
    """A bar beside the text comes after it in the document, and begins above."""
    names = ["First", "Second", "Bar"]
    heads = [word(n, 10, y, 60, y + 20, heading=k) for k, (n, y) in enumerate(zip(names[:2], (150, 200), strict=True))]
    heads.append(word("Bar", 300, 150, 340, 170, heading=2))
    drawing = truth_of({"words": rows() + heads, "headings": names}, WHITE, ("Second", "Third"))
    assert [(fact.about, fact.value) for fact in drawing.facts] == [("First", "Second")]
    assert not drawing.listed and drawing.things == ("Third",)


def test_of_headings_that_say_the_same_nobody_knows_which_one_is_meant():
    names = ["First", "Notes", "Second", "Notes"]
    heads = [word(name, 10, 150 + 30 * k, 60, 170 + 30 * k, heading=k) for k, name in enumerate(names)]
    drawing = truth_of({"words": rows() + heads, "headings": names}, WHITE)
    assert not drawing.listed and not drawing.counts
    assert [(fact.about, fact.value) for fact in drawing.facts] == [("First", "Notes"), ("Second", "Notes")]


def test_parts_of_a_word_are_one():
    parts = [word("move", 10, 10, 50, 28), word("(", 50, 10, 55, 28), word("bank", 60, 10, 90, 28)]
    assert [one["text"] for one in joined(parts)] == ["move(", "bank"]
    parts[1]["how"] = "covered"
    assert joined(parts)[0]["how"] == "cut"


def test_screens_with_little_text_or_texts_over_each_other_are_none():
    with pytest.raises(DataError, match="little text"):
        truth_of({"words": rows(1), "headings": []}, WHITE)
    with pytest.raises(DataError, match="over each other"):
        truth_of({"words": [*rows(), word("over", 30, 25, 80, 43)], "headings": []}, WHITE)
    hidden = [one | {"how": "covered"} for one in rows(1, 3)]
    with pytest.raises(DataError, match="over each other"):
        truth_of({"words": rows() + hidden, "headings": []}, WHITE)
    with pytest.raises(DataError, match="wider than the window"):
        truth_of({"words": rows(), "headings": [], "wider": True}, WHITE)
    assert not overlapping([(0, 0, 50, 20), (50, 0, 90, 20), (0, 18, 50, 38)]), "rows set close"


def test_without_a_browser_it_says_so(monkeypatch, tmp_path):
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(chromium.shutil, "which", lambda name: None)
    (tmp_path / "a.html").write_text(PAGE)
    with pytest.raises(MissingToolError, match="needs Chromium"):
        make_screens(tmp_path, tmp_path / "out")
    monkeypatch.setenv("CHROMIUM", "/nonexistent/chromium")
    with pytest.raises(MissingToolError, match="CHROMIUM: /nonexistent/chromium: no such program"):
        make_screens(tmp_path, tmp_path / "out")


def test_a_browser_that_ends_is_told_and_ends_the_run(monkeypatch, tmp_path):
    """Its pages are no bad pages: they are shown when the run goes on."""
    (tmp_path / "a.html").write_text(PAGE)
    monkeypatch.setenv("CHROMIUM", shutil.which("true"))
    with pytest.raises(MissingToolError, match="the browser has ended"):
        make_screens(tmp_path, tmp_path / "out", ScreenSettings(count=2), workers=1)
    assert not list((tmp_path / "out").glob("screens-*")) and not (tmp_path / "out" / "quarantine.jsonl").read_text()


LONG = "re-" * 30 + "made"
SOFT = "co\u00adop\u00ader\u00adation" * 12
BROKEN = f"""<!doctype html><html><head><title>t</title><style>
body {{ font: 16px sans-serif; width: 300px }}</style></head>
<body lang="en"><h1>A {"long-" * 12}heading</h1><h2>Tides</h2><p>{TEXT}</p><p>Water that is {LONG} often.</p>
<p>{SOFT} is soft.</p><p>{TEXT}</p></body></html>"""


def test_a_word_that_is_wrapped_is_a_piece_on_each_line(tmp_path):
    """A soft hyphen is drawn, but not in the text as it is drawn: its word is none."""
    try:
        find_chromium()
    except MissingToolError:
        pytest.skip("needs Chromium or Chrome (in PATH, or named by CHROMIUM), which is not installed here")
    (tmp_path / "a.html").write_text(BROKEN)
    with Chromium() as browser:
        browser.show(tmp_path / "a.html", (800, 640))
        found = browser.run(WALK)
        image = Image.open(io.BytesIO(browser.picture())).convert("L")
    drawing = truth_of(found, image)
    pieces = [(k, word) for k, word in enumerate(drawing.words) if word.text.startswith("re-")]
    assert len(pieces) > 1 and "".join(word.text for _, word in pieces) == LONG
    for (_, one), (_, other) in itertools.pairwise(pieces):
        assert one.text.endswith("-") and one.box[3] <= other.box[1] + 2, "one line each"
    line = next(line for line in drawing.lines if pieces[0][0] in line.words)
    assert line.text.startswith("Water") or line.text == pieces[0][1].text
    assert not {word.text for word in drawing.words if "ation" in word.text or "\u00ad" in word.text}
    grey = np.asarray(image).astype(int)
    for _, one in pieces:
        x1, y1, x2, y2 = (round(n) for n in one.box)
        assert grey[y1:y2, x1:x2].max() - grey[y1:y2, x1:x2].min() > 60
    assert [fact.value for fact in drawing.listed] == [], "a heading in pieces is none, so their number is not known"


def test_what_a_browser_shows_lies_in_the_boxes(tmp_path, capsys):
    try:
        find_chromium()
    except MissingToolError:
        pytest.skip("needs Chromium or Chrome (in PATH, or named by CHROMIUM), which is not installed here")
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "a.html").write_text(PAGE)
    (pages / "b.html").write_text(PAGE.replace("rivers", "lakes").replace("Tides", "Shores"))
    with Chromium() as browser:
        made = [make_screen(k, ScreenSettings(seed=1), tuple(sorted(pages.iterdir())), browser) for k in range(2)]
    for one in made:
        grey = np.asarray(Image.open(io.BytesIO(one.picture)).convert("L")).astype(int)
        assert len(one.drawing.words) >= 25 and "unseen" not in {word.text for word in one.drawing.words}
        for word_ in one.drawing.words:
            x1, y1, x2, y2 = (round(n) for n in word_.box)
            part = grey[y1:y2, x1:x2]
            assert part.max() - part.min() > 60, f"{word_.text} is not in its box"
        assert len(one.asked.messages) >= 8
    assert headings_of(pages / "b.html", random.Random(0))[0] in (
        *("On lakes", "Banks of sand", "Shores", "Far below"),
    )
    given = ("--count", 1, "--licence", "BSD-3-Clause", "--workers", 1)
    code, said, err = run("data", "screens", pages, "-o", tmp_path / "out", *given, capsys=capsys)
    assert code == 0 and "1 samples" in said, err
    assert SampleReader(tmp_path / "out")[0].check().licence == "BSD-3-Clause"
    code, _, err = run("data", "screens", tmp_path / "none", "-o", tmp_path / "x", capsys=capsys)
    assert code == 2 and "no HTML page" in err and err.count("\n") == 1
