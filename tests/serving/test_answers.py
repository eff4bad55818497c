"""The server gives the answers that `SphinxX.chat_batch` gives, asked with OpenAI's own client."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from scripted import Script
from served import Served, body, message
from sphinx_x.conversation import parse_messages
from sphinx_x.inference.prefix import Tokens
from sphinx_x.serving.jobs import Job
from sphinx_x.serving.metrics import Metrics
from sphinx_x.serving.sampling import Sampling
from talkers import talking


@pytest.fixture(scope="module")
def served(talker):
    with Served(talker) as server:
        yield server


@pytest.fixture(scope="module")
def client(served):
    return served.client()


def picture(number):
    pixels = np.random.default_rng(number).integers(0, 256, (8 + number % 40, 20 + 7 * number % 110, 3))
    return PIL.Image.fromarray(pixels.astype(np.uint8))


PAIRS = [
    (f"Question {k}: {'what is this? ' * (k % 9)}", [picture(3 * k + i) for i in range((0, 1, 3)[k % 3])])
    for k in range(50)
]


def ask(client, pair, **keys):
    question, images = pair
    return client.chat.completions.create(model="tiny", messages=message(question, *images), **keys)


def said(client, pair, **keys):
    return ask(client, pair, **keys).choices[0].message.content


@pytest.fixture(scope="module")
def expected(talker):
    return talker.chat_batch(PAIRS, max_new_tokens=24)


def test_greedy_text_is_that_of_the_package(client, expected):
    assert len(set(expected)) > 10  # other questions, other answers
    alone = [said(client, pair, max_tokens=24) for pair in PAIRS]
    assert alone == expected


def test_many_at_once_change_no_answer(client, expected):
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda pair: said(client, pair, max_tokens=24), PAIRS))
    assert together == expected


def test_pieces_of_a_stream_join_to_the_answer(client, expected):
    def streamed(pair):
        chunks = list(ask(client, pair, max_tokens=24, stream=True, stream_options={"include_usage": True}))
        assert [bool(chunk.choices) for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
        reasons = [chunk.choices[0].finish_reason for chunk in chunks[:-1]]
        assert reasons[-1] in ("stop", "length") and not any(reasons[:-1])
        assert chunks[-1].usage.completion_tokens > 0
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(streamed, PAIRS)) == expected


@pytest.mark.parametrize("settings", [{"chunk": 1}, {"chunk": 7, "rows": 2}, {"rows": 1}, {"cache_tokens": 200}])
def test_chunks_and_rows_change_no_answer(talker, expected, settings):
    with Served(talker, **settings) as server, ThreadPoolExecutor(6) as pool:
        client = server.client()
        assert list(pool.map(lambda pair: said(client, pair, max_tokens=24), PAIRS[:12])) == expected[:12]


def test_several_turns_and_a_system_message(client, talker):
    messages = [
        {"role": "system", "content": "Be brief."},
        *message("What is it?", picture(1)),
        {"role": "assistant", "content": "A thing."},
        {"role": "user", "content": "And <image> now?"},
    ]
    parsed = parse_messages(
        [
            messages[0],
            {"role": "user", "content": "<image>What is it?"},
            messages[2],
            {"role": "user", "content": "And"},
        ]
    )
    # a user's text is never a placeholder
    from sphinx_x.conversation import Message, Text

    parsed[-1] = Message("user", (Text("And <image> now?"),))
    want = talker.answers([talker.prompt(parsed, [picture(1)])], max_new_tokens=12)[0]
    got = client.chat.completions.create(model="tiny", messages=messages, max_tokens=12)
    assert got.choices[0].message.content == want
    again = [*messages, got.choices[0].message.model_dump(), {"role": "user", "content": "Why?"}]
    if want:
        assert client.chat.completions.create(model="tiny", messages=again, max_tokens=2).usage.completion_tokens > 0


def test_stop_texts_across_tokens(client, expected):
    """Every pair of neighbouring characters of an answer, wherever its tokens end."""
    number = max(range(len(PAIRS)), key=lambda k: len(expected[k]))
    whole = expected[number]
    assert len(whole) > 8
    for length in (1, 2, 5):
        for start in range(1, len(whole) - length, 3):
            stop = whole[start : start + length]
            got = ask(client, PAIRS[number], max_tokens=24, stop=["\x00 never", stop]).choices[0]
            assert got.message.content == whole[: whole.index(stop)].rstrip() and got.finish_reason == "stop"
    pieces = ask(client, PAIRS[number], max_tokens=24, stop=whole[4:7], stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in pieces) == whole[: whole.index(whole[4:7])].rstrip()


def test_a_seed_gives_the_same_answer_again_whoever_else_asks(client):
    options = {"max_tokens": 16, "temperature": 1.2, "top_p": 0.95}
    alone = [said(client, PAIRS[4], seed=seed, **options) for seed in range(6)]
    assert len(set(alone)) > 1
    with ThreadPoolExecutor(12) as pool:
        seeds = [0, 1, 2, 3, 4, 5] * 3
        assert list(pool.map(lambda seed: said(client, PAIRS[4], seed=seed, **options), seeds)) == alone * 3
    assert len({said(client, PAIRS[4], **options) for _ in range(8)}) > 1
    # almost no temperature, or almost no tokens to choose from, is greedy
    greedy = said(client, PAIRS[4], max_tokens=16)
    assert said(client, PAIRS[4], max_tokens=16, temperature=1e-6, seed=3) == greedy
    assert said(client, PAIRS[4], max_tokens=16, temperature=1.0, top_p=1e-6, seed=3) == greedy
    assert said(client, PAIRS[4], max_tokens=16, temperature=0, seed=1) == greedy


def test_log_probabilities_are_those_of_the_model(client, talker):
    import torch

    got = ask(client, PAIRS[1], max_tokens=6, logprobs=True, top_logprobs=3).choices[0]
    prompt = talker.prompt_for(*PAIRS[1])
    ids = talker._generate([prompt], max_new_tokens=6)[0]
    views = prompt.views.float() / 255
    with torch.inference_mode():
        logits = talker.model(input_ids=torch.tensor([prompt.ids + ids]), pixel_values=views).logits[0]
    log = logits.float().log_softmax(-1)[len(prompt.ids) - 1 : -1]
    content = got.logprobs.content
    assert content and len(content) <= len(ids)
    for place, entry in enumerate(content):
        assert entry.logprob == pytest.approx(float(log[place, ids[place]]), abs=1e-4)
        assert [top.logprob for top in entry.top_logprobs] == pytest.approx(
            log[place].topk(3).values.tolist(), abs=1e-4
        )
    assert "".join(entry.token for entry in content).strip() == got.message.content
    chunks = list(ask(client, PAIRS[1], max_tokens=6, logprobs=True, stream=True))
    streamed = [e.token for c in chunks if c.choices[0].logprobs for e in c.choices[0].logprobs.content]
    assert streamed == [entry.token for entry in content]


def test_usage_and_the_extension_tell_what_was_seen(client, talker):
    image = PIL.Image.new("RGB", (200, 20), "white")  # twice as wide as the canvas of 128: scaled
    got = client.chat.completions.create(model="tiny", messages=message("Read.", image), max_tokens=4)
    prompt = talker.prompt_for("Read.", image)
    usage = got.usage.model_dump()
    assert (usage["prompt_tokens"], usage["image_tokens"]) == (len(prompt.ids), prompt.visual_tokens)
    assert usage["skipped_views"] == 14 and usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    (seen,) = got.sphinx_x["images"]
    assert (seen["width"], seen["height"], seen["canvas"], seen["skipped"]) == (200, 20, 128, 14)
    assert seen["scale"] == pytest.approx(128 / 200) and (seen["left"], seen["top"]) == (0, 0)
    assert set(got.sphinx_x["seconds"]) == {"queue", "encode", "prefill", "decode", "first"}
    assert all(seconds >= 0 for seconds in got.sphinx_x["seconds"].values())


@pytest.mark.parametrize("stream", [False, True])
def test_the_extension_points_where_the_package_points(talker, stream, monkeypatch):
    """Boxes, points, key points and marks, in pixels of each image, worked by hand; the square of the first has 256."""
    from sphinx_x.serving.text import TextStream

    words = "a dog [0.25, 0.10, 0.50, 0.90], nose[0.5, 0.2], at [0.9, 0.25] and <Mark 1> left of <Mark 2>"
    monkeypatch.setattr(TextStream, "text", words)
    question = "The marks are: <Mark 1> [0.125, 0.25], <Mark 2> [0, 0.5, 0.5, 1]."
    images = [PIL.Image.new("RGB", (256, 100)), PIL.Image.new("RGB", (64, 64))]
    with Served(talker) as server:
        got = ask(server.client(), (question, images), max_tokens=2, stream=stream)
        said = list(got)[-1].sphinx_x if stream else got.sphinx_x
    monkeypatch.setattr(talker._runner, "text", lambda *_: words)
    answer = talker.answer(question, images, max_new_tokens=2).to_dict()
    names = ("boxes", "points", "key_points", "marks")
    assert {name: said[name] for name in names} == {name: answer[name] for name in names}
    spans = [[words[first:last] for first, last in one.pop("spans")] for name in names for one in said[name]]
    assert spans == [["0.25, 0.10, 0.50, 0.90"], ["0.9, 0.25"], ["0.5, 0.2"], ["<Mark 1>"], ["<Mark 2>"]]
    # the first is scaled to 256 pixels a side; the second is not enlarged: its square has 128. Clipped to the image.
    assert said["boxes"] == [
        {
            "label": "a dog",
            "square": [0.25, 0.1, 0.5, 0.9],
            "pixels": [[64, pytest.approx(25.6), 128, 100], [32, pytest.approx(12.8), 64, 64]],
        }
    ]
    assert said["key_points"] == [
        {"label": "nose", "square": [0.5, 0.2], "pixels": [[128, pytest.approx(51.2)], [64, pytest.approx(25.6)]]}
    ]
    assert said["points"] == [{"label": "at", "square": [0.9, 0.25], "pixels": [[pytest.approx(230.4), 64], [64, 32]]}]
    assert said["marks"] == [
        {"label": "1", "square": [0.125, 0.25], "pixels": [[32, 64], [16, 32]]},
        {"label": "2", "square": [0, 0.5, 0.5, 1], "pixels": [[0, 100, 128, 100], [0, 64, 64, 64]]},
    ]


def test_a_stream_tells_places_as_soon_as_they_are_written(tiny):
    image = PIL.Image.new("RGB", (100, 100))
    with Served(tiny) as server:
        script = Script(server)
        script.answer = ["a [0.1, 0.2, ", "0.3, 0.4]", " b", " [12]", " c [0.5, 0.5]", " <Mark 1>: that", "."]
        script.pause = 0.05
        asked = {"messages": message("The marks are: <Mark 1> [0.1, 0.1].", image), "model": "tiny", "stream": True}
        chunks = list(server.client().chat.completions.create(**asked))
    told = [chunk.sphinx_x for chunk in chunks if hasattr(chunk, "sphinx_x")]
    counts = [[len(said[kind]) for kind in ("boxes", "points", "marks")] for said in told]
    assert counts == [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1]]
    assert ["seconds" in said for said in told] == [False] * (len(told) - 1) + [True]
    assert len(chunks) > len(told)


def forced(server, ids):
    """The engine of a server chooses these ids, one after another."""
    engine, left = server.service.engine, list(ids)
    score = engine._score

    def scored(logits):
        rows = score(logits)
        assert len(rows) == 1
        return [rows[0]._replace(best=left.pop(0))]

    engine._score = scored


def test_nothing_is_left_of_an_end_of_several_tokens(tiny_member):
    """The official members end an answer with a text, whose first letters are held back until it is whole."""
    sphinx = talking(replace(tiny_member, template="sphinx"), 2)
    builder = sphinx.processor.prompt_builder()
    stop = builder.stop_ids()
    assert len(stop) > 1
    for streamed in (False, True):
        with Served(sphinx) as server:
            forced(server, [*builder.text("Yes: #"), *stop, *builder.text("more")])
            got = ask(server.client(), PAIRS[0], max_tokens=24, stream=streamed)
            if streamed:
                choices = [chunk.choices[0] for chunk in got]
                assert "".join(choice.delta.content or "" for choice in choices) == "Yes: #"
                assert choices[-1].finish_reason == "stop"
            else:
                assert (got.choices[0].message.content, got.choices[0].finish_reason) == ("Yes: #", "stop")
                assert got.usage.completion_tokens == len(builder.text("Yes: #")) + len(stop)


def test_a_request_that_was_never_answered_has_no_times_of_stages(served):
    """A queue that is too long must not make the server look fast."""
    metrics, job = Metrics(), Job([1, 2], Tokens(np.array([1, 2]), ()), [], Sampling(4), print)
    job.seconds.queue = 400.0
    metrics.answer(job, "timeout")
    counted = {
        line.split()[0]: float(line.split()[1]) for line in metrics.text().decode().splitlines() if line[0] != "#"
    }
    assert counted["sphinx_x_queue_seconds_sum"] == 400 and counted["sphinx_x_queue_seconds_count"] == 1
    assert counted["sphinx_x_first_seconds_count"] == counted["sphinx_x_prompt_tokens_total"] == 0
    assert counted['sphinx_x_answers_total{reason="timeout"}'] == 1


def test_models_health_and_metrics(served, client):
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "sphinx-x"
    said(client, PAIRS[1], max_tokens=2)
    with served.http() as http:
        assert http.get("/health").json()["status"] == "ok"
        text = http.get("/metrics").text
    for name in ("queue", "encode", "prefill", "decode", "first"):
        assert f"sphinx_x_{name}_seconds_bucket" in text
    assert 'sphinx_x_requests_total{route="/v1/chat/completions",status="200"}' in text
    counted = {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if not line.startswith("#")}
    assert counted["sphinx_x_answer_tokens_total"] > 0 and counted["sphinx_x_image_tokens_total"] > 0


def test_a_member_with_one_cache_for_each_answer(talker, expected, monkeypatch):
    """What cannot share a cache is answered as well, in turns."""
    monkeypatch.setattr("sphinx_x.serving.engine.shared_window", lambda model: (False, None))
    with Served(talker) as server, ThreadPoolExecutor(6) as pool:
        client = server.client()
        assert list(pool.map(lambda pair: said(client, pair, max_tokens=24), PAIRS[:12])) == expected[:12]


def test_broken_characters_are_streamed_as_they_are_returned(mumbler):
    pairs = PAIRS[:16]
    want = mumbler.chat_batch(pairs, max_new_tokens=24)
    assert sum("\ufffd" in answer for answer in want) > 4
    with Served(mumbler) as server:
        client = server.client()
        for pair, answer in zip(pairs, want, strict=True):
            chunks = ask(client, pair, max_tokens=24, stream=True)
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == answer
            assert said(client, pair, max_tokens=24) == answer


@pytest.mark.parametrize("window", [None, 12])
def test_a_mixture_of_experts_and_a_sliding_window(tiny_mixture, window):
    from dataclasses import replace

    from sphinx_x.serving.rows import shared_window

    sphinx = talking(replace(tiny_mixture, llm={**tiny_mixture.llm, "sliding_window": window}), 2)
    assert shared_window(sphinx.model) == (True, window)
    want = sphinx.chat_batch(PAIRS[:9], max_new_tokens=20)
    with Served(sphinx, chunk=16) as server, ThreadPoolExecutor(9) as pool:
        client = server.client()
        assert list(pool.map(lambda pair: said(client, pair, max_tokens=20), PAIRS[:9])) == want


def test_a_body_of_plain_json(served):
    got = served.post(body("Hi", max_tokens=3)).json()
    assert got["object"] == "chat.completion" and got["choices"][0]["message"]["role"] == "assistant"
