"""Asking a vision endpoint: nothing is lost, and nothing wrong is accepted."""

import json
import random
import re
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from som_asked import KEY, PASSING, SEEDS, WRONG, asked, check, first_then_good, log_of, picture, run, settings, stopped
from sphinx_x.endpoints.client import _wait
from sphinx_x.endpoints.settings import back_off
from sphinx_x.engines.som.endpoint import write_all
from sphinx_x.engines.som.prompts import DOMAINS, KINDS, Request, task_of
from sphinx_x.engines.som.replies import read_answer, schema
from vision_endpoint import Call, good_answer, question_of, serve_vision

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


@pytest.mark.parametrize("date", ["Fri, 31 Dec 99999999999 23:59:59 GMT", "Fri, 31 Dec 10000 23:59:59 GMT", "soon"])
def test_a_retry_after_that_is_no_date_is_passed_over(date):
    assert _wait(date) == 0


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
    together = threading.Barrier(8)

    def late(call):
        if 1 <= call.number <= 8:  # the first is alone; on a busy machine the others meet only where they wait
            together.wait(60)
        return f"late {random.Random(call.question).uniform(0, 0.03)}"

    with serve_vision(late) as endpoint:
        run(asked(60), settings(endpoint.url, threads=16), tmp_path)
        assert 8 <= endpoint.most <= 16


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
