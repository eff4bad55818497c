"""What is written about marks: only what is true, cited as it should be, checked as answers of others are."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sphinx_x.conversation import parse_messages
from sphinx_x.data.som.checks import check_answer, check_exchange, cited, holds_text, names_it
from sphinx_x.data.som.facts import compared, counted, directions, known_marks, lies
from sphinx_x.data.som.marks import KINDS, MarkSettings, place_marks
from sphinx_x.data.som.nouns import a_noun, agree, several
from sphinx_x.data.som.regions import Region
from sphinx_x.data.som.scenes import Relation, Scene
from sphinx_x.data.som.words import READY, GroundTruthWriter
from sphinx_x.data.som.writing import TASKS, Exchange, Page, messages_of, written_marks
from sphinx_x.data.sources.base import UnusedError


def page_of(regions, size=(400, 300), relations=(), domain="natural", kind="point", kinds=TASKS, key="k"):
    scene = Scene("s", b"", tuple(regions), domain, tuple(relations))
    marked = place_marks(Image.new("RGB", size, "gray"), scene.regions, MarkSettings(kind=kind))
    return Page(key, "s", scene, marked, tuple(known_marks(scene, marked)), kinds, b"", b"")


DOG = Region("dog", box=(10, 200, 90, 280))
MAN = Region("person", box=(150, 40, 230, 280))
CAT = Region("cat", box=(300, 220, 360, 270))
HAT = Region("hat", box=(160, 45, 220, 80))


def said(exchanges) -> str:
    return "\n".join(f"{question}\n{answer}" for exchange in exchanges for question, answer in exchange.turns)


def test_the_four_kinds_of_the_paper():
    page = page_of([DOG, MAN, CAT])
    exchanges = GroundTruthWriter().write(page)
    assert [exchange.kind for exchange in exchanges] == list(TASKS)
    detailed, short, relations, questions = exchanges
    assert short.turns[0][1] == "Mark 1: a dog\nMark 2: a person\nMark 3: a cat"
    assert re.search(r"Mark 1: (A dog is|There is a dog) in the lower left of the image\.", detailed.turns[0][1])
    assert relations.turns[0][1].startswith("<Mark 1><Mark 2>: Mark 1 (a dog) is to the left of Mark 2 (a person)")
    assert questions.turns[0][1] in READY and 2 <= len(questions.turns) <= 5
    assert all("<Mark" in question or "marks" in question or "mark" in question for question, _ in questions.turns)


def test_marks_stand_in_the_first_question_and_the_image_before_it():
    for kind, part in (("point", "point"), ("box", "box"), ("polygon", "points"), ("mask", "points")):
        page = page_of([DOG, CAT], kind=kind)
        messages = messages_of(page, GroundTruthWriter().write(page))
        content = messages[0]["content"]
        assert content[0]["type"] == "image"
        places = [piece for piece in content if piece["type"] == part]
        assert len(places) == 2
        before = content[content.index(places[0]) - 1]["text"]
        assert before.endswith("<Mark 1> ") and content[content.index(places[1]) - 1]["text"] == ", <Mark 2> "
        assert all(piece["type"] == "text" for message in messages[1:] for piece in message["content"])
    page = page_of([DOG], kind="point")
    assert messages_of(page, GroundTruthWriter().write(page))[0]["content"][2]["point"] == [49.5, 239.5]


def test_the_prompt_has_the_form_of_the_paper(tiny):
    page = page_of([DOG, CAT], size=(400, 400))
    messages = messages_of(page, GroundTruthWriter().write(page))
    builder, grid = tiny.processor.prompt_builder(), tiny.processor.image_processor.grid()
    from sphinx_x.model.views import plan_views

    encoded = builder.encode(parse_messages(messages), [plan_views(400, 400, grid)])
    text = builder.tokenizer.decode(encoded.ids)
    decimals = len(re.search(r"<Mark 1> \[0\.(\d+)", text)[1])
    assert f"<Mark 1> [{49.5 / 400:.{decimals}f}, {239.5 / 400:.{decimals}f}], <Mark 2> [" in text


def test_marks_are_written_for_a_prompt():
    page = page_of([DOG, CAT], size=(400, 400))
    assert written_marks(page.marked) == "<Mark 1> [0.12, 0.60], <Mark 2> [0.82, 0.61]"
    assert written_marks(page_of([DOG], kind="box").marked, 3) == "<Mark 1> [0.025, 0.500, 0.225, 0.700]"
    assert written_marks(page_of([DOG], kind="polygon").marked).count(";") == 3


def test_annotated_relations_come_first():
    page = page_of([MAN, HAT, DOG], relations=[Relation(0, "wearing", 1)])
    text = said(GroundTruthWriter().write(page))
    assert "<Mark 1><Mark 2>: a person wearing a hat." in text
    assert "<Mark 3>" in text


def test_only_what_is_known_is_said():
    nothing = [Region(mask=np.pad(np.ones((40, 40), bool), ((10, 250), (k, 360 - k)))) for k in (0, 100)]
    page = page_of(nothing)
    exchanges = GroundTruthWriter().write(page)
    assert [exchange.kind for exchange in exchanges] == ["detailed", "relations", "questions"]
    assert "region" in exchanges[0].turns[0][1] and "a region at <Mark" not in said(exchanges)
    with pytest.raises(UnusedError):
        GroundTruthWriter().write(page_of(nothing[:1], kinds=("short",)))


def test_boxes_that_overlap_say_nothing_of_what_is_in_them():
    one, other = known_marks(Scene("s", b"", (HAT, MAN), "natural"), page_of([HAT, MAN]).marked)
    assert lies(one, other, "the hat", "Mark 2") == "the hat is within the box of Mark 2"
    assert lies(other, one, "Mark 2", "Mark 1") == "the box of Mark 2 encloses that of Mark 1"
    across = known_marks(Scene("s", b"", (DOG, MAN), "natural"), page_of([DOG, MAN]).marked)
    assert lies(*across, "the dogs", "Mark 2", many=True) == "the dogs are to the left of Mark 2"
    assert directions(DOG.box, MAN.box) == ["to the left of"]
    assert directions((0, 0, 10, 10), (10, 10, 20, 20)) == ["to the left of", "above"]
    assert compared(other, one) == 1 and compared(one, one) == 0
    assert "box" in one.extent
    known = page_of([Region("title", box=(10, 10, 200, 40))], domain="document").known
    assert "box" not in known[0].extent


NAMES = ("dog", "skis", "umbrella", "person", "sheep", "traffic light")


@st.composite
def pages(draw):
    count = draw(st.integers(1, 9))
    regions = []
    for _ in range(count):
        x, y = draw(st.integers(0, 360)), draw(st.integers(0, 260))
        w, h = draw(st.integers(12, 200)), draw(st.integers(12, 200))
        box = (float(x), float(y), float(min(x + w, 400)), float(min(y + h, 300)))
        if draw(st.booleans()):
            regions.append(Region(draw(st.sampled_from(NAMES)), box=box))
        else:
            regions.append(Region(text=draw(st.sampled_from(["EXIT", "Total 9.00", "出口", "a mark 7 b"])), box=box))
    domain = draw(st.sampled_from(["natural", "text", "document"]))
    return page_of(regions, domain=domain, key=str(draw(st.integers(0, 99))), kind=draw(st.sampled_from(KINDS)))


@settings(max_examples=80, deadline=None)
@given(pages())
def test_everything_that_is_said_is_true(page):
    if not page.known:
        return
    by_label = {one.mark.label: one for one in page.known}
    exchanges = GroundTruthWriter().write(page)
    assert GroundTruthWriter().write(page) == exchanges
    for exchange in exchanges:
        assert check_exchange(page, exchange) == []
    text = said(exchanges)
    sides = r"((?:above|below)(?: and to the (?:left|right) of)?|to the (?:left|right) of)"
    told = re.findall(rf"Mark (\d+)[^;.\n]*? is {sides}[^;.\n]*? Mark (\d+)", text)
    told += re.findall(rf"^Mark (\d+): .* (?:is|are) {sides} (?:the .* at )?Mark (\d+)\.$", text, re.MULTILINE)
    for first, said_of_it, second in told:
        for side in said_of_it.split(" and "):
            assert side in directions(by_label[first].mark.box, by_label[second].mark.box)
    boxes = re.findall(r"Mark (\d+)[^;.\n]*? (overlaps|encloses) that of Mark (\d+)", text)
    boxes += re.findall(r"^Mark (\d+): .* (overlaps|encloses) that of (?:the .* at )?Mark (\d+)\.$", text, re.MULTILINE)
    boxes += re.findall(r"Mark (\d+)[^;.\n]*? is (within) the box of Mark (\d+)", text)
    for first, word, second in boxes:
        one, other = by_label[first].mark.box, by_label[second].mark.box
        assert not directions(one, other)
        inner, outer = (one, other) if word == "within" else (other, one)
        held = inner[0] >= outer[0] and inner[1] >= outer[1] and inner[2] <= outer[2] and inner[3] <= outer[3]
        assert held == (word != "overlaps")
    pattern = r"Is <Mark (\d+)> (.+?) <Mark (\d+)>\?\n(Yes|No), <Mark \1> is (.+?) <Mark \3>\."
    for first, asked, second, yes, side in re.findall(pattern, text):
        assert side in directions(by_label[first].mark.box, by_label[second].mark.box)
        assert (asked == side) == (yes == "Yes")
    pattern = r"Mark (\d+) (?:is|has a) (larger|smaller) (?:in the image|box) than Mark (\d+)"
    for first, word, second in re.findall(pattern, text):
        assert compared(by_label[first], by_label[second]) == (1 if word == "larger" else -1)
    for label, name in re.findall(r"Mark (\d+) \((?:an? )?([a-z ]+)\)", text):
        assert by_label[label].region.name == name


def test_questions_have_one_answer_where_classes_have_several_names():
    guy = Region("guy", box=(300, 40, 380, 280))
    for key in range(30):
        text = said(
            GroundTruthWriter(questions=99).write(page_of([Region("man", box=MAN.box), guy, DOG], key=str(key)))
        )
        assert not re.search(r"Which mark is on a (man|guy)|on (men|guys)\?", text)
    assert "Which mark is on a dog?" in text or "are on dogs?" in text


def test_nouns():
    said = {"dog": "a dog", "umbrella": "an umbrella", "skis": "skis", "unicorn": "a unicorn", "sheep": "a sheep"}
    said |= {"people": "people", "TV": "a TV", "orange": "an orange", "broccoli": "broccoli", "scissors": "scissors"}
    said |= {"hourglass": "an hourglass", "panel with cars": "a panel with cars", "cup of tea": "a cup of tea"}
    for name, wanted in said.items():
        assert a_noun(name) == wanted
    assert agree("has a box", True) == "have a box" and agree("lies above", True) == "lie above"
    assert agree("is here", False) == "is here" and agree("is here", True) == "are here"
    said = {"canvas": "a canvas", "SUV": "an SUV", "DVD player": "a DVD player", "LED lamp": "an LED lamp"}
    said |= {"grass": "grass", "gas": "a gas", "series": "a series", "LCD": "an LCD", "IKEA bag": "an IKEA bag"}
    for name, wanted in said.items():
        assert a_noun(name) == wanted
    for name, wanted in {"people": "people", "skis": "skis", "water": "water", "dog": "dogs"}.items():
        assert several(name) == wanted
    assert counted(page_of([Region("grass", box=(k, 10, k + 90, 100)) for k in (0, 100)]).known) == "grass"
    assert several('element labelled "Go"') == 'elements labelled "Go"'
    assert (
        counted(page_of([DOG, MAN, MAN.__class__("person", box=(250, 10, 290, 100))]).known) == "two people and a dog"
    )


def test_labels_are_found_however_they_are_cited():
    assert cited("<Mark 1><Mark 2>: both; Mark 3: x") == ["1", "2", "3"]
    assert cited("Marks 1, 2 and 4 are cars; marks 5, 6, and 7 too, mark 10 is not.") == [
        "1",
        "2",
        "4",
        "5",
        "6",
        "7",
        "10",
    ]
    assert cited("A mark on the wall, a remark 5") == []
    assert cited("<Mark A> is left of Mark B; a mark is there", ["A", "B"]) == ["A", "B"]
    assert cited("Mark 1, 2 dogs") == ["1"]


GOOD = "Mark 1: A brown dog on the grass.\nMark 2: A man in a suit.\nMark 3: The cat looks up."
KNOWN = {"1": "dog", "2": "person", "3": "cat"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD, ""),
        (GOOD.replace("Mark 1:", "<Mark 1>:"), ""),
        (GOOD.replace("Mark 2", "**Mark 2**"), ""),
        ("", "empty text"),
        (GOOD.replace("Mark 3: The cat looks up.", ""), "mark not cited: 3"),
        (GOOD + "\nMark 4: A tree.", "mark cited that does not exist: 4"),
        (GOOD + "\nMark 1: It barks, the dog.", "mark described twice: 1"),
        (GOOD.replace("brown dog", "brown cat"), "mark described as what another one is on: 1 is dog, not cat"),
        (GOOD.replace("brown dog", "fine sofa"), "mark described as something else: 1 is dog"),
        ("Mark 1 is a dog and Mark 2 a man, Mark 3 a cat.", "mark without a line of its own: 1, 2, 3"),
    ],
)
def test_answers_are_checked(text, reason):
    found = check_answer(text, ["1", "2", "3"], ["1", "2", "3"], KNOWN, lines=True)
    assert found == ([reason] if reason else [])


def test_exchanges_are_checked_by_their_kind():
    page = page_of([DOG, CAT])
    assert check_exchange(page, Exchange("questions", [("?", "Yes.")])) == []
    assert check_exchange(page, Exchange("questions", [("?", "<Mark 3>.")])) == [
        "mark cited that does not exist (questions): 3"
    ]
    assert check_exchange(page, Exchange("questions", [("What is <Mark 3>?", "A dog.")])) != []
    assert check_exchange(page, Exchange("relations", [("?", "<Mark 1> is here.")])) == [
        "mark not cited (relations): 2"
    ]


def test_names_and_texts():
    assert names_it("Two women talk", "person") and names_it("a woman", "man") and not names_it("a dog", "cat")
    assert names_it("A dining-table", "dining table") and names_it("red CARS", "car") and not names_it("carpet", "car")
    assert names_it("a flat screen television", "TV")
    assert holds_text('It says "TOTAL: 9.00"', "Total 9.00") and holds_text("reads T0TAL AMOUNT", "TOTAL AMOUNT")
    assert not holds_text("It says EXIT", "TOTAL") and not holds_text("nothing", "出口") and holds_text("出口", "出口")
