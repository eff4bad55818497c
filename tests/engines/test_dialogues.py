"""Dialogues without a picture: prompts are different ones and held back by topic, answers are the member's own."""

import json
import random

import pytest
import torch

from commands import run
from sphinx_x.data.shards import SampleReader
from sphinx_x.engines.dialogues import engine
from sphinx_x.engines.dialogues.engine import DialogueSettings, make_dialogues
from sphinx_x.engines.dialogues.prompts import draw_prompts, entries, is_held
from sphinx_x.engines.dialogues.topics import ASKED, TOPICS
from sphinx_x.errors import DataError, MissingToolError
from sphinx_x.inference.running import Trace

HEAD = "  1 This database is under a licence and this line is no entry  \n"
NOUN = '00001740 03 n 01 {} 0 003 ~ 00001930 n 0000 | {}; "an example"\n'


@pytest.fixture
def wordnet(tmp_path):
    folder = tmp_path / "wordnet"
    folder.mkdir()
    words = ["kettle", "harbour", "ladder", "meadow", "needle", "oyster", "pillar", "quarry", "ribbon", "saddle"]
    words += ["timber", "urchin", "valley", "wallet", "yeoman", "zipper", "anchor", "barrel", "candle", "dagger"]
    lines = [NOUN.format(word, f"a thing that people call {word[::-1]}") for word in words]
    lines += [NOUN.format("two_words", "something that has two words"), NOUN.format("Rome", "a town of Italy here")]
    for kind in ("noun", "verb", "adj"):
        (folder / f"data.{kind}").write_text(HEAD + ("".join(lines) if kind == "noun" else ""))
    return folder


class Talker:
    """Answers a prompt with its length; of every fifth answer there is no end, and of every seventh no letter."""

    def __init__(self):
        self.batches = []

    def prompt_for(self, question):
        return question

    def answers(self, prompts, batch_size, traces, max_new_tokens, **drawn):
        assert drawn in ({}, {"temperature": 0.5}), "a seed would be every answer's own"
        self.batches.append((len(prompts), torch.rand(1).item()))
        told = [len(self.batches) * 1000 + k for k in range(len(prompts))]
        traces += [Trace(finish="length" if k % 5 == 4 else "stop") for k in range(len(prompts))]
        return [" " if k % 7 == 6 else f"It is {number}. " for k, number in enumerate(told)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder like a member's, and what answers in its stead."""
    where = tmp_path / "member"
    where.mkdir()
    (where / "model.safetensors").write_bytes(b"weights")
    (where / "config.json").write_text("{}")
    talker = Talker()
    monkeypatch.setattr(engine, "_loaded", lambda model, dtype: talker)
    return where, talker


def test_prompts_are_different_and_a_longer_list_begins_with_a_shorter_one():
    many = draw_prompts(300, 7, {"written": 1})
    assert len({prompt.text for prompt in many}) == 300 and draw_prompts(40, 7, {"written": 1}) == many[:40]
    assert {prompt.licence for prompt in many} == {"CC0-1.0"}
    assert draw_prompts(40, 8, {"written": 1}) != many[:40]
    assert all("{" not in prompt.text and prompt.text for prompt in many)
    assert set(ASKED) == set(TOPICS) and all("{}" in one for asked in ASKED.values() for one in asked)


def test_topics_that_are_held_back_are_in_no_prompt_of_the_others(wordnet):
    shares = {"written": 1, "wordnet": 1}
    held = {prompt.text for prompt in draw_prompts(40, 1, shares, wordnet, held=True)}
    others = draw_prompts(200, 1, {"written": 1}) + draw_prompts(60, 1, {"wordnet": 1}, wordnet)
    assert held.isdisjoint(prompt.text for prompt in others)
    topics = [topic for kind in TOPICS.values() for topic in kind]
    assert 0.03 < sum(map(is_held, topics)) / len(topics) < 0.2
    for kind, all_of in TOPICS.items():
        for topic in filter(is_held, all_of):
            assert not any(form.format(topic) == prompt.text for form in ASKED[kind] for prompt in others)


def test_glosses_are_those_of_the_files(wordnet):
    found = dict(entries(wordnet))
    assert len(found) == 20 and found["kettle"] == "a thing that people call elttek"
    (wordnet / "data.verb").unlink()
    entries.cache_clear()
    with pytest.raises(DataError, match=r"data\.verb: no such file of WordNet"):
        entries(wordnet)


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ({"poems": 1}, "poems: no such source of prompts, but written"),
        ({"written": -1}, "below 0"),
        ({"written": 0}, "no source of prompts has a share"),
        ({"wordnet": 1}, "name the folder"),
    ],
)
def test_sources_that_are_none_are_refused(shares, says):
    with pytest.raises(DataError, match=says):
        draw_prompts(3, 0, shares)


def test_tasks_that_need_a_package_say_so_or_are_drawn():
    try:
        import reasoning_gym  # noqa: F401
    except ImportError:
        with pytest.raises(MissingToolError, match=r"sphinx-x\[dialogues\]"):
            draw_prompts(3, 0, {"reasoning": 1})
        return
    assert {prompt.licence for prompt in draw_prompts(3, 0, {"reasoning": 1})} == {"Apache-2.0"}


def test_too_few_prompts_are_said_to_be_so(wordnet):
    with pytest.raises(DataError, match="only about"):
        draw_prompts(500, 0, {"wordnet": 1}, wordnet)


def test_answers_that_do_not_end_are_counted_and_left_out(folder, tmp_path):
    where, talker = folder
    settings = DialogueSettings(count=30, shard_size=20, temperature=0.5, seed=3)
    tally = make_dialogues(where, tmp_path / "out", settings)
    assert [size for size, _ in talker.batches] == [20, 10]
    assert talker.batches[0][1] != talker.batches[1][1], "every shard draws anew"
    assert tally.left_out == {"answer of more than 90 tokens": 6, "empty answer": 3}
    reader = SampleReader(tmp_path / "out")
    assert len(reader) == tally.samples == 21 and json.loads((tmp_path / "out" / "report.json").read_text())
    first = reader[0].check()
    assert first.messages[0].parts[0].text == draw_prompts(1, 3, {"written": 1})[0].text
    assert first.messages[1].parts[0].text == "It is 1000." and not first.images and first.task == "dialogues"
    make_dialogues(where, tmp_path / "out", settings)
    assert len(talker.batches) == 2, "what is there is kept"
    make_dialogues(where, tmp_path / "again", settings)
    assert talker.batches[2:] == talker.batches[:2], "the same seed draws the same"
    (where / "model.safetensors").write_bytes(b"others")
    with pytest.raises(DataError, match="made of something else"):
        make_dialogues(where, tmp_path / "out", settings)


def test_a_real_member_answers(tiny_folder, tmp_path):
    tally = make_dialogues(tiny_folder, tmp_path / "out", DialogueSettings(count=3, max_tokens=4))
    assert tally.records == 3 and tally.samples + sum(tally.left_out.values()) == 3


def test_on_the_command_line(folder, wordnet, tmp_path, capsys):
    where, _ = folder
    (tmp_path / "s.yaml").write_text("shares: {wordnet: 1, written: 1}")
    given = ("--count", 8, "--held", "--wordnet", wordnet, "--settings", tmp_path / "s.yaml", "--seed", 1)
    code, said, err = run("data", "dialogues", where, "-o", tmp_path / "out", *given, capsys=capsys)
    assert code == 0 and "samples" in said, err
    code, _, err = run("data", "dialogues", tmp_path / "none", "-o", tmp_path / "x", capsys=capsys)
    assert code == 2 and "no member's folder" in err and err.count("\n") == 1


def test_prompts_do_not_depend_on_the_global_generator():
    random.seed(1)
    one = draw_prompts(5, 2, {"written": 1})
    random.seed(2)
    assert draw_prompts(5, 2, {"written": 1}) == one
