"""What tests do on the web page, and what they read off it."""

import re

import pytest

from sphinx_x.model.abilities import Abilities

WORD = "document.querySelector('.answer .text')?.innerText.includes('word3')"
"""Whether a long answer has come as far as its fourth word."""
READY = "document.documentElement.dataset.ready"
ANSWERED = "!document.querySelector('#send').hidden && document.querySelector('.turn:last-child .details')"


def upload(page, *files):
    before = page.run("document.querySelectorAll('.thumb').length")
    page.choose("#file", *files)
    page.wait(f"document.querySelectorAll('.thumb').length === {before + len(files)}")


def begin(page, question, *, until="true"):
    """Asks a question, and waits until something is so, not for the whole answer."""
    page.click("#question")
    page.type(question)
    page.press("Enter")
    page.wait(until)


def ask(page, question):
    begin(page, question, until=ANSWERED)


def state(page, what):
    """Something of the page's own state, as JSON."""
    return page.run(f"import('/state.js').then(({{ state }}) => {what})")


def answer(page):
    return page.run("document.querySelector('.turn:last-child .answer .text').innerText")


def on_screen(page, x, y):
    """Where a pixel of the picture is on the screen."""
    left, top, scale = page.run(
        "(() => { const r = document.querySelector('#overlay').getBoundingClientRect(); "
        "return [r.x, r.y, r.width / document.querySelector('#picture').naturalWidth]; })()"
    )
    return left + x * scale, top + y * scale


def shapes(page, selector=".region"):
    """The rectangles and circles of regions, in the pixels of the picture."""
    names = {"rect": ("x", "y", "width", "height"), "circle": ("cx", "cy")}
    return [
        [float(found[name]) for name in names[found["kind"]]]
        for found in page.run(
            f"[...document.querySelectorAll('{selector} > .shape')].map(e => Object.assign({{kind: e.tagName}}, "
            "Object.fromEntries([...e.attributes].map(a => [a.name, a.value]))))"
        )
    ]


def limit(monkeypatch, sphinx, **abilities):
    ability = Abilities.from_dict(abilities)
    monkeypatch.setattr(type(sphinx.model.config), "ability", lambda _: ability)
    return ability


def near(text, other, by=0.011):
    """Whether two texts are the same but for small differences of their fractions."""
    numbers, others = ([float(found) for found in re.findall(r"\d\.\d+", one)] for one in (text, other))
    alike = re.sub(r"\d\.\d+", "", text) == re.sub(r"\d\.\d+", "", other)
    return alike and numbers == [pytest.approx(number, abs=by) for number in others]
