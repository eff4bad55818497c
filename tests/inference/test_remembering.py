"""What is remembered of images and prompts changes no answer, and never mixes up two images."""

import io
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lively import Looks, forgetful, lively, new_memory, noise
from sphinx_x.conversation import parse_messages
from sphinx_x.errors import ImageError
from sphinx_x.inference import SphinxX
from sphinx_x.inference.bounded import Bounded
from sphinx_x.inference.prefix import Tokens
from sphinx_x.inference.running import Trace

STEPS: dict[str, Any] = {"max_new_tokens": 6, "min_new_tokens": 6}
TURNS = [
    ("What is this?", [noise(100, 30, 1)]),
    ("And what else?", []),
    ("Compare <image> with it.", [noise(128, 40, 2)]),
    ("Both <image> and <image>?", [noise(100, 30, 1), noise(20, 9, 3)]),
    ("Which?", []),
]
"""Five turns with three different images, one of them twice."""


@pytest.fixture(scope="module")
def member(tiny_member):
    return lively(tiny_member)


@pytest.fixture
def sphinx(member):
    return new_memory(member)


def ids_of(sphinx: SphinxX, prompt: Any, traces: Any = None) -> list[int]:
    return sphinx._generate([prompt], traces=traces, **STEPS)[0]


def asked(sphinx: SphinxX, question: str, images: Any) -> tuple[list[int], Trace]:
    traces: list[Trace] = []
    return ids_of(sphinx, sphinx.prompt_for(question, images), traces), traces[0]


def encoded_as(image: PIL.Image.Image, form: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def test_a_session_says_what_each_turn_says_afresh(sphinx):
    session, fresh, held = sphinx.session(), forgetful(sphinx), []
    for question, images in TURNS:
        told = [message.to_dict() for message in session.messages]
        text = "<image>" * (len(images) - question.count("<image>")) + question
        messages = parse_messages([*told, {"role": "user", "content": text}])
        shown = [*session.images, *images]
        traces: list[Trace] = []
        found = ids_of(sphinx, sphinx.prompt(messages, shown), traces)
        assert found == ids_of(fresh, fresh.prompt(messages, shown))
        assert session.ask(question, images, **STEPS) == sphinx._text(found)
        held.append(traces[0].held_tokens)
    assert held == sorted(held) and held[0] == 0 and held[-1] > 150


def test_an_image_is_encoded_once_in_a_session(sphinx):
    session = sphinx.session()
    with Looks(sphinx) as looks:
        for question, images in TURNS:
            session.ask(question, images, **STEPS)
    assert looks.views == sum(
        len(sphinx.prompt_for("?", noise(*size)).views) for size in ((100, 30), (128, 40), (20, 9))
    )
    assert looks.calls == 3


def test_streams_and_batches_remember_as_well(sphinx):
    image, fresh = noise(100, 30, 1), forgetful(sphinx)
    wanted = [fresh.chat(question, image, **STEPS) for question in ("Read.", "Say.", "Tell.")]
    with Looks(sphinx) as looks:
        assert "".join(sphinx.chat("Read.", image, stream=True, **STEPS)) == wanted[0]
        assert sphinx.chat_batch([("Read.", image), ("Say.", image), ("Tell.", image)], **STEPS) == wanted
        assert "".join(sphinx.session().ask("Tell.", image, stream=True, **STEPS)) == wanted[2]
    assert looks.calls == 1
    with Looks(fresh) as looks:
        assert fresh.chat_batch([("Read.", image), ("Say.", image), ("Tell.", image)], **STEPS) == wanted
    assert looks.calls == 1, "once in a batch, even where nothing is remembered"


@pytest.mark.parametrize("sizes", [{}, {"cache_bytes": 0}, {"prefix_bytes": 0}])
def test_the_same_question_about_another_page(member, sizes):
    """All pages have the same size, and so the same ids."""
    sphinx, fresh = new_memory(member, **sizes), forgetful(member)
    pages = [noise(100, 30, seed) for seed in range(4)]
    wanted = [asked(fresh, "Read.", page)[0] for page in pages]
    assert len(set(map(tuple, wanted))) > 1
    for _ in range(2):
        assert [asked(sphinx, "Read.", page)[0] for page in pages] == wanted


def test_one_pixel_makes_another_image(sphinx):
    page = noise(100, 30, 1)
    asked(sphinx, "Read.", page)
    page.putpixel((99, 29), (1, 2, 3))  # changed in place: the same object
    found, trace = asked(sphinx, "Read.", page)
    before_the_image = sphinx.prompt_for("Read.", page).ids.index(sphinx.model.config.start_token_id)
    assert trace.encoded_images == 1 and trace.held_tokens <= before_the_image
    assert found == asked(forgetful(sphinx), "Read.", page)[0]


def test_pauses_of_two_threads_end_when_both_have_ended(sphinx):
    first, second = sphinx.prefixes.paused(), sphinx.prefixes.paused()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert sphinx.prefixes.refusal == "the cache is paused"
    second.__exit__(None, None, None)
    assert sphinx.prefixes.refusal is None


def test_the_order_of_images_counts(sphinx):
    one, two, fresh = noise(100, 30, 1), noise(100, 30, 2), forgetful(sphinx)
    question = "Compare <image> and <image>."
    wanted = [asked(fresh, question, images)[0] for images in ([one, two], [two, one], [one, one], [two, two])]
    with Looks(sphinx) as looks:
        for images, ids in zip(([one, two], [two, one], [one, one], [two, two]), wanted, strict=True):
            assert asked(sphinx, question, images)[0] == ids
    assert looks.views == 2 * len(sphinx.prompt_for("?", one).views)


def test_only_pixels_count(sphinx, tmp_path):
    """A file of another format with the same pixels is the same image; one with other pixels is not."""
    page = noise(100, 30, 1)
    page.save(tmp_path / "a.png")
    jpeg = encoded_as(page, "JPEG", quality=60)
    found = []
    for source in (
        *(page, tmp_path / "a.png", encoded_as(page, "BMP"), encoded_as(page, "WEBP", lossless=True)),
        *(encoded_as(page.convert("RGBA"), "PNG"), jpeg, PIL.Image.open(io.BytesIO(jpeg)), page.rotate(180)),
        page.crop((0, 0, 100, 29)),
    ):
        ids, trace = asked(sphinx, "Read.", source)
        assert ids == asked(forgetful(sphinx), "Read.", source)[0]
        found.append(trace.encoded_images)
    assert found == [1, 0, 0, 0, 0, 1, 0, 1, 1]


def test_the_padding_and_the_grid_count(sphinx):
    prompt = sphinx.prompt_for("Read.", noise(100, 30, 1))
    ids_of(sphinx, prompt)
    dark = replace(prompt, padding_color=(0, 0, 0))
    traces: list[Trace] = []
    assert ids_of(sphinx, dark, traces) == ids_of(forgetful(sphinx), dark)
    assert traces[0].encoded_images == 1


def test_other_weights_remember_nothing(tiny_member):
    """A step of training, or a state that is loaded, makes another model of the same object."""
    sphinx = lively(tiny_member)
    page = noise(100, 30, 1)
    asked(sphinx, "Read.", page)
    with torch.no_grad():
        sphinx.model.model.vision.groups[0].projector[0].weight.mul_(-1)
    found, trace = asked(sphinx, "Read.", page)
    assert trace.encoded_images == 1 and trace.held_tokens == 0
    assert found == asked(forgetful(sphinx), "Read.", page)[0]
    with torch.no_grad():
        sphinx.model.lm_head.weight.copy_(sphinx.model.lm_head.weight.flip(0))
    found, trace = asked(sphinx, "Read.", page)
    assert trace.held_tokens == 0, "the language model is another one"
    assert found == asked(forgetful(sphinx), "Read.", page)[0]


def test_adapters_that_are_switched_off_remember_nothing(tiny_member):
    """PEFT changes no weight for that."""
    peft = pytest.importorskip("peft")
    sphinx = lively(tiny_member)
    config = peft.LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    torch.manual_seed(1)
    sphinx.model.add_adapter(config)
    page, found = noise(100, 30, 1), []
    for _ in range(2):
        for switch in (sphinx.model.enable_adapters, sphinx.model.disable_adapters):
            switch()
            found.append(asked(sphinx, "Read.", page)[0])
            assert found[-1] == asked(forgetful(sphinx), "Read.", page)[0]
    assert found[0] != found[1]


def test_everything_is_forgotten_on_request(sphinx):
    asked(sphinx, "Read.", noise(100, 30, 1))
    sphinx.forget()
    _, trace = asked(sphinx, "Read.", noise(100, 30, 1))
    assert (trace.encoded_images, trace.held_tokens) == (1, 0)


def test_a_failure_is_not_remembered(sphinx, tmp_path):
    path = tmp_path / "page.png"
    noise(200, 100, 1).save(path)
    whole = path.read_bytes()
    session = sphinx.session()
    path.write_bytes(whole[:5000])
    for _ in range(2):
        with pytest.raises(ImageError):
            session.ask("Read.", path, **STEPS)
    path.write_bytes(whole)
    assert session.ask("Read.", path, **STEPS) == forgetful(sphinx).chat("Read.", noise(200, 100, 1), **STEPS)


def test_what_fails_on_the_way_is_not_remembered(sphinx):
    """Neither half-made features nor half-made keys and values."""
    page = noise(100, 30, 1)
    sphinx.chat("Read.", page, **STEPS)
    before = (len(sphinx.features.kept), len(sphinx.prefixes.kept))

    def fails(*_: Any) -> None:
        raise RuntimeError("out of memory")

    layer = sphinx.model.model.language_model.layers[1]
    for seed, part in enumerate((layer, sphinx.model.model.vision)):
        hook = part.register_forward_hook(fails)
        with pytest.raises(RuntimeError, match="out of memory"):
            sphinx.chat("Say.", [page, noise(40, 30, 5 + seed)], **STEPS)
        hook.remove()
        assert sphinx.chat("Read.", page, **STEPS) == forgetful(sphinx).chat("Read.", page, **STEPS)
    assert len(sphinx.prefixes.kept) == before[1]


def test_memory_stays_below_its_bounds(member):
    one = new_memory(member)
    one.chat("Read.", noise(100, 30, 0), **STEPS)
    features, prefix = one.features.kept.bytes, one.prefixes.kept.bytes
    sphinx = new_memory(member, cache_bytes=3 * features, prefix_bytes=3 * prefix)
    sphinx.chat_batch([("Read.", noise(100, 30, seed)) for seed in range(8)], **STEPS)
    for seed in range(8):
        sphinx.chat("Read.", noise(100, 30, seed), **STEPS)
        assert sphinx.features.kept.bytes <= 3 * features and sphinx.prefixes.kept.bytes <= 3 * prefix
    assert (len(sphinx.features.kept), len(sphinx.prefixes.kept)) == (3, 3)
    held = [tensor.untyped_storage().nbytes() for _, tensor in sphinx.features.kept.items()]
    assert sum(held) == sphinx.features.kept.bytes, "a part of a batch does not hold all of it"
    with Looks(sphinx) as looks:
        sphinx.chat("Say.", noise(100, 30, 7), **STEPS)
        assert looks.calls == 0
        sphinx.chat("Say.", noise(100, 30, 0), **STEPS)
        assert looks.calls == 1, "the oldest was forgotten"


def test_a_growing_session_is_kept_once(sphinx):
    session = sphinx.session()
    for question, images in TURNS:
        session.ask(question, images, **STEPS)
    assert len(sphinx.prefixes.kept) <= 2


def test_nothing_is_kept_where_it_is_switched_off(member):
    sphinx = forgetful(member)
    sphinx.chat("Read.", noise(100, 30, 1), **STEPS)
    assert (len(sphinx.features.kept), len(sphinx.prefixes.kept)) == (0, 0)
    assert sphinx.prefixes.refusal == "the cache is switched off (prefix_bytes is 0)"
    assert asked(sphinx, "Read.", noise(100, 30, 1))[1].no_reuse == sphinx.prefixes.refusal
    with pytest.raises(ValueError, match="0 bytes or more"):
        new_memory(member, cache_bytes=-1)


def test_caches_that_cannot_be_cut_are_not_reused(tiny_mixture):
    """A sliding window forgets its first tokens; what is said stays right, and why nothing is reused is told."""
    sphinx = lively(tiny_mixture, sliding_window=32)
    assert "DynamicSlidingWindowLayer" in (sphinx.prefixes.refusal or "")
    session, fresh = sphinx.session(), forgetful(sphinx).session()
    for question, images in TURNS[:3]:
        assert session.ask(question, images, **STEPS) == fresh.ask(question, images, **STEPS)
    assert len(sphinx.prefixes.kept) == 0 and len(sphinx.features.kept) == 2


def test_a_mixture_goes_on_as_well(tiny_mixture):
    sphinx = lively(tiny_mixture)
    session, fresh = sphinx.session(), forgetful(sphinx).session()
    for question, images in TURNS:
        assert session.ask(question, images, **STEPS) == fresh.ask(question, images, **STEPS)
    assert sphinx.prefixes.kept.hits >= 3


@pytest.mark.parametrize(
    "option",
    [{"num_beams": 2}, {"use_cache": False}, {"cache_implementation": "static"}, {"prompt_lookup_num_tokens": 2}],
)
def test_other_ways_to_generate_do_not_reuse(sphinx, option):
    page, fresh = noise(100, 30, 1), forgetful(sphinx)
    sphinx.chat("Read.", page, **STEPS)
    traces: list[Trace] = []
    found = sphinx._generate([sphinx.prompt_for("Read.", page)], traces=traces, **STEPS, **option)
    assert found == fresh._generate([fresh.prompt_for("Read.", page)], **STEPS, **option)
    assert traces[0].no_reuse == f"the option {next(iter(option))}" and traces[0].held_tokens == 0


def test_an_assistant_still_sees(sphinx, tiny_member):
    small = lively(tiny_member, seed=2)
    page = noise(100, 30, 1)
    wanted = sphinx.chat("Read.", page, **STEPS)
    assert sphinx.chat("Read.", page, assistant_model=small.model, **STEPS) == wanted


def test_threads_share_one_memory(sphinx):
    questions = ["Read.", "Say.", "Tell.", "What?"]
    pages, fresh = [noise(100, 30, seed) for seed in range(2)], forgetful(sphinx)
    pairs = [(question, page) for question in questions for page in pages]
    wanted = [fresh.chat(*pair, **STEPS) for pair in pairs]
    found: dict[tuple[int, int], str] = {}

    def work(number: int) -> None:
        for k, pair in enumerate(pairs):
            found[number, k] = sphinx.chat(*pair, **STEPS)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number, k] for number in range(3) for k in range(len(pairs))] == wanted * 3


def test_images_that_come_first_move_what_follows(tiny_member):
    """In the reference's template a new image goes before all text, which is then no longer what was computed."""
    sphinx = lively(replace(tiny_member, template="sphinx"))
    session, fresh = sphinx.session(), forgetful(sphinx).session()
    for question, images in TURNS:
        assert session.ask(question, images, **STEPS) == fresh.ask(question, images, **STEPS)
    assert sphinx.prefixes.kept.hits >= 3


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_what_two_prompts_have_in_common(one, other):
    """Against a comparison token by token; 0 is an image of three tokens, of one of two kinds."""

    def tokens(ids: list[int]) -> tuple[Tokens, list[object]]:
        flat, images, each = [], [], []
        for k, number in enumerate(ids):
            if number == 0:
                images.append((len(flat), 3, bytes([k % 2])))
            flat += [9, 9, 9] if number == 0 else [number]
            each += [(9, k % 2)] * 3 if number == 0 else [number]
        return Tokens(np.array(flat), tuple(images)), each

    (mine, a), (theirs, b) = tokens(one), tokens(other)
    wanted = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    found = mine.common(theirs)
    assert found == theirs.common(mine) and found <= wanted
    # an image is common as a whole or, at the end of the shorter prompt, up to there
    assert wanted - found < 3


def test_text_alone_goes_on(sphinx):
    session, fresh = sphinx.session(), forgetful(sphinx).session()
    for question in ("Tell me something about pages.", "And about lines?", "More."):
        assert session.ask(question, **STEPS) == fresh.ask(question, **STEPS)
    assert sphinx.prefixes.kept.hits == 2


def test_the_least_recently_used_goes_first():
    kept: Bounded[bytes] = Bounded(10, len)
    for key, value in (("a", b"1234"), ("b", b"1234")):
        kept.put(key, value)
    assert kept.get("a") == b"1234"
    kept.put("c", b"123")
    assert (kept.get("b"), kept.get("a"), kept.bytes, len(kept)) == (None, b"1234", 7, 2)
    kept.put("d", b"12345678901")
    assert kept.get("d") is None and len(kept) == 2, "what is too large drives nothing out"
    kept.put("a", b"1")
    assert kept.bytes == 4
    assert (kept.hits, kept.misses) == (2, 2)
    kept.clear()
    assert (kept.bytes, len(kept)) == (0, 0)
