"""What is refused: by name, with a 4xx, and the server goes on."""

import contextlib
import copy
import json
import random
import socket
import time

import PIL.Image
import pytest
import torch
from transformers import DynamicCache, GenerationConfig

from served import Served, body, data_url, json_places, message
from sphinx_x.errors import UnsupportedError
from sphinx_x.serving.engine import check_generation_config
from sphinx_x.serving.limits import Places, RefusedError, read_json
from sphinx_x.serving.requests import NEUTRAL, read_request
from sphinx_x.serving.rows import STEP, Rows
from sphinx_x.serving.settings import Settings

TOKEN = "0123456789abcdef-token"
ROUTES = (
    "/",
    "/v1/chat/completions",
    "/v1/masks",
    "/v1/models",
    "/v1/models/tiny",
    "/health",
    "/metrics",
    "/nothing",
    "/v1/../health",
)


@pytest.fixture(scope="module")
def served(tiny):
    with Served(tiny) as server:
        yield server


SETTINGS = Settings(name="tiny")


def refusal(**keys) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        read_request(body(**keys), SETTINGS)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n", 2),
        ("n", True),
        ("tools", [{"type": "function"}]),
        ("tool_choice", "required"),
        ("functions", [{}]),
        ("logit_bias", {"5": 1}),
        ("frequency_penalty", 0.5),
        ("presence_penalty", -1),
        ("response_format", {"type": "grammar"}),
        ("response_format", {"type": "json_object", "schema": {}}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "a"}}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "a", "schema": True}}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "more": 1}}),
        ("response_format", {"type": "text", "more": 1}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "x"}),
        ("reasoning_effort", "high"),
        ("store", True),
        ("top_k", 5),
        ("repetition_penalty", 1.1),
        ("nothing_like_it", None),
        ("max_tokens", 0),
        ("max_tokens", 5000),
        ("max_tokens", "5"),
        ("max_tokens", 2.5),
        ("max_tokens", True),
        ("max_completion_tokens", -1),
        ("temperature", 2.1),
        ("temperature", -0.1),
        ("temperature", "0"),
        ("top_p", 0),
        ("top_p", 1.1),
        ("seed", 2**63),
        ("seed", 1.5),
        ("stop", ["a"] * 17),
        ("stop", ""),
        ("stop", ["a", ""]),
        ("stop", [5]),
        ("stream", "yes"),
        ("stream_options", {"include_usage": True}),
        ("logprobs", 5),
        ("top_logprobs", 3),
        ("top_logprobs", 21),
        ("model", "other"),
        ("model", None),
        ("messages", []),
        ("messages", None),
        ("messages", "Hi"),
    ],
)
def test_what_is_not_supported_is_refused_by_its_name(key, value):
    error = refusal(**{key: value})
    assert key in str(error) and (error.param or key).startswith(key)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user"}],
        [{"role": "tool", "content": "a"}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": []}],
        [{"role": "user", "content": [{"type": "image"}]}],
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": "data:"}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:", "detail": "low"}}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:", "page": 0}}]}],
        [{"role": "user", "content": "a"}, {"role": "system", "content": "late"}],
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        [{"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}, *message("a")],
        [{"role": "user", "content": "a", "name": "Bob"}],
        [{"role": "assistant", "content": "", "tool_calls": [{"id": "x"}]}, *message("a")],
        [{"role": "user", "content": "x" * 200_001}],
        [{"role": "user", "content": "x"}] * 1001,
        message("a", *["data:image/png;base64,AAAA"] * 17),
    ],
)
def test_wrong_messages_are_refused(messages):
    assert "messages" in str(refusal(messages=messages))


FULL = {
    **body("a", "data:", stream=True, stream_options={"include_usage": True}, max_tokens=3, max_completion_tokens=3),
    **{"temperature": 1, "top_p": 0.5, "seed": 1, "stop": ["a"], "logprobs": True, "top_logprobs": 2, "n": 1},
    **{"tools": [], "logit_bias": {}, "store": False, "user": "me"},
}
ODD = (
    *(None, True, False, 0, -1, 2**31, 2**63, -(2**63), 10**400, -0.0, 1e308, 5e-324, "", "x", "\x00", "\u202e"),
    *([], [[]], {}, {"a": None}, [None] * 50, {"type": "text"}, {"$ref": "#"}, "x" * 5000),
)


def test_odd_values_in_every_place_are_refused_by_name_or_taken():
    read_request(FULL, SETTINGS)
    for place in list(json_places(FULL))[1:]:
        for value in ODD:
            changed = inner = copy.deepcopy(FULL)
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = value
            try:
                read_request(changed, SETTINGS)
            except RefusedError as error:
                assert "\n" not in str(error) and str(place[0]) in str(error), (place, value, str(error))


def test_values_that_ask_for_nothing_are_taken():
    for key, values in NEUTRAL.items():
        for value in (*values, None):
            read_request(body(**{key: value}), SETTINGS)
    asked = read_request(
        body(user="me", metadata={"a": "b"}, seed=3, stop="x", max_completion_tokens=7, top_p=0.5), SETTINGS
    )
    assert (asked.sampling.max_tokens, asked.sampling.stop, asked.sampling.temperature) == (7, ("x",), 1.0)
    assert read_request(body(), SETTINGS).sampling.temperature == 0


def test_json_that_is_not_read():
    for text, says in (
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"5", "not a JSON object"),
        (b'{"a": 1, "a": 2}', "'a' twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'{"a": "\x00"}', "not JSON"),
        (rb'{"a": ["\ud83d"]}', "half of a surrogate pair"),
        (rb'{"\uDE00": 1}', "half of a surrogate pair"),
        (rb'{"a": "\\\udc00\ud800"}', "half of a surrogate pair"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": ' + b"[" * 33 + b"]" * 33 + b"}", "deeper than 32"),
        (b'{"a": ' + b"[" * 5_000_000, "deeper than 32"),
        (b'{"a":' * 100_000, "deeper than 32"),
        (b'"' + b'\\"' * 2_000_000, "not JSON"),
        (b'{"a": [' + b"{}," * 2_000_000 + b"{}]}", "more than 100,000 objects"),
    ):
        began = time.monotonic()
        with pytest.raises(RefusedError, match=says):
            read_json(text, 32)
        assert time.monotonic() - began < 3
    assert read_json(rb'{"a": "\ud83d\ude00", "b": "\\ud83d"}', 32) == {"a": "\U0001f600", "b": "\\ud83d"}
    # brackets in texts are no nesting
    assert read_json(json.dumps({"a": "[" * 1000 + '"{' * 1000}).encode(), 2)["a"].count("[") == 1000


def test_a_place_is_given_back_and_the_wait_is_told():
    places = Places(2, rows=1)
    places.take()
    places.take()
    with pytest.raises(RefusedError) as caught:
        places.take()
    assert caught.value.status == 429 and int(caught.value.headers["Retry-After"]) >= 1
    places.leave(2.0)
    places.take()


def test_a_token_on_every_route(tiny):
    with Served(tiny, token=TOKEN) as served, served.http() as http:
        wrong = [None, "", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, f"Token {TOKEN}"]
        wrong += ["Basic !!", "Basic eDp5", f"Bearer {TOKEN.upper()}", "Bearer \xe9", f"Bearer x,Bearer {TOKEN}"]
        for route in ROUTES:
            for value in wrong:
                headers = {} if value is None else {"Authorization": value.encode("latin-1")}
                for method in ("GET", "POST", "OPTIONS", "HEAD"):
                    if method != "GET" and value is not None:
                        continue
                    got = http.request(method, route, headers=headers)
                    assert got.status_code == 401 and "www-authenticate" in got.headers, (route, value)
                    assert TOKEN not in got.text
        both = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer x")]
        assert http.get("/health", headers=both).status_code == 401
        assert http.get("/health?token=" + TOKEN).status_code == 401
        assert http.get("/health", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert http.get("/metrics", auth=("anybody", TOKEN)).status_code == 200
        answer = served.client().chat.completions.create(model="tiny", messages=message("Hi"), max_tokens=1)
        assert answer.usage.completion_tokens == 1


def test_pages_of_other_sites_are_not_answered(served):
    """Neither by a name that resolves to this machine (DNS rebinding), nor by what a browser sends without asking."""
    with served.http() as http:
        assert http.get("/health", headers={"Host": "evil.example"}).status_code == 403
        assert http.get("/health", headers={"Host": "localhost:1"}).status_code == 200
        assert http.get("/health", headers={"Host": "[::1]:1"}).status_code == 200
        assert http.get("/health", headers={"Host": "127.0.0.1.evil.example"}).status_code == 403
        assert http.get("/health", headers={"Origin": "http://evil.example"}).status_code == 403
        assert http.get("/health", headers={"Origin": "null"}).status_code == 403
        assert http.get("/health", headers={"Origin": served.url}).status_code == 200
        text = json.dumps(body())
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
            got = http.post("/v1/chat/completions", content=text, headers={"Content-Type": kind})
            assert got.status_code == 415
        got = http.options("/v1/chat/completions", headers={"Access-Control-Request-Method": "POST"})
        assert not any(name.startswith("access-control") for name in got.headers)


def test_every_response_keeps_a_browser_from_harm(served):
    with served.http() as http:
        for route in ROUTES:
            headers = http.get(route).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"


def test_sizes_are_limited(tiny):
    settings = {"body_bytes": 20_000, "image_bytes": 5000, "pixels": 10_000, "images": 2, "answer_tokens": 9}
    large = PIL.Image.effect_noise((95, 95), 90)
    with Served(tiny, **settings) as served:
        for asked, status in (
            (body("Hi", max_tokens=9), 200),
            (body("x" * 20_000), 413),
            (body("Hi", data_url(large)), 413),
            (body("Hi", PIL.Image.new("L", (200, 200))), 413),
            (body("Hi", *[PIL.Image.new("L", (9, 9))] * 3), 400),
            (body("Hi", max_tokens=10), 400),
            (body("x" * 5000), 400),  # the tiny member's context
        ):
            got = served.post(asked)
            assert got.status_code == status, got.text
            assert status == 200 or got.json()["error"]["message"]

        def endless():
            for _ in range(50):
                yield b'{"a": "' + b"x" * 1000

        with served.http() as http:
            got = http.post("/v1/chat/completions", content=endless(), headers={"Content-Type": "application/json"})
        assert got.status_code == 413 and served.idle()


def test_an_answer_of_no_asked_length_has_no_more_tokens_than_any(tiny):
    with Served(tiny, answer_tokens=5) as served:
        got = served.post(body("Hi")).json()
        assert got["usage"]["completion_tokens"] <= 5
        assert served.idle() and "sphinx_x_running 0.0" in served.service.metrics.text().decode()


@pytest.mark.parametrize(
    ("setting", "harmless"),
    [
        ({"min_new_tokens": 3}, False),
        ({"guidance_scale": 1.5}, False),
        ({"exponential_decay_length_penalty": (5, 1.1)}, False),
        ({"forced_eos_token_id": 3}, False),
        ({"no_repeat_ngram_size": 2}, False),
        ({"suppress_tokens": [3]}, False),
        ({"suppress_tokens": []}, True),
        ({"temperature": 0.7, "top_p": 0.9, "do_sample": True}, True),
        ({"repetition_penalty": 1.0, "min_length": 0, "num_beams": 1}, True),
    ],
)
def test_settings_of_a_model_that_change_its_greedy_answers_are_refused(tiny, monkeypatch, setting, harmless):
    own = tiny.model.generation_config
    monkeypatch.setattr(tiny.model, "generation_config", GenerationConfig(**own.to_diff_dict() | setting))
    if harmless:
        check_generation_config(tiny)
    else:
        with pytest.raises(UnsupportedError, match=f"generation_config.json: {next(iter(setting))}"):
            check_generation_config(tiny)


@pytest.mark.parametrize("seed", range(5))
def test_rows_that_come_and_go_take_no_more_memory_than_they_may(seed):
    """Whatever their lengths are, also where a few long ones come after many short ones, and many after these."""
    rng, bound = random.Random(seed), 20 * STEP
    rows = Rows(None, bound)
    kept: list[torch.Tensor] = []
    for _ in range(200):
        length = rng.choice([3, 100, 5 * STEP, 9 * STEP])
        count = len(kept) + 1
        full = kept and count * (max(length, *rows.lengths) + STEP) > bound
        if full or (kept and rng.random() < 0.4):
            row = rng.randrange(len(kept))
            rows.leave(row)
            kept[row] = kept[-1]
            kept.pop()
            continue
        cache, keys = DynamicCache(), torch.randn(1, 2, length, 4)
        cache.update(keys, -keys, 0)
        rows.join(cache)
        kept.append(keys)
        held = rows._layers[0].keys
        assert held is not None and held.shape[0] * held.shape[2] <= bound
        for row, own in enumerate(kept):
            assert torch.equal(rows.copy(row).layers[0].keys, own)


def test_bodies_that_do_not_arrive(tiny):
    with Served(tiny, body_seconds=0.3) as served:
        host, port = served.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as slow:
            head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            slow.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            assert slow.recv(100).startswith(b"HTTP/1.1 408")
        with socket.create_connection((host, int(port))) as gone:
            gone.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        assert served.idle() and served.post(body(max_tokens=1)).status_code == 200


def test_what_a_member_does_not_take_is_refused():
    """As in `SphinxX.chat`: by what Nano declares."""
    from sphinx_x.inference import SphinxX

    with Served(SphinxX.load("nano"), name="tiny") as served:
        line = PIL.Image.new("RGB", (200, 30), "white")
        for asked, says in (
            (body("Hi"), "no text alone"),
            (body("Hi", line, line), "one picture"),
            (body("Hi", PIL.Image.new("RGB", (2000, 2000))), "2000 x 2000"),
            (
                {
                    **body("Hi", line),
                    "messages": [*message("a", line), {"role": "assistant", "content": "b"}, *message("c")],
                },
                "one question",
            ),
            (body(" ", line), "empty"),
        ):
            got = served.post(asked)
            assert got.status_code == 400 and says in got.json()["error"]["message"], got.text
        got = served.post(body("Read the text.", line, max_tokens=3)).json()
        assert 0 <= got["sphinx_x"]["probability"] <= 1 and "doubt" in got["sphinx_x"]


def malformed(number):
    """A request that is broken in some way or other; the same for the same number."""
    rng = random.Random(number)
    valid = json.dumps(body("Hi", PIL.Image.new("L", (4, 4)), max_tokens=1)).encode()
    kind = number % 8
    if kind == 0:
        return valid[: rng.randrange(1, len(valid) - 1)]
    if kind == 1:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(1, 300))) + b"\xff"
    if kind == 2:
        return b'{"a":' * rng.choice((33, 1000, 20_000))
    if kind == 3:
        key = rng.choice(("model", "messages", "max_tokens", "temperature", "stop", "seed", "stream", "top_p"))
        return json.dumps(
            {**json.loads(valid), key: rng.choice(([], {}, [[]], {"a": {}}, -1e300, "\ud800", 10**40))}
        ).encode()
    if kind == 4:
        return json.dumps({**json.loads(valid), f"key{number}": number}).encode()
    if kind == 5:
        found = json.loads(valid)
        found["messages"][0]["content"][0]["image_url"]["url"] = "data:image/png;base64," + "A" * 4 * rng.randrange(500)
        return json.dumps(found).encode()
    if kind == 6:
        cut = rng.randrange(len(valid) - 2)
        broken = valid[:cut] + bytes([rng.choice(b'{}[]",:\\\x00')]) * rng.choice((3, 500)) + valid[cut + 1 :]
        try:
            json.loads(broken)
        except ValueError:
            return broken
        return malformed(number + 8)  # a text in it is another now, and it is a request like others
    return json.dumps({name: value for name, value in json.loads(valid).items() if name != "messages"}).encode()


@pytest.mark.parametrize("count", [80, pytest.param(1000, marks=pytest.mark.slow)])
def test_malformed_requests_are_refused_and_the_server_lives(served, count):
    with served.http() as http:
        for number in range(count):
            got = http.post(
                "/v1/chat/completions", content=malformed(number), headers={"Content-Type": "application/json"}
            )
            assert 400 <= got.status_code < 500, (number, malformed(number)[:300], got.text)
            assert got.json()["error"]["message"]
    assert served.idle() and served.post(body(max_tokens=2)).status_code == 200


def test_noise_on_the_socket(served):
    host, port = served.url.removeprefix("http://").split(":")
    for noise in (
        b"\x16\x03\x01\x00\xa5" * 20,
        b"GET / HTTP/9\r\n\r\n",
        b"x" * 200_000,
        b"\r\n" * 100,
        b"GET /\x00 HTTP/1.1\r\n\r\n",
    ):
        # it has to take the connection, and may hang up as soon as it has seen enough
        with socket.create_connection((host, int(port))) as raw, contextlib.suppress(OSError):
            raw.sendall(noise)
            raw.shutdown(socket.SHUT_WR)
            raw.settimeout(5)
            raw.recv(1000)
    assert served.post(body(max_tokens=1)).status_code == 200
