"""Stop texts, seeds, temperature, top-p and length mean the same in chat, in a stream and in a batch."""

from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from lively import forgetful, lively, new_memory, noise
from sphinx_x.errors import PromptError
from sphinx_x.inference.options import cut, read_options
from sphinx_x.inference.running import Trace

PAGE = noise(100, 30, 1)
LONG: dict[str, Any] = {"max_new_tokens": 24, "min_new_tokens": 24}
PAIRS = [("Read.", PAGE), ("No picture.", None), ("Compare <image> and <image>.", [PAGE, noise(20, 9, 2)])]


@pytest.fixture(scope="module")
def sphinx(tiny_member):
    return lively(tiny_member)


def every_way(sphinx, question: str, images: Any, **options: Any) -> list[str]:
    return [
        sphinx.chat(question, images, **options),
        "".join(sphinx.chat(question, images, stream=True, **options)),
        *sphinx.chat_batch([(question, images)], **options),
        sphinx.chat_batch([*PAIRS, (question, images)], **options)[-1],
        sphinx.session().ask(question, images, **options),
        "".join(sphinx.session().ask(question, images, stream=True, **options)),
    ]


@pytest.mark.parametrize("pair", range(len(PAIRS)))
def test_nothing_of_a_stop_text_is_given_out(sphinx, pair):
    """Every text of one to four characters in an answer, most of which lie over the border of two tokens."""
    whole = sphinx.chat(*PAIRS[pair], **LONG)
    assert len(whole) > 12
    for first in range(0, len(whole) - 4, 3):
        stop = whole[first : first + 1 + first % 4]
        wanted = whole[: whole.index(stop)].rstrip()
        pieces = list(sphinx.chat(*PAIRS[pair], stream=True, stop=[stop, "never said"], **LONG))
        assert "".join(pieces).rstrip() == wanted == sphinx.chat(*PAIRS[pair], stop=stop, **LONG)


def test_stop_texts_hold_in_every_way(sphinx):
    whole = sphinx.chat("Read.", PAGE, **LONG)
    stop = whole[5:8]
    wanted = whole[: whole.index(stop)].strip()
    assert every_way(sphinx, "Read.", PAGE, stop=(stop,), **LONG) == [wanted] * 6


def test_a_batch_changes_no_probability(sphinx):
    """Also where an answer ends at a text, and its row is filled up with the id that ends others."""
    whole = sphinx.chat_batch(PAIRS, **LONG)
    stop = [whole[0][3:5], whole[1][9:11]]
    alone = [sphinx.probable_answers([pair], stop=stop, **LONG)[0] for pair in PAIRS]
    together = sphinx.probable_answers(PAIRS, stop=stop, **LONG)
    assert len({len(answer) for answer, _ in alone}) > 1
    assert [answer for answer, _ in together] == [answer for answer, _ in alone]
    assert [mean for _, mean in together] == pytest.approx([mean for _, mean in alone], abs=1e-5)


def test_an_answer_ends_by_itself_at_the_end_that_a_generation_config_names(sphinx):
    traces: list[Trace] = []
    sphinx.answers([sphinx.prompt_for("Read.", PAGE)], traces=traces, max_new_tokens=24)
    ids = traces[0].ids
    at = next(k for k in range(2, len(ids)) if ids[k] not in ids[:k])
    config = GenerationConfig(eos_token_id=ids[at])
    answer = sphinx.answer("Read.", PAGE, generation_config=config, max_new_tokens=24)
    assert (answer.finish_reason, answer.generated_tokens) == ("stop", at + 1)


def test_a_stop_text_ends_the_work(sphinx):
    stop = sphinx.chat("Read.", PAGE, **LONG)[4:6]
    answer = sphinx.answer("Read.", PAGE, stop=[stop], **LONG)
    assert answer.finish_reason == "stop" and answer.generated_tokens < LONG["max_new_tokens"]
    whole = sphinx.answer("Read.", PAGE, **LONG)
    assert whole.finish_reason == "length" and whole.generated_tokens == LONG["max_new_tokens"]


def test_each_answer_of_a_batch_ends_by_itself(sphinx):
    stop = sphinx.chat("Read.", PAGE, **LONG)[4:6]
    traces: list[Trace] = []
    prompts = [sphinx.prompt_for(*pair) for pair in PAIRS]
    sphinx.answers(prompts, traces=traces, stop=stop, **LONG)
    for trace, pair in zip(traces, PAIRS, strict=True):
        answer = sphinx.answer(*pair, stop=stop, **LONG)
        assert (len(trace.ids), trace.finish) == (answer.generated_tokens, answer.finish_reason)
    assert {trace.finish for trace in traces} == {"stop", "length"}


def test_the_first_of_several_stop_texts_counts():
    assert cut("one\n\ntwo. three", [".", "\n\n"]) == "one"
    assert cut("one", []) == "one" and cut("one", ["x"]) == "one"
    assert cut("abcabc", ["cab", "bc"]) == "a"


DRAWN: dict[str, Any] = {"temperature": 1.5, "top_p": 0.9, "max_new_tokens": 12, "min_new_tokens": 12}


def test_a_seed_gives_one_answer_in_every_way(sphinx):
    assert len(set(every_way(sphinx, *PAIRS[2], seed=5, **DRAWN))) == 1
    assert len({sphinx.chat("Read.", PAGE, seed=seed, **DRAWN) for seed in range(8)}) > 4


def test_an_answer_with_a_seed_depends_on_no_other_random_numbers(sphinx):
    torch.manual_seed(3)
    first = sphinx.chat("Read.", PAGE, seed=5, **DRAWN)
    torch.manual_seed(4)
    assert sphinx.chat("Read.", PAGE, seed=5, **DRAWN) == first
    assert torch.initial_seed() == 4


def test_a_length_of_prompt_and_answer_is_honoured(sphinx):
    """`max_length` counts both; the default of `max_new_tokens` does not stand in its way."""
    long = len(sphinx.prompt_for("Read.", [PAGE]).ids) + 300
    for options in ({"max_length": long}, {"generation_config": GenerationConfig(max_length=long)}):
        answer = sphinx.session().answer("Read.", PAGE, min_length=long, **options)
        assert answer.generated_tokens == 300 and answer.finish_reason == "length", options
    assert sphinx.session().answer("Read.", PAGE, min_new_tokens=256).generated_tokens == 256


def test_a_long_prompt_ends_no_other_answer_of_its_batch(tiny_member):
    sphinx = lively(tiny_member)
    pairs = [("Read.", PAGE), ("Read " + "it " * 60, PAGE), ("Go.", None)]
    long = max(len(sphinx.prompt_for(question, image and [image]).ids) for question, image in pairs)
    options = {"min_new_tokens": 20, "max_new_tokens": 20}
    sphinx.model.config.get_text_config().max_position_embeddings = long + 3
    alone = [sphinx.chat(*pair, **options) for pair in pairs]
    assert sphinx.chat_batch(pairs, **options) == alone and len(set(alone)) == 3
    limit = {"max_length": long + 2, "min_length": long + 2}
    assert sphinx.chat_batch(pairs, **limit) == [sphinx.chat(*pair, **limit) for pair in pairs]


def test_no_answer_goes_on_beyond_the_context(tiny_member):
    sphinx = lively(tiny_member)
    used = len(sphinx.prompt_for("Read.", [PAGE]).ids)
    text = sphinx.model.config.get_text_config()
    text.max_position_embeddings = used + 7
    assert sphinx.session().answer("Read.", PAGE, min_new_tokens=5, max_new_tokens=40).generated_tokens == 7
    text.max_position_embeddings = used
    for ask in (sphinx.chat, sphinx.session().ask, lambda *pair: sphinx.chat_batch([pair, ("No picture.", None)])):
        with pytest.raises(PromptError, match=f"more than the model's context of {used}"):
            ask("Read.", PAGE)


def test_several_answers_of_one_seed_differ_and_come_again(sphinx):
    options = {**DRAWN, "num_return_sequences": 4, "seed": 5}
    answers = sphinx.chat("Read.", PAGE, **options)
    assert len(set(answers)) > 1 and answers == sphinx.chat("Read.", PAGE, **options)
    assert answers[0] == sphinx.chat("Read.", PAGE, seed=5, **DRAWN)


def test_a_seed_draws_what_is_probable(sphinx):
    """The first token of many seeds comes as often as the model says, after temperature and top-p."""
    prompt = sphinx.prompt_for("Read.", PAGE)
    ids, views = torch.tensor([prompt.ids]), prompt.views.float() / 255
    with torch.inference_mode():
        logits = sphinx.model(input_ids=ids, pixel_values=views).logits[0, -1]
    chances = (logits / 2.0).softmax(-1)
    options = {"temperature": 2.0, "top_k": 0, "max_new_tokens": 1}
    drawn = [sphinx._generate([prompt], seed=seed, **options)[0][0] for seed in range(100)]
    top = int(chances.argmax())
    expected, deviation = 100 * float(chances[top]), (100 * float(chances[top] * (1 - chances[top]))) ** 0.5
    assert abs(drawn.count(top) - expected) < 4 * deviation + 1
    nucleus = sphinx._generate([prompt], seed=1, temperature=2.0, top_p=1e-6, max_new_tokens=1)[0][0]
    assert nucleus == top


def test_a_temperature_of_0_is_greedy(sphinx):
    wanted = sphinx.chat("Read.", PAGE, max_new_tokens=12)
    assert every_way(sphinx, "Read.", PAGE, temperature=0, top_p=0.5, seed=1, max_new_tokens=12) == [wanted] * 6
    assert sphinx.chat("Read.", PAGE, temperature=1e-4, max_new_tokens=12) == wanted
    assert sphinx.chat("Read.", PAGE, seed=1, max_new_tokens=12) == wanted, "a seed alone draws nothing"


def test_what_is_remembered_is_no_matter_to_a_seed(sphinx):
    fresh, warm = forgetful(sphinx), new_memory(sphinx)
    for _ in range(2):
        assert warm.chat("Read.", PAGE, seed=7, **DRAWN) == fresh.chat("Read.", PAGE, seed=7, **DRAWN)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stop": ""}, "stop: must be a text or a list of texts"),
        ({"stop": ["a", ""]}, "stop: must be"),
        ({"stop": [1]}, "stop: must be"),
        ({"stop": 7}, "stop: must be"),
        ({"seed": -1}, "seed: must be a whole number"),
        ({"seed": True}, "seed: must be a whole number"),
        ({"seed": 2**63}, "seed: must be a whole number"),
        ({"seed": 1, "num_beams": 2}, "seed: beams"),
        ({"temperature": -0.1}, "temperature: must be a number from 0 on"),
        ({"temperature": float("nan")}, "temperature: must be"),
        ({"temperature": float("inf")}, "temperature: must be"),
        ({"temperature": "1"}, "temperature: must be"),
        ({"temperature": 0.5, "do_sample": False}, "temperature: do_sample=False"),
        ({"top_p": 0.5, "do_sample": False}, "top_p: do_sample=False"),
        ({"temperature": 0, "do_sample": True}, "do_sample=True contradicts"),
        ({"top_p": 0}, "top_p: must be a number above 0 and at most 1"),
        ({"top_p": 1.1}, "top_p: must be"),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(options, says):
    with pytest.raises(PromptError, match=says):
        read_options(options)


@pytest.mark.parametrize("way", ["chat", "stream", "batch"])
def test_unknown_options_are_refused_by_name(sphinx, way):
    with pytest.raises(ValueError, match="nonsense"):
        if way == "batch":
            sphinx.chat_batch(PAIRS, nonsense=1)
        else:
            list(sphinx.chat("Read.", PAGE, stream=way == "stream", nonsense=1))


def test_a_reader_who_leaves_ends_the_work(sphinx):
    """The thread stops within a token or two, not after all tokens that were asked for."""
    import threading

    before = threading.active_count()
    pieces = sphinx.chat("Read.", PAGE, stream=True, max_new_tokens=3000, min_new_tokens=3000)
    next(pieces)
    pieces.close()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.daemon:
            thread.join(10)
    assert threading.active_count() <= before
