"""What asking costs: nothing is paid twice or above the cap, also by runs that are killed; the key stays a secret."""

import json
import os
import random
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

from paths import TESTS
from som_asked import KEY, SEEDS, asked, check, log_of, picture, run, settings, stopped
from sphinx_x.endpoints.cache import LOG
from sphinx_x.endpoints.settings import read_settings
from sphinx_x.endpoints.spending import Budget, StopError
from sphinx_x.engines.som import endpoint as writer
from sphinx_x.engines.som.endpoint import worst_case, write_all
from sphinx_x.engines.som.prompts import Request
from sphinx_x.errors import DataError, SphinxXError
from vision_endpoint import PRICES, Call, question_of, serve_vision

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
@given(
    st.lists(st.tuples(st.integers(1, 40), st.floats(0, 1, allow_subnormal=False)), max_size=30), st.integers(1, 100)
)
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
from som_asked import asked, check, settings
from sphinx_x.engines.som.endpoint import write_all
for _ in write_all(asked(60), settings(sys.argv[1], threads=4, cap=2.0), check, Path(sys.argv[2])):
    pass
"""


def test_killed_runs_pay_for_nothing_twice(tmp_path):
    """What was under way at a kill may be asked again, and counts in full; no answer that was kept is."""
    threads, kills = 4, (9, 37)
    paths = [str(TESTS / "helpers"), str(Path(writer.__file__).parents[3])]
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
        ({"price_in": 1e300}, "price_in"),
        ({"timeout": 1e300}, "timeout"),
        ({"patience": 1e300}, "patience"),
        ({5: 6}, "5"),
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
