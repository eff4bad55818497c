"""What an answer points at, in pixels of the original images, and what it says of its own making."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lively import lively, new_memory, noise
from sphinx_x.conversation import format_places
from sphinx_x.errors import PromptError
from sphinx_x.inference.pointing import find_places
from sphinx_x.model.views import ViewGrid, plan_views

CORNER, CENTRE = ViewGrid(2, 2, 448, 448, padding="corner"), ViewGrid(2, 2, 448, 448, padding="center")
WIDE, TALL = plan_views(200, 100, CORNER), plan_views(100, 400, CENTRE)


def told(found) -> list[tuple[str, Any]]:
    return [(one.label, tuple(round(n, 9) for n in one.pixels[0])) for one in found]


def test_boxes_are_in_pixels_of_the_original_image():
    """The longer side is 200: 0.25 is 50 pixels. In the centre of its square, a narrow image begins at 150 of 400."""
    places = find_places("The cat is at [0.25, 0.1, 0.5, 0.50].", [WIDE])
    assert told(places.boxes) == [("The cat is at", (50.0, 20.0, 100.0, 100.0))]
    assert not (places.points or places.key_points or places.marks)
    assert find_places("[.5, .5, 1, 1]", [TALL]).boxes[0].pixels == ((50.0, 200.0, 100.0, 400.0),)


def test_an_answer_about_several_images_is_given_on_each():
    found = find_places("[0.5, 0.25]", [WIDE, TALL]).points[0]
    assert found.square == (0.5, 0.25) and found.pixels == ((100.0, 50.0), (50.0, 100.0))


def test_words_before_a_place_are_its_label():
    text = (
        "cat[0.1, 0.1, 0.2, 0.2], big dog[0.1, 0.1, 0.3, 0.3] and bird [0, 0, 1, 1]; <p>a red car</p>[0.1,0.1,0.5,0.5]"
    )
    assert [one.label for one in find_places(text, [WIDE]).boxes] == ["cat", "big dog", "bird", "a red car"]
    assert [one.label for one in find_places("[0.1, 0.1, 0.2, 0.2]", [WIDE]).boxes] == [""]


def test_several_places_in_one_pair_of_brackets():
    places = find_places("people [0.1, 0.1, 0.2, 0.2; 0.5, 0.1, 0.6, 0.2] at [0.1, 0.2;0.3, 0.4; 0.5, 0.1]", [WIDE])
    assert told(places.boxes) == [("people", (20.0, 20.0, 40.0, 40.0)), ("people", (100.0, 20.0, 120.0, 40.0))]
    assert told(places.points) == [("at", (20.0, 40.0)), ("at", (60.0, 80.0)), ("at", (100.0, 20.0))]


def test_key_points_have_names():
    places = find_places("nose[0.5, 0.1], left eye[0.55, 0.05]", [WIDE])
    assert told(places.key_points) == [("nose", (100.0, 20.0)), ("left eye", (110.0, 10.0))]
    assert not places.points
    assert told(find_places("It is at [0.5, 0.1].", [WIDE]).points) == [("It is at", (100.0, 20.0))]


def test_each_place_knows_where_the_answer_says_so():
    answer = (
        "🙂 a cat [0.1, 0.1, 0.2, 0.2; .5,0.5,1, 1 ] nose[ 0.5, 0.1 ] [12] at [1, 0], <Mark 3> [0, 0; 1, 1], Mark 3: x"
    )
    places = find_places(answer, [WIDE])
    said = {
        kind: [[answer[first:last] for first, last in one.spans] for one in getattr(places, kind)]
        for kind in ("boxes", "key_points", "points", "marks")
    }
    assert said == {
        "boxes": [["0.1, 0.1, 0.2, 0.2"], [".5,0.5,1, 1"]],
        "key_points": [["0.5, 0.1"]],
        "points": [["1, 0"]],
        "marks": [["<Mark 3>", "0, 0", "Mark 3"], ["<Mark 3>", "1, 1", "Mark 3"]],
    }


def test_marks_are_where_the_conversation_says():
    asked = "<image>Marks: <Mark 1> [0.5, 0.25], <Mark 2> [0.1, 0.1, 0.2, 0.2], <Mark 3> [0, 0; 0.5, 0; 0.5, 0.5]."
    places = find_places("<Mark 2> is left of <Mark 1>. Mark 3: a roof.", [WIDE], asked)
    assert told(places.marks) == [
        ("2", (20.0, 20.0, 40.0, 40.0)),
        ("1", (100.0, 50.0)),
        *[("3", (0.0, 0.0)), ("3", (100.0, 0.0)), ("3", (100.0, 100.0))],
    ]
    assert not (places.boxes or places.points)
    assert told(find_places("<Mark 7> [0.5, 0.25]", [WIDE], asked).marks) == [("7", (100.0, 50.0))]
    assert find_places("<Mark 9>: nothing", [WIDE], asked).marks == ()
    (again,) = find_places("<Mark 1> and again <Mark 1>", [WIDE], asked).marks
    assert told([again]) == told(places.marks[1:2]) and again.spans == ((0, 8), (19, 27))


@pytest.mark.parametrize(
    "text",
    [
        "as in [12] and [1, 2, 3]",
        "[0.1, 0.2, 0.3]",
        "[0.1 0.2]",
        "[12, 30, 80, 44]",
        "[0.5, 0.5, 0.1, 0.9]",
        "[0.1, 0.2; 0.1, 0.2, 0.3, 0.4]",
        "[]",
        "[;]",
        "[0.1, 0.2",
        "[0.1., 0.2]",
        "",
    ],
)
def test_what_is_no_place_is_left_out(text):
    places = find_places(text, [WIDE])
    assert not (places.boxes or places.points or places.key_points or places.marks)


def test_places_in_the_padding_are_at_the_edge_of_the_image():
    """200 x 100 in the corner of its square of 200; 100 x 400 in the centre of its square, from 150 to 250."""
    places = find_places("[0.9, 0.4, 1, 0.9], [0.2, 0.6, 0.4, 0.8] and [0.1, 0.75]", [WIDE, TALL])
    assert [one.pixels for one in (*places.boxes, *places.points)] == [
        ((180.0, 80.0, 200.0, 100.0), (100.0, 160.0, 100.0, 360.0)),
        ((40.0, 100.0, 80.0, 100.0), (0.0, 240.0, 10.0, 320.0)),
        ((20.0, 100.0), (0.0, 300.0)),
    ]


def test_long_texts_are_read_in_little_time():
    for text in ("a" * 200_000 + "![0.1, 0.1]", "a b " * 50_000 + ".[0.1, 0.1]", "[1" * 100_000, "<Mark a> " * 20_000):
        began = time.perf_counter()
        find_places("", [WIDE], text)
        find_places(text, [WIDE], text)
        assert time.perf_counter() - began < 5, text[:10]


def test_without_an_image_nothing_is_pointed_at():
    assert find_places("[0.1, 0.1, 0.2, 0.2]", []).boxes == ()


SHARES = st.lists(st.integers(0, 1000), min_size=4, max_size=4)


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([CORNER, CENTRE]), SHARES)
def test_what_the_prompt_builder_writes_is_found_where_it_was(width, height, grid, shares):
    layout = plan_views(width, height, grid)
    (x1, x2), (y1, y2) = sorted(shares[0:2]), sorted(shares[2:4])
    box = (x1 * width / 1000, y1 * height / 1000, x2 * width / 1000, y2 * height / 1000)
    written = format_places([layout.to_square(box)], 3)
    (found,) = find_places(f"thing {written}", [layout]).boxes
    assert found.pixels[0] == pytest.approx(box, abs=0.0006 * max(width, height) + 0.01)


@pytest.fixture(scope="module")
def sphinx(tiny_member):
    return lively(tiny_member)


def test_an_answer_counts_its_tokens(sphinx):
    sphinx, page = new_memory(sphinx), noise(120, 12, 1)
    answer = sphinx.answer("Read.", page, max_new_tokens=5, min_new_tokens=5)
    assert answer.text == sphinx.chat("Read.", page, max_new_tokens=5, min_new_tokens=5)
    prompt = sphinx.prompt_for("Read.", page)
    assert (answer.prompt_tokens, answer.generated_tokens) == (len(prompt.ids), 5)
    assert (answer.image_tokens, answer.skipped_tokens) == (2 * (9 + 2) + 14, 14 * (9 + 2) - 14)
    assert (answer.views, answer.skipped_views, answer.encoded_images) == (2, 14, 1)
    assert answer.image_sizes == ((120, 12),) and answer.remembered_tokens == 0 and answer.no_reuse is None
    assert min(answer.encode_seconds, answer.prefill_seconds, answer.decode_seconds) > 0
    [(text, mean)] = sphinx.probable_answers([("Read.", page)], max_new_tokens=5, min_new_tokens=5)
    assert (answer.text, answer.probability) == (text, pytest.approx(mean))
    again = sphinx.answer("Read.", page, max_new_tokens=5, min_new_tokens=5)
    assert again.encoded_images == 0 and again.remembered_tokens == len(prompt.ids) - 1
    json.dumps(again.to_dict(), allow_nan=False)


def test_a_session_answers_as_it_asks(sphinx):
    one, other = sphinx.session(), sphinx.session()
    for question, images in (("Read.", noise(100, 30, 1)), ("And this?", noise(20, 9, 2)), ("Which?", None)):
        answer = one.answer(question, images, max_new_tokens=4)
        assert answer.text == other.ask(question, images, max_new_tokens=4)
        assert one.last is answer and other.last is not None and other.last.text == answer.text
    assert one.messages == other.messages and len(answer.image_sizes) == 2
    assert "".join(other.ask("More?", stream=True, max_new_tokens=4)) == one.answer("More?", max_new_tokens=4).text
    assert other.last is not None and other.last.generated_tokens > 0


def test_one_answer_at_a_time(sphinx):
    with pytest.raises(PromptError, match="num_return_sequences"):
        sphinx.answer("Read.", noise(100, 30, 1), do_sample=True, num_return_sequences=2)
    beams = sphinx.answer("Read.", noise(100, 30, 1), num_beams=2, max_new_tokens=3)
    assert beams.probability is None and beams.no_reuse == "the option num_beams"


def test_an_answer_points(sphinx, monkeypatch):
    """From the text of an answer to pixels of the image that was asked about."""
    monkeypatch.setattr(sphinx._runner, "text", lambda *_: "thing [0.5, 0.1, 0.9, 0.2]")
    answer = sphinx.answer("Where?", noise(120, 30, 1), max_new_tokens=3)
    layout = sphinx.prompt_for("?", noise(120, 30, 1)).layouts[0]
    assert answer.boxes[0].pixels == (layout.from_square((0.5, 0.1, 0.9, 0.2)),) and answer.points_at_something
