"""Many at once: nobody waits for a long answer, and who leaves, stalls or fails takes nothing from the others."""

import asyncio
import itertools
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openai
import PIL.Image
import pytest

from commands import one_line, run
from served import Served, body, data_url, message, slowed
from sphinx_x.serving.jobs import Event
from sphinx_x.serving.streams import EventStream


@pytest.fixture(scope="module")
def served(talker):
    with Served(talker) as server:
        yield server


def ask(client, question="Hi", *images, **keys):
    return client.chat.completions.create(model="tiny", messages=message(question, *images), **keys)


def text(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_a_long_answer_keeps_no_short_one_waiting(served):
    client, order = served.client(), []
    with slowed(served, 0.01), ThreadPoolExecutor(8) as pool:
        long = pool.submit(lambda: (ask(client, "A long one", max_tokens=200), order.append("long")))
        while served.service.engine.load != (1, 0):
            time.sleep(0.005)
        short = [pool.submit(lambda: (ask(client, max_tokens=2), order.append("short"))) for _ in range(6)]
        for one in (*short, long):
            one.result()
    assert order == ["short"] * 6 + ["long"]


def test_a_long_prompt_and_many_images_let_the_others_go_on(talker, monkeypatch):
    """Between any two pieces of its preparation the answers in progress make a step, if they are to flow."""
    images = [PIL.Image.new("RGB", (120, 30), (shade, 9, 9)) for shade in range(6)]
    with Served(talker, chunk=16, preparing=0) as served:
        engine, events = served.service.engine, []
        step, work, prompts = engine._step, engine._filling.work, engine._filling.prompts
        monkeypatch.setattr(engine, "_step", lambda: (events.append("step"), time.sleep(0.005), step())[2])
        monkeypatch.setattr(engine._filling, "work", lambda: (events.append(len(prompts[0].job.ids)), work())[1])
        client = served.client()
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(ask, client, "First", max_tokens=150)
            while "step" not in events:
                time.sleep(0.005)
            second = pool.submit(ask, client, "Second " * 60, *images, max_tokens=2)
            assert second.result().usage.prompt_tokens > 300 and first.result().usage.completion_tokens > 100
        long = max(one for one in events if one != "step")
        places = [k for k, one in enumerate(events) if one == long]
        assert len(places) > 6 + 300 // 16
        assert all(
            later - earlier == 2 and events[earlier + 1] == "step" for earlier, later in itertools.pairwise(places)
        )


def test_two_long_prompts_take_turns(talker, monkeypatch):
    with Served(talker, chunk=4) as served:
        engine, turns = served.service.engine, []
        work, prompts = engine._filling.work, engine._filling.prompts
        monkeypatch.setattr(
            engine._filling, "work", lambda: (turns.append(prompts[0].job), time.sleep(0.002), work())[2]
        )
        with ThreadPoolExecutor(3) as pool:
            long = pool.submit(ask, served.client(), "x " * 300, max_tokens=1)
            while len(turns) < 3:
                time.sleep(0.001)
            short = ask(served.client(), "short", max_tokens=1)
            assert short.usage.completion_tokens == 1 and not long.done()
            long.result()


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_row(served, stream):
    with slowed(served, 0.02):
        with _sent(served, body(max_tokens=400, stream=stream)):
            while served.service.engine.load != (1, 0):
                time.sleep(0.005)
            time.sleep(0.1)  # some pieces are on their way
        began = time.monotonic()
        assert served.idle(5)
        assert time.monotonic() - began < 3  # of eight seconds that its answer would have taken
    assert 'sphinx_x_answers_total{reason="cancelled"}' in served.service.metrics.text().decode()


class _sent:  # noqa: N801
    """A request that is sent, and whose answer nobody reads."""

    def __init__(self, served, asked):
        host, port = served.url.removeprefix("http://").split(":")
        self.raw = socket.create_connection((host, int(port)))
        content = json.dumps(asked).encode()
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        self.raw.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.raw.close()


def test_who_leaves_while_waiting_is_not_answered(talker):
    with Served(talker, rows=1) as served, slowed(served, 0.02), ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, served.client(), max_tokens=40)
        while served.service.engine.load != (1, 0):
            time.sleep(0.005)
        with _sent(served, body(max_tokens=5)):
            while served.service.engine.load != (1, 1):
                time.sleep(0.005)
        while served.service.engine.load != (1, 0):
            time.sleep(0.005)
        assert not first.done() and first.result().usage.completion_tokens == 40
        assert served.idle()


def test_too_many_are_told_when_to_come_back(talker):
    with Served(talker, rows=1, queue=2) as served, slowed(served, 0.01), ThreadPoolExecutor(3) as pool:
        client = served.client()
        running = [pool.submit(ask, client, max_tokens=60) for _ in range(3)]
        while served.service.places.taken < 3:
            time.sleep(0.005)
        with pytest.raises(openai.RateLimitError) as caught:
            ask(client)
        assert int(caught.value.response.headers["retry-after"]) >= 1
        assert caught.value.body["code"] == "busy"
        assert [one.result().usage.completion_tokens for one in running] == [60] * 3
        assert ask(client, max_tokens=1).usage.completion_tokens == 1
        # the client's own retries heed the header
        assert served.idle()


def test_an_answer_that_takes_too_long(talker):
    with Served(talker, seconds=0.3) as served, slowed(served, 0.02):
        client = served.client()
        with pytest.raises(openai.InternalServerError, match=r"longer than 0.3 seconds") as caught:
            ask(client, max_tokens=200)
        assert caught.value.status_code == 504
        with pytest.raises(openai.APIError, match=r"longer than 0.3 seconds"):
            list(ask(client, max_tokens=200, stream=True))
        assert served.idle(2)


def test_one_that_fails_takes_nobody_with_it(served, monkeypatch):
    from sphinx_x.serving import engine as module

    client = served.client()
    want = ask(client, "Good", max_tokens=30).choices[0].message.content
    choose = module.Sampler.choose

    def broken(self, logits):
        return choose(self, logits * float("nan") if self.sampling.seed == 666 else logits)

    with monkeypatch.context() as patch, slowed(served, 0.01), ThreadPoolExecutor(4) as pool:
        patch.setattr(module.Sampler, "choose", broken)
        good = [pool.submit(ask, client, "Good", max_tokens=30) for _ in range(3)]
        with pytest.raises(openai.InternalServerError, match="failed on this request"):
            ask(client, "Bad", seed=666, temperature=1)
        assert [one.result().choices[0].message.content for one in good] == [want] * 3
    # a step that fails ends those that take part in it, and nobody else
    engine = served.service.engine
    step, failed = engine._step, []

    def fails():
        if not failed:
            failed.append(1)
            raise MemoryError("no more")
        step()

    with monkeypatch.context() as patch:
        patch.setattr(engine, "_step", fails)
        with pytest.raises(openai.InternalServerError):
            ask(client, "Good", max_tokens=30)
        assert ask(client, "Good", max_tokens=30).choices[0].message.content == want
    assert served.idle()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_engine_is_told(talker, monkeypatch):
    with Served(talker) as served:
        engine = served.service.engine
        monkeypatch.setattr(engine, "turn", lambda: sys.exit("killed"))
        with pytest.raises(openai.InternalServerError) as caught:
            ask(served.client(), max_tokens=5)
        assert caught.value.status_code == 503
        with served.http() as http:
            assert http.get("/health").status_code == 503
        with pytest.raises(openai.InternalServerError):
            ask(served.client(), max_tokens=5)
        assert served.service.places.taken == 0


def test_answers_in_progress_end_before_the_server_does(talker):
    with Served(talker, grace=20) as served, slowed(served, 0.01):
        chunks = ask(served.client(), max_tokens=60, stream=True)
        first = text([next(chunks)])
        served.server.should_exit = True
        rest = list(chunks)
        assert rest[-1].choices[0].finish_reason in ("stop", "length")
        whole = first + text(rest)
    with Served(talker) as served:
        assert ask(served.client(), max_tokens=60).choices[0].message.content == whole


def test_the_grace_has_an_end(talker):
    with Served(talker, grace=1) as served, slowed(served, 0.1):
        chunks = ask(served.client(), max_tokens=400, stream=True)
        next(chunks)
        began = time.monotonic()
        served.server.should_exit = True
        with pytest.raises(Exception):  # noqa: B017 (cut off, in one way or another)
            assert list(chunks)[-1].choices[0].finish_reason
    assert time.monotonic() - began < 10 and not served.service.engine.alive


def test_a_reader_that_stalls_is_left():
    """Sending a piece has a time of its own."""
    closed = []

    async def events():
        while True:
            yield b"data: {}\n\n"

    async def send(sent):
        if sent["type"] == "http.response.body":
            await asyncio.sleep(60)

    async def receive():
        await asyncio.sleep(60)

    stream = EventStream(events(), 0.05, lambda: closed.append(1))
    began = time.monotonic()
    asyncio.run(stream({"type": "http"}, receive, send))
    assert closed == [1] and time.monotonic() - began < 5


def test_news_that_came_together_are_read_together():
    from sphinx_x.serving.streams import Mailbox

    async def read():
        box = Mailbox(eager=False)
        worker = threading.Thread(
            target=lambda: [box.emit(Event(piece)) for piece in "abc"] + [box.emit(Event("d", reason="stop"))]
        )
        worker.start()
        return await box.take()

    event = asyncio.run(read())
    assert (event.piece, event.reason) == ("abcd", "stop")


def test_faults_of_the_command_line(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("SPHINX_X_TOKEN", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        (tmp_path / "short").write_text("short\n")
        for arguments, says in (
            (("--host", "0.0.0.0"), "--token-file"),
            (("--host", "::"), "--token-file"),
            (("--port", port), "in use"),
            (("--host", "203.0.113.77", "--token-file", str(tmp_path / "none")), "cannot be read"),
            (("--token-file", str(tmp_path / "short")), "16 or more"),
            (("--media-folder", str(tmp_path / "nowhere")), "media-folder"),
        ):
            code, out, error = run("serve", "nano", *arguments, capsys=capsys)
            assert code == 2 and not out and one_line(error) and says in error, error


@pytest.mark.slow
def test_the_command_serves_nano_and_ends_at_a_signal(tmp_path):
    (tmp_path / "token").write_text("a-token-of-a-test-0123\n")
    command = [
        sys.executable,
        "-m",
        "sphinx_x",
        "serve",
        "nano",
        "--port",
        "0",
        "--token-file",
        str(tmp_path / "token"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    said = process.stderr.readline()
    url = said.split(" at ")[1].split()[0]
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="a-token-of-a-test-0123", max_retries=20)
    got = client.chat.completions.create(
        model="nano", messages=message("Read the text.", PIL.Image.new("RGB", (200, 30)))
    )
    assert got.choices[0].finish_reason and "token" not in said
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.mark.slow
def test_memory_stays_flat_under_other_images_all_the_time(talker):
    """After the first third, nothing grows any more: not with the number of requests, nor with those who left."""
    import resource

    def picture(k):
        return data_url(PIL.Image.fromarray(np.random.default_rng(k).integers(0, 255, (100, 1000, 3), np.uint8)))

    def one(k):
        if k % 5 == 0:
            with _sent(served, body("Hi", picture(k), max_tokens=50)):
                time.sleep(0.01)
        else:
            ask(client, "Hi", picture(k), max_tokens=5)

    with Served(talker) as served, ThreadPoolExecutor(8) as pool:
        client = served.client()
        list(pool.map(one, range(400)))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        list(pool.map(one, range(400, 1200)))
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert served.idle()
    assert after - before < 30_000  # kilobytes; the images alone were 240 MB
