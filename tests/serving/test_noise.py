"""Malformed requests of many kinds, beside a client that asks what it should: its answers, and nothing that is left."""

import copy
import gc
import json
import os
import random
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import PIL.Image
import pytest

from served import Served, body, data_url

TOKENS = 6
IMAGE = data_url(PIL.Image.new("L", (40, 16), 200))
VALUES = (
    *(None, True, False, 0, -0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 0.5, -0.0, 1e308, 5e-324),
    *("", "x", "\x00", "\u202e", "\U0001f600", "\ufffd", "x" * 5000, "data:", "file:///etc/passwd", "__proto__"),
    *([], [[]], {}, {"a": None}, [None] * 50, {"type": "json_object"}, {"type": "image_url"}, {"$ref": "#"}),
)


def places(value, path=()):
    """All places within a JSON value."""
    yield path
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(one, (*path, key))


def request(content, *headers, method="POST", target="/v1/chat/completions"):
    kept = [f"{method} {target} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        kept.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*kept, "", ""]).encode("latin-1") + content


def noise(rng):
    """Return bytes to send, and whether to vanish without waiting for an answer."""
    valid = body("Hi", IMAGE, max_tokens=2)
    extras = {"response_format": {"type": "text"}, "stop": ["a"], "seed": 1, "stream": True, "top_p": 0.5}
    valid |= {key: extras[key] for key in rng.sample(sorted(extras), 2)}
    content = json.dumps(valid).encode()
    whole = request(content)
    kind = rng.randrange(12)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 400)), False
    if kind == 1:
        return whole[: rng.randrange(1, len(whole))], rng.random() < 0.5
    if kind == 2:
        end = whole.index(b"\r\n\r\n")
        at = rng.randrange(end)
        return whole[:at] + rng.randbytes(rng.randrange(1, 4)) + whole[at + rng.randrange(3) :], False
    if kind in (3, 4, 5):
        changed = copy.deepcopy(valid)
        for _ in range(rng.randrange(1, 4)):
            path = rng.choice([path for path in places(changed) if path])
            inner = changed
            for key in path[:-1]:
                inner = inner[key]
            if isinstance(inner, dict) and rng.random() < 0.3:
                name = rng.choice(("n", "tools", "top_k", "detail", "page", "name", "", "\x00", "logit_bias", "stop"))
                inner[name] = rng.choice(VALUES)
            elif isinstance(inner, dict) and rng.random() < 0.3:
                del inner[path[-1]]
            else:
                inner[path[-1]] = copy.deepcopy(rng.choice(VALUES))
        return request(json.dumps(changed).encode()), False
    if kind == 6:
        length = rng.choice(
            ("0", "5", "-1", "1e3", "0x10", "99999999999", f"{len(content) + 10}", "5\r\nContent-Length: 6")
        )
        return request(content, f"Content-Length: {length}"), True
    if kind == 7:
        size = rng.choice((b"zz", b"-1", b"ffffffffffffffffffff", b"5;" + b"x" * 300, b"%x" % len(content)))
        return request(size + b"\r\n" + content + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), rng.random() < 0.5
    if kind == 8:
        header = rng.choice(
            ("Content-Encoding: gzip", "Expect: x", "Host: x", "Content-Type: text/plain", "Origin: null")
        )
        return request(content, header, "Transfer-Encoding: chunked"), False
    if kind == 9:
        method = rng.choice(("GET", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PRI", "X" * 300))
        target = rng.choice(
            ("/", "*", "/%00", "/..%2f", "http://x/", "//", "/v1/models/" + "%ff" * 90, "/page/view?width=0")
        )
        return request(b"", method=method, target=target), False
    if kind == 10:  # a stream that nobody reads
        return request(json.dumps({**valid, "stream": True, "max_tokens": TOKENS}).encode()), True
    place = rng.randrange(len(content))
    broken = content[:place] + rng.randbytes(3) + content[place + 2 :]
    return request(broken), False


def send(address, number):
    """Send one; return the status of the answer, or None where there is none."""
    rng = random.Random(number)
    sent, vanish = noise(rng)
    try:
        with socket.create_connection(address, timeout=20) as raw:
            if vanish and rng.random() < 0.5:  # a reset instead of an end
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw.sendall(sent)
            if vanish:
                return None
            raw.shutdown(socket.SHUT_WR)
            head = raw.recv(4000)
            while raw.recv(65536):
                pass
    except ConnectionError:  # it has seen enough
        return None
    return int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.1 ") else None


def held(served):
    """Open files, threads of the server, connections and tasks of its loop."""
    gc.collect()
    state = served.server.server_state
    # a pool keeps its threads
    threads = sum("AnyIO" not in thread.name for thread in threading.enumerate())
    return len(os.listdir("/proc/self/fd")), threads, len(state.connections), len(state.tasks)


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_noise_changes_no_answer_and_leaves_nothing(talker, count, caplog, capfd):
    questions = [f"What is {number}?" for number in range(5)]
    expected = talker.chat_batch([(question, []) for question in questions], max_new_tokens=TOKENS)
    with Served(talker, answer_tokens=TOKENS, stalled_seconds=2, body_seconds=2) as served:
        address = served.url.removeprefix("http://").split(":")
        address = (address[0], int(address[1]))
        client = served.client()
        caplog.clear()

        def asked(question):
            got = client.chat.completions.create(
                model="tiny", messages=[{"role": "user", "content": question}], max_tokens=TOKENS
            )
            return got.choices[0].message.content

        assert [asked(question) for question in questions] == expected
        before = held(served)
        with ThreadPoolExecutor(4) as pool:
            statuses = pool.map(lambda number: send(address, number), range(count))
            answers = 0
            for status in statuses:
                assert status is None or status < 500, status
                if answers < count // 10:
                    question = answers % len(questions)
                    assert asked(questions[question]) == expected[question]
                    answers += 1
        assert served.idle()
        end = time.monotonic() + 20
        while any(one > other for one, other in zip(held(served), before, strict=True)):
            assert time.monotonic() < end, (before, held(served))
            time.sleep(0.1)
        assert served.service.engine.alive
        assert [asked(question) for question in questions] == expected
    assert [one.getMessage() for one in caplog.records if one.levelname in ("WARNING", "ERROR")] == []
    assert capfd.readouterr().err == ""
