"""What is drawn and listed of an answer lies where the answer says."""

from dataclasses import replace
from typing import Any

import numpy as np
import PIL.Image
import pytest

from commands import one_line, run
from sphinx_x.drawing import COLORS
from sphinx_x.inference.answer import Answer
from sphinx_x.inference.evidence import find_evidence
from sphinx_x.inference.pointing import find_places
from sphinx_x.inference.running import Runner
from sphinx_x.inference.showing import LEFT, LIMBS, RIGHT, describe_places, draw_answer
from sphinx_x.model.views import ViewGrid, plan_views
from sphinx_x.text_lines.line import Reading, TextLine

WHITE = PIL.Image.new("RGB", (400, 200), "white")
LAYOUT = plan_views(400, 200, ViewGrid(2, 2, 448, 448))


def said(text: str, asked: str = "") -> Answer:
    places = find_places(text, [LAYOUT], asked)
    nothing: dict[str, Any] = dict.fromkeys(Answer.__dataclass_fields__, 0) | {"evidence": ()}
    return Answer(**{**nothing, "text": text, "image_sizes": ((400, 200),), **vars(places)})


def inked(picture: PIL.Image.Image, color: str) -> tuple[int, int, int, int]:
    """The box around all pixels of a colour, in pixels of the image, which the margin of labels surrounds."""
    wanted = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)])
    rows, columns = np.nonzero((np.asarray(picture) == wanted).all(-1))
    margin = (picture.width - WHITE.width) // 2
    box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return tuple(int(n) - margin for n in box)  # pyright: ignore[reportReturnType]


def test_each_kind_has_a_line():
    answer = said("cat [0.1, 0.1, 0.2, 0.255] at [0.5, 0.25], nose[0.5, 0.1], <Mark 1> is it", "<Mark 1> [0.25, 0.25]")
    assert list(describe_places(answer)) == [
        *("box 40,40,80,102 cat", "point 200,100 at", "key point 200,40 nose", "mark 100,100 1"),
    ]


def test_boxes_and_points_are_drawn_where_they_are_in_colours_of_their_own():
    drawn = draw_answer(WHITE, said("[0.1, 0.1, 0.2, 0.25] [0.5, 0.1, 0.6, 0.25] [0.75, 0.25]"))
    assert drawn.size == WHITE.size, "no label, no margin"
    for color, box in zip(COLORS, ((40, 40, 80, 100), (200, 40, 240, 100), (300, 100, 300, 100)), strict=False):
        assert inked(drawn, color) == pytest.approx(box, abs=6)
    assert np.asarray(WHITE).min() == 255, "the image itself stays as it is"


def test_an_outline_is_drawn_with_its_sides():
    answer = said("<Mark 1> is a roof", "<Mark 1> [0.25, 0.1; 0.5, 0.1; 0.5, 0.4; 0.25, 0.4]")
    drawn = np.asarray(draw_answer(WHITE, answer))
    margin = (drawn.shape[1] - 400) // 2
    for x, y in ((150, 40), (200, 100), (150, 160), (100, 100)):  # in the middle of each side
        assert tuple(drawn[y + margin, x + margin]) == (0xD6, 0x27, 0x28), (x, y)


def read(*lines: tuple[str, tuple[int, int, int, int]], text: str) -> Answer:
    """An answer of a member that has read these lines."""
    layout = LAYOUT.with_lines(Reading(tuple(TextLine(box, words) for words, box in lines)))
    return replace(said(text), evidence=find_evidence(text, [layout], "What is the total?"))


def test_a_line_of_another_image_is_listed_with_its_number():
    answer = read(("6.00", (300, 20, 360, 40)), text="6.00")
    other = replace(answer, evidence=tuple(replace(line, image=2) for line in answer.evidence))
    assert list(describe_places(other)) == ["image 3: line 300,20,360,40 6.00"]


def test_the_line_that_was_read_is_listed_and_drawn():
    lines = ("TOTAL", (20, 20, 80, 40)), ("6.00", (300, 20, 360, 40)), ("6.00", (300, 100, 360, 120))
    answer = read(*lines, text="6.00")
    assert list(describe_places(answer)) == ["line 300,20,360,40 6.00"] and answer.points_at_something
    drawn = draw_answer(WHITE, answer)
    assert drawn.size == WHITE.size and inked(drawn, COLORS[0]) == pytest.approx((300, 20, 360, 40), abs=6)
    assert not read(*lines, text="7.00").points_at_something


def test_what_an_answer_says_itself_comes_first():
    answer = read(("Green tea", (300, 20, 360, 40)), text="Green tea [0.1, 0.1, 0.2, 0.25]")
    assert list(describe_places(answer)) == ["box 40,40,80,100 Green tea", "line 300,20,360,40 Green tea"]
    drawn = np.asarray(draw_answer(WHITE, answer))
    plain = np.asarray(draw_answer(WHITE, said("Green tea [0.1, 0.1, 0.2, 0.25]")))
    assert np.array_equal(drawn, plain)


def test_a_skeleton_joins_what_belongs_together():
    text = (
        "left shoulder[0.2, 0.1], left elbow[0.2, 0.4], right shoulder[0.1, 0.1], right elbow[0.1, 0.4], "
        "left shoulder[0.7, 0.1], left elbow[0.7, 0.4]"
    )
    answer = said(text)
    drawn = np.asarray(draw_answer(WHITE, answer))

    def colour(x: int, y: int) -> str:
        return "#" + "".join(f"{n:02x}" for n in drawn[y, x])

    assert (colour(80, 100), colour(40, 100), colour(280, 100)) == (LEFT, RIGHT, LEFT)
    assert colour(60, 40) == "#1f77b4", "between the sides"
    assert colour(180, 40) == "#ffffff", "two bodies are not joined"
    assert len({name for limb in LIMBS for name in limb}) == 17 and len(set(LIMBS)) == len(LIMBS)


@pytest.fixture
def page(tmp_path):
    WHITE.resize((100, 50)).save(tmp_path / "page.png")
    return tmp_path / "page.png"


def test_chat_lists_and_draws_what_it_found(page, tiny_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Runner, "text", lambda *_: "cat [0.0, 0.0, 0.5, 0.25]")
    command = ("chat", page, "Where?", "-m", tiny_folder, "-o", tmp_path / "found.png", "--max-new-tokens", "8")
    code, out, err = run(*command, capsys=capsys)
    assert (code, err) == (0, "")
    words, line = out.splitlines()
    assert words == "cat [0.0, 0.0, 0.5, 0.25]" and line.startswith("box 0,0,") and line.endswith(" cat")
    with PIL.Image.open(tmp_path / "found.png") as drawn:
        assert np.asarray(drawn.convert("RGB")).min() < 100


def test_chat_says_where_nothing_is_drawn(page, tiny_folder, tmp_path, capsys):
    found = tmp_path / "found.png"
    code, _, err = run("chat", page, "Where?", "-m", tiny_folder, "-o", found, "--max-new-tokens", "1", capsys=capsys)
    assert code == 0 and "points at nothing" in err and not found.exists()
    for arguments in (("chat", "-", "Hello?", "-o", found), ("chat", page, "Hello?", "-o", tmp_path / "found.txt")):
        code, _, err = run(*arguments, "-m", tiny_folder, capsys=capsys)
        assert code == 2 and one_line(err)


def test_chat_takes_the_options_of_an_answer(page, tiny_folder, tiny, capsys):
    options = {"max_new_tokens": 8, "temperature": 2.0, "top_p": 0.9, "seed": 3}
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    answer = tiny.chat("Read.", page, **options)
    code, out, _ = run("chat", page, "Read.", "-m", tiny_folder, *words, capsys=capsys)
    assert code == 0 and out.rstrip("\n") == answer.rstrip("\n")
    stop = answer[2:4]
    code, out, _ = run("chat", page, "Read.", "-m", tiny_folder, *words, "--stop", stop, "--stop", "zz", capsys=capsys)
    assert code == 0 and out.rstrip() == tiny.chat("Read.", page, stop=[stop, "zz"], **options)
    code, _, err = run("chat", page, "Read.", "-m", tiny_folder, "--top-p", "2", capsys=capsys)
    assert code == 2 and one_line(err) and "--top-p" in err
    code, _, err = run("chat", page, "Read.", "-m", tiny_folder, "--stop", "", capsys=capsys)
    assert code == 2 and one_line(err) and "stop: must be" in err


def test_turns_at_the_prompt_look_at_their_image_once(page, tiny_folder, monkeypatch, capsys):
    from sphinx_x.model.mixture import MixtureOfVisualExperts

    looks, forward = [], MixtureOfVisualExperts.forward
    monkeypatch.setattr(MixtureOfVisualExperts, "forward", lambda *given: (looks.append(1), forward(*given))[1])
    asked = iter(["Read.", "Again?", "And?", ""])
    monkeypatch.setattr("builtins.input", lambda _: next(asked))
    code, _, _ = run("chat", page, "-m", tiny_folder, "--max-new-tokens", "2", capsys=capsys)
    assert code == 0 and len(looks) == 1
