"""Conversations that the browser keeps: after the page is loaded anew, for as long as nobody deletes them."""

import PIL.Image
import pytest

from browser import find_chromium
from on_page import READY, WORD, answer, ask, begin, on_screen, shapes, state, upload
from served import Served

KEPT = """indexedDB.databases().then(async (known) => {
  if (!known.length) return "none";
  const asked = indexedDB.open("sphinx-x");
  const db = await new Promise(done => { asked.onsuccess = () => done(asked.result); });
  const reading = db.transaction(["conversations", "pictures"]);
  const counts = ["conversations", "pictures"].map(name => reading.objectStore(name).count());
  await new Promise(done => { reading.oncomplete = done; });
  db.close();
  return counts.map(count => count.result).join();
})"""
"""How many conversations and pictures are in the browser's database."""


@pytest.fixture(scope="module")
def served(tiny):
    find_chromium()
    with Served(tiny) as running:
        yield running


def kept(page, *counts):
    page.wait(f"{KEPT}.then(found => found === '{counts[0]},{counts[1]}')")


def reload(page):
    page.run("document.documentElement.dataset.ready = ''")
    page.call("Page.reload")
    page.wait(READY)


def titles(page):
    page.click("#history")
    page.wait("document.querySelector('#history-dialog').open")
    return page.run("[...document.querySelectorAll('#history-list strong')].map(e => e.textContent)")


def test_a_conversation_is_there_again_after_the_page_is_loaded_anew(page, script, picture):
    script.answer = ["A cow [0.25, 0.1, 0.5, 0.4]."]
    upload(page, picture)
    page.click('[data-tool="point"]')
    page.click_at(*on_screen(page, 50, 50))
    ask(page, "What is there?")
    before, asked, drawn = answer(page), state(page, "state.turn.text"), shapes(page)
    kept(page, 1, 1)
    reload(page)
    assert (answer(page), state(page, "state.turn.text"), shapes(page)) == (before, asked, drawn)
    page.wait("document.querySelector('#picture').naturalWidth === 200")
    script.answer = ["Grass."]
    ask(page, "And?")  # it goes on with the picture, once, and with what was said
    assert len(script.jobs[-1].images) == 1 and "What is there?" in script.asked[-1] and "A cow" in script.asked[-1]
    assert state(page, "state.turn.text") == "And?"  # the mark was told before


def test_a_conversation_stays_that_of_the_model_that_was_asked(page, script, picture):
    """Another member may be served at the same address later."""
    script.answer = ["A cow."]
    upload(page, picture)
    ask(page, "What is there?")
    kept(page, 1, 1)
    name = state(page, "state.model.name")
    reload(page)
    page.run("import('/state.js').then(({ state }) => { state.model = { ...state.model, name: 'another' }; })")
    page.click(".thumb")
    page.run("new Promise(done => setTimeout(done, 1500))")  # what changed is kept after a while
    found = "import('/store.js').then(({ kept }) => kept()).then(([one]) => one.model)"
    assert page.run(found) == name
    assert state(page, "import('/log.js').then(({ turnJson }) => turnJson(state.turn).model)") == name


def test_the_page_is_loaded_anew_in_the_middle_of_an_answer(page, script, picture):
    script.answer, script.pause = [f"word{k} " for k in range(2000)], 0.02
    upload(page, picture)
    begin(page, "Long?", until=WORD)
    kept(page, 1, 1)
    page.wait(
        "import('/store.js').then(({ kept }) => kept()).then(([found]) => found.turns[0].answer.includes('word3'))"
    )
    reload(page)
    assert script.jobs[-1].cancelled.wait(5)  # the server does not go on for nobody
    assert answer(page).startswith("word0 word1")
    assert "left before the answer was complete" in page.run("document.querySelector('.fault').textContent")
    assert page.run("!document.querySelector('#send').hidden")
    script.answer, script.pause = ["Short."], 0
    ask(page, "Go on.")
    assert answer(page) == "Short." and "word0" in script.asked[-1]


def test_a_question_without_any_answer_can_be_asked_again_after_loading_anew(page, script, picture):
    script.answer, script.pause = ["Late."], 60
    upload(page, picture)
    begin(page, "Slow?")
    kept(page, 1, 1)
    reload(page)
    script.answer, script.pause = ["Quick."], 0
    ask(page, "Slow?")
    assert answer(page) == "Quick." and len(script.jobs[-1].images) == 1
    assert script.asked[-1].count("Slow?") == 1


def test_a_part_knows_its_whole_after_loading_anew(page, script, tmp_path):
    PIL.Image.new("RGB", (300, 200), "white").save(tmp_path / "whole.png")
    script.answer = ["[0, 0, 1, 1]"]
    upload(page, tmp_path / "whole.png")
    page.click('[data-tool="cut"]')
    page.drag(on_screen(page, 101.2, 51.2), on_screen(page, 159.8, 89.8))
    page.wait("document.querySelectorAll('.thumb').length === 2")
    ask(page, "What?")
    kept(page, 1, 2)
    reload(page)
    assert state(page, "state.current.pictures[1].origin.picture === state.current.pictures[0]")


def test_conversations_are_deleted_one_by_one_and_all(page, script, picture):
    for question in ("First?", "Second?", "Third?"):
        page.click("#new")
        upload(page, picture)
        ask(page, question)
    kept(page, 3, 3)
    reload(page)
    assert titles(page) == ["Third?", "Second?", "First?"]
    assert page.run("document.querySelector('#history-told').textContent").startswith("Kept in this browser only")
    page.click("#history-list li:nth-child(2) .icon")
    page.wait("document.querySelectorAll('#history-list li').length === 2")
    kept(page, 2, 2)
    page.click("#history-list li:nth-child(2) .open")
    page.wait("!document.querySelector('#history-dialog').open")
    assert page.run("document.querySelector('.question .text').textContent") == "First?"
    assert titles(page) == ["Third?", "First?"]
    page.click("#history-clear")
    assert page.run("document.querySelectorAll('#history-list li').length") == 2  # asked once more
    page.click("#history-clear")
    page.wait("document.querySelectorAll('.turn, .thumb').length === 0")
    kept(page, 0, 0)
    page.click("#history-close")
    reload(page)
    assert page.run("document.querySelectorAll('.turn').length") == 0


def test_a_conversation_that_is_deleted_while_it_is_answered_is_gone(page, script, picture):
    script.answer, script.pause = [f"word{k} " for k in range(2000)], 0.02
    upload(page, picture)
    begin(page, "Long?", until=WORD)
    titles(page)
    page.click("#history-list li .icon")
    page.wait("document.querySelectorAll('.turn').length === 0 && !document.querySelector('#send').hidden")
    assert script.jobs[-1].cancelled.wait(5)
    kept(page, 0, 0)


def test_the_oldest_of_more_than_fifty_go(page):
    page.run(
        "import('/store.js').then(async ({ keep }) => { for (let k = 0; k < 53; k += 1) { "
        "const turn = { question: `${k}?`, shown: [], seen: [], marks: [], answer: 'x', status: 'stop' }; "
        "keep({ id: `c${k}`, began: new Date(1e12 + k), pictures: [], marks: [], turns: [turn] }, 'tiny', true); "
        "await new Promise(done => setTimeout(done, 5)); } })"
    )
    kept(page, 50, 0)
    assert titles(page)[-1] == "3?"


def test_a_browser_that_keeps_nothing_says_so(page, script, picture, served):
    refuse = "IDBFactory.prototype.open = () => { throw new DOMException('not here'); }"
    added = page.call("Page.addScriptToEvaluateOnNewDocument", source=refuse)["identifier"]
    page.go(f"{served.url}/?", READY)
    try:
        upload(page, picture)
        ask(page, "Kept?")
        page.wait("document.querySelector('#toast').textContent.endsWith('does not keep the conversation: not here')")
        assert titles(page) == ["Kept?"]
        assert page.run("document.querySelector('#history-told').textContent").startswith("This browser keeps nothing")
        page.click("#history-list li .icon")
        page.wait("document.querySelectorAll('.turn').length === 0")
    finally:
        page.call("Page.removeScriptToEvaluateOnNewDocument", identifier=added)


def test_the_token_is_not_kept(page, script, picture):
    upload(page, picture)
    ask(page, "Kept?")
    assert page.run("localStorage.length + sessionStorage.length + document.cookie.length") == 0
