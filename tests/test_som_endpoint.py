"""Asking a vision endpoint: nothing is lost, nothing wrong is accepted, nothing is paid twice or above the cap."""

import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from PIL import Image

from sphinx_x.data.som import endpoint as writer
from sphinx_x.data.som.cache import LOG
from sphinx_x.data.som.endpoint import worst_case, write_all
from sphinx_x.data.som.prompts import DOMAINS, KINDS, Request, task_of
from sphinx_x.data.som.replies import Answer, read_answer, schema
from sphinx_x.data.som.settings import EndpointSettings, back_off, read_settings
from sphinx_x.data.som.spending import Budget, Spending, StopError
from sphinx_x.errors import DataError, SphinxXError
from vision_endpoint import PRICES, Call, good_answer, question_of, serve_vision

SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))]
KEY = "sk-test-Zq81/xW02.very-secret"


def picture(number: int, size: tuple[int, int] = (40, 30), kind: str = "PNG") -> bytes:
    """A small image like no other number's."""
    content = io.BytesIO()
    Image.new("RGB", size, (number % 256, number // 256 % 256, 77)).save(content, kind)
    return content.getvalue()


def asked(count: int, kind: str | None = None, start: int = 0) -> list[Request]:
    """Requests of all domains and kinds in turn, each with an image of its own."""
    requests = []
    for number in range(start, start + count):
        marks = (("1", "red cup"), ("2", ""), ("B", 'sign "EXIT"'))
        request = (DOMAINS[number % 5], kind or KINDS[number % 4], marks)
        requests.append(Request(f"r{number}", picture(number), *request))
    return requests


def settings(url: str, **changes) -> EndpointSettings:
    """Settings that wait hardly at all."""
    fields = {"url": url, "model": "seer", "price_in": PRICES[0], "price_out": PRICES[1], "cap": 10.0}
    fields |= {"first_wait": 0.002, "longest_wait": 0.02, "timeout": 5, "threads": 4}
    return EndpointSettings(**fields | changes)


def check(request: Request, answer: Answer) -> list[str]:
    """Stands for the engine's check against the ground truth."""
    return ["WRONG is not in the image"] if "WRONG" in answer.whole else []


class Account:
    """Keeps the last account that a run told."""

    def __init__(self) -> None:
        self.last = Spending()

    def __call__(self, spending: Spending) -> None:
        self.last = spending


def run(requests, using, folder: Path, checker=check) -> tuple[list[writer.Result], Spending]:
    account = Account()
    results = list(write_all(requests, using, checker, folder, account))
    assert [result.request for result in results] == list(requests)
    assert account.last.answered + account.last.failed.total() == len(results)
    return results, account.last


def stopped(requests, using, folder: Path, checker=check) -> tuple[list[writer.Result], Spending, str]:
    """The results until a run stopped, its account, and the one line that it stopped with."""
    account, results = Account(), []
    with pytest.raises(StopError) as caught:
        for result in write_all(requests, using, checker, folder, account):
            results.append(result)
    assert "\n" not in str(caught.value)
    return results, account.last, str(caught.value)


def log_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def first_then_good(behaviour: str):
    return lambda call: behaviour if call.attempt == 0 else "good"


# answers


def test_all_kinds_and_domains(tmp_path, monkeypatch):
    monkeypatch.setenv("SEER_KEY", KEY + "\n")
    requests = asked(20)
    with serve_vision() as endpoint:
        using = settings(endpoint.url, key_variable="SEER_KEY", temperature=0.0, detail="high", extra={"top_p": 0.5})
        results, spending = run(requests, using, tmp_path)
    assert (spending.answered, spending.cached, spending.asked, spending.retried) == (20, 0, 20, 0)
    for request, result in zip(requests, results, strict=True):
        assert result.answer and json.loads(result.content) == good_answer(request.kind, dict(request.marks))
    body = endpoint.of(question_of(requests[0].image, "detailed"))[0].body
    assert (body["model"], body["max_tokens"], body["temperature"], body["top_p"]) == ("seer", 1500, 0.0, 0.5)
    assert body["response_format"]["json_schema"]["name"] == "detailed"
    assert body["messages"][1]["content"][1]["image_url"]["detail"] == "high"
    assert all(call.headers["authorization"] == f"Bearer {KEY}" for call in endpoint.calls)
    assert spending.spent == pytest.approx(endpoint.bill)
    assert spending.unsure == spending.before == 0
    assert not any(KEY in path.read_text() for path in tmp_path.iterdir())


def test_texts_of_answers():
    texts = {}
    for request in asked(4):
        answer, reasons = read_answer(request, json.dumps(good_answer(request.kind, dict(request.marks))))
        assert answer and not reasons
        texts[request.kind] = answer
    assert texts["detailed"].picture == "A table with several things."
    assert texts["short"].text.splitlines()[2] == 'Mark B: A red sign "EXIT" that leans on its neighbour.'
    assert texts["relations"].text.splitlines()[0] == "<Mark 1><Mark 2>: <Mark 1> stands left of <Mark 2>."
    assert texts["questions"].exchanges[0] == ("What colour is <Mark 1>?", "<Mark 1> is red.")
    assert texts["questions"].text.startswith("Q: What colour is <Mark 1>?\nA: <Mark 1> is red.\nQ: ")


def test_captions_come_in_the_order_of_the_marks():
    request = asked(1, "short")[0]
    answer, _ = read_answer(request, json.dumps(good_answer("short", ["B", "2", "1"])))
    assert answer and [line[:6] for line in answer.text.splitlines()] == ["Mark 1", "Mark 2", "Mark B"]


@pytest.mark.parametrize("label", ["1", 1, "Mark 1", "<Mark 1>", " mark 1 ", "<mark 1>"])
def test_labels_may_be_written_in_many_ways(label):
    request = Request("r", picture(0), "gui", "short", (("1", ""),))
    answer, _ = read_answer(request, json.dumps({"marks": [{"mark": label, "text": "a  red\ncup by < mark  1>"}]}))
    assert answer and answer.text == "Mark 1: a red cup by <Mark 1>"


@pytest.mark.parametrize("text", ["کتاب\u200cخانه", "Größe 5 €", "发票", "👩\u200d🚀 rocket"])
def test_texts_of_all_scripts(text):
    request = Request("r", picture(0), "text", "short", (("1", ""),))
    answer, _ = read_answer(request, json.dumps({"marks": [{"mark": "1", "text": text}]}))
    assert answer and answer.text == f"Mark 1: {text}"


def test_prompts_differ_by_domain_and_kind_and_name_all_marks():
    marks = (("1", "a\ncup"), ("2", ""))
    texts = {task_of(Request("r", b"", domain, kind, marks)) for domain in DOMAINS for kind in KINDS}
    assert len(texts) == 20
    assert all('- Mark 1 (hint: "a cup")\n- Mark 2\n' in text for text in texts)


def test_schemas_are_of_the_strict_kind():
    def objects(node):
        if isinstance(node, dict):
            if node.get("type") == "object":
                yield node
            for part in node.values():
                yield from objects(part)

    for kind in KINDS:
        asked_for = schema(kind)["json_schema"]
        assert asked_for["strict"] is True
        for node in objects(asked_for["schema"]):
            assert node["additionalProperties"] is False
            assert sorted(node["required"]) == sorted(node["properties"])


# answers that are wrong

FORM = "answer not in its form"
WRONG = {
    "not-json": FORM,
    "trailing": FORM,
    "nonsense": FORM,
    "list": FORM,
    "no-text": FORM,
    "deep": FORM,
    "short-cut": FORM,
    "unknown-mark": FORM,
    "missing-mark": FORM,
    "mentions": FORM,
    "extra-field": FORM,
    "empty": FORM,
    "image-tag": FORM,
    "control": FORM,
    "surrogate": FORM,
    "cut": "answer cut short",
    "wrong": "answer fails the check",
}


@pytest.mark.parametrize("behaviour", WRONG)
def test_wrong_answers_are_asked_again_once(tmp_path, behaviour):
    requests = asked(4)
    with serve_vision(lambda call: "good" if call.again else behaviour) as endpoint:
        results, spending = run(requests, settings(endpoint.url), tmp_path / "a")
        assert all(result.answer for result in results)
        assert (spending.answered, spending.reasked, spending.asked) == (4, 4, 8)
        assert all(message["content"] for call in endpoint.calls for message in call.body["messages"])
        assert all([call.again for call in endpoint.of(c.question)] == [False, True] for c in endpoint.calls)
        again = next(call for call in endpoint.calls if call.again)
        assert "cannot be used:\n- " in again.body["messages"][3]["content"]
        endpoint.script = lambda _: behaviour
        results, spending = run(requests, settings(endpoint.url), tmp_path / "b")
        assert [result.reason for result in results] == [WRONG[behaviour]] * 4
        assert all(result.detail and result.answer is None for result in results)
        assert (spending.failed[WRONG[behaviour]], spending.asked) == (4, 8)
        run(requests, settings(endpoint.url), tmp_path / "b")
        assert len(endpoint.calls) == 16  # what is wrong was paid as well, and is not asked for again


def test_marks_described_twice(tmp_path):
    with serve_vision(lambda _: "twice") as endpoint:
        results, _ = run(asked(4, "short"), settings(endpoint.url), tmp_path)
    assert {result.detail for result in results} == {"mark 1 is described twice"}


def test_reasons_of_the_check_reach_the_model(tmp_path):
    with serve_vision(lambda call: "good" if call.again else "wrong") as endpoint:
        run(asked(1, "short"), settings(endpoint.url), tmp_path)
        assert "- WRONG is not in the image\n" in endpoint.calls[1].body["messages"][3]["content"]
        assert "WRONG" in endpoint.calls[1].body["messages"][2]["content"]


@pytest.mark.parametrize("behaviour", ["refusal", "filtered"])
def test_refusals_are_not_asked_again(tmp_path, behaviour):
    with serve_vision(lambda _: behaviour) as endpoint:
        results, spending = run(asked(3), settings(endpoint.url), tmp_path)
    assert [result.reason for result in results] == ["refused by the model"] * 3
    assert spending.asked == 3


def test_fences_and_thoughts_around_an_answer(tmp_path):
    with serve_vision(lambda _: "fenced") as endpoint:
        results, spending = run(asked(4), settings(endpoint.url), tmp_path)
    assert all(result.answer for result in results)
    assert spending.asked == 4


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["1", "2", "B", "Mark 1", "<Mark 9>", "red", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["marks", "mark", "text", "picture", "relations", "exchanges", "question", "answer"]), inner
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(KINDS), json_values)
def test_whatever_is_accepted_cites_the_marks(kind, value):
    request = asked(1, kind)[0]
    answer, reasons = read_answer(request, json.dumps(value))
    assert (answer is None) == bool(reasons)
    if answer:
        cited = set(re.findall(r"Mark ([^\s:>]+)", answer.whole))
        assert cited == {"1", "2", "B"}


# what may pass

PASSING = ["429", "429 0.01", "500", "502", "503", "504", "529", "408", "drop", "html", "torn", "envelope"]


@pytest.mark.parametrize("behaviour", PASSING)
def test_what_may_pass_is_tried_again(tmp_path, behaviour):
    with serve_vision(first_then_good(behaviour)) as endpoint:
        results, spending = run(asked(4), settings(endpoint.url), tmp_path)
        assert all(result.answer for result in results)
        assert (spending.asked, spending.retried, spending.reasked) == (8, 4, 0)
        assert endpoint.bill <= spending.spent + 1e-9  # work whose answer was lost counts in full
        assert (spending.unsure > 0) == (behaviour in ("502", "504", "529", "408", "drop", "html", "torn", "envelope"))


@pytest.mark.parametrize("behaviour", ["silent 5", "drip 5"])
def test_time_outs_end_calls(tmp_path, behaviour):
    with serve_vision(first_then_good(behaviour)) as endpoint:
        began = time.monotonic()
        results, spending = run(asked(4), settings(endpoint.url, timeout=0.15), tmp_path)
        assert all(result.answer for result in results)
        assert time.monotonic() - began < 1.5
        assert {line.get("reason") for line in log_of(tmp_path)} == {None, "time-out"}
        assert endpoint.bill <= spending.spent + 1e-9


@pytest.mark.parametrize("behaviour", ["503", "drop"])
def test_tries_are_limited(tmp_path, behaviour):
    bad = question_of(picture(1), "short")
    with serve_vision(lambda call: behaviour if call.question == bad else "good") as endpoint:
        results, spending = run(asked(4), settings(endpoint.url, tries=3), tmp_path)
        assert len(endpoint.of(bad)) == 3
        assert [bool(result.answer) for result in results] == [True, False, True, True]
        reason = {"503": "HTTP 503", "drop": "connection broken"}[behaviour]
        assert results[1].reason == reason and spending.failed == {reason: 1}
        endpoint.script = lambda _: "good"
        results, spending = run(asked(4), settings(endpoint.url, tries=3), tmp_path)
        assert all(result.answer for result in results)
        assert (spending.cached, spending.asked) == (3, 1)


def test_what_does_not_pass_is_not_tried_again(tmp_path):
    with serve_vision(lambda call: "413" if call.kind == "short" else "good") as endpoint:
        results, spending = run(asked(8), settings(endpoint.url), tmp_path)
    assert spending.failed == {"HTTP 413": 2}
    assert results[1].detail == "it cannot be done now server_error"
    assert spending.asked == 8


def test_waits_grow_and_are_drawn_from_the_seed():
    using = settings("http://h", first_wait=1, longest_wait=5)
    waits = [back_off(number, "key", using) for number in range(1, 7)]
    assert all(limit / 2 <= wait <= limit for wait, limit in zip(waits, (1, 2, 4, 5, 5, 5), strict=True))
    assert waits == [back_off(number, "key", using) for number in range(1, 7)]
    assert waits[0] != back_off(1, "other", using) != back_off(1, "other", using.model_copy(update={"seed": 1}))
    assert back_off(10_000, "key", using) <= 5


def test_waits_lie_between_calls(tmp_path):
    with serve_vision(lambda call: "503" if call.attempt < 3 else "good") as endpoint:
        run(asked(1), settings(endpoint.url, first_wait=0.02, longest_wait=1), tmp_path)
        gaps = [b.at - a.at for a, b in zip(endpoint.calls, endpoint.calls[1:], strict=False)]
        assert all(gap >= least for gap, least in zip(gaps, (0.01, 0.02, 0.04), strict=True))


def test_retry_after_is_obeyed(tmp_path):
    with serve_vision(first_then_good("429 0.15")) as endpoint:
        run(asked(1), settings(endpoint.url), tmp_path)
        assert endpoint.calls[1].at - endpoint.calls[0].at >= 0.15


def test_retry_after_beyond_patience(tmp_path):
    with serve_vision(lambda call: "429 3600" if call.kind == "short" else "good") as endpoint:
        _, spending = run(asked(4), settings(endpoint.url), tmp_path)
    assert spending.failed == {"HTTP 429": 1}
    assert spending.asked == 4


# what stops a run


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("401", "HTTP 401"),
        ("404", "HTTP 404"),
        ("quota", "HTTP 429: You have no credit left"),
        ("redirect http://127.0.0.1:1/v1/chat/completions", "sends elsewhere: to 127.0.0.1:1, which is not followed"),
    ],
)
def test_what_no_call_can_mend_stops_the_run(tmp_path, behaviour, said):
    with serve_vision(lambda _: behaviour) as endpoint:
        results, spending, line = stopped(asked(30), settings(endpoint.url, threads=16), tmp_path)
        assert said in line
        assert (results, spending.asked, len(endpoint.calls)) == ([], 1, 1)


def test_redirects_are_not_followed(tmp_path):
    with serve_vision() as other, serve_vision(lambda _: f"redirect {other.url}/chat/completions") as endpoint:
        stopped(asked(3), settings(endpoint.url), tmp_path)
        assert not other.calls


def test_an_endpoint_that_is_not_there(tmp_path):
    _, spending, line = stopped(asked(9), settings("http://127.0.0.1:9/v1", tries=2, bad_in_a_row=3), tmp_path)
    assert "3 requests in a row brought no answer, last: no connection: Connection refused" in line
    assert spending.spent == 0


def test_errors_of_the_check_are_raised(tmp_path):
    def broken(request, answer):
        raise ZeroDivisionError

    with serve_vision() as endpoint, pytest.raises(ZeroDivisionError):
        list(write_all(asked(9), settings(endpoint.url), broken, tmp_path))


def test_whoever_stops_early_keeps_what_was_paid(tmp_path):
    with serve_vision() as endpoint:
        results = write_all(asked(40), settings(endpoint.url), check, tmp_path)
        next(results)
        results.close()
        made = len(endpoint.calls)
        assert made < 40
        _, spending = run(asked(40), settings(endpoint.url), tmp_path)
        assert (spending.cached, len(endpoint.calls)) == (made, 40)


def test_a_run_that_stops_does_not_wait_to_try_again(tmp_path):
    requests = asked(40)
    first = question_of(requests[0].image, requests[0].kind)
    with serve_vision(lambda call: "429 5" if first in endpoint.answered() else "good") as endpoint:
        results = write_all(requests, settings(endpoint.url), check, tmp_path)
        next(results)
        time.sleep(0.05)
        began = time.monotonic()
        results.close()
        assert time.monotonic() - began < 1


# structured output


def test_endpoints_without_schemas_are_asked_for_plain_json(tmp_path):
    with serve_vision(lambda _: "no-schema") as endpoint:
        _, spending = run(asked(12), settings(endpoint.url, tries=1), tmp_path)
        assert spending.plain and spending.answered == 12
        assert sum("response_format" in call.body for call in endpoint.calls) == 1
        _, spending = run(asked(12), settings(endpoint.url, structured="plain"), tmp_path)
        assert spending.cached == 12


@pytest.mark.parametrize(("structured", "sent"), [("object", {"type": "json_object"}), ("plain", None)])
def test_forms_of_structured_output(tmp_path, structured, sent):
    with serve_vision() as endpoint:
        using = settings(endpoint.url, structured=structured, tokens_field="max_completion_tokens")
        run(asked(2), using, tmp_path)
        assert all(call.body.get("response_format") == sent for call in endpoint.calls)
        assert all("max_tokens" not in call.body for call in endpoint.calls)


# order and concurrency


def test_results_come_in_order_from_many_threads(tmp_path):
    late = lambda call: f"late {random.Random(call.question).uniform(0, 0.03)}"  # noqa: E731
    with serve_vision(late) as endpoint:
        run(asked(60), settings(endpoint.url, threads=16), tmp_path)
        assert 4 < endpoint.most <= 16


def test_the_first_call_is_alone(tmp_path):
    seen = []
    with serve_vision(lambda call: seen.append(endpoint.busy) or "late 0.05") as endpoint:
        run(asked(8), settings(endpoint.url, threads=8), tmp_path)
    assert seen[0] == 1 and max(seen) > 1


def test_equal_questions_are_asked_once(tmp_path):
    first = asked(1)[0]
    same = [Request(f"r{n}", first.image, first.domain, first.kind, first.marks) for n in range(8)]
    with serve_vision(lambda _: "late 0.02") as endpoint:
        _, spending = run(same, settings(endpoint.url, threads=8), tmp_path)
        assert (len(endpoint.calls), spending.answered, spending.cached) == (1, 8, 7)


# money


MIX = ("good", "good", "good", "wrong", "usage {}", "usage null", "503", "drop", "torn", "html", "cut", "429 0.001")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("believe", [True, False])
def test_spending_never_passes_the_cap(tmp_path, seed, believe):
    """Also with 16 threads, lost answers and bills that are too low to be true; told by the endpoint's own bill."""
    lie = 'usage {"prompt_tokens": 600, "completion_tokens": 120}'  # too low, and yet not impossible
    ways = MIX if believe else (*MIX, lie)
    script = lambda call: random.Random(f"{seed} {call.number}").choice(ways)  # noqa: E731
    requests = asked(60)
    cap = 10 * worst_case(requests[0], settings("http://x"))
    with serve_vision(script) as endpoint:
        using = settings(endpoint.url, threads=16, cap=cap, believe=believe, bad_in_a_row=99)
        _, spending, line = stopped(requests, using, tmp_path)
        assert "price cap" in line
        assert endpoint.bill <= spending.spent + 1e-9 <= cap + 1e-9
        assert spending.spent > cap / 2  # and the money is used
        assert sum(line.get("paid", 0) for line in log_of(tmp_path)) == pytest.approx(spending.spent * 1e12)
        stopped(requests, using, tmp_path)  # the cap is for all runs together
        assert endpoint.bill <= cap
        endpoint.script = lambda _: "good"
        _, spending = run(requests, using.model_copy(update={"cap": 10.0}), tmp_path)
        assert spending.before > cap / 2
        assert spending.answered + spending.failed.total() == 60


def test_bills_that_are_not_believed_count_in_full(tmp_path):
    lie = 'usage {"prompt_tokens": 400, "completion_tokens": 60}'
    requests = asked(60)
    cap = 4 * worst_case(requests[0], settings("http://x"))
    with serve_vision(lambda _: lie) as endpoint:
        using = settings(endpoint.url, threads=16, cap=cap)
        stopped(requests, using, tmp_path / "believed")
        assert endpoint.bill > cap  # nobody can see this
        endpoint.bill = 0
        _, spending, _ = stopped(requests, using.model_copy(update={"believe": False}), tmp_path / "not")
        assert endpoint.bill <= spending.spent <= cap


def test_a_low_cap_asks_nothing(tmp_path):
    with serve_vision() as endpoint:
        results, _, line = stopped(asked(5), settings(endpoint.url, cap=0.001), tmp_path)
        assert "price cap of 0.001 reached: 0 spent so far" in line
        assert not endpoint.calls and not results


def test_free_endpoints_need_no_money(tmp_path):
    with serve_vision() as endpoint:
        _, spending = run(asked(5), settings(endpoint.url, price_in=0, price_out=0, cap=0), tmp_path)
        assert (spending.answered, spending.spent) == (5, 0)


def test_a_bill_above_the_reservation_counts_and_stops_the_run(tmp_path):
    usage = json.dumps({"prompt_tokens": 60_000, "completion_tokens": 90, "total_tokens": 60_090})
    with serve_vision(lambda _: f"usage {usage}") as endpoint:
        _, spending, line = stopped(asked(40), settings(endpoint.url, threads=16), tmp_path)
        assert "billed with (60000, 90) tokens in and out, where at most (" in line
        assert spending.spent == pytest.approx((60_000 * 2 + 90 * 8) / 1e6)
        assert len(endpoint.calls) == 1


def test_a_bill_above_the_reservation_in_the_middle(tmp_path):
    usage = json.dumps({"prompt_tokens": 60_000, "completion_tokens": 90})
    with serve_vision(lambda call: f"usage {usage}" if call.number == 20 else "good") as endpoint:
        _, spending, line = stopped(asked(80), settings(endpoint.url, threads=4), tmp_path)
        assert "billed with" in line and len(endpoint.calls) < 40
        assert spending.spent == pytest.approx(endpoint.bill, abs=0.13)
        assert spending.spent > 0.12
        _, spending = run(asked(80), settings(endpoint.url), tmp_path)
        assert sorted(endpoint.answered()) == sorted({call.question for call in endpoint.calls})


@pytest.mark.parametrize(
    "usage",
    [
        "null",
        "{}",
        "[]",
        '"free"',
        '{"prompt_tokens": 0, "completion_tokens": 0}',
        '{"prompt_tokens": -500, "completion_tokens": 20}',
        '{"prompt_tokens": true, "completion_tokens": 20}',
        '{"prompt_tokens": 900.5, "completion_tokens": 20}',
        '{"prompt_tokens": "900", "completion_tokens": 20}',
        '{"prompt_tokens": 900, "completion_tokens": 0}',
        '{"prompt_tokens": 1e400, "completion_tokens": 20}',
    ],
)
def test_bills_that_cannot_be_true_count_in_full(tmp_path, usage):
    requests = asked(3)
    with serve_vision(lambda _: f"usage {usage}") as endpoint:
        _, spending = run(requests, settings(endpoint.url), tmp_path)
    assert spending.answered == 3
    full = sum(worst_case(request, settings("http://x")) for request in requests)
    assert spending.spent == spending.unsure == pytest.approx(full)


def test_tokens_that_only_the_total_has_are_paid(tmp_path):
    usage = '{"prompt_tokens": 1500, "completion_tokens": 100, "total_tokens": 2600}'
    with serve_vision(lambda _: f"usage {usage}") as endpoint:
        _, spending = run(asked(1), settings(endpoint.url), tmp_path)
    assert spending.tokens == (1500, 1100)


def test_larger_images_reserve_more():
    small, large = (Request("r", picture(1, size), "gui", "short", (("1", ""),)) for size in ((500, 500), (1030, 500)))
    using = settings("http://x")
    assert worst_case(large, using) - worst_case(small, using) == pytest.approx(2 * 400 * PRICES[0] / 1e6)


@settings_of_hypothesis(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 40), st.floats(0, 1)), max_size=30), st.integers(1, 100))
def test_budget_never_passes_the_cap(calls, cap):
    budget, seen, lock = Budget(cap), [], threading.Lock()

    def call(amount: int, share: float) -> None:
        try:
            budget.reserve(amount, lambda: False)
        except StopError:
            return
        with lock:
            seen.append(budget.spent + budget.reserved)
        budget.settle(amount, int(amount * share))

    threads = [threading.Thread(target=call, args=one) for one in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(seen, default=0) <= cap
    assert budget.spent <= cap and budget.reserved == 0


# the cache


def test_a_repeated_run_asks_nothing(tmp_path):
    with serve_vision() as endpoint:
        first, _ = run(asked(12), settings(endpoint.url), tmp_path)
        second, spending = run(asked(12), settings(endpoint.url, threads=1, seed=5), tmp_path)
    assert [result.answer for result in first] == [result.answer for result in second]
    assert all(result.cached for result in second) and not any(result.cached for result in first)
    assert (spending.cached, spending.asked, spending.spent, len(endpoint.calls)) == (12, 0, 0, 12)
    assert spending.before == pytest.approx(endpoint.bill)


@pytest.mark.parametrize("change", [{"model": "oracle"}, {"temperature": 1.0}, {"max_tokens": 900}, {"detail": "low"}])
def test_other_parameters_are_other_questions(tmp_path, change):
    with serve_vision() as endpoint:
        run(asked(2), settings(endpoint.url), tmp_path)
        _, spending = run(asked(2), settings(endpoint.url, **change), tmp_path)
    assert spending.asked == 2


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_log_that_was_cut_is_mended(tmp_path, cut):
    with serve_vision() as endpoint:
        run(asked(3), settings(endpoint.url, threads=1), tmp_path)
        content = (tmp_path / LOG).read_bytes()
        (tmp_path / LOG).write_bytes(content[:-cut])
        _, spending = run(asked(3), settings(endpoint.url), tmp_path)
        assert (spending.cached, spending.asked) == ((3, 0) if cut == 1 else (2, 1))
        assert spending.before + spending.spent >= endpoint.bill
        run(asked(3), settings(endpoint.url), tmp_path)
        assert len(endpoint.calls) == 3 + spending.asked


@pytest.mark.parametrize("line", ["nonsense", '{"answered": "x"}', '{"asked": "x"}', '{"lost": "x", "paid": 1}'])
def test_a_log_of_something_else(tmp_path, line):
    (tmp_path / LOG).write_text(line + "\n")
    with pytest.raises(DataError, match=LOG):
        list(write_all(asked(1), settings("http://127.0.0.1:9/v1"), check, tmp_path))


def test_one_process_at_a_time(tmp_path):
    with serve_vision() as endpoint:
        results = write_all(asked(9), settings(endpoint.url), check, tmp_path)
        next(results)
        with pytest.raises(SphinxXError, match="another process"):
            next(write_all(asked(9), settings(endpoint.url), check, tmp_path))
        results.close()


def test_a_full_disk_stops_the_run(tmp_path, monkeypatch):
    real, count = os.fsync, iter(range(1000))

    def full(descriptor: int) -> None:
        if next(count) >= 9:
            raise OSError(28, "No space left on device")
        real(descriptor)

    with serve_vision() as endpoint:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            list(write_all(asked(30), settings(endpoint.url), check, tmp_path))
        monkeypatch.setattr(os, "fsync", real)
        assert len(endpoint.calls) < 12
        run(asked(30), settings(endpoint.url), tmp_path)


CHILD = """
import sys
sys.path[:0] = sys.argv[3:]
from pathlib import Path
from test_som_endpoint import asked, check, settings, write_all
for _ in write_all(asked(60), settings(sys.argv[1], threads=4, cap=2.0), check, Path(sys.argv[2])):
    pass
"""


def test_killed_runs_pay_for_nothing_twice(tmp_path):
    """What was under way at a kill may be asked again, and counts in full; no answer that was kept is."""
    threads, kills = 4, (9, 37)
    paths = [str(Path(__file__).parent), str(Path(writer.__file__).parents[3])]
    reached = threading.Event()
    limit = [0]

    def script(call: Call) -> str:
        if call.number >= limit[0]:
            reached.set()
        return "late 0.004"

    with serve_vision(script) as endpoint:
        for kill in kills:
            limit[0] = kill
            reached.clear()
            child = subprocess.Popen([sys.executable, "-c", CHILD, endpoint.url, str(tmp_path), *paths])
            assert reached.wait(20)
            child.send_signal(signal.SIGKILL)
            assert child.wait() == -signal.SIGKILL
        time.sleep(0.05)
        requests = asked(60)
        questions = {request.id: question_of(request.image, request.kind) for request in requests}
        log = (tmp_path / LOG).read_text().splitlines()
        kept = {json.loads(line)["answered"] for line in log if line.startswith('{"answered"')}
        names = {line["asked"]: line["id"] for line in map(json.loads, log[:-1]) if "asked" in line}
        before = len(endpoint.calls)
        results, spending = run(requests, settings(endpoint.url, threads=4, cap=2.0), tmp_path)
        assert all(result.answer for result in results)
        later = {call.question for call in endpoint.calls[before:]}
        assert not later & {questions[names[key]] for key in kept if key in names}
        assert 60 <= len(endpoint.calls) <= 60 + threads * len(kills)
        assert endpoint.bill <= spending.before + spending.spent + 1e-9 <= 2.0
        assert sum(line.get("reason") == "the run was killed before the answer came" for line in log_of(tmp_path)) > 0


# the key


def test_the_key_is_nowhere(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("SEER_KEY", KEY)

    def script(call: Call) -> str:
        return {0: f"says {KEY}", 1: "echo 500", 2: "echo 413"}.get(call.number, f"says {KEY}")

    with serve_vision(script) as endpoint:
        using = settings(endpoint.url, key_variable="SEER_KEY", threads=1)
        results, spending = run(asked(4), using, tmp_path)
        endpoint.script = lambda _: "echo 401"
        _, _, line = stopped(asked(1, start=50), using, tmp_path)
        endpoint.script = lambda _: f"redirect http://{KEY}@elsewhere/{KEY}"
        _, _, other = stopped(asked(1, start=60), using, tmp_path)
        endpoint.script = lambda _: f"text {KEY[:-2]}"
        run(asked(1, start=70), using, tmp_path)
    assert "Bearer ***" in line and "to ***@elsewhere, which is not followed" in other
    assert "***" in results[0].content
    told = [line, other, *map(repr, results), repr(using), repr(spending), *capfd.readouterr()]
    told += [path.read_text() for path in tmp_path.iterdir()]
    for part in (KEY, KEY[3:12], KEY.replace("/", "\\/")):
        assert not any(part in text for text in told)


@pytest.mark.parametrize("key", ["", "  ", "two words", "sk-\x01", "sk-é", "a\r\nHost: elsewhere"])
def test_keys_that_cannot_be(tmp_path, monkeypatch, key):
    monkeypatch.setenv("SEER_KEY", key)
    with pytest.raises(DataError, match="environment variable SEER_KEY") as caught:
        next(write_all(asked(1), settings("http://127.0.0.1:9", key_variable="SEER_KEY"), check, tmp_path))
    assert not key.strip() or key not in str(caught.value)


# settings and requests


@pytest.mark.parametrize(
    "url",
    [
        "",
        "seer",
        "ftp://host/v1",
        "http://",
        "http://u:secret@host/v1",
        "http://h/v1?key=secret",
        "http://h:x/",
        "http://a b/",
    ],
)
def test_addresses_that_cannot_be(tmp_path, url):
    with pytest.raises(DataError, match="the endpoint's address") as caught:
        next(write_all(asked(1), settings(url), check, tmp_path))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cap": -1}, "cap"),
        ({"cap": float("nan")}, "cap"),
        ({"price_in": None}, "price_in"),
        ({"threads": 0}, "threads"),
        ({"api_key": "secret"}, "api_key"),
        ({"extra": {"n": 4}}, "extra may not set n"),
        ({"structured": "xml"}, "structured"),
    ],
)
def test_settings_that_cannot_be(change, said):
    fields = {"url": "http://h/v1", "model": "seer", "price_in": 1, "price_out": 1, "cap": 1}
    assert read_settings(fields).cap == 1
    with pytest.raises(DataError, match=said) as caught:
        read_settings(fields | change)
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"domain": "space"},
        {"kind": "poem"},
        {"marks": ()},
        {"marks": (("1", ""), ("1", ""))},
        {"kind": "relations", "marks": (("1", ""),)},
    ],
)
def test_requests_that_cannot_be(change):
    fields = {"id": "r7", "image": b"", "domain": "gui", "kind": "short", "marks": (("1", ""),)}
    with pytest.raises(DataError, match="r7: "):
        Request(**fields | change)


def test_images_that_cannot_be_read(tmp_path):
    bad = Request("bad", b"GIF89a nothing", "gui", "short", (("1", ""),))
    with serve_vision() as endpoint:
        results, spending = run([*asked(2), bad, *asked(2, start=2)], settings(endpoint.url), tmp_path)
    assert results[2].reason == "image unreadable"
    assert (spending.answered, spending.asked) == (4, 4)


def test_jpeg_is_sent_as_jpeg(tmp_path):
    request = Request("r", picture(3, kind="JPEG"), "document", "short", (("1", ""),))
    with serve_vision() as endpoint:
        run([request], settings(endpoint.url), tmp_path)
        address = endpoint.calls[0].body["messages"][1]["content"][1]["image_url"]["url"]
    assert address.startswith("data:image/jpeg;base64,")


# all at once


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_that_can_go_wrong_at_once(tmp_path, seed):
    """80 requests, 16 threads, a third of all calls go wrong in some way: nothing lost, nothing wrong accepted."""
    ways = [*WRONG, *PASSING, "late 0.02", "refusal", "filtered", "usage null", "silent 5", "drip 5", "413"]

    def script(call: Call) -> str:
        chance = random.Random(f"{seed} {call.question} {call.attempt}")
        return chance.choice(ways) if chance.random() < 0.35 else "good"

    requests = asked(80)
    with serve_vision(script) as endpoint:
        using = settings(endpoint.url, threads=16, timeout=0.25, bad_in_a_row=50)
        results, spending = run(requests, using, tmp_path)
        for result in results:
            if result.answer:
                content = result.content
                assert json.loads(content) == good_answer(result.request.kind, dict(result.request.marks))
            else:
                assert result.reason in {"refused by the model", "HTTP 413", *WRONG.values()}
        assert spending.answered > 55
        assert endpoint.bill <= spending.spent + 1e-9
        calls = len(endpoint.calls)
        endpoint.script = lambda _: "good"
        again, _ = run(requests, using, tmp_path)
        assert len(endpoint.calls) - calls == spending.failed["HTTP 413"]
        same = [(a, b) for a, b in zip(results, again, strict=True) if a.reason != "HTTP 413"]
        assert all((a.answer, a.reason, a.detail) == (b.answer, b.reason, b.detail) for a, b in same)
