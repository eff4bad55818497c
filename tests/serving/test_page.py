"""The web page in a real browser: a picture goes in, an answer comes out, and what it points at is drawn."""

import json

import PIL.Image
import pytest

from browser import Browser, find_chromium
from on_page import ANSWERED, READY, WORD, answer, ask, begin, limit, near, on_screen, shapes, state, upload
from paths import ROOT
from pdf_pages import PageOf, Pdf
from scripted import Script
from served import Served
from sphinx_x.conversation import format_places, parse_boxes
from sphinx_x.images import open_image
from sphinx_x.model.abilities import PictureKind
from sphinx_x.model.views import plan_views


@pytest.fixture(scope="module")
def served(tiny):
    find_chromium()
    with Served(tiny) as running:
        yield running


def test_upload_ask_read_the_answer_and_see_the_box(page, script, picture):
    script.answer = ["A cow ", "[0.25, 0.1, 0.5, 0.4] and ", "grass [0.0, 0.25, 1, 0.5]."]
    upload(page, picture)
    ask(page, "What is there?")
    assert answer(page) == "A cow [0.25, 0.1, 0.5, 0.4] and grass [0.0, 0.25, 1, 0.5]."
    assert "What is there?" in script.asked[-1] and len(script.jobs[-1].images) == 1
    # by hand: the square of a picture of 200 x 100 is 200 wide where the member does not enlarge less
    side = float(plan_views(200, 100, script.sphinx.processor.image_processor.grid()).side)
    cow = [0.25 * side, 0.1 * side, 0.25 * side, min(0.4 * side, 100) - 0.1 * side]
    grass = [0, 0.25 * side, 200, 100 - 0.25 * side]
    assert shapes(page) == [pytest.approx(grass), pytest.approx(cow)]  # the smaller one lies on top
    assert page.run("document.querySelector('#overlay').getAttribute('viewBox')") == "0 0 200 100"
    labels = page.run("[...document.querySelectorAll('.region .tag text')].map(e => e.textContent)")
    assert sorted(labels) == ["A cow", "grass"]
    colors = page.run(
        "[...document.querySelectorAll('.place')].map(place => { const region = "
        'document.querySelector(`.region[data-place="${place.dataset.place}"] .shape`); '
        "return [getComputedStyle(place).color, getComputedStyle(region).stroke]; })"
    )
    assert all(text == drawn for text, drawn in colors) and colors[0] != colors[1]


def test_places_are_those_that_the_server_tells(page, script, picture):
    script.answer = [
        "a🙂[0.1, 0.2, 0.3, 0.4], b [0.5, 0.5, 0.9, 0.6; 0, 0, 1, 1]; not [12] nor [0.1, 0.2, 0.3], [.5, .25]"
    ]
    upload(page, picture)
    ask(page, "Boxes?")
    copied = page.run(
        "Promise.all([import('/log.js'), import('/state.js')])"
        ".then(([log, { state }]) => JSON.stringify(log.turnJson(state.turn)))"
    )
    told = json.loads(copied)
    ours = [place["pixels"][0][0] for place in told["places"]]
    theirs = [found["pixels"][0] for kind in ("boxes", "points") for found in told["sphinx_x"][kind]]
    assert len(ours) == 4 and ours == theirs
    assert told["usage"]["image_tokens"] > 0 and told["pictures"] == [
        {"name": "meadow.png", "width": 200, "height": 100}
    ]
    buttons = page.run("[...document.querySelectorAll('.place')].map(e => [e.textContent, e.className])")
    said, colors = zip(*buttons, strict=True)
    assert said == ("[0.1, 0.2, 0.3, 0.4]", "0.5, 0.5, 0.9, 0.6", "0, 0, 1, 1", "[.5, .25]")
    assert colors == ("place c0", "place c1", "place c1", "place c2")  # one colour for what is in one pair of brackets
    assert answer(page) == "".join(script.answer)


def test_places_are_drawn_while_the_answer_goes_on_and_stay_when_it_is_stopped(page, script, picture):
    script.answer, script.pause = ["a cow [0.1, 0.1, 0.3, 0.2]", *(f" word{k}" for k in range(400))], 0.02
    upload(page, picture)
    begin(
        page,
        "Long?",
        until="document.querySelectorAll('.region').length === 1 && !document.querySelector('#stop').hidden",
    )
    page.press("Escape")
    page.wait(ANSWERED)
    assert page.run("document.querySelectorAll('.region, .place').length") == 2
    assert "word399" not in answer(page)


def test_a_box_lights_up_its_region_and_the_other_way_round(page, script, picture):
    script.answer = ["one [0.1, 0.1, 0.3, 0.2], two [0.5, 0.3, 0.9, 0.45]"]
    upload(page, picture)
    ask(page, "Both?")
    lit = "[...document.querySelectorAll('.lit')].map(e => e.dataset.place + ' ' + e.tagName.toLowerCase()).sort()"
    page.hover(".place:nth-of-type(2)")
    ids = page.run("[...document.querySelectorAll('.place')].map(e => e.dataset.place)")
    assert page.run(lit) == [f"{ids[1]} button", f"{ids[1]} g"]
    page.hover(f'.region[data-place="{ids[0]}"] .shape')
    assert page.run(lit) == [f"{ids[0]} button", f"{ids[0]} g"]
    page.hover("h1")
    assert page.run(lit) == []
    page.run(f"document.querySelector('.region[data-place=\"{ids[1]}\"]').focus()")  # the keyboard does it, too
    assert page.run(lit) == [f"{ids[1]} button", f"{ids[1]} g"]


def test_key_points_points_and_marks(page, script, picture):
    script.answer = ["nose[0.5, 0.1], left eye[0.52, 0.08], there [0.3, 0.3], <Mark 1> is [0.1, 0.2, 0.2, 0.3]"]
    upload(page, picture)
    page.click('[data-tool="point"]')
    page.click_at(*on_screen(page, 50, 50))
    ask(page, "Points?")
    kinds = page.run("[...document.querySelectorAll('.region')].map(e => e.getAttribute('aria-label').split(' at')[0])")
    assert {"key point nose", "key point left eye", "point there", "Mark 1"} <= set(kinds)
    assert page.run("document.querySelectorAll('.limb').length") == 1
    assert page.run("document.querySelectorAll('.place').length") == 5
    own = page.run("document.querySelector('.region[aria-label^=\"Mark 1\"] .shape').getAttribute('cx')")
    put = state(page, "state.current.marks[0].pixels[0]")
    assert float(own) == put  # where it was put, not where its rounded numbers say


def test_two_bodies_have_their_own_colours_and_a_mark_may_be_an_outline(page, script, picture):
    bodies = ["left hip[0.1, 0.1], left knee[0.1, 0.3]", "left hip[0.5, 0.1], left knee[0.5, 0.3], nose[0.5, 0]"]
    script.answer = [", ".join(bodies), " <Mark 4> [0.2, 0.1; 0.4, 0.1; 0.4, 0.3], Mark 4: a roof"]
    upload(page, picture)
    ask(page, "Points?")
    limbs = page.run(
        "[...document.querySelectorAll('.limb')].map(e => [e.getAttribute('class'), e.getAttribute('x1')])"
    )
    assert [name for name, _ in limbs] == ["limb c0", "limb c1"]
    assert page.run("document.querySelectorAll('.region[aria-label^=\"Mark 4\"]').length") == 1
    side = float(plan_views(200, 100, script.sphinx.processor.image_processor.grid()).side)
    corners = page.run("document.querySelector('.outline').getAttribute('points')").split()
    wanted = [(0.2 * side, 0.1 * side), (0.4 * side, 0.1 * side), (0.4 * side, 0.3 * side)]
    assert [tuple(map(float, corner.split(","))) for corner in corners] == [pytest.approx(one) for one in wanted]
    lit = "[...document.querySelectorAll('.place.lit')].map(e => e.textContent)"
    page.hover(".place:last-child")
    assert page.run(lit) == ["<Mark 4>", "0.2, 0.1", "0.4, 0.1", "0.4, 0.3", "Mark 4"]


def test_marks_are_told_as_the_family_learned_it(page, script, picture, tiny):
    upload(page, picture)
    page.click('[data-tool="point"]')
    page.click_at(*on_screen(page, 40, 30))
    page.click('[data-tool="box"]')
    page.drag(on_screen(page, 100, 20), on_screen(page, 180, 90))
    assert page.run("document.querySelectorAll('.mark').length") == 2
    ask(page, "Name the marks.")
    layout = plan_views(200, 100, tiny.processor.image_processor.grid())
    point, box = (format_places([layout.to_square(place)]) for place in ((40, 30), (100, 20, 180, 90)))
    shown = state(page, "state.turn.text")
    # a screen's pixel is a part of the picture's, so the last digit may differ by one
    assert near(shown, f"Name the marks. The marks are: <Mark 1> {point}, <Mark 2> {box}.")
    assert shown in script.asked[-1]
    ask(page, "And now?")
    assert state(page, "state.turn.text") == "And now?"  # they were told before


def test_marks_by_keyboard(page, picture):
    upload(page, picture)
    page.run("document.querySelector('[data-tool=\"look\"]').focus()")
    page.press("ArrowRight")
    page.press("ArrowRight")
    assert page.run("document.activeElement.dataset.tool") == "box"
    page.run("document.querySelector('#overlay').focus()")
    for key in ("ArrowLeft", "ArrowLeft", "Enter", "ArrowRight", "ArrowDown", "ArrowDown", "Enter"):
        page.press(key)
    ((x, y, width, height),) = shapes(page, ".mark")
    assert 2 * width == pytest.approx(height) and x + 2 * width == pytest.approx(100) and y == pytest.approx(50)
    page.press("Escape")
    assert page.run("document.querySelector('[data-tool=\"look\"]').getAttribute('aria-checked')") == "true"


def test_pasted_and_dropped_pictures(page, script, picture):
    content = list(picture.read_bytes())
    page.run(
        f"(() => {{ const data = new DataTransfer(); data.items.add(new File([new Uint8Array({content})], 'p.png', "
        "{type: 'image/png'})); document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, "
        "bubbles: true, cancelable: true})); })()"
    )
    page.wait("document.querySelectorAll('.thumb').length === 1")
    page.run(
        f"(() => {{ const data = new DataTransfer(); data.items.add(new File([new Uint8Array({content})], 'd.png', "
        "{type: 'image/png'})); for (const kind of ['dragover', 'drop']) document.querySelector('#log').dispatchEvent("
        "new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true})); })()"
    )
    page.wait("document.querySelectorAll('.thumb').length === 2")
    assert page.run("document.querySelector('#drop').hidden")
    ask(page, "Alike?")
    assert len(script.jobs[-1].images) == 2
    ask(page, "And?")
    assert len(script.jobs[-1].images) == 2 and "Alike?" in script.asked[-1]  # both turns, and the pictures once


def test_pages_of_a_pdf(page, script, tmp_path):
    sizes = [(300, 400), (400, 200), (200, 200)]
    file = Pdf([PageOf(["0 0 1 rg 20 20 50 60 re f"], size) for size in sizes]).write(tmp_path / "three.pdf")
    page.choose("#file", file)
    page.wait("document.querySelectorAll('.page img').length === 3")
    assert page.run("document.querySelector('#pages-add').disabled")
    page.click(".page:nth-child(3)")
    page.click(".page:nth-child(2)")
    page.click("#pages-add")
    page.wait("document.querySelectorAll('.thumb').length === 2")
    shown = state(page, "state.current.pictures.map(({ name, width, height }) => [name, width, height])")
    assert shown == [[f"three.pdf, page {k}", *open_image(file, page=k).size] for k in (2, 3)]
    ask(page, "What?")
    assert len(script.jobs[-1].images) == 2


def test_a_page_of_one_is_not_asked_for_and_a_broken_one_is_told(page, tmp_path):
    upload(page, Pdf([PageOf(["0 0 9 9 re f"])]).write(tmp_path / "one.pdf"))
    assert not page.run("document.querySelector('#pages-dialog').open")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing")
    page.choose("#file", tmp_path / "broken.pdf")
    page.wait("document.querySelector('#toast').textContent.includes('broken PDF')")
    page.problems.clear()  # the browser's own line about a refused request


def test_a_part_is_cut_out_and_its_answer_is_drawn_on_the_whole_as_well(page, script, tmp_path):
    image = PIL.Image.new("RGB", (300, 200), "white")
    image.paste("red", (101, 51, 160, 90))
    image.save(tmp_path / "whole.png")
    script.answer = ["[0, 0, 1, 1]"]
    upload(page, tmp_path / "whole.png")
    page.click('[data-tool="cut"]')
    page.drag(on_screen(page, 101.2, 51.2), on_screen(page, 159.8, 89.8))
    page.wait("document.querySelectorAll('.thumb').length === 2")
    size = state(page, "[state.picture.width, state.picture.height]")
    assert size == [59, 39]
    red = state(
        page,
        "(() => { const c = document.createElement('canvas'); [c.width, c.height] = [59, 39]; "
        "const x = c.getContext('2d'); "
        "x.drawImage(state.picture.image, 0, 0); return [...new Set(new Uint32Array(x.getImageData(0, 0, 59, 39)"
        ".data.buffer))]; })()",
    )
    assert red == [0xFF0000FF]
    page.click(".thumb-box:nth-child(1) .remove")  # of the whole: it is not sent, but the part knows its place
    page.wait("document.querySelectorAll('.thumb').length === 1")
    ask(page, "What?")
    assert len(script.jobs[-1].images) == 1
    assert shapes(page) == [pytest.approx([0, 0, 59, 39])]


def test_an_answer_is_drawn_on_the_picture_that_the_part_was_cut_out_of(page, script, tmp_path, served, monkeypatch):
    limit(monkeypatch, script.sphinx, turns=1, most_pictures=1)
    page.go(f"{served.url}/", READY)
    PIL.Image.new("RGB", (300, 200), "white").save(tmp_path / "whole.png")
    script.answer = ["[0, 0, 1, 1]"]
    upload(page, tmp_path / "whole.png")
    page.click('[data-tool="cut"]')
    page.drag(on_screen(page, 101.2, 51.2), on_screen(page, 159.8, 89.8))
    page.wait("document.querySelectorAll('.thumb').length === 2")
    ask(page, "What?")
    assert len(script.jobs[-1].images) == 1
    page.click(".thumb-box:nth-child(1) .thumb")
    page.wait("document.querySelector('#overlay').getAttribute('viewBox') === '0 0 300 200'")
    assert shapes(page) == [pytest.approx([101, 51, 59, 39])]


def test_what_a_member_does_not_take_is_told_in_its_one_line(page, served, script, picture, monkeypatch):
    lines = [{"what": "a line", "width": 150, "height": 20}]
    ability = limit(monkeypatch, script.sphinx, pictures=lines, text_alone=False, turns=1, most_pictures=1)
    assert isinstance(ability.pictures[0], PictureKind)
    page.go(f"{served.url}/", READY)
    notice = "document.querySelector('#notice').textContent"
    canvas = script.sphinx.processor.image_processor.grid().canvas
    assert page.run(notice).lower() == f"{ability.refusal([], 1, canvas)}.".lower()
    upload(page, picture)
    refusal = ability.refusal([(200, 100)], 1, canvas)
    assert page.run(notice).lower() == f"{refusal}.".lower()
    begin(page, "Still?", until="document.querySelector('.fault')")
    assert page.run("document.querySelector('.fault').textContent").lower() == f"{refusal}.".lower()
    assert page.run("document.querySelector('#question').value") == "Still?"  # to be asked again
    page.problems.clear()  # the browser's own line about a refused request


def test_stop(page, script, picture):
    script.answer, script.pause = [f"word{k} " for k in range(400)], 0.02
    upload(page, picture)
    begin(page, "Long?", until=WORD)
    assert page.run("document.querySelector('#send').hidden && !document.querySelector('#stop').hidden")
    page.click("#stop")
    page.wait(ANSWERED)
    text = answer(page)
    assert text.startswith("word0 word1") and "word399" not in text
    assert "Stopped." in page.run("document.querySelector('.answer').innerText")
    assert script.jobs[-1].cancelled.wait(5)  # the server knows it, too
    script.answer, script.pause = ["Short."], 0
    ask(page, "Go on.")
    assert "word0" in script.asked[-1] and answer(page) == "Short."


def test_hostile_names_and_answers_are_text(page, script, tmp_path):
    name = "<img src=x onerror=window.hacked=1>&quot;'`.png"
    PIL.Image.new("RGB", (20, 20)).save(file := tmp_path / name)
    said = '<script>window.hacked=1</script><img src=x onerror="window.hacked=1"><a href="javascript:alert(1)">x</a>'
    said += '<b>[0.1, 0.1, 0.5, 0.5]</b> <p>"><svg onload=window.hacked=1></p>[0.2, 0.2, 0.4, 0.4]'
    said += ' <Mark "><img>> [0.1, 0.1]'
    script.answer = [said]
    upload(page, file)
    ask(page, "<b>bold?</b>")
    assert answer(page) == said
    assert page.run("document.querySelector('.question .text').textContent") == "<b>bold?</b>"
    assert name in page.run("document.querySelector('#caption').textContent")
    page.click("#history")
    page.wait("document.querySelector('#history-dialog').open")
    assert page.run("document.querySelector('#history-list strong').textContent") == "<b>bold?</b>"
    page.click("#history-close")
    assert page.run("document.querySelectorAll('.log script, .log b, .log a, .log p svg, [onerror]').length") == 0
    assert page.run("window.hacked === undefined")
    assert page.run("document.querySelectorAll('.region').length") == 3


def test_history_new_copy_and_theme(page, script, picture):
    upload(page, picture)
    ask(page, "First?")
    page.click("#new")
    assert page.run("document.querySelectorAll('.turn, .thumb').length") == 0
    page.click("#history")
    page.wait("document.querySelector('#history-dialog').open")
    page.click("#history-list li:nth-child(2) button")
    page.wait("!document.querySelector('#history-dialog').open")
    assert page.run("document.querySelector('.question .text').textContent") == "First?"
    page.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.click("#copy-all")
    page.wait("window.copied")
    told = json.loads(page.run("window.copied"))
    assert [turn["answer"] for turn in told] == ["Yes."] and told[0]["sphinx_x"]["seconds"]["encode"] == 0.02
    light = page.run("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.run("getComputedStyle(document.body).backgroundColor") != light


def test_tables_are_shown_as_tables(page, script, picture):
    markdown = "Here:\n| Year | Cows |\n|:--|--:|\n| 2021 | 12 |\n| 2022 | <b> [0.1, 0.1, 0.2, 0.2] |\nDone."
    chart = " | 2020 | 2021\nCows | 1 |\nGoats | 3 | 4"
    upload(page, picture)
    cells = (
        "[...document.querySelectorAll('.turn:last-child tr')].map(e => [...e.children].map(c => c.textContent.trim()))"
    )
    script.answer = [markdown]
    ask(page, "Table?")
    assert page.run(cells) == [["Year", "Cows"], ["2021", "12"], ["2022", "<b> [0.1, 0.1, 0.2, 0.2]"]]
    assert page.run("document.querySelectorAll('td .place').length") == 1
    before, *_, behind = answer(page).splitlines()
    assert (before, behind) == ("Here:", "Done.")
    script.answer = [chart]
    ask(page, "Convert this chart to a table.")
    assert page.run(cells) == [["", "2020", "2021"], ["Cows", "1", ""], ["Goats", "3", "4"]]
    script.answer = ["a | b and no more\n|x|\n\n"]
    ask(page, "No table?")
    assert page.run("document.querySelectorAll('.turn:last-child table').length") == 0
    assert page.run("document.querySelector('.turn:last-child .answer .text').textContent") == script.answer[0]


def test_masks_are_not_offered_without_a_model_for_them(page):
    assert page.run("document.querySelector('#masks').hidden")


def test_what_it_took_and_the_views_are_shown(page, script, picture, tiny):
    upload(page, picture)
    ask(page, "Cost?")
    shown = page.run("document.querySelector('.details').innerText")
    for words in ("encoding 20 ms", "prefill 10 ms", "decoding 300 ms", "visual tokens in", "views skipped"):
        assert words in shown
    layout = plan_views(200, 100, tiny.processor.image_processor.grid())
    count = "document.querySelectorAll('#views .cell.{}').length"
    assert page.run(count.format("kept")) == sum(layout.kept)
    assert page.run(count.format("skipped")) == layout.skipped > 0


def test_tasks_fill_in_the_question(page, picture):
    upload(page, picture)
    page.click('[data-tool="box"]')
    page.drag(on_screen(page, 20, 20), on_screen(page, 100, 60))
    prompts = page.run(
        "[...document.querySelectorAll('#tasks optgroup option')].map(option => { "
        "const tasks = document.querySelector('#tasks'); tasks.value = option.value; "
        "tasks.dispatchEvent(new Event('change')); return document.querySelector('#question').value; })"
    )
    assert "Convert this chart to a table." in prompts and "Detect the layout of the document." in prompts
    (key_points,) = (text for text in prompts if text.startswith("Detect the key points of the person in the region ["))
    assert len(parse_boxes(key_points)) == 1
    assert not any("{" in text for text in prompts)


@pytest.mark.parametrize("width", [360, 390, 768])
def test_a_narrow_window(page, script, picture, width):
    page.resize(width, 740, mobile=width < 500)
    upload(page, picture)
    ask(page, "Fits?")
    page.click(".options summary")
    for selector in (".options-body", "#max-tokens"):
        left, right = page.run(
            f"(() => {{ const r = document.querySelector('{selector}').getBoundingClientRect(); "
            "return [r.left, r.right]; })()"
        )
        assert 0 <= left < right <= width
    page.click("h1")
    assert not page.run("document.querySelector('.options').open")
    assert page.run("document.documentElement.scrollWidth") <= width == page.run("innerWidth")
    for selector in ("#send", "#theme", "#tasks", '[data-tool="cut"]', "#zoom-in", "#picture", "#question"):
        x, y = page.middle(selector)
        assert 0 < x < width and 0 < y < 740, selector


def test_everything_has_a_name_and_the_keyboard_reaches_it(page, script, picture):
    script.answer = ["a [0.1, 0.1, 0.4, 0.3]"]
    upload(page, picture)
    ask(page, "Named?")
    nameless = page.run(
        "[...document.querySelectorAll('button, input, select, textarea, svg[role], [role=img], dialog')].filter(e => "
        "!(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim() "
        "|| e.labels?.length)).map(e => e.outerHTML)"
    )
    assert nameless == []
    spoken = {"button", "checkbox", "combobox", "dialog", "image", "img", "link", "radio", "region", "textbox"}
    page.call("Accessibility.enable")
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    told = [(node["role"]["value"], node["name"]["value"]) for node in tree if not node["ignored"] and "name" in node]
    assert [role for role, name in told if role in spoken and not name] == []
    assert any(name.startswith("box a from ") and name.endswith(" (pixels)") for _, name in told)
    page.run("document.activeElement.blur()")
    reached = set()
    for _ in range(40):
        page.press("Tab")
        reached.add(page.run("document.activeElement.id || document.activeElement.getAttribute('class')"))
    assert {"new", "theme", "overlay", "question", "send", "attach", "tasks", "log"} <= reached
    assert any("place" in str(name) for name in reached)


def test_a_token(tiny, tmp_path, picture):
    find_chromium()
    with Served(tiny, token="a-token-for-the-page") as served:
        script = Script(served)
        browser = Browser(tmp_path / "profile", served.url)
        try:
            browser.answer_challenges("a-token-for-the-page")  # the browser itself asks for it
            browser.go(f"{served.url}/", READY)
            upload(browser, picture)
            ask(browser, "Allowed?")
            assert answer(browser) == "Yes." and browser.challenges == 1
        finally:
            browser.close()
    assert "Allowed?" in script.asked[0]


def test_a_token_that_has_changed_is_asked_for_in_the_page(tiny, tmp_path, picture):
    find_chromium()
    with Served(tiny, token="a-token-for-the-page") as served:
        Script(served)
        browser = Browser(tmp_path / "profile", served.url)
        try:
            browser.call("Network.setExtraHTTPHeaders", headers={"Authorization": "Bearer a-token-for-the-page"})
            browser.go(f"{served.url}/", READY)
            upload(browser, picture)
            browser.call("Network.setExtraHTTPHeaders", headers={})
            browser.answer_challenges(None)
            begin(browser, "Allowed?", until="document.querySelector('#token-dialog').open")
            for given in ("a-wrong-one-for-it", "a-token-for-the-page"):
                browser.wait("document.querySelector('#token-dialog').open && document.activeElement.id === 'token'")
                browser.type(given)
                browser.press("Enter")
            browser.wait(ANSWERED)
            assert answer(browser) == "Yes."
            assert browser.run("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        finally:
            browser.close()


@pytest.mark.slow
def test_nano_reads_a_line_of_a_page(tmp_path):
    from sphinx_x.inference import SphinxX

    find_chromium()
    with Served(SphinxX.load("nano"), name="nano") as served:
        browser = Browser(tmp_path / "profile", served.url)
        try:
            browser.go(f"{served.url}/", READY)
            upload(browser, ROOT / "examples" / "ledger-introduction.pdf")
            browser.click('[data-tool="cut"]')
            browser.drag(on_screen(browser, 185, 448), on_screen(browser, 1092, 475))
            browser.wait("document.querySelectorAll('.thumb').length === 2")
            ask(browser, "Read the text.")
            assert "modern day cousins, without any of the fat" in answer(browser)
            ask(browser, 'Where is "Bran Muffin"?')
            assert len(shapes(browser)) == 1
            assert browser.problems == []
        finally:
            browser.close()
