"""Questions about documents: answers stand where it is said, what is not there is not, yes and no are even."""

import random
import re
from collections import Counter

import pytest
from PIL import Image

from drawn_documents import drawings
from sphinx_x.conversation import Place, Text
from sphinx_x.engines.documents import asking, wordings
from sphinx_x.engines.documents.asking import WEIGHTS, ask
from sphinx_x.engines.documents.kinds import all_kinds
from sphinx_x.engines.documents.sheet import Drawing, Fact, Word
from sphinx_x.errors import DataError

TELLTALE = {
    "phone": r"\b(tel|phone|hp)\b", "fax": r"\bfax\b", "email": r"@\w+\.", "website": r"\bwww\.",
    "tax number": r"\b(gst id|gst reg|gst no|vat no|vat reg|vat number|ein|abn)\b",
    "cashier": r"\b(cashier|served by|operator|salesperson)\b", "change": r"\bchange\b", "discount": r"\bdisc",
    "rounding": r"\bround", "service charge": r"\b(svc|serv\w*\.? ch)", "subtotal": r"\bsub-? ?total",
    "time": r"\b\d\d?:\d\d\b", "due date": r"\bdue date\b", "total": r"\btotal\b",
}  # fmt: skip
"""What would be printed if such a fact were."""


def plain(text):
    return re.sub(r"\W", "", text.lower())


def said(message):
    return "".join(part.text for part in message.parts if isinstance(part, Text))


def stands(text, lines):
    """Return whether every word of a text is in some lines; those of other columns may come between."""
    words = [plain(word) for line in lines for word in line.text.split()]
    return bool(lines) and all(any(plain(word) in other for other in words) for word in text.split())


def turns_of(drawing, kind, seed):
    """Return questions of one kind about a document, with answers and the text of the lines that they stand in."""
    try:
        asked = ask(drawing, random.Random(seed), 3, {kind: 1}, shown=0)
    except asking.UnusedError:
        return []
    lines = [[drawing.lines[k] for k in asked.evidence[n]] for n in range(len(asked.messages) // 2)]
    return list(zip(asked.messages[::2], asked.messages[1::2], lines, strict=True))


@pytest.mark.parametrize("name", all_kinds())
def test_every_fact_is_printed_and_has_words(name):
    for drawing in drawings(name):
        for fact in drawing.facts:
            assert plain(fact.value) in plain(" ".join(drawing.words[k].text for k in fact.words)), fact
            assert wordings.noun(fact.name, fact.about)
            assert fact.about or fact.name in {*drawing.could, "total before rounding"}, "could be missing elsewhere"
        assert set(drawing.could) <= wordings.NOUNS.keys()
        boxes = [word.box for word in drawing.words]
        for k, (x1, y1, x2, y2) in enumerate(boxes):
            apart = [
                box for box in boxes[k + 1 :] if box[0] < x2 and x1 < box[2] and box[1] < y2 - 2 and y1 < box[3] - 2
            ]
            assert not apart, f"{drawing.words[k].text} is written over"
            assert x1 >= 0 and y1 >= 0 and x2 <= drawing.ink.width and y2 <= drawing.ink.height


@pytest.mark.parametrize("name", all_kinds())
@pytest.mark.parametrize("kind", ["field", "entry", "which", "order", "most", "region", "block", "read"])
def test_answers_stand_in_the_lines_of_their_evidence(name, kind):
    for number, drawing in enumerate(drawings(name)):
        for question, answer, lines in turns_of(drawing, kind, number):
            assert stands(said(answer), lines), said(question)


def test_a_short_page_is_read_as_a_whole_once():
    asked = [turn for n, drawing in enumerate(drawings("notice")) for turn in turns_of(drawing, "read", n)]
    whole = [(said(answer), lines) for question, answer, lines in asked if said(question) in wordings.READ_ALL]
    first = [said(question) for question, *_ in asked if said(question) not in wordings.READ_ALL]
    assert whole and first
    for number, drawing in enumerate(drawings("notice")):
        page = "\n".join(line.text for line in drawing.lines)
        for question, answer, _ in turns_of(drawing, "read", number):
            if said(question) in wordings.READ_ALL:
                assert plain(said(answer)) == plain(page)
            else:
                assert plain(said(answer)) != plain(page) and plain(page).startswith(plain(said(answer)))
        dialogue = ask(drawing, random.Random(number), 6, {"read": 1}, shown=0)
        assert sum(said(message) in wordings.READ_ALL for message in dialogue.messages) <= 1


@pytest.mark.parametrize("name", ["invoice", "letter", "receipt"])
def test_an_address_or_a_date_is_named_where_there_are_two(name):
    seen = Counter()
    for number, drawing in enumerate(drawings(name)):
        names = {fact.name for fact in drawing.facts}
        others = {
            "address": names & {"customer address", "recipient address"},
            "date": names & {"due date", "deadline"},
        }
        for seed in range(20):
            for question, *_ in turns_of(drawing, "field", 100 * number + seed):
                asked = said(question).partition("\n")[0]
                for fact, plain_ones in wordings.PLAIN.items():
                    if asked in plain_ones:
                        assert not others[fact], asked
                        seen[fact] += 1
    assert seen["date"] and (name != "receipt" or seen["address"])


def test_dates_of_receipts_have_a_label_or_none():
    dated = [
        (line.text.partition(fact.value), line.text)
        for drawing in drawings("receipt", 60)
        for fact in drawing.facts
        if fact.name == "date"
        for line in drawing.lines
        if fact.words[0] in line.words and fact.value in line.text
    ]
    bare = [text for (before, _, _), text in dated if not re.search(r"[A-Za-z]", before)]
    assert 0.2 < len(bare) / len(dated) < 0.7, len(bare) / len(dated)


@pytest.mark.parametrize("name", all_kinds())
def test_what_is_not_there_is_not_there(name):
    for number, drawing in enumerate(drawings(name)):
        text = "\n".join(line.text for line in drawing.lines).lower()
        told = {wordings.noun(fact.name, fact.about) for fact in drawing.facts}
        for kind in ("absent", "there", "listed"):
            for question, answer, lines in turns_of(drawing, kind, number):
                assert bool(lines) == (said(answer) == "Yes")
                if lines:
                    continue
                asked = said(question)
                about = re.search('"(.*)"', asked)
                assert not about or about.group(1).lower() not in text
                names = [
                    one for one in drawing.could if re.search(rf"{wordings.noun(one)}( in the document)?[?.]", asked)
                ]
                assert not told.intersection(map(wordings.noun, names))
        for missing in set(drawing.could) - {fact.name for fact in drawing.facts}:
            if missing in TELLTALE:
                assert not re.search(TELLTALE[missing], text), (missing, text)


@pytest.mark.parametrize("kind", ["yes_no", "there", "listed"])
def test_yes_and_no_are_as_likely(kind):
    found = Counter()
    for seed in range(6):
        for name in all_kinds():
            for number, drawing in enumerate(drawings(name)):
                found.update(said(answer) for _, answer, _ in turns_of(drawing, kind, f"{seed} {name} {number}"))
    assert set(found) == {"Yes", "No"} and found.total() > 200
    assert abs(found["Yes"] / found.total() - 0.5) < 3 * 0.5 / found.total() ** 0.5


def test_yes_is_said_of_the_right_value_and_of_no_other():
    for name in all_kinds():
        for number, drawing in enumerate(drawings(name)):
            for question, answer, _ in turns_of(drawing, "yes_no", number):
                matches = [(fact, re.search(rf'{re.escape(wordings.noun(fact.name, fact.about))} (is )?"?(.+?)"?\?$',
                            said(question))) for fact in drawing.facts]  # fmt: skip
                fact, match = max((pair for pair in matches if pair[1]), key=lambda pair: len(pair[1].group()))
                assert (match.group(2) == fact.value) == (said(answer) == "Yes"), said(question)


def test_boxes_of_where_are_those_of_the_lines():
    for number, drawing in enumerate(drawings("receipt")):
        boxes = {line.box: line.text for line in drawing.lines}
        for kind in ("where_text", "where_field"):
            for question, answer, lines in turns_of(drawing, kind, number):
                (place,) = [part for part in answer.parts if isinstance(part, Place)]
                assert [boxes[tuple(one)] for one in place.places] == [line.text for line in lines]
                if kind == "where_text":
                    assert lines[0].text in said(question)
        for question, answer, _ in turns_of(drawing, "region", number):
            (place,) = [part for part in question.parts if isinstance(part, Place)]
            assert boxes[tuple(place.places[0])] == said(answer)


def test_counts_are_those_of_what_is_listed():
    for name in all_kinds():
        for number, drawing in enumerate(drawings(name)):
            for _, answer, lines in turns_of(drawing, "count", number):
                assert int(said(answer)) == len(drawing.listed)
                assert all(stands(one.value, lines) for one in drawing.listed)


def test_differences_and_tables_are_those_of_the_cells():
    for number, drawing in enumerate(drawings("table")):
        cells = {(fact.name.removeprefix("cell:"), fact.about): fact.value for fact in drawing.facts if fact.about}
        for question, answer, lines in turns_of(drawing, "difference", number):
            head, one, other = re.findall('"(.*?)"', said(question))
            values = [float(cells[head, about].replace(",", "")) for about in (one, other)]
            assert abs(float(said(answer)) - abs(values[0] - values[1])) < 1e-6
            assert stands(f"{one} {other} {cells[head, one]} {cells[head, other]}", lines)
        for _, answer, lines in turns_of(drawing, "as_table", number):
            heads, *rows = [line.split(" | ") for line in said(answer).splitlines()]
            assert [row[0] for row in rows] == [one.value for one in drawing.listed]
            assert all(
                cells[head.strip("| "), row[0]] == value
                for row in rows
                for head, value in zip(heads[-len(row) + 1 :], row[1:], strict=True)
            )
            assert stands(" ".join(" ".join(row) for row in rows), lines)


def test_of_a_table_with_a_sum_nothing_is_asked_that_the_sum_could_answer():
    """Which row is the last one, or has the highest figure, and how many rows there are."""
    summed = [one for one in drawings("table", 30) if any(fact.about == "Total" for fact in one.facts)]
    assert len(summed) > 3
    for number, drawing in enumerate(summed):
        for kind in ("order", "most", "count", "as_table"):
            for question, answer, _ in turns_of(drawing, kind, number):
                assert kind == "order" and "Total" not in said(answer)
                assert re.search("first|after|below", said(question)), said(question)


def test_a_sum_that_may_be_the_total_without_tax_is_not_denied():
    for number, drawing in enumerate(drawings("receipt", 30)):
        names = {fact.name for fact in drawing.facts}
        for question, _, lines in turns_of(drawing, "absent", number):
            assert lines or not re.search("without tax|excluding tax", said(question)) or "subtotal" not in names


def test_the_day_of_a_journey_is_no_day_of_issue():
    for number, drawing in enumerate(drawings("ticket", 30)):
        for kind in ("field", "absent"):
            for question, _, _ in turns_of(drawing, kind, number):
                assert "was it issued" not in said(question)


def test_what_is_wrapped_is_listed_and_nothing_else():
    """The same words over two lines, and with another stop."""
    words = [Word(text, (10, y, 10 + 9 * len(text), y + 9), y + 9, 10.0)
             for text, y in (("Installing the", 0), ("library", 12), ("Other words", 40))]  # fmt: skip
    listed = (Fact("listed", "Installing the library", (0, 1)),)
    things = ("installing  the library", "Installing the library!", "Removing it")
    drawing = Drawing(Image.new("L", (200, 60)), words, [], [], things=things, listed=listed)
    asked = {(said(q), said(a)) for seed in range(40) for q, a, _ in turns_of(drawing, "listed", seed)}
    assert {answer for question, answer in asked if "nstalling" in question} == {"Yes"}
    assert any("Removing it" in question for question, _ in asked)


def test_evidence_is_asked_for_in_a_second_turn():
    asked = ask(drawings("receipt")[0], random.Random(1), 3, {"field": 1}, shown=1)
    assert len(asked.messages) == 12 and asked.kinds == ["field"] * 3
    for number in range(0, 6, 2):
        (place,) = asked.messages[2 * number + 3].parts
        assert asked.evidence[number] == asked.evidence[number + 1] and len(place.places) == len(asked.evidence[number])


def test_something_that_is_asked_for_is_there():
    for number, drawing in enumerate(drawings("receipt")):
        asked = ask(drawing, random.Random(number), 2, {"field": 1e-9, "absent": 1})
        assert asked.kinds[:1] == ["absent"] and asked.kinds[-1] == "field" and any(asked.evidence.values())


def test_kinds_of_questions_are_known():
    drawing = drawings("receipt")[0]
    for weights, says in (({"sums": 1}, "no such kind of question: sums"), ({"field": -1}, "below 0"), ({}, "no kind")):
        with pytest.raises(DataError, match=says):
            ask(drawing, random.Random(0), weights=weights)
    every = [one for name in ("receipt", "table") for one in drawings(name)]
    assert all(any(turns_of(one, kind, 0) for one in every) for kind in WEIGHTS)


def test_a_block_is_asked_for_by_the_box_around_its_rows():
    found = 0
    for number, drawing in enumerate(drawings("letter")):
        for question, answer, lines in turns_of(drawing, "block", number):
            (place,) = [part for part in question.parts if isinstance(part, Place)]
            x1, y1, x2, y2 = place.places[0]
            middles = [(word.text, sum(word.box[::2]) / 2, sum(word.box[1::2]) / 2) for word in drawing.words]
            inside = [text for text, x, y in middles if x1 <= x <= x2 and y1 <= y <= y2]
            assert sorted(said(answer).split()) == sorted(inside) and "\n" in said(answer)
            assert stands(said(answer), lines)
            found += 1
    assert found > 10
