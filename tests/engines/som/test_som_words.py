"""What is written about marks: only what is true, cited as it should be, checked as answers of others are."""

import random
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageColor, ImageDraw

from messages import dicts
from som_said import Thing, false_ones, faults, repeated, statements
from sphinx_x.engines.som.checks import check_answer, check_exchange, cited, holds_text, names_it
from sphinx_x.engines.som.facts import compared, counted, directions, known_marks, lies
from sphinx_x.engines.som.inquiries import _of_two
from sphinx_x.engines.som.marks import KINDS, MarkSettings, place_marks
from sphinx_x.engines.som.nouns import a_noun, agree, several
from sphinx_x.engines.som.regions import Region, cut_out
from sphinx_x.engines.som.said import Said
from sphinx_x.engines.som.scenes import Relation, Scene
from sphinx_x.engines.som.words import READY, GroundTruthWriter
from sphinx_x.engines.som.writing import TASKS, Exchange, Page, messages_of, written_marks
from sphinx_x.sources.base import UnusedError


def page_of(regions, size=(400, 300), relations=(), domain="natural", kind="point", kinds=TASKS, key="k", image=None):
    scene = Scene("s", b"", tuple(regions), domain, tuple(relations))
    image = image or Image.new("RGB", size, "gray")
    marked = place_marks(image, scene.regions, MarkSettings(kind=kind))
    return Page(key, "s", scene, marked, tuple(known_marks(scene, marked, image)), kinds, b"", b"")


DOG = Region("dog", box=(10, 200, 90, 280))
MAN = Region("person", box=(150, 40, 230, 280))
CAT = Region("cat", box=(300, 220, 360, 270))
HAT = Region("hat", box=(160, 45, 220, 80))


def said(exchanges) -> str:
    return "\n".join(f"{question}\n{answer}" for exchange in exchanges for question, answer in exchange.turns)


def test_each_of_the_papers_four_kinds_alone():
    for key in map(str, range(12)):
        for kind in TASKS:
            (exchange,) = GroundTruthWriter().write(page_of([DOG, MAN, CAT], kinds=(kind,), key=key))
            assert exchange.kind == kind
            _, answer = exchange.turns[0]
            if kind == "short":
                assert answer == "Mark 1: a dog\nMark 2: a person\nMark 3: a cat"
            elif kind == "detailed":
                assert re.findall(r"^Mark (\d):", answer, re.MULTILINE) == ["1", "2", "3"]
                assert re.search(r"Mark 1: .*\b[Aa] dog\b", answer)
            elif kind == "relations":
                assert re.match(r"<Mark \d><Mark \d>: .*Mark \d (is|lies) .* Mark \d", answer)
            else:
                assert answer in READY and 2 <= len(exchange.turns) <= 5
                assert all("<Mark" in question or "mark" in question for question, _ in exchange.turns)


def test_marks_stand_in_the_first_question_and_the_image_before_it():
    for kind, part in (("point", "point"), ("box", "box"), ("polygon", "points"), ("mask", "points")):
        page = page_of([DOG, CAT], kind=kind)
        messages = dicts(messages_of(page, GroundTruthWriter().write(page)))
        content = messages[0]["content"]
        assert content[0]["type"] == "image"
        places = [piece for piece in content if piece["type"] == part]
        assert len(places) == 2
        before = content[content.index(places[0]) - 1]["text"]
        assert before.endswith("<Mark 1> ") and content[content.index(places[1]) - 1]["text"] == ", <Mark 2> "
        assert all(piece["type"] == "text" for message in messages[1:] for piece in message["content"])
    page = page_of([DOG], kind="point")
    assert dicts(messages_of(page, GroundTruthWriter().write(page)))[0]["content"][2]["point"] == [49.5, 239.5]


def test_the_prompt_has_the_form_of_the_paper(tiny):
    page = page_of([DOG, CAT], size=(400, 400))
    messages = messages_of(page, GroundTruthWriter().write(page))
    builder, grid = tiny.processor.prompt_builder(), tiny.processor.image_processor.grid()
    from sphinx_x.model.views import plan_views

    encoded = builder.encode(messages, [plan_views(400, 400, grid)])
    text = builder.tokenizer.decode(encoded.ids)
    decimals = len(re.search(r"<Mark 1> \[0\.(\d+)", text)[1])
    assert f"<Mark 1> [{49.5 / 400:.{decimals}f}, {239.5 / 400:.{decimals}f}], <Mark 2> [" in text


def test_marks_are_written_for_a_prompt():
    page = page_of([DOG, CAT], size=(400, 400))
    assert written_marks(page.marked) == "<Mark 1> [0.12, 0.60], <Mark 2> [0.82, 0.61]"
    assert written_marks(page_of([DOG], kind="box").marked, 3) == "<Mark 1> [0.025, 0.500, 0.225, 0.700]"
    assert written_marks(page_of([DOG], kind="polygon").marked).count(";") == 3
    wide = page_of([DOG], size=(400, 300)).marked  # 50 pixels of padding above and below
    x, y = wide.marks[0].point
    assert written_marks(wide, 3, "center") == f"<Mark 1> [{x / 400:.3f}, {(y + 50) / 400:.3f}]"


def test_of_two_relations_of_a_pair_neither_is_asked_for():
    said = [Relation(0, "wearing", 1), Relation(0, "holding", 1)]
    for relations, asked in ((said[:1], True), (said, False)):
        pages = [page_of([MAN, HAT, DOG], relations=relations, key=str(k)) for k in range(12)]
        found = {one.sort for page in pages for one in _of_two(page, Said(page.known), random.Random(0))}
        assert ("relation" in found) == asked


def test_annotated_relations_come_first():
    page = page_of([MAN, HAT, DOG], relations=[Relation(0, "wearing", 1)])
    text = said(GroundTruthWriter().write(page))
    assert "<Mark 1><Mark 2>: a person wearing a hat." in text
    assert "<Mark 3>" in text


def test_only_what_is_known_is_said():
    nothing = [Region(mask=np.pad(np.ones((40, 40), bool), ((10, 250), (k, 360 - k)))) for k in (0, 100)]
    page = page_of(nothing)
    exchanges = GroundTruthWriter().write(page)
    assert {exchange.kind for exchange in exchanges} <= {"detailed", "relations", "questions"}
    detailed = GroundTruthWriter().write(page_of(nothing, kinds=("detailed",)))
    assert "a region" in said(detailed) and "a region at <Mark" not in said(exchanges)
    with pytest.raises(UnusedError):
        GroundTruthWriter().write(page_of(nothing[:1], kinds=("short",)))


def test_boxes_that_overlap_say_nothing_of_what_is_in_them():
    one, other = page_of([HAT, MAN]).known
    assert lies(one, other) == lies(other, one) == ""
    across = page_of([DOG, MAN]).known
    assert lies(*across) == "to the left of"
    inner, outer = page_of([HAT, MAN], domain="gui").known
    assert lies(inner, outer) == "inside" and lies(outer, inner) == "", "a button in a window"
    assert directions(DOG.box, MAN.box) == ["to the left of"]
    assert directions((0, 0, 10, 10), (10, 10, 20, 20)) == ["to the left of", "above"]
    assert compared(other, one) == 1 and compared(one, one) == 0
    for key in map(str, range(40)):
        text = said(GroundTruthWriter(questions=9).write(page_of([HAT, MAN, DOG], key=key)))
        assert not re.search(r"enclos|overlap|within the box|less than", text)


def test_a_place_is_told_where_all_agree_on_it():
    def where(*box):
        return page_of([Region("dog", box=box)]).known[0].where

    assert where(140, 110, 260, 190) == "in the middle of the image"
    assert where(120, 110, 280, 190) == "", "the middle is the middle third"
    assert where(0, 0, 100, 80) == "in the upper left of the image"
    assert where(0, 60, 400, 260) == "" and where(0, 0, 260, 80) == "", "too wide to be on one side"
    assert where(300, 120, 400, 200) == "on the right of the image"


def painted(colours, seed=0):
    """An image with a polygon of each colour, and the regions of these."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (400, 300), "white")
    regions = []
    for number, (name, colour) in enumerate(colours):
        x, y = 10 + 130 * (number % 3), 10 + 150 * (number // 3)
        w, h = (int(n) for n in rng.integers(40, 120, 2))
        corners = ((x, y + h // 2), (x + w // 2, y), (x + w, y + h // 2), (x + w // 2, y + h))
        ImageDraw.Draw(image).polygon(corners, fill=colour)
        regions.append(Region(name, polygons=(corners,)))
    return image, regions


PAINTS = [("dog", "saddlebrown"), ("car", "red"), ("kite", "blue"), ("ball", "gold"), ("box", "gray"), ("cat", "black")]


def test_colours_and_sizes_are_those_of_the_pixels():
    """The same boxes all over: only the pixels tell them apart."""
    image, regions = painted(PAINTS)
    known = page_of(regions, image=image, kind="mask").known
    assert [one.colours for one in known] == [("brown",), ("red",), ("blue",), ("yellow",), ("grey",), ("black",)]
    pixels = np.asarray(image)
    for one, (_, colour) in zip(known, PAINTS, strict=True):
        share = (pixels == np.array(ImageColor.getrgb(colour))).all(-1).mean()
        assert one.share == (f"about {round(100 * one.mark.share)}% of the image" if one.mark.share >= 0.01 else "")
        assert abs(one.mark.share - share) < 0.002, "half of the box of a diamond"
    boxes = [Region(region.name, box=region.bounds()) for region in regions]
    assert not any(one.colours for one in page_of(boxes, image=image).known), "a box is no thing"
    people = [Region("person", polygons=region.polygons) for region in regions]
    assert not any(one.colours for one in page_of(people, image=image).known)
    two = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(two).rectangle((0, 0, 99, 299), fill="black")
    zebra = Region("zebra", polygons=(((0, 0), (200, 0), (200, 300), (0, 300)),))
    assert set(page_of([zebra], image=two).known[0].colours) == {"black", "white"}
    rainbow = Image.fromarray(np.random.default_rng(1).integers(0, 256, (300, 400, 3)).astype(np.uint8))
    assert page_of([zebra], image=rainbow).known[0].colours == ()


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


def turns_of(exchanges):
    return [turn for exchange in exchanges for turn in exchange.turns]


def things_of(page):
    return {
        one.label: Thing(one.region.text or one.region.name, one.mark.box, pixels_of(one, page.marked.size))
        for one in page.known
    }


def pixels_of(one, size):
    cut = cut_out(one.region, size)
    pixels = np.zeros((size[1], size[0]), bool)
    pixels[cut.where] = cut.mask
    return pixels


@settings(max_examples=80, deadline=None)
@given(pages())
def test_everything_that_is_said_is_true(page):
    if not page.known:
        return
    exchanges = GroundTruthWriter(questions=8).write(page)
    assert GroundTruthWriter(questions=8).write(page) == exchanges
    for exchange in exchanges:
        assert check_exchange(page, exchange) == []
    things = things_of(page)
    names = {label: thing.name for label, thing in things.items()}
    for question, answer in turns_of(exchanges):
        facts = statements(question, answer, names)
        assert false_ones(facts, things, np.zeros((300, 400, 3), np.uint8)) == [], (question, answer)
        if re.match(r"Is <Mark \w+> (above|below|to the)", question):
            asked = re.search(r"(above|below|to the left of|to the right of)", question)[1]
            assert answer.startswith("Yes") == (asked in answer)
        if re.match(r"Is <Mark \w+> on ", question):
            thing = names[re.search(r"<Mark (\w+)>", question)[1]]
            assert answer.startswith("Yes") == bool(re.fullmatch(rf"Is .* on (an? )?{thing}\?", question))


def scene_of(seed):
    """A painted scene of one to six things with polygons, some of one name."""
    rng = np.random.default_rng(seed)
    names = rng.choice(["dog", "car", "kite", "skis", "umbrella", "bus", "TV"], 6)
    colours = rng.choice(["red", "blue", "green", "black", "gray", "gold", "saddlebrown"], 6)
    count = int(rng.integers(1, 7))
    return painted([(str(name), str(colour)) for name, colour in zip(names, colours, strict=True)][:count], seed)


@pytest.mark.parametrize("scenes", [50, pytest.param(400, marks=pytest.mark.slow)])
def test_dialogues_say_each_thing_once_and_begin_in_different_ways(scenes):
    """Over many scenes: true, not repeated, half of them begin with questions, many ways to begin, no faults."""
    again, first, leading, shapes = [], Counter(), 0, Counter()
    for seed in range(scenes):
        image, regions = scene_of(seed)
        page = page_of(regions, image=image, key=str(seed), kind="mask")
        exchanges = GroundTruthWriter().write(page)
        turns = turns_of(exchanges)
        things = things_of(page)
        names = {label: thing.name for label, thing in things.items()}
        for question, answer in turns:
            facts = statements(question, answer, names)
            assert false_ones(facts, things, np.asarray(image)) == [], (seed, question, answer)
        assert not faults(said(exchanges)), said(exchanges)
        again += repeated(turns, names)
        answers = [answer for _, answer in turns]
        again += [any(late in early for early in answers[:k]) for k, late in enumerate(answers) if k]
        leading += exchanges[0].kind == "questions"
        first[answers[0]] += 1
        shapes[exchanges[0].kind] += 1
    assert len(again) > 4 * scenes and sum(again) <= 0.02 * len(again)
    assert abs(leading / scenes - 0.5) <= 0.12, "questions before descriptions in half of the samples"
    assert len(first) > 0.6 * scenes and len(shapes) == 4


def test_one_kind_of_a_dialogue_is_complete():
    """SPHINX-Nano's recipe asks for one kind alone: every mark is named, or asked about after the announcement."""
    for seed in range(30):
        image, regions = scene_of(seed)
        short = GroundTruthWriter().write(page_of(regions, image=image, key=str(seed), kinds=("short",)))
        assert short[0].turns[0][1].count("Mark ") == len(regions)
        asked = GroundTruthWriter().write(page_of(regions, image=image, key=str(seed), kinds=("questions",)))
        assert asked[0].turns[0][1] in READY and len(asked[0].turns) > 1


def test_questions_have_one_answer_where_classes_have_several_names():
    guy = Region("guy", box=(300, 40, 380, 280))
    regions, asked = [Region("man", box=MAN.box), guy, DOG], 0
    for key in map(str, range(30)):
        text = said(GroundTruthWriter(questions=99).write(page_of(regions, key=key, kinds=("questions",))))
        assert not re.search(r"Which mark is on a (man|guy)|on (men|guys)\?|Is <Mark \d> on a (man|guy)", text)
        asked += "Which mark is on a dog?" in text or "Is <Mark 3> on a dog?" in text
    assert asked > 3


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
