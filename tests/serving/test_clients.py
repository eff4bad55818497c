"""Clients on real sockets: slow ones, and scores of them that vanish; the server is afterwards as it was before."""

import asyncio
import contextlib
import gc
import json
import os
import socket
import struct
import time

import pytest

from lively import forgetful, noise
from served import Served, body, slowed
from sphinx_x.serving.streams import EventStream


@pytest.fixture(scope="module")
def fresh(talker):
    return forgetful(talker)


def opened(server, asked, buffer=None, parts=1):
    """A raw socket on which a request has been sent, in several parts if asked for."""
    host, port = server.url.removeprefix("http://").split(":")
    raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if buffer is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    raw.settimeout(60)
    raw.connect((host, int(port)))
    content = json.dumps(asked).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    sent = f"{head}Connection: close\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content
    size = -(-len(sent) // parts)
    for start in range(0, len(sent), size):
        raw.sendall(sent[start : start + size])
        if parts > 1:
            time.sleep(0.01)
    return raw


def read_slowly(raw, size, pause):
    """All that comes, a few bytes at a time."""
    said = b""
    while piece := raw.recv(size):
        said += piece
        time.sleep(pause)
    raw.close()
    return said


def text_of(said):
    """The text of a stream in chunks of HTTP."""
    chunks = [json.loads(line[6:]) for line in said.split(b"\n") if line.startswith(b"data: {")]
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)


def reset(raw):
    """Close a connection as a client that is killed does."""
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


def holdings(server):
    """What a server holds: open files of the process, tasks of its loop, places, and bytes of the answers' cache."""
    engine, gathered = server.service.engine, []
    gc.collect()
    loop = server.service._bell._loop
    done = asyncio.run_coroutine_threadsafe(_tasks(gathered), loop)
    done.result(10)
    rows = sum(layer.keys.untyped_storage().nbytes() for layer in engine._rows._layers if layer.keys is not None)
    files = len(os.listdir("/proc/self/fd"))
    return {
        "files": files,
        "tasks": gathered[0],
        "places": server.service.places.taken,
        "load": engine.load,
        "rows": rows,
    }


async def _tasks(into):
    into.append(len(asyncio.all_tasks()))


def settles(server, before, seconds=20):
    """Whether a server holds no more than before, within some time; keep-alive connections may end late."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = holdings(server)
        if all(now[name] <= before[name] for name in ("files", "tasks", "places", "load", "rows")):
            return True
        time.sleep(0.05)
    return now


def test_a_slow_reader_gets_all_of_it_and_keeps_nobody_waiting(talker, fresh):
    image = noise(100, 30, 1)
    want = fresh.chat("Slowly.", image, max_new_tokens=120)
    short = fresh.chat("Fast.", max_new_tokens=5)
    with Served(talker) as server:
        slow = opened(server, body("Slowly.", image, max_tokens=120, stream=True), buffer=2048, parts=7)
        began = time.monotonic()
        for _ in range(5):
            fast = server.post(body("Fast.", max_tokens=5))
            assert fast.json()["choices"][0]["message"]["content"] == short
        passed = time.monotonic() - began
        slow_began = time.monotonic()
        said = read_slowly(slow, 512, 0.004)
        assert text_of(said) == want and b"data: [DONE]" in said
        assert time.monotonic() - slow_began > 0.1 and passed < 20
        assert server.idle(5)


def test_scores_that_vanish_leave_nothing(talker, fresh):
    """In the middle of a request, while it waits, while images are encoded, and in the middle of an answer."""
    images = [noise(60, 16, seed) for seed in range(8)]
    want = fresh.chat("Read.", images[0], max_new_tokens=30)
    sizes = {"cache_bytes": 20_000, "prefix_bytes": 500_000}
    with Served(talker, rows=8, queue=80, **sizes) as server:
        assert server.post(body("Read.", images[0], max_tokens=30)).status_code == 200
        assert server.idle(5)
        before = holdings(server)
        with slowed(server, 0.005):
            for turn in range(3):
                raws = []
                for k in range(20):
                    asked = body(f"Number {k}", images[k % 8], max_tokens=200, stream=k % 3 != 0)
                    raws.append(opened(server, asked))
                half = json.dumps(body("Never whole"))[:40]
                for _ in range(5):  # a body that never comes
                    raw = socket.create_connection(raws[0].getpeername())
                    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    raw.sendall(f"{head}Content-Length: 4000\r\n\r\n{half}".encode())
                    raws.append(raw)
                if turn:
                    time.sleep(0.1 * turn)
                for k, raw in enumerate(raws):
                    reset(raw) if k % 2 else raw.close()
                # whoever asks meanwhile is answered, and rightly
                got = server.post(body("Read.", images[0], max_tokens=30)).json()
                assert got["choices"][0]["message"]["content"] == want
        assert server.idle(20)
        assert settles(server, before) is True
        engine = server.service.engine
        assert engine.features.kept.bytes <= 20_000 and engine.prefixes.kept.bytes <= 500_000
        assert engine.alive and engine.failures == 0


def test_a_reader_that_accepts_nothing_is_left(talker, monkeypatch):
    """Real buffers are large: the server's are made small, so that an answer is more than fits."""
    pump = EventStream._pump

    async def small(self, send):
        async def padded(sent):
            if sent["type"] == "http.response.body" and sent.get("body"):
                sent = {**sent, "body": sent["body"] + b": " + b"x" * 400_000 + b"\n\n"}
            await send(sent)

        await pump(self, padded)

    monkeypatch.setattr(EventStream, "_pump", small)
    with Served(talker, stalled_seconds=0.3) as server, slowed(server, 0.005), contextlib.ExitStack() as stack:
        for k in range(4):
            stack.callback(opened(server, body(f"Stall {k}", max_tokens=400, stream=True), buffer=2048).close)
        while server.service.places.taken < 4:
            time.sleep(0.005)
        got = server.post(body("Fast.", max_tokens=3)).json()
        assert got["usage"]["completion_tokens"] == 3
        assert server.idle(15), "stalled readers hold no places"
        text = server.service.metrics.text().decode()
        assert 'sphinx_x_answers_total{reason="cancelled"} 4.0' in text
