"""The lines that say what an answer says: what counts as the same, which of several is taken, and that it is one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lined import know_engine, lined, made_lines
from lively import lively, noise
from sphinx_x.inference.evidence import find_evidence
from sphinx_x.model.views import ViewGrid, plan_views
from sphinx_x.text_lines.line import Reading, TextLine

SQUARE = plan_views(400, 300, ViewGrid())
RECEIPT = [
    ("CORNER SHOP SDN. BHD.", (100, 10, 300, 30)),
    ("12, JALAN BESAR,", (100, 32, 300, 50)),
    ("47000 SELANGOR.", (100, 52, 300, 70)),
    ("Date:", (20, 80, 70, 100)),
    ("12/03/2019 10:22", (200, 82, 300, 102)),
    ("2 x Green tea", (20, 110, 90, 130)),
    ("3.00", (180, 112, 220, 130)),
    ("6.00", (320, 109, 360, 129)),
    ("SUB TOTAL", (20, 140, 90, 165)),
    ("6.00", (320, 141, 360, 164)),
    ("TOTAL", (20, 170, 90, 195)),
    ("6.00", (320, 171, 360, 194)),
    ("CASH", (20, 200, 90, 220)),
    ("6.00", (320, 201, 360, 220)),
    ("THANK YOU, SELANGOR", (20, 240, 200, 260)),
]


def layout(rows):
    return SQUARE.with_lines(Reading(tuple(TextLine(box, text) for text, box in rows)))


def test_an_answer_points_at_an_object_by_its_name():
    cat = TextLine((10, 20, 200, 220), "cat", 0.9, is_object=True)
    shown = SQUARE.with_lines(Reading((cat, TextLine((20, 250, 200, 280), "CAT FOOD"))))
    (one,) = find_evidence("A cat.", [shown], "What is in the picture?")
    assert (one.text, one.pixels, one.is_object, one.span) == ("cat", cat.box, True, (2, 5))
    assert not find_evidence("The picture shows a dog.", [shown])
    (read,) = find_evidence("Cat food.", [shown])
    assert (read.text, read.is_object) == ("CAT FOOD", False)


def test_objects_are_no_labels_and_give_way_to_what_is_written():
    """What stands beside an object is no more likely for it, nor what comes after one; of the same word, print wins."""
    clock = TextLine((0, 170, 15, 194), "total", 0.9, is_object=True)
    orange = TextLine((10, 20, 200, 220), "orange", 0.9, is_object=True)
    rows = [TextLine((320, 109, 360, 129), "6.00"), TextLine((320, 171, 360, 194), "6.00")]
    shown = SQUARE.with_lines(Reading((clock, *rows)))
    (one,) = find_evidence("6.00", [shown], "What is the total?")
    assert one.pixels == rows[0].box
    printed = TextLine((300, 250, 380, 280), "ORANGE")
    (one,) = find_evidence("An orange.", [SQUARE.with_lines(Reading((orange, printed)))])
    assert not one.is_object
    after = [orange, TextLine((0, 250, 90, 270), "juice"), TextLine((300, 250, 380, 280), "fresh juice")]
    said = find_evidence("orange juice", [SQUARE.with_lines(Reading(tuple(after)))], "Which is fresh?")
    assert [one.text for one in said] == ["orange", "fresh juice"]


def found(answer, question="", rows=RECEIPT):
    return [(one.text, one.pixels) for one in find_evidence(answer, [layout(rows)], question)]


def rows(*numbers):
    return [RECEIPT[number] for number in numbers]


@pytest.mark.parametrize(
    ("answer", "question", "numbers"),
    [
        ("6.00", "What is the total?", (11,)),
        ("The total is 6.00.", "What is the total?", (11,)),
        ("RM 6,00", "What is the sub total?", (9,)),
        ("$6.00", "How much cash was given?", (13,)),
        ("6.00", "", (7,)),  # nothing says which: the first
        ("3.00", "What does one green tea cost?", (6,)),
        ("12/03/2019", "When?", (4,)),
        ("12 03 2019", "Which date?", (4,)),
        ("10:22", "At what time?", (4,)),
        ("corner shop sdn bhd", "Which company?", (0,)),
        ("CornerShop Sdn.Bhd.", "Which company?", (0,)),
        ("12, Jalan Besar, 47000 Selangor", "What is the address?", (1, 2)),
        ("Selangor", "Which state?", (2,)),  # the larger part of its line
        ("GREEN TEA", "What was bought?", (5,)),
        ("２", "How many green tea?", (5,)),
        ("CORNER SHOP SDN. BHD.\n12, JALAN BESAR,\n47000 SELANGOR.", "Read the first three lines.", (0, 1, 2)),
    ],
)
def test_the_line_that_was_read(answer, question, numbers):
    assert found(answer, question) == rows(*numbers)


@pytest.mark.parametrize(
    ("answer", "question"),
    [
        ("", "What?"),
        ("...", "What?"),
        ("Not in the document.", "What is the phone number?"),
        ("No", "Is it paid by card?"),
        ("Yes, there is.", "Is there a total?"),
        ("00", "What?"),  # a part of a number is another number
        ("6", "How many lines are there?"),
        ("2.00", "What is the total?"),
        ("16.00", "What is the total?"),
        ("total", "What is the total?"),  # it says what was asked
        ("A red shop on the corner of a street with a man in front of it", "What is in the picture?"),
    ],
)
def test_what_no_line_says(answer, question):
    assert found(answer, question) == []


def test_a_value_stands_below_its_label_in_a_form():
    form = [("Name", (10, 10, 60, 25)), ("City", (200, 10, 240, 25)), ("Paris", (10, 30, 60, 45))]
    form += [("Paris", (200, 30, 240, 45)), ("Paris", (200, 150, 240, 165))]
    assert found("Paris", "Which city?", form) == [form[3]]
    assert found("Paris", "Whose name?", form) == [form[2]]


def test_an_address_is_the_lines_that_belong_together():
    """Its town stands in another place before: the line is taken that goes on from the one before."""
    page = [("LONDON", (0, 0, 50, 10)), ("1 High Street", (0, 20, 90, 30)), ("London", (0, 32, 50, 42))]
    assert found("1 High Street, London", "Where?", page) == page[1:]


def test_words_of_a_script_without_blanks():
    page = [("合計金額 1,200円", (0, 0, 90, 10)), ("東京都千代田区", (0, 20, 90, 30))]
    assert found("1,200円", "", page) == page[:1] and found("千代田区", "", page) == page[1:]


def test_several_pictures_have_their_own_lines():
    one, other = layout(RECEIPT[:5]), layout(RECEIPT[5:])
    (evidence,) = find_evidence("Green tea", [one, other, SQUARE], "What was bought?")
    assert (evidence.image, evidence.text, evidence.pixels) == (1, *RECEIPT[5])
    assert find_evidence("Green tea", [SQUARE], "") == find_evidence("Green tea", [], "") == ()


SOME = ("ab", "cd", "total", "6.00", "12", "Größe", "x7", ",", ".", "総計", "[0.1,", "日")
WORDS = st.lists(st.sampled_from(SOME), max_size=6).map(" ".join)


@given(WORDS, WORDS, st.lists(WORDS.filter(str.strip), max_size=5))
def test_it_is_always_a_line_that_was_read(answer, question, texts):
    """Each once, with its own box; the part of the answer has only letters of the line."""
    page = [(text, (0, 20 * k, 90, 20 * k + 15)) for k, text in enumerate(texts)]
    lines = find_evidence(answer, [layout(page)], question)
    assert {(one.text, one.pixels) for one in lines} <= set(page) and len({one.pixels for one in lines}) == len(lines)
    for one in lines:
        said = answer[slice(*one.span)]
        assert said and {*filter(str.isalnum, said.casefold())} <= {*one.text.casefold()}
        assert said[0].isalnum() and said[-1].isalnum()


@given(st.integers(0, len(RECEIPT) - 1), st.sampled_from([str, str.lower, lambda text: text.replace(" ", "")]))
def test_a_whole_line_is_found(number, written):
    text = RECEIPT[number][0]
    assert text in [line for line, _ in found(written(text))]


def test_an_answer_has_its_lines(tiny_member, monkeypatch):
    """From the model's words to pixels of the image that was asked about."""
    know_engine(monkeypatch)
    sphinx, image = lively(lined(tiny_member)), noise(100, 60, 1)
    line = made_lines(image)[0]
    monkeypatch.setattr(sphinx._runner, "text", lambda *_: f"It says {line.text.upper()}.")
    answer = sphinx.answer("What does it say?", image, max_new_tokens=3)
    (evidence,) = answer.evidence
    assert (evidence.image, evidence.text, evidence.pixels) == (0, line.text, line.box)
    assert answer.points_at_something and not answer.says_where
    json.dumps(answer.to_dict(), allow_nan=False)
