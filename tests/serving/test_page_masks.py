"""Masks on the web page: those of the server's SAM, pixel by pixel, each in the colour of its region."""

import re

import numpy as np
import PIL.Image
import pytest

from browser import find_chromium
from on_page import ask, state, upload
from served import Served
from sphinx_x.engines.som.sam import BoxMasks
from tiny_sam import write_sam

MASKS = "[...document.querySelectorAll('.mask')]"
SAID = ["one [0.1, 0.1, 0.5, 0.25], two [0.5, 0, 1, 0.5], there [0.2, 0.2]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_sam(tmp_path_factory.mktemp("sam"))


@pytest.fixture(scope="module")
def served(tiny, folder):
    find_chromium()
    with Served(tiny, sam=str(folder)) as running:
        yield running


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (100, 200, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(file := tmp_path / "noise.png")
    return file


def drawn(page):
    """The pixels of each mask on the picture, with the box and the colours of its region."""
    found = page.run(
        f"{MASKS}.map(mask => {{ const region = mask.closest('.region'); "
        "const shape = region.querySelector('.shape'); return [mask.getAttribute('d'), "
        "['x', 'y', 'width', 'height'].map(name => Number(shape.getAttribute(name))), "
        "getComputedStyle(mask).fill, getComputedStyle(shape).stroke]; })"
    )
    for path, (x, y, width, height), fill, stroke in found:
        mask = np.zeros((100, 200), bool)
        for left, top, length in re.findall(r"M(\d+) (\d+)h1v(\d+)h-1z", path):
            mask[int(top) : int(top) + int(length), int(left)] = True
        yield (x, y, x + width, y + height), mask, fill, stroke


def test_masks_of_an_answers_boxes_are_drawn_in_their_colours(page, script, picture, folder):
    script.answer = SAID
    upload(page, picture)
    ask(page, "What is there?")
    assert page.run(f"{MASKS}.length") == 0  # until they are asked for
    page.click("#masks")
    page.wait(f"{MASKS}.length === 2")
    asked = BoxMasks(str(folder))
    colors = set()
    for box, mask, fill, stroke in drawn(page):
        ((wanted, _),) = asked(PIL.Image.open(picture), [box])
        assert (mask == wanted.mask()).all() and 0 < mask.mean() < 1
        assert fill == stroke
        colors.add(fill)
    assert len(colors) == 2
    page.click("#masks")
    assert page.run(f"{MASKS}.length") == 0
    page.click("#masks")
    page.wait(f"{MASKS}.length === 2")  # they are remembered
    assert page.run("performance.getEntriesByType('resource').filter(e => e.name.endsWith('/v1/masks')).length") == 1


def test_a_server_that_fails_is_told_and_asked_again(page, script, picture, served, monkeypatch):
    script.answer = SAID
    upload(page, picture)
    ask(page, "What is there?")
    masks = served.service.masks
    monkeypatch.setattr(masks.places, "taken", 9)
    page.click("#masks")
    page.wait("document.querySelector('#toast').textContent.startsWith('No masks: 9 requests are in progress')")
    monkeypatch.undo()
    page.click("#masks")
    page.click("#masks")
    page.wait(f"{MASKS}.length === 2")
    page.problems.clear()  # the browser's own line about a refused request


def test_masks_are_for_the_picture_that_is_shown(page, script, picture):
    script.answer = SAID
    upload(page, picture, picture)
    ask(page, "What is there?")
    page.click("#masks")
    page.wait(f"{MASKS}.length === 2")
    assert state(page, "state.current.pictures.map(({ masks }) => masks.size)") == [0, 2]
    page.click(".thumb-box:nth-child(1) .thumb")
    page.wait("import('/state.js').then(({ state }) => state.current.pictures[0].masks.size === 2)")
