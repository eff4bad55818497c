"""A member that reads lines says through the server what it says in the library, and the server tells what it read."""

import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from fifty import FIFTY, openai_messages
from lined import know_engine, lined, made_lines
from lively import forgetful, new_memory, noise
from served import Served, message
from sphinx_x.conversation import Image, Message, Text, parse_messages
from talkers import talking

STEPS = 12
SOME = FIFTY[2::4]
OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(autouse=True)
def _engine(monkeypatch):
    know_engine(monkeypatch)


@pytest.fixture(scope="module")
def member(tiny_member):
    with pytest.MonkeyPatch.context() as patch:
        know_engine(patch)
        yield talking(lined(tiny_member), 3)


@pytest.fixture
def served(member):
    with Served(new_memory(member)) as server:
        yield server


def ask(server, talk, **keys):
    asked = {"model": "tiny", "messages": openai_messages(talk), "max_tokens": STEPS, **keys}
    return server.client().chat.completions.create(**asked)


def plain(one):
    """A message of OpenAI's form as one of this package."""
    parts = [Text(one["content"])] if isinstance(one["content"], str) else one["content"]
    return Message(
        one["role"],
        tuple(
            part if isinstance(part, Text) else Image() if part["type"] == "image_url" else Text(part["text"])
            for part in parts
        ),
    )


@pytest.mark.parametrize(
    "settings",
    [{}, {"chunk": 7}, {"preparing": 0, "chunk": 50}, {"cache_bytes": 0, "prefix_bytes": 0, "chunk": 4096}],
)
def test_the_server_says_what_the_library_says(member, settings):
    """Prompts in chunks that part lines, several at once, with what was remembered and without."""
    fresh = forgetful(member)
    prompts = [fresh.prompt(parse_messages(talk.messages()), talk.images) for talk in SOME]
    wanted = [fresh.answers([prompt], max_new_tokens=STEPS)[0] for prompt in prompts]
    assert sum(len(prompt.line_boxes) for prompt in prompts) > 20 and len(set(wanted)) > len(SOME) / 2
    with Served(new_memory(member), **settings) as server, ThreadPoolExecutor(8) as pool:
        first = list(pool.map(lambda talk: ask(server, talk), SOME))
        again = [ask(server, talk) for talk in SOME]
    for answers in (first, again):
        assert [answer.choices[0].message.content for answer in answers] == wanted
    held = [answer.usage.prompt_tokens_details.cached_tokens for answer in again]
    whole = settings.get("prefix_bytes", 1)
    assert held == [len(prompt.ids) - 1 if whole else 0 for prompt in prompts]


def test_a_second_turn_goes_on_behind_lines_and_in_front_of_others(member, served):
    images, said, fresh = [noise(100, 60, 1), noise(40, 90, 2)], [], forgetful(member)
    for number, image in enumerate(images):
        said += message("And this?", image)
        got = served.client().chat.completions.create(model="tiny", messages=said, max_tokens=STEPS)
        prompt = fresh.prompt([plain(one) for one in said], images[: number + 1])
        text = got.choices[0].message.content
        assert text == fresh.answers([prompt], max_new_tokens=STEPS)[0]
        assert bool(got.usage.prompt_tokens_details.cached_tokens) == bool(number)
        assert got.usage.model_dump()["image_tokens"] == prompt.visual_tokens
        said.append({"role": "assistant", "content": text})


@pytest.mark.parametrize("stream", [False, True])
def test_the_extension_has_the_lines_that_were_read(member, stream, monkeypatch):
    from sphinx_x.serving.text import TextStream

    image = noise(100, 60, 1)
    line = made_lines(image)[0]
    monkeypatch.setattr(TextStream, "text", f"It says {line.text.upper()}.")
    asked = {"model": "tiny", "messages": message("What?", image), "max_tokens": 2, "stream": stream}
    with Served(member) as server:
        got = server.client().chat.completions.create(**asked)
        told = list(got)[-1].sphinx_x if stream else got.sphinx_x
    span = [8, 8 + len(line.text)]
    said = {"text": line.text, "image": 0, "pixels": list(line.box), "span": span, "is_object": False}
    assert told["evidence"] == [said]
    (seen,) = told["images"]
    assert (seen["lines"], seen["lines_left_out"]) == (len(made_lines(image)), 0)


def test_the_page_tells_what_lines_cost(member, served):
    image = noise(100, 60, 1)
    image.save(content := io.BytesIO(), "PNG")
    prompt = member.prompt_for("What?", image)
    with served.http() as client:
        assert client.get("/page/model").json()["lines"] is True
        by_size = client.get("/page/view", params={"width": 100, "height": 60}).json()
        seen = client.post("/page/read", content=content.getvalue(), headers=OCTETS).json()
        assert client.post("/page/read", content=b"no picture", headers=OCTETS).status_code == 400
    assert by_size["lines"] is None and by_size["line_tokens"] == 0
    assert (seen["image_tokens"], seen["unskipped_tokens"]) == (prompt.visual_tokens, prompt.unskipped_tokens)
    assert seen["lines"] == len(made_lines(image)) and seen["refusal"] is None
    # each line's own token and its bytes, as this tokenizer has one for each, and one end
    assert seen["line_tokens"] == sum(1 + len(line.text) for line in made_lines(image)) + 1
    assert by_size["image_tokens"] == seen["image_tokens"] - seen["line_tokens"]
