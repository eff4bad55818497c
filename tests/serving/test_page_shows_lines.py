"""The web page with a member that reads lines, in a browser: what they take, and the line that says the answer."""

import pytest

from browser import find_chromium
from lined import know_engine, lined
from lively import lively
from on_page import ask, shapes, upload
from served import Served
from sphinx_x.text_lines.line import TextLine

BOX = (20, 30, 90, 50)


@pytest.fixture(scope="module")
def served(tiny_member):
    find_chromium()
    with pytest.MonkeyPatch.context() as patch:
        know_engine(patch, lambda image: [TextLine((20, 5, 90, 20), "TOTAL"), TextLine(BOX, "RM6.00")])
        with Served(lively(lined(tiny_member))) as running:
            yield running


def test_the_line_that_says_the_answer_is_drawn(page, script, picture):
    script.answer = ["It is ", "6.00."]
    upload(page, picture)
    facts = page.run("document.getElementById('seen-facts').textContent")
    # each line's own token, its bytes (this tokenizer has one token for each), and one end
    assert f"Lines and objects2 and 0, {1 + 5 + 1 + 6 + 1} of these tokens" in facts
    ask(page, "What is the total?")
    left, top, right, bottom = BOX
    assert shapes(page) == [pytest.approx([left, top, right - left, bottom - top])]
    buttons = page.run("[...document.querySelectorAll('.place')].map(e => [e.textContent, e.title])")
    assert buttons == [["6.00", "line RM6.00 from 20, 30 to 90, 50 (pixels)"]]
