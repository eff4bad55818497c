"""The static page of examples/web in a real browser: it reads a page without a network, as the package does."""

import importlib.util
import json
import shutil

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from browser import Browser, find_chromium
from made_once import made_once
from paths import EXAMPLE, ROOT
from sphinx_x.errors import MissingToolError, SphinxXError
from sphinx_x.images import open_image
from sphinx_x.inference import BUILT_IN
from sphinx_x.inference.onnx import OnnxModel
from sphinx_x.reading import read_lines
from static_server import served_folder

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SPEC = importlib.util.spec_from_file_location("build_web", ROOT / "examples" / "web" / "build.py")
assert SPEC and SPEC.loader
build_web = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(build_web)

READY = "'ready' in document.documentElement.dataset"
ENDED = "!document.querySelector('#took').hidden || !document.querySelector('#error').hidden"


@pytest.fixture(scope="module")
def in_python(nano_int8):
    """What the page runs."""
    return OnnxModel(nano_int8, threads=1)


@pytest.fixture(scope="module")
def built(nano_int8, tmp_path_factory):
    find_chromium()
    if shutil.which("npm") is None:
        pytest.skip("needs npm (https://nodejs.org), which is not installed here")
    try:
        made = made_once(tmp_path_factory, "web", lambda folder: build_web.build(folder / "dist", nano_int8))
    except MissingToolError as error:
        pytest.skip(f"needs npm's registry: {error}")
    return made / "dist"


@pytest.fixture(scope="module")
def server(built):
    with served_folder(built) as running:
        yield running


@pytest.fixture(scope="module")
def browser(server, tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("browser") / "profile", server.url)
    opened.watch_workers()
    yield opened
    opened.close()


@pytest.fixture
def page(browser, server):
    """The page, fresh; afterwards nothing may have gone wrong, and nothing have been asked for once it was loaded."""
    browser.resize(1360, 860)
    browser.problems.clear()
    browser.workers.clear()
    browser.go(f"{server.url}/")
    browser.wait(READY, 120)
    loaded = len(server.asked)
    assert any(path.endswith("decoder.onnx") for path in server.asked)
    yield browser
    assert browser.problems == []
    assert server.asked[loaded:] == []


def whole(image):
    return (0, 0, *image.size)


def give(page, image, folder):
    image.save(file := folder / "page.png")
    page.choose("#file", file)
    page.wait(ENDED, 300)


def read(page):
    """The lines that the page shows."""
    assert page.run("document.querySelector('#error').textContent") == ""
    return page.run("[...document.querySelectorAll('#lines button')].map(line => line.textContent)")


def boxes(page):
    return page.run(
        "[...document.querySelectorAll('#boxes rect')].map(rect => { const [x, y, w, h] = ['x', 'y', 'width', 'height']"
        ".map(name => Number(rect.getAttribute(name))); return [x + 3, y + 3, x + w - 3, y + h - 3]; })"
    )


@pytest.mark.slow
def test_a_page_is_read_as_in_python(page, in_python, tmp_path):
    """A part of a printed page, leaning: each line's text and place are those of the same graphs in Python."""
    image = Image.new("RGB", (1015, 348), "white")
    image.paste(open_image(EXAMPLE).crop((170, 330, 1105, 598)), (40, 40))
    image = image.rotate(1.1, Image.Resampling.BICUBIC, fillcolor="white")
    give(page, image, tmp_path)
    lines = read_lines(in_python, image, whole(image))
    assert len(lines) >= 8
    assert boxes(page) == [list(line.box) for line in lines]
    said = read(page)
    same = [one == other.text for one, other in zip(said, lines, strict=True)]
    assert sum(same) >= len(lines) - 1, [(a, b.text) for a, b in zip(said, lines, strict=True) if a != b.text]
    told = page.run("document.querySelector('#times').innerText")
    assert all(word in told for word in ("Finding lines", "Encoding views", "Answers", "per line", "1.1°")), told
    check_seen(page, lines)


def check_seen(page, lines):
    """Skip tokens are shown: the chosen line's views, those that are skipped in grey, and the tokens."""
    row = max(range(len(lines)), key=lambda number: len(lines[number].text))
    page.run(f"document.querySelectorAll('#lines button')[{row}].click()")
    count = "document.querySelectorAll('#pieces article:first-child {}').length"
    kept, skipped = page.run(count.format(".views .kept")), page.run(count.format(".views .skipped"))
    assert (kept, skipped) == (2, 30)
    assert (page.run(count.format(".strip .kept")), page.run(count.format(".strip .skipped"))) == (2, 30)
    told = page.run("document.querySelector('#pieces .facts').innerText")
    assert f"{kept * 51 + skipped} tokens in place of {32 * 51}" in told and "30 skip tokens" in told
    colours = page.run(
        "['.kept', '.skipped'].map(name => getComputedStyle(document.querySelector(`#pieces .views ${name}`)).fill)"
    )
    assert colours[0] == "none" and colours[1] != "none"


@pytest.mark.slow
def test_what_cannot_be_read_is_told(page, tmp_path):
    give(page, Image.new("RGB", (200, 80), "white"), tmp_path)
    assert "no line of text" in page.run("document.querySelector('#error').textContent")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    page.choose("#file", tmp_path / "broken.png")
    page.wait("document.querySelector('#error').textContent.includes('cannot open')")
    upside_down = open_image(EXAMPLE).crop((180, 430, 1120, 560)).rotate(180)
    give(page, upside_down, tmp_path)
    assert "stands on its head" in page.run("document.querySelector('#error').textContent")
    page.problems.clear()  # the browser tells that the broken picture is none


def card():
    image = Image.new("RGB", (460, 120), "white")
    for row, text in enumerate(("Paste me here", "and once more")):
        ImageDraw.Draw(image).text((30, 20 + 40 * row), text, fill="black", font=ImageFont.load_default(size=20))
    return image


@pytest.mark.slow
def test_paste_drop_copy_keyboard_and_theme(page, in_python, tmp_path):
    wanted = [line.text for line in read_lines(in_python, card(), whole(card()))]
    assert len(wanted) == 2
    for event, holder in (("paste", "clipboardData"), ("drop", "dataTransfer")):
        drawn = (
            "const c = document.createElement('canvas'); c.width = 460; c.height = 120; const d = c.getContext('2d');"
        )
        pixels = json.dumps(np.asarray(card().convert("RGBA")).ravel().tolist())
        page.run(
            f"(async () => {{ {drawn} d.putImageData(new ImageData(new Uint8ClampedArray({pixels}), 460), 0, 0);"
            "const blob = await new Promise(done => c.toBlob(done)); const moved = new DataTransfer();"
            "moved.items.add(new File([blob], 'card.png'));"
            f"const event = new Event('{event}', {{bubbles: true, cancelable: true}});"
            f"Object.defineProperty(event, '{holder}', {{value: moved}}); document.body.dispatchEvent(event); }})()"
        )
        page.wait("document.querySelector('#took').hidden")
        page.wait(ENDED, 120)
        assert read(page) == wanted
    page.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.click("#copy")
    page.wait("window.copied")
    assert page.run("window.copied") == "\n".join(wanted)
    page.run("document.querySelector('#lines button').focus()")
    page.press("ArrowDown")
    assert page.run("document.activeElement.textContent") == wanted[1]
    assert page.run("document.querySelector('#lines li:nth-child(2) button').getAttribute('aria-current')") == "true"
    assert page.run("document.querySelector('#boxes rect:nth-child(2)').classList.contains('chosen')")
    light = page.run("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.run("getComputedStyle(document.body).backgroundColor") != light
    for width in (360, 390, 768):
        page.resize(width, 740, mobile=width < 500)
        assert page.run("document.documentElement.scrollWidth") <= width
        for selector in ("#choose", "#example", "#theme", "#copy"):
            x, _ = page.middle(selector)
            assert 0 < x < width, selector


@pytest.mark.slow
def test_everything_has_a_name(page, tmp_path):
    give(page, card(), tmp_path)
    nameless = page.run(
        "[...document.querySelectorAll('button, input, section, ol, progress, img, [role=img]')].filter(e => "
        "!(e.getAttribute('aria-label') || e.alt || e.textContent.trim())).map(e => e.outerHTML)"
    )
    assert nameless == []
    page.run("document.activeElement.blur()")
    reached = []
    for _ in range(8):
        page.press("Tab")
        reached.append(page.run("document.activeElement.id || document.activeElement.className"))
    assert {"theme", "choose", "example", "copy"} <= set(reached) and any("line" in name for name in reached)


@pytest.mark.slow
def test_another_picture_ends_the_one_that_is_read(page, tmp_path):
    open_image(EXAMPLE).save(file := tmp_path / "long.png")
    page.choose("#file", file)
    page.wait("document.querySelectorAll('#boxes .read').length", 120)
    give(page, card(), tmp_path)
    assert len(read(page)) == 2


@pytest.mark.slow
def test_no_request_leaves_the_machine(page):
    """The policy holds in the page and in its worker, whatever their scripts would do."""
    (worker,) = page.workers
    for session in (None, worker):
        said = page.run("fetch('http://127.0.0.2:9/').then(() => 'sent', error => 'refused')", session=session)
        assert said == "refused"
    assert len(page.problems) >= 2 and all("Content Security Policy" in problem for problem in page.problems)
    page.problems.clear()


def test_an_archive_that_is_another_is_refused(tmp_path, monkeypatch):
    """A registry that gives something else under the same name and version."""
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho other > onnxruntime-web-1.30.0.tgz\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(SphinxXError, match="SHA-512"):
        build_web.fetch_runtime(tmp_path)
    npm.write_text("#!/bin/sh\necho 'npm error network is not there' >&2\nexit 1\n")
    with pytest.raises(MissingToolError, match="network is not there"):
        build_web.fetch_runtime(tmp_path)
    npm.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="npm is not installed"):
        build_web.fetch_runtime(tmp_path)


def test_pieces_are_the_bytes_of_the_vocabulary():
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BUILT_IN / "nano")
    pieces = build_web.bytes_of_pieces(tokenizer.get_vocab(), set(tokenizer.all_special_ids))
    for text in ("Zoë paid €3.50 — “twice” \x07\n", "".join(map(chr, range(32, 400)))):
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert b"".join(bytes(pieces[number]) for number in ids) == text.encode()
    assert pieces[tokenizer.eos_token_id] == []
