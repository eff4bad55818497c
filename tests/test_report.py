"""Reports for people: everything escaped, nothing from elsewhere, one picture in memory at a time."""

import json
import weakref
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sphinx_x.report.html import Item, Paragraph, Picture, Section, Span, Table, figures, write_html


class Page(HTMLParser):
    """What a browser finds in a page: its elements, and the text of each `p`, `td`, `summary` and heading."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("p", "td", "th", "summary", "h1", "h2", "caption", "title"):
            self.texts.append([tag, ""])
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data):
        if self.open:
            self.texts[-1][1] += data

    def of(self, tag):
        return [text for name, text in self.texts if name == tag]

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def written(path, *sections, title="a title", **options):
    write_html(path, title, sections, **options)
    return Page(path.read_text(encoding="utf-8"))


def picture(color="red", size=(30, 20)):
    return Picture(Image.new("RGB", size, color), f"all {color}")


HOSTILE = "</p><script>alert(1)</script> ' \" & {{ 7 * 7 }} {% raw %} <!-- \n"


def test_texts_of_others_are_texts_wherever_they_stand(tmp_path):
    item = Item(
        HOSTILE,
        [Picture(Image.new("RGB", (9, 9)), HOSTILE)],
        [Paragraph(HOSTILE, "answer", HOSTILE), Paragraph([Span([HOSTILE, HOSTILE], "trained"), Span([HOSTILE])])],
        [HOSTILE],
        [(HOSTILE, HOSTILE)],
        HOSTILE,
    )
    page = written(
        tmp_path / "a.html",
        Section(HOSTILE, HOSTILE, [Table(HOSTILE, [(HOSTILE, 1)], (HOSTILE, "n"))], [item]),
        title=HOSTILE,
    )
    assert len(page.all("script")) == 1
    assert page.of("h1") == page.of("h2") == page.of("caption") == page.of("title") == [HOSTILE]
    assert page.of("td") == [HOSTILE, "1"] and page.of("th") == [HOSTILE, "n"]
    intro, problem, answer, tokens = page.of("p")
    assert (intro, problem, answer, tokens) == (HOSTILE, HOSTILE, HOSTILE * 2, HOSTILE * 3)
    assert page.all("img")[0]["alt"] == HOSTILE
    assert json.loads(page.all("details")[0]["data-labels"]) == [[HOSTILE, HOSTILE]]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), max_size=5))
def test_a_paragraph_says_what_its_spans_say(tmp_path_factory, pieces):
    said = [Span([piece, piece], "read") for piece in pieces] + [Span([piece], "badge", "#123456") for piece in pieces]
    path = tmp_path_factory.getbasetemp() / "said.html"
    page = written(path, Section(items=[Item("a", texts=[Paragraph(said)])]))
    assert page.of("p") == ["".join(piece * 2 for piece in pieces) + "".join(pieces)]


def test_half_a_pair_of_surrogates_is_shown_as_it_is_escaped(tmp_path):
    assert written(tmp_path / "a.html", Section("\ud800x")).of("h2") == ["\\ud800x"]


def test_one_picture_is_in_memory_at_a_time(tmp_path):
    alive: list[weakref.ref] = []
    most = 0

    def items():
        nonlocal alive, most
        for k in range(1000):
            image = Image.new("RGB", (16, 16), (k % 256, k // 256, 0))
            alive = [other for other in alive if other() is not None] + [weakref.ref(image)]
            most = max(most, len(alive))
            yield Item(str(k), [Picture(image)])
            del image

    page = written(tmp_path / "a.html", Section(items=items()))
    assert len(page.all("img")) == 1000 and most <= 3


def test_pictures_lie_beside_a_large_page(tmp_path):
    path, folder = tmp_path / "report.html", tmp_path / "report_pictures"
    items = [Item("a", [picture("red")]), Item("b", [picture("red"), picture("blue")])]
    page = written(path, Section(items=items), beside=True)
    sources = [image["src"] for image in page.all("img")]
    assert len(set(sources)) == 2 == len(list(folder.iterdir())) and sources[0] == sources[1]
    with Image.open(tmp_path / sources[2]) as shown:
        assert shown.size == (30, 20) and shown.getpixel((9, 9))[2] > 240
    before = path.read_bytes()
    assert written(path, Section(items=iter(items)), beside=True) and path.read_bytes() == before
    written(path, Section(items=items[:1]), beside=True)  # what is not shown any more is gone
    assert [f"report_pictures/{file.name}" for file in folder.iterdir()] == sources[:1]


def test_a_page_needs_nothing_from_elsewhere(tmp_path):
    page = written(tmp_path / "a.html", Section(items=[Item("a", [picture()])]))
    assert page.all("img")[0]["src"].startswith("data:image/jpeg;base64,")
    assert not page.all("link") and not any("src" in script for script in page.all("script"))
    style = (tmp_path / "a.html").read_text().split("<style>")[1].split("</style>")[0]
    assert "url(" not in style and "@import" not in style
    assert "prefers-color-scheme: dark" in style and "max-width: 45rem" in style
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_pictures_are_brought_down_and_keep_their_shape(tmp_path):
    large = Picture(Image.new("L", (800, 400)), longest=200)
    (shown,) = written(tmp_path / "a.html", Section(items=[Item("a", [large])])).all("img")
    assert (shown["width"], shown["height"]) == ("200", "100")
    assert large.image.size == (800, 400)


def test_figures_are_written_with_thousands_the_most_frequent_first(tmp_path):
    tables = [*figures("counts", {"b": 1, "a": 1, "much": 12345}.items()), *figures("none", [])]
    page = written(tmp_path / "a.html", Section(tables=tables))
    assert page.of("td") == ["much", "12,345", "a", "1", "b", "1"] and page.of("caption") == ["counts"]
    assert [cell.get("class") for cell in page.all("td")] == [None, "number"] * 3


def test_a_page_is_whole_or_not_there(tmp_path):
    def items():
        yield Item("a")
        raise ValueError("no more")

    (tmp_path / "a.html").write_text("before")
    with pytest.raises(ValueError, match="no more"):
        write_html(tmp_path / "a.html", "a", [Section(items=items())])
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]
