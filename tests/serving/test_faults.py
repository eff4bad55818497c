"""Faults inside the engine: who is concerned is told, everybody else is answered, and the server goes on."""

import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
import torch

from lively import forgetful, noise
from served import Served, message, slowed
from sphinx_x.inference.prefix import Tokens
from sphinx_x.serving.engine import Engine
from sphinx_x.serving.jobs import Job
from sphinx_x.serving.metrics import Metrics
from sphinx_x.serving.sampling import Sampling
from sphinx_x.serving.settings import Settings

BAD = 666
"""The seed of requests that fail."""
STEPS = 16


@pytest.fixture(scope="module")
def fresh(talker):
    return forgetful(talker)


def ask(server, question="Hi", *images, **keys):
    asked = {"model": "tiny", "messages": message(question, *images), "max_tokens": STEPS, **keys}
    return server.client().chat.completions.create(**asked).choices[0].message.content


def failures(server):
    """What /health and /metrics say of faults: their number, and by stage."""
    with server.http() as http:
        health = http.get("/health")
        assert health.status_code == 200 and health.json()["status"] == "ok"
        text = http.get("/metrics").text
    stages = re.findall(r'sphinx_x_failures_total\{stage="(\w+)"\} (\S+)', text)
    found = {stage: int(float(number)) for stage, number in stages}
    assert health.json()["failures"] == sum(found.values())
    return found


def once(monkeypatch, owner, name):
    """The next call of a method fails."""
    method, left = getattr(owner, name), [1]

    def fails(*arguments, **keys):
        if left:
            left.pop()
            raise MemoryError("injected")
        return method(*arguments, **keys)

    monkeypatch.setattr(owner, name, fails)
    return left


PLACES = {
    "a round": lambda engine: (engine, "_drop"),
    "admission": lambda engine: (engine, "_admit"),
    "the load": lambda engine: (engine._metrics, "load"),
    "the remembered prompts": lambda engine: (engine.prefixes, "begin"),
    "the remembered images": lambda engine: (engine._filling, "_know"),
    "a piece of work": lambda engine: (engine._filling, "work"),
    "encoding": lambda engine: (engine.features, "encode"),
    "a prompt": lambda engine: (engine._filling, "_prefill"),
    "a new row": lambda engine: (engine._rows, "join"),
    "a step": lambda engine: (engine, "_step"),
    "the model": lambda engine: (engine, "_shared"),
    "a row that leaves": lambda engine: (engine._rows, "leave"),
    "what is kept": lambda engine: (engine.prefixes, "keep"),
    "the end of an answer": lambda engine: (engine, "_end"),
    "the figures of an answer": lambda engine: (engine._metrics, "answer"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_fault_anywhere_ends_no_more_than_what_is_in_progress(talker, fresh, monkeypatch, caplog, place):
    image = noise(100, 30, 1)
    want = fresh.chat("Read.", image, max_new_tokens=STEPS)
    caplog.set_level(logging.CRITICAL)
    with Served(talker, seconds=20) as server, ThreadPoolExecutor(4) as pool:

        def one(_):
            try:
                return ask(server, "Read.", image)
            except openai.InternalServerError as error:
                assert error.status_code == 500, error
                return None

        with monkeypatch.context() as patch, slowed(server, 0.002):
            left = once(patch, *PLACES[place](server.service.engine))
            found = list(pool.map(one, range(4)))
        assert not left and set(found) <= {None, want}
        assert server.idle(5)
        assert [one(0) for _ in range(2)] == [want] * 2
        assert sum(failures(server).values()) >= 1


def test_a_fault_in_every_round_is_told_to_all_and_ends(talker, monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL)
    with Served(talker, seconds=20) as server, ThreadPoolExecutor(4) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(server.service.engine, "_admit", lambda: 1 / 0)
            for asked in [pool.submit(ask, server) for _ in range(4)]:
                with pytest.raises(openai.InternalServerError, match="failed on this request"):
                    asked.result()
        assert server.idle(5) and ask(server, max_tokens=3) is not None
        assert failures(server)["round"] >= 1


def _poisoned(jobs_of, method):
    """The method fails wherever a bad request takes part."""

    def work(items):
        if any(job.sampling.seed == BAD for job in jobs_of(items)):
            raise RuntimeError("a bad request")
        return method(items)

    return work


@pytest.mark.parametrize("stage", ["encode", "prefill", "step"])
@pytest.mark.parametrize("share", [True, False])
def test_a_bad_request_fails_alone(talker, fresh, monkeypatch, caplog, stage, share):
    """It takes part in batches with others, which are made again without it."""
    caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr("sphinx_x.serving.engine.shared_window", lambda model: (share, None))
    images = [noise(60, 16, seed) for seed in range(6)]
    want = [fresh.chat("Read.", image, max_new_tokens=STEPS) for image in images]
    with Served(talker) as server:
        engine, batches = server.service.engine, []
        filling = engine._filling
        if stage == "encode":
            bad = {}
            add, encode = filling.add, engine.features.encode

            def told(progress):
                if progress.job.sampling.seed == BAD:
                    bad.update({look.key: 1 for look in progress.job.images})
                add(progress)

            def broken(looks, device):
                batches.append(len(looks))
                if any(look.key in bad for look in looks):
                    raise RuntimeError("a bad image")
                return encode(looks, device)

            monkeypatch.setattr(filling, "add", told)
            monkeypatch.setattr(engine.features, "encode", broken)
        elif stage == "prefill":
            work = _poisoned(
                lambda group: (batches.append(len(group)), [one.job for one in group])[1], filling._prefill
            )
            monkeypatch.setattr(filling, "_prefill", work)
        else:
            name = "_shared" if share else "_single"

            def jobs(items):
                batches.append(len(items))
                return [(engine._running[one] if share else one).job for one in items]

            monkeypatch.setattr(engine, name, _poisoned(jobs, getattr(engine, name)))
        gate = threading.Event()  # so that all are there at once
        admit = engine._admit
        monkeypatch.setattr(engine, "_admit", lambda: (gate.wait(10), admit()))
        with ThreadPoolExecutor(7) as pool:
            good = [pool.submit(ask, server, "Read.", image) for image in images]
            bad_one = pool.submit(ask, server, "Read.", noise(60, 16, 99), seed=BAD)
            while engine.load[1] + engine.load[0] < 7:
                gate.wait(0.005)
            gate.set()
            with pytest.raises(openai.InternalServerError, match="failed on this request"):
                bad_one.result()
            assert [one.result() for one in good] == want
        assert failures(server) == {stage: 2 if (share or stage == "encode") else 1}
        assert not (share or stage == "encode") or max(batches) > 1
        assert server.idle(5) and ask(server, "Read.", images[0]) == want[0]


def test_who_cannot_be_told_disturbs_nobody(talker, fresh, caplog):
    caplog.set_level(logging.CRITICAL)
    prompt = fresh.prompt_for("Count.")
    done, told = threading.Event(), []

    def gone(_):
        raise OSError("nobody is there")

    def there(event):
        told.append(event.piece)
        if event.last:
            done.set()

    def job(emit):
        return Job(prompt.ids, Tokens.of(prompt, []), [], Sampling(max_tokens=STEPS), emit)

    metrics = Metrics()
    engine = Engine(talker, Settings(), metrics)
    jobs = [job(gone), job(there), job(gone)]
    for one in jobs:
        engine.submit(one) if engine.alive else engine._waiting.append(one)
    engine.start()
    assert done.wait(20)
    assert "".join(told) == fresh.chat("Count.", max_new_tokens=STEPS)
    engine.close()
    assert engine.load == (0, 0) and engine.failures >= 2 and jobs[0].cancelled.is_set()
    assert b'sphinx_x_failures_total{stage="emit"}' in metrics.text()


def test_a_step_that_is_taken_again_leaves_the_rows_as_they_were(talker, fresh):
    """What a failed step has written is written over."""
    questions = ["One?", "Two, and a longer one?", "Three"]
    want = [fresh.chat(question, max_new_tokens=STEPS) for question in questions]
    layer, calls = talker.model.model.language_model.layers[1], []

    def fails(_, given):
        hidden = given[0]
        calls.append(hidden.shape)
        if hidden.shape[1] == 1 and hidden.shape[0] > 1 and len(calls) % 3:
            raise torch.OutOfMemoryError("of two rows and more")

    with Served(talker) as server, ThreadPoolExecutor(3) as pool, slowed(server, 0.002):
        hook = layer.register_forward_pre_hook(fails)
        logging.disable(logging.CRITICAL)
        try:
            found = list(pool.map(lambda question: ask(server, question), questions))
        finally:
            logging.disable(logging.NOTSET)
            hook.remove()
    assert found == want
