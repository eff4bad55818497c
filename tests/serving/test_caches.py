"""What the server remembers of images and prompts changes no answer, never mixes up two images, and has its bounds."""

import io
import re
import time
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor

import openai
import PIL.Image
import pytest

from fifty import FIFTY, openai_messages
from lively import Looks, forgetful, noise
from served import Served, data_url, message, slowed
from sphinx_x.conversation import parse_messages
from talkers import talking

STEPS = 12
SOME = FIFTY[1::4]


@pytest.fixture(scope="module")
def talker(tiny_member):
    return talking(tiny_member, 3)


@pytest.fixture(scope="module")
def fresh(talker):
    return forgetful(talker)


@pytest.fixture
def served(talker):
    """A server that has seen nothing yet."""
    with Served(talker) as server:
        yield server


def ask(server, *images, question="Read what is here.", **keys):
    """Return an answer's text, and how many tokens of its prompt were remembered."""
    asked = {"model": "tiny", "messages": message(question, *images), "max_tokens": STEPS, **keys}
    got = server.client().chat.completions.create(**asked)
    return got.choices[0].message.content, got.usage.prompt_tokens_details.cached_tokens


def wanted(fresh, *images, question="Read what is here."):
    return fresh.chat(question, list(images), max_new_tokens=STEPS)


def counted(server):
    text = server.service.metrics.text().decode()
    found = re.findall(r'sphinx_x_cache_(hits|misses)_total\{cache="(\w+)"\} (\S+)', text)
    return {(cache, kind): int(float(number)) for kind, cache, number in found}


@pytest.mark.parametrize(
    "settings", [{}, {"cache_bytes": 0}, {"prefix_bytes": 0}, {"cache_bytes": 0, "prefix_bytes": 0}, {"preparing": 0}]
)
def test_with_caches_and_without_as_the_library(talker, fresh, settings):
    prompts = [fresh.prompt(parse_messages(talk.messages()), talk.images) for talk in SOME]
    want = fresh.answers(prompts, max_new_tokens=STEPS)

    def one(talk):
        asked = {"model": "tiny", "messages": openai_messages(talk), "max_tokens": STEPS}
        got = server.client().chat.completions.create(**asked)
        return got.choices[0].message.content, got.usage.prompt_tokens_details.cached_tokens

    with Served(talker, **settings) as server, ThreadPoolExecutor(8) as pool:
        first, again = list(pool.map(one, SOME)), [one(talk) for talk in SOME]
    assert [text for text, _ in first] == want and [text for text, _ in again] == want
    held = [cached for _, cached in again]
    if settings.get("prefix_bytes", 1):
        assert held == [len(prompt.ids) - 1 for prompt in prompts], "all but the last token was remembered"
    else:
        assert held == [0] * len(SOME)


def test_a_second_turn_goes_on_from_the_first(served, talker, fresh):
    image = noise(100, 30, 1)
    text, _ = ask(served, image)
    turns = [*message("Read what is here.", image), {"role": "assistant", "content": text}]
    turns.append({"role": "user", "content": "And what else?"})
    with Looks(talker) as looks:
        got = served.client().chat.completions.create(model="tiny", messages=turns, max_tokens=STEPS)
    session = fresh.session()
    assert session.ask("Read what is here.", image, max_new_tokens=STEPS) == text
    assert got.choices[0].message.content == session.ask("And what else?", max_new_tokens=STEPS)
    assert looks.calls == 0
    assert got.usage.prompt_tokens_details.cached_tokens >= len(fresh.prompt_for("Read what is here.", image).ids)
    assert counted(served) == {("features", "misses"): 1, ("prefix", "misses"): 1, ("prefix", "hits"): 1}


def test_the_same_text_and_another_image(served, talker, fresh):
    """All pages have the same size, and so the same ids; in rounds, so that each finds the others remembered."""
    pages = [noise(100, 30, seed) for seed in range(4)]
    want = [wanted(fresh, page) for page in pages]
    assert len(set(want)) > 1
    with Looks(talker) as looks:
        for _ in range(2):
            assert [ask(served, page)[0] for page in pages] == want
    assert looks.calls == 4
    changed = pages[0].copy()
    changed.putpixel((99, 29), (1, 2, 3))
    before = fresh.prompt_for("?", changed).ids.index(fresh.model.config.start_token_id)
    with Looks(talker) as looks:
        text, cached = ask(served, changed)
    assert text == wanted(fresh, changed) and cached <= before and looks.calls == 1, "one pixel is another image"


def _encoded(image, form, **options):
    image.save(out := io.BytesIO(), form, **options)
    return data_url(out.getvalue(), form.lower())


def test_an_image_that_is_encoded_again(served, talker, fresh):
    """Another file of the same pixels is the same image; a file that loses some of them is another one."""
    image = noise(100, 30, 1)
    jpeg = _encoded(image, "JPEG", quality=60)
    files = [_encoded(image, "PNG"), _encoded(image, "PNG", compress_level=1), _encoded(image, "BMP"), jpeg, jpeg]
    files += [_encoded(image, "WEBP", lossless=True), _encoded(image.rotate(180), "PNG")]
    seen = []
    for file in files:
        with Looks(talker) as looks:
            text, _ = ask(served, file, question="Say it.")
        content = b64decode(file.split(",")[1])
        assert text == wanted(fresh, PIL.Image.open(io.BytesIO(content)).convert("RGB"), question="Say it.")
        seen.append(looks.calls)
    assert seen == [1, 0, 0, 1, 0, 0, 1]


def test_the_order_of_images_counts(served, talker, fresh):
    one, two = noise(100, 30, 1), noise(100, 30, 2)
    orders = [(one, two), (two, one), (one, one), (two, two), (one, two, one)]
    want = [wanted(fresh, *images) for images in orders]
    with Looks(talker) as looks:
        assert [ask(served, *images)[0] for images in orders] == want
        with ThreadPoolExecutor(5) as pool:
            assert list(pool.map(lambda images: ask(served, *images)[0], orders)) == want
    assert looks.views == 2 * len(fresh.prompt_for("?", one).views)


def test_a_failed_image_is_tried_again(served, talker, fresh):
    image = noise(200, 100, 1)
    image.save(out := io.BytesIO(), "PNG")
    for _ in range(2):
        with pytest.raises(openai.BadRequestError):
            ask(served, data_url(out.getvalue()[:5000]))
    assert ask(served, data_url(out.getvalue()))[0] == wanted(fresh, image)

    def fails(*_):
        raise RuntimeError("out of memory")

    other = noise(200, 100, 2)
    hook = talker.model.model.vision.register_forward_hook(fails)
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            ask(served, other)
    hook.remove()
    assert ask(served, other)[0] == wanted(fresh, other)
    layer = talker.model.model.language_model.layers[1]
    hook = layer.register_forward_hook(fails)
    with pytest.raises(openai.InternalServerError):
        ask(served, noise(200, 100, 3), question="What?")
    hook.remove()
    assert ask(served, noise(200, 100, 3), question="What?")[0] == wanted(fresh, noise(200, 100, 3), question="What?")


def test_many_at_once_about_one_image(served, talker, fresh):
    image, questions = noise(100, 30, 5), [f"Question {k}?" for k in range(8)]
    with Looks(talker) as looks, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda question: ask(served, image, question=question)[0], questions))
    assert found == [wanted(fresh, image, question=question) for question in questions]
    assert looks.views == len(fresh.prompt_for("?", image).views)
    assert counted(served)["features", "misses"] == 1


def test_memory_has_its_bounds(talker, fresh):
    with Served(talker) as server:
        ask(server, noise(100, 30, 0))
        features, prefix = server.service.engine.features.kept.bytes, server.service.engine.prefixes.kept.bytes
    assert features and prefix
    sizes = {"cache_bytes": 3 * features, "prefix_bytes": 4 * prefix}
    with Served(talker, **sizes) as server, ThreadPoolExecutor(4) as pool:
        engine = server.service.engine
        for _ in range(2):
            found = list(pool.map(lambda seed: ask(server, noise(100, 30, seed))[0], range(9)))
            assert found == [wanted(fresh, noise(100, 30, seed)) for seed in range(9)]
            assert 0 < engine.features.kept.bytes <= 3 * features and 0 < engine.prefixes.kept.bytes <= 4 * prefix
        held = [tensor.untyped_storage().nbytes() for _, tensor in engine.features.kept.items()]
        assert sum(held) == engine.features.kept.bytes, "a part of a batch does not hold all of it"


def test_who_leaves_leaves_nothing_broken(served, fresh):
    """In the middle of a prompt, and in the middle of an answer, whose beginning may be remembered."""
    image = noise(128, 60, 7)
    with slowed(served, 0.02):
        stream = served.client().chat.completions.create(
            model="tiny", messages=message("Read what is here.", image), max_tokens=300, stream=True
        )
        for _ in range(3):
            next(iter(stream))
        stream.close()
        assert served.idle(5)
    filling = served.service.engine._filling
    work, jobs = filling.work, []

    def slow():
        jobs.append(filling.prompts[0].job)
        time.sleep(0.02)
        if len(jobs) == 1:
            jobs[0].cancel()
        return work()

    filling.work = slow
    pages = [noise(128, 60, seed) for seed in range(8, 11)]
    with pytest.raises(openai.InternalServerError):
        ask(served, *pages)
    filling.work = work
    assert served.idle(5)
    assert ask(served, image)[0] == wanted(fresh, image)
    assert ask(served, *pages)[0] == wanted(fresh, *pages)


def test_a_model_whose_keys_and_values_cannot_be_cut(tiny_mixture):
    from dataclasses import replace

    sphinx = talking(replace(tiny_mixture, llm={**tiny_mixture.llm, "sliding_window": 12}), 2)
    fresh, image = forgetful(sphinx), noise(100, 30, 1)
    with Served(sphinx) as server, Looks(sphinx) as looks:
        for question in ("Read.", "Read.", "Say."):
            assert ask(server, image, question=question) == (wanted(fresh, image, question=question), 0)
            looks.calls -= 1  # the library's
        assert "DynamicSlidingWindowLayer" in server.service.engine.prefixes.refusal
    assert looks.calls == 1


def test_one_cache_for_each_answer_is_remembered_too(talker, fresh, monkeypatch):
    monkeypatch.setattr("sphinx_x.serving.engine.shared_window", lambda model: (False, None))
    images = [noise(100, 30, seed) for seed in range(2)]
    with Served(talker) as server, ThreadPoolExecutor(4) as pool:
        for _ in range(2):
            found = list(pool.map(lambda image: ask(server, image), images))
            assert [text for text, _ in found] == [wanted(fresh, image) for image in images]
    assert all(cached > 0 for _, cached in found)
