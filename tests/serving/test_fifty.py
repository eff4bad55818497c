"""Fifty conversations, with 0, 1 and 3 images: every way to an answer of the package and its server says the same."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from fifty import FIFTY, SINGLE, openai_messages
from lively import forgetful, new_memory
from served import Served
from sphinx_x.conversation import parse_messages
from talkers import talking

STEPS = {"max_new_tokens": 16}
SEVERAL = [talk for talk in FIFTY if len(talk.turns) > 1]


def prompt_of(sphinx, talk, replies=None):
    return sphinx.prompt(parse_messages(talk.messages(replies)), talk.images)


@pytest.fixture(scope="module")
def talker(tiny_member):
    """One whose answers tell the conversations apart, the order of images included."""
    return talking(tiny_member, 3)


@pytest.fixture(scope="module")
def expected(talker):
    """One by one, with nothing remembered."""
    fresh = forgetful(talker)
    answers = [fresh.answers([prompt_of(fresh, talk)], **STEPS)[0] for talk in FIFTY]
    assert len(set(answers)) > 35, "other conversations, other answers"
    return {talk.name: answer for talk, answer in zip(FIFTY, answers, strict=True)}


@pytest.fixture(scope="module")
def served(talker):
    with Served(new_memory(talker)) as server:
        yield server


def test_they_are_what_they_are_said_to_be():
    counts = [len(talk.images) for talk in FIFTY]
    assert (len(FIFTY), counts.count(0), counts.count(1), counts.count(3), len(SINGLE)) == (50, 12, 20, 18, 40)
    assert len({talk.name for talk in FIFTY}) == 50
    assert sum(width >= 8 * height for talk in FIFTY for width, height in (image.size for image in talk.images)) > 20


def test_sub_images_are_skipped_in_most(talker):
    skipped = [sum(layout.skipped for layout in prompt_of(talker, talk).layouts) for talk in FIFTY]
    assert sum(map(bool, skipped)) > 30 and max(skipped) > 30


def test_chat_in_a_stream(talker, expected):
    sphinx = new_memory(talker)
    for talk in SINGLE:
        assert "".join(sphinx.chat(talk.question, talk.images, stream=True, **STEPS)) == expected[talk.name], talk.name


def test_chat_that_is_told_to_be_greedy(talker, expected):
    """In either way, by turns; what it does untold is compared below."""
    sphinx = new_memory(talker)
    for number, talk in enumerate(SINGLE):
        options = {"num_beams": 1} if number % 2 else {"do_sample": False, "num_beams": 1}
        assert sphinx.chat(talk.question, talk.images, **STEPS, **options) == expected[talk.name], talk.name


@pytest.mark.parametrize(
    ("remembers", "size"),  # by one, with nothing remembered, is what is expected
    [(new_memory, 1), (new_memory, 7), (new_memory, 32), (forgetful, 7), (forgetful, 32)],
)
def test_batches(talker, expected, remembers, size):
    sphinx = remembers(talker)
    found = sphinx.answers([prompt_of(sphinx, talk) for talk in FIFTY], batch_size=size, **STEPS)
    assert found == list(expected.values())


@pytest.mark.parametrize("remembers", [new_memory, forgetful])
def test_chat_in_batches(talker, expected, remembers):
    pairs = [(talk.question, talk.images) for talk in SINGLE]
    assert remembers(talker).chat_batch(pairs, batch_size=7, **STEPS) == [expected[talk.name] for talk in SINGLE]


def test_sessions_with_turns_that_are_remembered(talker, served):
    """Each turn as it is answered afresh and by the server, given the words of the session so far.

    Sessions of one turn are among the four ways below.
    """
    sphinx, fresh, client = new_memory(talker), forgetful(talker), served.client()
    held = 0
    for talk in SEVERAL:
        session, replies = sphinx.session(), []
        for number, turn in enumerate(talk.turns):
            so_far = type(talk)(talk.name, talk.turns[: number + 1], tuple(replies))
            answer = session.answer(turn.question, list(turn.images), **STEPS)
            held += answer.remembered_tokens
            assert answer.text == fresh.answers([prompt_of(fresh, so_far)], **STEPS)[0], (talk.name, number)
            asked = {"model": "tiny", "messages": openai_messages(so_far), "max_tokens": STEPS["max_new_tokens"]}
            assert client.chat.completions.create(**asked).choices[0].message.content == answer.text, talk.name
            replies.append(answer.text)
    assert held > 1000


@pytest.mark.parametrize("images", [0, 1, 3])
def test_four_ways_to_an_answer_say_the_same(talker, expected, served, images):
    """Chat, a batch, a session (whole, streamed and typed) and the server, by the number of images."""
    talks = [talk for talk in SINGLE if len(talk.images) == images]
    assert len(talks) >= 9
    sphinx, client = new_memory(talker), served.client()
    batch = sphinx.chat_batch([(talk.question, talk.images) for talk in talks], **STEPS)
    for talk, in_batch in zip(talks, batch, strict=True):
        asked = talk.question, list(talk.images)
        ways = {
            "chat": sphinx.chat(*asked, **STEPS),
            "batch": in_batch,
            "session": sphinx.session().ask(*asked, **STEPS),
            "stream": "".join(sphinx.session().ask(*asked, stream=True, **STEPS)),
            "answer": sphinx.session().answer(*asked, **STEPS).text,
            "server": ask(client, talk),
        }
        assert ways == dict.fromkeys(ways, expected[talk.name]), talk.name


def ask(client, talk, **keys):
    asked = {"model": "tiny", "messages": openai_messages(talk), "max_tokens": STEPS["max_new_tokens"], **keys}
    answer = client.chat.completions.create(**asked)
    if keys.get("stream"):
        return "".join(chunk.choices[0].delta.content or "" for chunk in answer)
    return answer.choices[0].message.content


def test_the_server_alone(served, expected):
    """Of one turn, see above."""
    client = served.client()
    assert {talk.name: ask(client, talk) for talk in SEVERAL} == {talk.name: expected[talk.name] for talk in SEVERAL}


@pytest.mark.parametrize("keys", [{}, {"stream": True}, {"temperature": 0, "seed": 1}])
def test_the_server_with_16_at_once(served, expected, keys):
    client = served.client()
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda talk: ask(client, talk, **keys), FIFTY))
    assert found == list(expected.values())


def test_a_mixture_of_experts_says_the_same(tiny_mixture):
    sphinx = talking(tiny_mixture, 2)
    fresh, some = forgetful(sphinx), FIFTY[::3]
    wanted = [fresh.answers([prompt_of(fresh, talk)], **STEPS)[0] for talk in some]
    assert sphinx.answers([prompt_of(sphinx, talk) for talk in some], **STEPS) == wanted
    with Served(sphinx) as server, ThreadPoolExecutor(16) as pool:
        client = server.client()
        assert list(pool.map(lambda talk: ask(client, talk, stream=True), some)) == wanted
