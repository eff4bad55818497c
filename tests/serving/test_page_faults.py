"""What a server refuses, what a network breaks, and what people try: the page says so in one line, and goes on."""

import PIL.Image
import pytest

from browser import Browser, find_chromium
from on_page import ANSWERED, READY, WORD, answer, ask, begin, on_screen, shapes, state, upload
from scripted import Script
from served import Served
from sphinx_x.images import open_image
from sphinx_x.serving.jobs import Event

FAULT = "document.querySelector('.turn:last-child .fault')?.textContent"
TOAST = "document.querySelector('#toast').textContent"


@pytest.fixture(scope="module")
def served(tiny):
    find_chromium()
    with Served(tiny, image_bytes=60_000, body_bytes=100_000, pixels=300_000, images=3) as running:
        yield running


def noise(file, side, kind=None):
    PIL.Image.effect_noise((side, side), 200).save(file, kind)
    return file


def fails(page, question="Why?"):
    """Asks in vain; returns what the page says. The question is there again."""
    ask(page, question)
    page.problems.clear()  # the browser's own line about a refused request
    assert page.run("document.querySelector('#question').value") == question
    return page.run(FAULT)


def asks_again(page, script):
    script.answer = ["Because."]
    page.run("document.querySelector('#question').value = ''")
    ask(page, "Why?")
    assert answer(page) == "Because." and page.run(f"{FAULT} === undefined")


def test_a_full_server_says_when_to_come_back(page, script, picture, served, monkeypatch):
    upload(page, picture)
    monkeypatch.setattr(served.service.places, "taken", 96)
    said = fails(page)
    assert said.startswith("96 requests are in progress; try again later (in ") and said.endswith(" s).")
    monkeypatch.undo()
    asks_again(page, script)
    assert len(script.jobs[-1].images) == 1  # what the refused question had goes with it


def test_more_bytes_than_a_request_may_have(page, script, tmp_path):
    files = [noise(tmp_path / f"{k}.png", 215 + k) for k in range(3)]
    upload(page, *files)
    assert fails(page) == "The request has more than 100,000 bytes."
    for _ in range(2):
        page.click(".thumb-box:nth-child(1) .remove")
    asks_again(page, script)


def test_a_file_that_is_too_large_is_not_added(page, tmp_path):
    page.choose("#file", noise(tmp_path / "large.png", 400))
    page.wait(f"{TOAST} === 'large.png: more than the 60,000 bytes that this server takes.'")
    assert page.run("document.querySelectorAll('.thumb').length") == 0


def test_more_pixels_than_the_server_takes_are_told_before_anything_is_asked(page, tmp_path):
    PIL.Image.new("1", (1000, 900)).save(tmp_path / "bomb.png")
    upload(page, tmp_path / "bomb.png")
    told = "1000 x 900 pixels are more than the limit of 300,000."
    assert page.run("document.querySelector('#notice').textContent") == told
    assert fails(page).endswith(told)


def test_more_images_than_a_request_may_have(page, tmp_path):
    for k in range(4):
        PIL.Image.new("RGB", (20, 20 + k)).save(tmp_path / f"{k}.png")
    upload(page, *(tmp_path / f"{k}.png" for k in range(4)))
    assert fails(page) == "Messages: 4 images are more than the limit of 3."


def test_a_server_that_cannot_be_reached(page, script, picture):
    upload(page, picture)
    off = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.call("Network.emulateNetworkConditions", **off)
    try:
        assert fails(page) == "The server does not answer."
    finally:
        page.call("Network.emulateNetworkConditions", **{**off, "offline": False})
    asks_again(page, script)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Event(reason="error", error=RuntimeError("secret")), "The model failed on this request."),
        (Event(reason="timeout"), "The answer took longer than 600 seconds."),
        (Event(reason="cancelled"), "The server is stopping."),
    ],
)
def test_an_answer_that_fails_on_its_way(page, script, picture, event, said):
    upload(page, picture)
    script.answer, script.end = ["A cow [0.1, 0.1, 0.2, 0.2]"], event
    ask(page, "Why?")
    assert page.run(FAULT) == said and answer(page) == "A cow [0.1, 0.1, 0.2, 0.2]"
    assert len(shapes(page)) == 1  # what was said so far counts


def test_a_server_that_goes_away_in_the_middle_of_an_answer(tiny, tmp_path, picture):
    find_chromium()
    with Served(tiny, grace=1) as served:
        script = Script(served)
        script.answer, script.pause = [f"word{k} " for k in range(400)], 0.05
        browser = Browser(tmp_path / "profile", served.url)
        try:
            browser.go(f"{served.url}/", READY)
            upload(browser, picture)
            begin(browser, "Long?", until=WORD)
            served.server.should_exit = True
            browser.wait(ANSWERED, 20)
            assert browser.run(FAULT) in ("The connection to the server was lost.", "The answer broke off.")
            assert answer(browser).startswith("word0 word1")
        finally:
            browser.close()


KINDS = {
    **{f"lies {k}.{kind}": {"exif": k} for kind in ("jpg", "png", "webp") for k in (1, 3, 6, 8)},
    **{name: {} for name in ("plain.webp", "scan.tiff", "scan.ppm", "scan.jp2", "icon.ico", "few.gif")},
}


@pytest.mark.parametrize("name", KINDS)
def test_the_page_shows_what_the_model_sees(page, script, tmp_path, name):
    """A picture that a browser turns otherwise, or does not know, would have its boxes in the wrong place."""
    image = PIL.Image.new("RGB", (60, 40), "white")
    image.paste("red", (0, 0, 20, 20))
    exif = PIL.Image.Exif()
    exif[0x0112] = KINDS[name].get("exif", 1)  # how it lies
    options = {"exif": exif} if "lies" in name else {}
    image.save(tmp_path / name, **options)
    upload(page, tmp_path / name)
    shown = state(
        page,
        "(() => { const { image, width, height } = state.picture; const c = document.createElement('canvas'); "
        "[c.width, c.height] = [width, height]; const x = c.getContext('2d', { willReadFrequently: true }); "
        "x.drawImage(image, 0, 0); return [width, height, [[5, 5], [width - 6, 5], [5, height - 6], "
        "[width - 6, height - 6]].map(([a, b]) => x.getImageData(a, b, 1, 1).data[1] < 128)]; })()",
    )
    seen = open_image(tmp_path / name)
    width, height = seen.size
    corners = ((5, 5), (width - 6, 5), (5, height - 6), (width - 6, height - 6))
    assert shown == [width, height, [seen.getpixel(corner)[1] < 128 for corner in corners]]
    ask(page, "What?")
    assert state(page, "state.turn.extension.images.map(({ width, height }) => [width, height])") == [[width, height]]


HOSTILE = {
    "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>window.hacked=1</script>'
    b'<image href="http://127.0.0.1:9/a.png"/></svg>',
    "page.png": b"<html><script>window.hacked=1</script><img src=http://127.0.0.1:9/a.png></html>",
    "text.txt": b"http://127.0.0.1:9/a.png",
    "movie.mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
    "empty.png": b"",
    "cut.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x27\x10\0\0\x27\x10\x08\x02\0\0\0",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_picture_is_refused_by_name(page, tmp_path, name):
    (tmp_path / name).write_bytes(HOSTILE[name])
    page.choose("#file", tmp_path / name)
    page.wait(f"{TOAST}.startsWith('{name}: ')")
    assert page.run("document.querySelectorAll('.thumb').length") == 0
    assert page.run("window.hacked === undefined")
    assert [line for line in page.problems if "/page/picture" not in line] == []  # nothing was asked of anybody else
    page.problems.clear()


def test_a_picture_with_the_words_of_a_pdf_in_it_is_a_picture(page, tmp_path):
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Comment", "%PDF-1.7")
    PIL.Image.new("RGB", (30, 20)).save(tmp_path / "a.png", pnginfo=info)
    upload(page, tmp_path / "a.png")
    assert state(page, "[state.picture.width, state.picture.height]") == [30, 20]


def test_an_address_that_is_dropped_is_not_opened(page):
    page.run(
        "(() => { const data = new DataTransfer(); data.setData('text/uri-list', 'http://127.0.0.1:9/a.png'); "
        "window.left = [...['dragover', 'drop'].map(kind => document.querySelector('#stage').dispatchEvent("
        "new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true})))]; })()"
    )
    assert page.run("window.left") == [False, False]  # the browser does nothing of its own
    assert "Only files" in page.run(TOAST)


def test_an_address_in_a_question_is_text(page, script, picture):
    upload(page, picture)
    page.run(
        "document.querySelector('#question').dispatchEvent(new ClipboardEvent('paste', { clipboardData: "
        "Object.assign(new DataTransfer(), {}), bubbles: true, cancelable: true }))"
    )
    ask(page, "file:///etc/passwd http://127.0.0.1:9/a.png data:text/html,<script>1</script> ![](http://127.0.0.1:9/b)")
    assert len(script.jobs[-1].images) == 1 and "file:///etc/passwd" in script.asked[-1]
    script.answer = ["![x](http://127.0.0.1:9/c.png) <img src=http://127.0.0.1:9/d.png> http://127.0.0.1:9/e"]
    ask(page, "And?")
    assert answer(page) == script.answer[0]
    assert page.run("document.querySelectorAll('.answer img, .answer a').length") == 0


def test_a_wrong_corner_is_not_a_mark(page, picture):
    """A click on the edge, a drag of no size, and one that ends beyond the picture."""
    upload(page, picture)
    page.click('[data-tool="box"]')
    page.drag(on_screen(page, 50, 50), on_screen(page, 50.1, 50.1))
    assert state(page, "state.current.marks.length") == 0
    page.drag(on_screen(page, 150, 50), on_screen(page, 400, 300))
    ((left, top, right, bottom),) = state(page, "state.current.marks.map(mark => mark.pixels)")
    assert (right, bottom) == (200, 100) and 149 < left < 151 and 49 < top < 51
