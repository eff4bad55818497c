"""How SPHINX-Smol is measured: values worked out by hand, kinds of questions as the engines have them."""

import json
import random
import sys
from dataclasses import replace

import numpy as np
import pytest

from paths import ROOT
from sphinx_x.conversation import Place, Text
from sphinx_x.engines.charts.draw import draw_chart
from sphinx_x.engines.charts.engine import ChartSettings, make_chart, make_charts
from sphinx_x.engines.charts.tables import Table, read_tables
from sphinx_x.engines.documents.asking import ask
from sphinx_x.engines.documents.faces import find_faces
from sphinx_x.engines.documents.kinds import kinds_named
from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import Item, PictureFile, Verdict
from sphinx_x.evaluation.measures import Mean
from sphinx_x.evaluation.task import Reading, Task
from sphinx_x.text_lines.line import Reading as Lines
from sphinx_x.text_lines.line import TextLine

sys.path.insert(0, str(ROOT / "benchmarks"))
import smol_card
from smol_parts import evidence, held, peer_rules, photos, receipts, results, text_loss
from smol_parts.kinds import FIELD, HIGHEST, LOWEST, question_kind
from smol_parts.part import Part, Rows

RECEIPT = [
    ("OTTER & SONS SDN BHD", (10, 10, 200, 30)),
    ("NO.53, JALAN SAGU 18,", (10, 40, 200, 60)),
    ("81100 JOHOR BAHRU", (10, 70, 200, 90)),
    ("Date: 25/12/2018 8:13 PM", (10, 100, 200, 120)),
    ("Soap", (10, 130, 80, 150)),
    ("9.00", (150, 130, 190, 150)),
    ("Tea", (10, 160, 80, 180)),
    ("49.00", (150, 160, 190, 180)),
    ("TOTAL RM", (10, 190, 80, 210)),
    ("9.00", (150, 191, 190, 211)),
]


@pytest.mark.parametrize(
    ("field", "value", "boxes"),
    [
        ("total", "9.00", [RECEIPT[9][1]]),  # where it says total, and not in 49.00
        ("price", "9.00", [RECEIPT[5][1], RECEIPT[9][1]]),
        ("company", "Otter & Sons Sdn. Bhd.", [RECEIPT[0][1]]),
        ("address", "NO.53 JALAN SAGU 18, 81100 JOHOR BAHRU.", [(10, 40, 200, 90)]),
        ("date", "25/12/2018", [RECEIPT[3][1]]),
        ("company", "OTTER & SONS SDN BND", [RECEIPT[0][1]]),  # one letter of 16 was typed otherwise
        ("total", "0.00", []),
        ("total", "***", []),
    ],
)
def test_where_a_value_of_a_receipt_stands(field, value, boxes):
    assert evidence.true_boxes(field, value, RECEIPT) == boxes


def test_in_how_many_receipts_a_value_was_read(tmp_path):
    class Read:
        """Reads the lines above, whatever it is shown."""

        def read_file(self, content):
            return Lines(tuple(TextLine(box, text) for text, box in RECEIPT))

    (tmp_path / "one.png").write_bytes(b"")
    pictures = (PictureFile("one.png", (tmp_path,)),)
    asked = [("total", "9.00"), ("total", "9.10"), ("address", "No. 53, Jalan Sagu 18, 81100 Johor Bahru.")]
    items = [Item(k, "", pictures, (value,), kind=kind) for k, (kind, value) in enumerate(asked)]
    assert receipts._in_text(items, Read()) == "total 1 of 2, address 1 of 1"


def test_half_an_overlap():
    assert evidence.overlaps((0, 0, 10, 10), [(50, 50, 60, 60), (0, 0, 10, 20)])  # 100 of 200
    assert not evidence.overlaps((0, 0, 10, 10), [(0, 0, 10, 21)])
    assert not evidence.overlaps(None, [(0, 0, 10, 10)])


def test_rules_say_what_the_detector_names():
    car = TextLine((0, 0, 90, 90), "car", 0.9, is_object=True)
    lines = [car, TextLine((0, 0, 9, 9), "A CARROT")]
    assert peer_rules.main_object(lines) == "car" and peer_rules.main_object(lines[1:]) == ""
    asked = [photos.THERE.format(photos.with_article(name)) for name in ("car", "carrot", "oven")]
    assert [peer_rules.is_there(question, lines) for question in asked] == ["Yes", "No", "No"]
    assert peer_rules.PARTS["paragraphs"](None, lines) == "A CARROT"


def test_rules_read_a_receipt():
    lines = [TextLine(box, text) for text, box in RECEIPT]
    assert peer_rules.company(lines) == "OTTER & SONS SDN BHD"
    assert peer_rules.date(lines) == "25/12/2018"
    assert peer_rules.address(lines) == "NO.53, JALAN SAGU 18, 81100 JOHOR BAHRU"
    assert peer_rules.total(lines) == "9.00"
    assert [peer_rules.answer(field, []) for field in ("company", "date", "address", "total")] == [""] * 4


@pytest.mark.parametrize(
    ("text", "number"),
    [("1,234.5 people", 1234.5), ("about -0.5", -0.5), ("−3", -3), (".25 %", 0.25), ("1.2e3", 1200), ("none", None)],
)
def test_the_number_of_an_answer(text, number):
    assert held.number_in(text) == number


@pytest.mark.parametrize(
    ("answer", "true", "right"),
    [("95", "100", 1), ("105.0", "100", 1), ("94.9", "100", 0), ("-100", "100", 0), ("0", "0", 1), ("", "5", 0)],
)
def test_a_value_within_five_per_cent(answer, true, right):
    assert held.near(answer, true) == right


def test_what_is_not_in_the_document():
    assert held.says_absent("Not in the document.") and held.says_absent(" not in the document, sorry")
    assert not held.says_absent("It is not in the document") and not held.says_absent("")


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ("A hot dog on a plate", "hot dog"),
        ("dogs", "dog"),
        ("A man riding a horse.", "person"),
        ("The sofa", "couch"),
        ("teddy bear", "teddy bear"),
        ("a baseball", None),
        ("", None),
    ],
)
def test_the_object_that_an_answer_names(answer, name):
    assert photos.named(answer) == name


def coco(categories=((1, "person"), (17, "dog"))):
    return {
        "categories": [{"id": number, "name": name} for number, name in categories],
        "images": [{"id": 7, "file_name": "b.jpg"}, {"id": 8, "file_name": "a.jpg"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 5, 5], "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 17, "bbox": [0, 0, 6, 5]},
            {"id": 3, "image_id": 7, "category_id": 1, "bbox": [0, 0, 90, 90], "iscrowd": 1},
            {"id": 4, "image_id": 8, "category_id": 1, "bbox": [0, 0, 2, 2]},
        ],
    }


def test_the_largest_box_that_is_no_crowd_is_the_main_object(tmp_path):
    (tmp_path / "instances.json").write_text(json.dumps(coco()), "utf-8")
    main, there = photos.photos(tmp_path)
    assert [item.references for item in main.items] == [("person",), ("dog",)]
    # in b.jpg there is all that any photo shows, so that nothing is asked
    asked = [(item.question, item.references) for item in there.items]
    assert asked == [(photos.THERE.format("a person"), ("yes",)), (photos.THERE.format("a dog"), ("no",))]


def test_a_crowd_is_no_main_object_and_is_there(tmp_path):
    content = coco()
    content["annotations"] = [
        {"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 90, 90], "iscrowd": 1},
        {"id": 2, "image_id": 8, "category_id": 17, "bbox": [0, 0, 6, 5], "iscrowd": 0},
    ]
    (tmp_path / "instances.json").write_text(json.dumps(content), "utf-8")
    main, there = photos.photos(tmp_path)
    assert [item.references for item in main.items] == [("dog",)]
    asked = {(item.pictures[0].name, item.question): item.references for item in there.items}
    assert asked["b.jpg", photos.THERE.format("a person")] == ("yes",)
    assert asked["b.jpg", photos.THERE.format("a dog")] == ("no",)


def test_texts_are_spread_over_all():
    assert text_loss._spread(range(88), 60)[-1] == 86 and len(set(text_loss._spread(range(88), 60))) == 60
    assert list(text_loss._spread(range(5), 60)) == [0, 1, 2, 3, 4]


def test_ids_of_another_scheme_are_named():
    with pytest.raises(DataError, match="category 17 is none of COCO's"):
        photos.things_in(coco(((1, "person"), (18, "dog"))))


GROUPS = {"where_text": "where", "where_field": "where"}


def kinds_asked(drawing, rng, chart=False):
    """The kinds of many questions about a drawing, each of which its words must tell as well."""
    asked = ask(drawing, rng, turns=25, shown=0)
    turns = [asked.messages[k : k + 2] for k in range(0, len(asked.messages), 2)]
    for (question, answer), true in zip(turns, asked.kinds, strict=True):
        said = "".join(part.text for part in question.parts if isinstance(part, Text))
        if any(isinstance(part, Place) for part in answer.parts) and len(answer.parts) > 1:
            continue
        text = "".join(part.text for part in answer.parts if isinstance(part, Text))
        found = question_kind(said, text, chart)
        found = {HIGHEST: "most", LOWEST: "most", "title": FIELD}.get(found, found)
        assert found == GROUPS.get(true, true), (said, text)
        yield true


def test_kinds_of_questions_are_those_of_the_engine():
    faces, seen = find_faces(), set()
    for kind in kinds_named(()):
        for seed in range(2):
            rng = random.Random(seed)
            seen.update(kinds_asked(kind.draw(rng, faces), rng))
    assert len(seen) > 12


@pytest.mark.parametrize("series", [1, 2])
def test_kinds_of_questions_about_charts(series):
    """Of a chart with one series nobody says of which one."""
    pytest.importorskip("matplotlib", reason="it draws the charts: pip install 'sphinx-x[data]'")
    columns = (("Residents", (12.0, 45.0, 3.0, 27.0)), ("Visitors", (20.0, 9.0, 31.0, 4.0)))[:series]
    table, seen = Table("towns", "Town", ("Alm", "Berk", "Corve", "Dorn"), columns, False), set()
    for seed in range(8):
        rng = random.Random(seed)
        _, drawing, _ = draw_chart(rng, table)
        seen.update(kinds_asked(drawing, rng, chart=True))
    assert {"entry", "most", "difference"} <= seen


def test_whether_a_value_is_printed_in_its_chart(tmp_path):
    pytest.importorskip("matplotlib", reason="it draws the charts: pip install 'sphinx-x[data]'")
    (tmp_path / "tables").mkdir()
    rows = "".join(f"{name},{k}.5\n" for name, k in (("Alm", 12), ("Berk", 45), ("Corve", 3), ("Dorn", 27)))
    (tmp_path / "tables" / "towns.csv").write_text(f"Town,Residents\n{rows}")
    settings = ChartSettings(count=10, turns=3, weights={"entry": 1}, shown=0)
    make_charts(tmp_path / "tables", tmp_path / "charts", settings, workers=1)
    tables, printed = read_tables(tmp_path / "tables"), {}
    for number in range(settings.count):
        facts = make_chart(number, settings, tables).drawing.facts
        printed |= {(f"charts/{number}", fact.value): fact.printed for fact in facts if fact.about}
    items = held.held_items(tmp_path / "charts", chart=True)
    found = {(item.id.partition("#")[0], item.facts["text"]): item.facts["printed"] for item in items}
    assert set(found.values()) == {True, False} and found.items() <= printed.items()


def test_goals_and_differences():
    items = [Item(number, "", cluster=str(number)) for number in range(4)]
    rows = [Rows(Mean("right"), [(i, Verdict(float(i.index < n), "")) for i in items]) for n in (3, 1)]
    task = Task("made", "", {}, lambda *_: iter(()), lambda *_: Verdict(0, ""))
    part = Part("made", task, items, lambda _, answers, how: [rows[answers["n"]]], least={"right": 0.8})
    (row,) = results.part_rows(part, {"model": {"n": 0}, "blind": {"n": 1}}, Reading())
    assert (row["value"][0], row["reached"], row["items"]) == (0.75, False, 4)
    assert row["peers"]["blind"]["value"][0] == 0.25
    assert row["peers"]["blind"]["model_less_peer"][0] == 0.5
    # Wilson by hand: 0 of n has no more than z^2 / (n + z^2)
    assert results.wilson(0, 10) == pytest.approx((0, 3.8415 / 13.8415), abs=1e-4)
    assert results.wilson(1, 10) == pytest.approx((10 / 13.8415, 1), abs=1e-4)
    none = [Rows(Mean("right"), [(i, Verdict(0.0, "")) for i in items])]
    (row,) = results.part_rows(replace(part, judge=lambda *_: none), {"model": {}}, Reading())
    assert row["value"] == pytest.approx([0, 0, 3.8415 / 7.8415], abs=1e-4)
    part = replace(
        part, judge=lambda _, answers, how: [Rows(Mean("right"), rows[answers["n"]].judged[: answers["n"] + 2])]
    )
    (row,) = results.part_rows(part, {"model": {"n": 1}, "blind": {"n": 0}}, Reading())
    assert (row["items"], row["peers"]["blind"]["items"]) == (3, 2) and row["peers"]["blind"]["value"][0] == 1
    assert row["peers"]["blind"]["value"][1] == pytest.approx(2 / (3.8415 + 2), abs=1e-4), "of its own two"
    assert results._cells(row, ["blind"])[-1].endswith(", of 2")
    assert [results.reached(value, None, 0.1) for value in (0.1, 0.2, None)] == [True, False, None]


def test_a_model_beside_itself_has_no_more_loss(tiny, tmp_path):
    samples = [{"id": k, "messages": [{"role": "user", "content": f"Say {k}."}, {"role": "assistant", "content": k}]}
               for k in ("one", "two", "three")]  # fmt: skip
    (tmp_path / "said-00000.jsonl").write_text("".join(json.dumps(one) + "\n" for one in samples), "utf-8")
    found = text_loss.losses(tiny, tmp_path, count=3)
    # of a dialogue the answer's letters count and what ends it; of prose all but the first byte
    assert found["dialogues"][:, 1].tolist() == [4, 4, 6]
    assert (found["prose"][:, 1] > 100).all()
    same = text_loss.compared(found, found)
    assert [same[kind]["increase"] for kind in ("prose", "dialogues")] == [[0, 0, 0]] * 2
    more = text_loss.compared({kind: table * (1.03, 1) for kind, table in found.items()}, found)
    assert more["prose"]["increase"] == pytest.approx([0.03] * 3)


def test_results_of_the_same_weights_are_one_card():
    def result(part, limit, weights="w", **more):
        row = {"part": part, "figure": "right", "value": [0.5, 0.4, 0.6], "least": 0.4, "most": None, "scale": 1.0}
        told = {"model": "m", "weights": weights, "limit": limit, "notes": {}, "left_out": {}, "refused": {}}
        return told | {"ways": {"model": "model"} | more, "rows": [row | {"reached": True}]}

    both = smol_card.joined([result("receipts", None, blind="blind"), result("charts", 60)])
    assert [row["part"] for row in both["rows"]] == ["receipts", "charts"] and both["ways"].keys() == {"model", "blind"}
    assert both["limit"] == 60 and both["notes"] == {"receipts": "all items"}
    for other, says in ((result("charts", None, "x"), "different weights"), (result("receipts", 60), "two results")):
        with pytest.raises(SystemExit, match=says):
            smol_card.joined([result("receipts", None), other])


def test_errors_beside_a_reader_that_makes_none_in_some_draws():
    """One page of four has its only error, so that a third of the draws have none: there is no upper bound."""
    items = [Item(number, "", cluster=str(number)) for number in range(4)]

    class Errors:
        headline, scale = "errors", 1.0

        def columns(self, rows):
            return np.array([(verdict.score, 100.0) for _, verdict in rows])

    def errors(counts):
        return Rows(Errors(), [(item, Verdict(float(n), "")) for item, n in zip(items, counts, strict=True)])

    row = results._error_ratio(errors([3, 1, 1, 1]), errors([1, 0, 0, 0]))
    assert row["value"][0] == 6 and row["value"][1] > 1 and row["value"][2] is None
    assert results.triple(row["value"], 0).endswith(" or more)")
