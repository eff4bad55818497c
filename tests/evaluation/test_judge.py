"""Judged benchmarks: what a judge is asked, what its words mean, what becomes of errors, kills and nonsense."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import write_release
from commands import one_line, run
from judge_endpoint import VERSION, Asked, late, serve_judge
from sphinx_x.endpoints.spending import StopError
from sphinx_x.errors import DataError
from sphinx_x.evaluation.judge import Judge, read_judge
from sphinx_x.evaluation.scores import Scored, as_text, read_items, score_answers
from sphinx_x.evaluation.task import Reading, Rule, find_task

KEY = "sk-test-Zq81/xW02.very-secret"
ANSWERS = {0: "x = -1", 1: "a desk lamp", 2: "somewhere"}
PATIENT = {"first_wait": 0.002, "longest_wait": 0.02, "tries": 3, "threads": 4, "timeout": 5}


@pytest.fixture
def mmvet(tmp_path):
    write_release("mmvet", tmp_path / "data")
    return tmp_path / "data"


def a_judge(url: str, folder: Path, **settings) -> Judge:
    """A judge that hardly waits."""
    fields = {"url": url, "model": "wise", **PATIENT, **settings}
    file = folder.parent / "judge.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(fields))
    return read_judge(str(file), None, None, folder)


def scored(name: str, data: Path, answers: dict[int, str], judge: Judge | None, rule: Rule = "official") -> Scored:
    chosen = find_task(name)[0]
    return score_answers(chosen, read_items(chosen, data), answers, Reading(rule), judge=judge)


def records(folder: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def by_answer(words: dict[str, str]):
    """A script that finds what to say by a part of the question."""
    return lambda asked: next(said for part, said in words.items() if part in asked.text.rsplit("---", 1)[-1])


GRADES = by_answer({"x = -1": "0.5", "a desk lamp": "1.0", "somewhere": "0.0"})


def test_a_judges_grades_become_the_score_of_every_ability(mmvet, tmp_path):
    with serve_judge(GRADES) as endpoint:
        found = scored("mmvet", mmvet, ANSWERS, a_judge(endpoint.url, tmp_path / "j"))
    assert [verdict.score for verdict in found.verdicts] == [0.5, 1.0, 0.0]
    values = {name: figure.value for name, figure in found.figures.items()}
    # ocr and math: the first item; rec: the second and third; gen: of none
    assert values == {"score": 0.5, "rec": 0.5, "ocr": 0.5, "know": 0.0, "spat": 1.0, "math": 0.5}
    assert found.way == f"judge wise ({VERSION})"
    assert not found.unreadable and not found.unjudged


def test_judge_version_and_prompt_stand_beside_every_verdict(mmvet, tmp_path):
    with serve_judge(GRADES) as endpoint:
        scored("mmvet", mmvet, ANSWERS, a_judge(endpoint.url, tmp_path / "j"))
    lines = records(tmp_path / "j", "mmvet")
    assert [(line["index"], line["judge"], line["version"]) for line in lines] == [
        (n, "wise", VERSION) for n in range(3)
    ]
    assert {line["prompt"] for line in lines} == {"grade-1"}
    assert [(line["reply"], line["score"]) for line in lines] == [("0.5", 0.5), ("1.0", 1.0), ("0.0", 0.0)]
    bodies = {json.dumps(call.body["messages"]) for call in endpoint.calls}
    assert {
        json.dumps([dict(zip(("role", "content"), one, strict=True)) for one in line["asked"]]) for line in lines
    } == bodies
    for call in endpoint.calls:
        assert call.body["temperature"] == 0 and call.body["model"] == "wise"
        assert "response_format" not in call.body and call.key == ""


def test_the_question_to_the_judge_is_a_row_of_a_table(mmvet, tmp_path):
    with serve_judge(GRADES) as endpoint:
        scored("mmvet", mmvet, ANSWERS, a_judge(endpoint.url, tmp_path / "j", threads=1))
    rows = [call.text.splitlines()[-3] for call in endpoint.calls]
    assert rows[0] == "What is x in the equation? | -1<AND>-5 | x = -1 |"
    # a line in the question would part a cell
    assert rows[2] == "Where was this taken? / say the land | Australia | somewhere |"


def test_a_repeated_run_costs_nothing_and_another_answer_costs_one_call(mmvet, tmp_path):
    with serve_judge(GRADES) as endpoint:
        judges = [a_judge(endpoint.url, tmp_path / "j") for _ in range(3)]
        first = scored("mmvet", mmvet, ANSWERS, judges[0])
        kept = (tmp_path / "j" / "mmvet.jsonl").read_bytes()
        again = scored("mmvet", mmvet, ANSWERS, judges[1])
        assert len(endpoint.calls) == 3 and again.verdicts == first.verdicts
        assert (tmp_path / "j" / "mmvet.jsonl").read_bytes() == kept
        scored("mmvet", mmvet, ANSWERS | {2: "somewhere else"}, judges[2])
        assert [call.text.splitlines()[-3][-16:] for call in endpoint.calls[3:]] == ["somewhere else |"]
        assert "0 calls" in judges[1].account() and "1 calls" in judges[2].account()


def test_another_judge_is_asked_anew(mmvet, tmp_path):
    with serve_judge(GRADES) as endpoint:
        scored("mmvet", mmvet, ANSWERS, a_judge(endpoint.url, tmp_path / "j"))
        scored("mmvet", mmvet, ANSWERS, a_judge(endpoint.url, tmp_path / "j", model="wiser"))
        assert len(endpoint.calls) == 6


def test_a_run_that_cannot_go_on_keeps_what_was_paid_for(mmvet, tmp_path):
    with serve_judge(lambda asked: "<401>" if asked.number == 2 else GRADES(asked)) as endpoint:
        judge = a_judge(endpoint.url, tmp_path / "j", threads=1)
        stopped = scored("mmvet", mmvet, ANSWERS, judge)  # it is scored, and told at the end
        assert ["HTTP 401" in verdict.unjudged for verdict in stopped.verdicts] == [False, False, True]
        with pytest.raises(StopError, match="HTTP 401"):
            judge.check_answered()
        found = scored("mmvet", mmvet, ANSWERS, a_judge(endpoint.url, tmp_path / "j"))
        assert len(endpoint.calls) == 4
    assert [verdict.score for verdict in found.verdicts] == [0.5, 1.0, 0.0]


def test_errors_and_rate_limits_pass(mmvet, tmp_path):
    seen: dict[str, int] = {}

    def script(asked: Asked) -> str:
        row = asked.text.splitlines()[-3]
        seen[row] = seen.get(row, 0) + 1
        failures = {"-1": "<503>", "lamp": "<429 0.01>", "land": "<drop>"}
        return next(f for part, f in failures.items() if part in row) if seen[row] == 1 else GRADES(asked)

    with serve_judge(script) as endpoint:
        found = scored("mmvet", mmvet, ANSWERS, a_judge(endpoint.url, tmp_path / "j"))
    assert [verdict.score for verdict in found.verdicts] == [0.5, 1.0, 0.0] and len(endpoint.calls) == 6


@pytest.mark.parametrize(
    ("said", "reason", "calls"),
    [
        ("I like it.", "unreadable judgement", 2),
        ("", "unreadable judgement", 2),
        ("0.5 or 0.6", "unreadable judgement", 2),
        ("1.1", "unreadable judgement", 2),
        ("-0.5", "unreadable judgement", 2),
        ("nan", "unreadable judgement", 2),
        ("<think>0.5</think>", "unreadable judgement", 2),
        ("<filter>", "refused by the judge", 1),
        ("<400>", "HTTP 400: not now: ", 1),
        ("<500>", "HTTP 500: not now: ", 3),
    ],
)
def test_an_answer_without_a_judgement_is_counted_by_itself_and_nothing_is_guessed(
    mmvet, tmp_path, said, reason, calls
):
    def script(asked: Asked) -> str:
        return said if "lamp" in asked.text.splitlines()[-3] else GRADES(asked)

    with serve_judge(script) as endpoint:
        found = scored("mmvet", mmvet, ANSWERS, a_judge(endpoint.url, tmp_path / "j"))
        assert sum("lamp" in call.text.splitlines()[-3] for call in endpoint.calls) == calls
        assert found.unjudged == {1: reason} and not found.unreadable
        assert [verdict.score for verdict in found.verdicts] == [0.5, 0.0, 0.0]
        assert found.to_dict()["unjudged"] == {"1": reason}
        assert "1 answers without a judgement, counted at their worst: 1" in as_text(found)
        before = len(endpoint.calls)
        again = scored("mmvet", mmvet, ANSWERS, a_judge(endpoint.url, tmp_path / "j"))
        # words that came are kept; what failed is asked anew
        assert len(endpoint.calls) - before == (calls if said in ("<400>", "<500>") else 0)
        assert again.verdicts == found.verdicts


def test_a_judge_is_told_once_what_was_wrong_with_its_words(mmvet, tmp_path):
    with serve_judge(lambda asked: GRADES(asked) if asked.again else "Let me see") as endpoint:
        found = scored("mmvet", mmvet, ANSWERS, a_judge(endpoint.url, tmp_path / "j"))
    assert [verdict.score for verdict in found.verdicts] == [0.5, 1.0, 0.0]
    turns = [call.body["messages"][1:] for call in endpoint.calls if call.again]
    assert turns == [[{"role": "assistant", "content": "Let me see"}, {"role": "user", "content": AGAIN}]] * 3


AGAIN = "Reply with the number alone."


@pytest.mark.parametrize("said", ["0.7", "**0.7**", "Grade: 0.7", "0.7/1.0", "0.7 |", "<think>0.2 or 1</think>\n0.7."])
def test_ways_in_which_judges_write_a_grade(mmvet, tmp_path, said):
    with serve_judge(lambda _: said) as endpoint:
        found = scored("mmvet", mmvet, {0: "x"}, a_judge(endpoint.url, tmp_path / "j"))
    assert found.verdicts[0].score == 0.7


def test_empty_and_missing_answers_are_not_judged(mmvet, tmp_path):
    with serve_judge(GRADES) as endpoint:
        found = scored("mmvet", mmvet, {0: " ", 1: "<think>a desk lamp"}, a_judge(endpoint.url, tmp_path / "j"))
        assert endpoint.calls == []
    assert found.missing == [2] and found.unreadable == [0, 1] and found.headline[1].value == 0
    assert [line["judge"] for line in records(tmp_path / "j", "mmvet")] == [None] * 3


def test_the_order_in_which_a_judge_answers_changes_nothing(mmvet, tmp_path):
    draw = random.Random(0)
    with serve_judge(lambda asked: late(GRADES(asked), draw.uniform(0, 0.05))) as endpoint:
        first = scored("mmvet", mmvet, ANSWERS, a_judge(endpoint.url, tmp_path / "one", threads=3))
        second = scored("mmvet", mmvet, ANSWERS, a_judge(endpoint.url, tmp_path / "two", threads=1))
    assert first.to_dict() == second.to_dict()
    assert records(tmp_path / "one", "mmvet") == records(tmp_path / "two", "mmvet")


# --- what is done without a judge


def test_without_a_judge_the_parts_of_the_true_answer_are_looked_for_and_that_is_said(mmvet):
    found = scored("mmvet", mmvet, {0: "x = -1 or x = 5", 1: "A desk lamp.", 2: "Austria"}, None)
    assert [verdict.score for verdict in found.verdicts] == [0.5, 1.0, 0.0]
    assert found.way == "no judge: the true answer's parts, word for word" and found.way in as_text(found)


@pytest.mark.parametrize("name", ["llavabench", "infimm"])
def test_what_only_a_judge_could_score_is_not_scored_without_one(tmp_path, name):
    write_release(name, tmp_path)
    found = scored(name, tmp_path, dict.fromkeys(range(3), "a bay"), None)
    told = found.to_dict()
    assert told["score"] is None and told["interval"] == [None, None] and told["per_item"] == [None] * 3
    assert found.unreadable == [] and found.way == "not scored: no judge"
    assert "not scored" in as_text(found) and "nan" not in json.dumps(told).lower().replace("unnamed", "")


# --- the benchmarks' own scores, worked by hand


def test_llavabench_is_the_ratio_of_the_models_scores_to_those_of_gpt4(tmp_path):
    write_release("llavabench", tmp_path / "data")
    words = {"is the name": "8 6\nBecause.", "Describe": "10, 5\n", "funny": "I would say 9 to 4"}
    script = lambda asked: next(said for part, said in words.items() if part in asked.text)  # noqa: E731
    answers = {0: "Diamond Bay", 1: "A bay.", 2: "It says no."}
    with serve_judge(script) as endpoint:
        found = scored("llavabench", tmp_path / "data", answers, a_judge(endpoint.url, tmp_path / "j"))
    values = {name: round(figure.value, 3) for name, figure in found.figures.items()}
    # the third item has no judgement: 0 against 10
    assert values == {"relative score": round(1100 / 28, 3), "conv": 75.0, "detail": 50.0, "complex": 0.0}
    assert found.unjudged == {2: "unreadable judgement"}
    system, asked = endpoint.calls[0].body["messages"][:2]
    assert system["content"].startswith("You are a helpful and precise assistant")
    first = next(call.text for call in endpoint.calls if "Describe" in call.text)
    assert first.startswith(
        "[Context]\nWhat 001.jpg shows, in words.\n\n[Question]\nDescribe this photo.\n\n[Assistant 1]\n"
    )
    assert "[Assistant 2]\nA bay.\n\n[End of Assistant 2]\n\n[System]\n" in first and asked["role"] == "user"


def test_llavabench_uses_the_published_prompts_where_they_lie_beside(tmp_path):
    write_release("llavabench", tmp_path / "data")
    rules = {
        f"llava_bench_{kind}": {"role": "Assistant", "prompt": f"Rate {kind}."}
        for kind in ("conv", "detail", "complex")
    }
    (tmp_path / "data" / "llava-bench-in-the-wild" / "rule.json").write_text(json.dumps(rules))
    with serve_judge(lambda _: "8 8") as endpoint:
        found = scored("llavabench", tmp_path / "data", {1: "A bay."}, a_judge(endpoint.url, tmp_path / "j"))
        assert endpoint.calls[0].text.endswith("[System]\nRate detail.\n\n")
    assert found.judge is not None and found.judge["prompts"] == ["rule.json of the LLaVA repository"]


def test_infimm_counts_questions_of_high_complexity_twice(tmp_path):
    write_release("infimm", tmp_path / "data")
    words = {"Which season": "0.5", "Why the helmet": "1.0", "How does it go on": "0.2"}
    script = lambda asked: next(said for part, said in words.items() if part in asked.text)  # noqa: E731
    with serve_judge(script) as endpoint:
        found = scored(
            "infimm", tmp_path / "data", dict.fromkeys(range(3), "so"), a_judge(endpoint.url, tmp_path / "j")
        )
        assert "Snow melts.\nSo it warms." in next(c.text for c in endpoint.calls if "Which season" in c.text)
    values = {name: round(figure.value, 6) for name, figure in found.figures.items()}
    # (2 * 0.5 + 1.0 + 0.2) / 4
    wanted = {"score": 55.0, "deductive": 50.0, "abductive": 100.0, "analogical": 20.0, "moderate": 60.0, "high": 50.0}
    assert values == wanted


VISTA = {0: "The answer is (B) equal to.", 1: "12", 2: "It is 1.23 cm long.", 3: "0.249 m", 4: "[1,2,3]"}


def test_mathvista_by_rule(tmp_path):
    write_release("mathvista", tmp_path)
    found = scored("mathvista", tmp_path, VISTA, None)
    assert [(verdict.score, verdict.said) for verdict in found.verdicts] == [
        *((1.0, "B"), (1.0, "12"), (1.0, "1.2"), (1.0, "0.25"), (1.0, "[1,2,3]"))
    ]
    wrong = {0: "less than", 1: "12 or 13", 2: "about one", 3: "0.2", 4: "1, 2, 3"}
    found = scored("mathvista", tmp_path, wrong, None)
    assert [verdict.score for verdict in found.verdicts] == [0.0] * 5 and found.unreadable == [1, 2, 4]


def test_mathvista_asks_a_judge_only_what_is_not_bare(tmp_path):
    write_release("mathvista", tmp_path / "data")
    found_by = by_answer(
        {"It is 1.23": "1.23", "answer is (B)": "(B) equal to", "0.249": "null", "[1,2,3]": "[1, 2, 3]"}
    )
    with serve_judge(lambda asked: found_by(asked)) as endpoint:
        found = scored("mathvista", tmp_path / "data", VISTA, a_judge(endpoint.url, tmp_path / "j"))
        assert len(endpoint.calls) == 4  # the bare 12 needs none
    assert [verdict.score for verdict in found.verdicts] == [1.0, 1.0, 1.0, 0.0, 1.0]
    # a judge that finds no answer tells that the answer is unreadable, not that there is no judgement
    assert found.unreadable == [3] and not found.unjudged


def test_mathvistas_script_takes_the_option_with_the_fewest_edits(tmp_path):
    write_release("mathvista", tmp_path)
    answers = {0: "equal tu", 4: "[1,2,3]"}
    assert scored("mathvista", tmp_path, answers, None).unreadable == [0]
    found = scored("mathvista", tmp_path, answers, None, "script")
    assert found.verdicts[0].said == "B" and found.verdicts[0].score == 1
    assert found.verdicts[4].score == 0  # lists are compared as they are written


def test_mathverse_by_version(tmp_path):
    write_release("mathverse", tmp_path / "data")
    right = {0: "B", 1: "It is 14.", 2: "A", 3: "140", 8: "B:60°"}
    found = scored("mathverse", tmp_path / "data", right, None)
    values = {name: figure.value for name, figure in found.figures.items()}
    names = ("accuracy", "Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only")
    assert values == dict(zip(names, (0.3, 1.0, 0.0, 0.0, 0.0, 0.5), strict=True))
    with serve_judge(lambda asked: str(int("It is 14" in asked.text))) as endpoint:
        found = scored("mathverse", tmp_path / "data", right, a_judge(endpoint.url, tmp_path / "j"))
    assert [verdict.score for verdict in found.verdicts] == [0, 1.0, 0, 0, 0, 0, 0, 0, 0, 0]


def test_benchlmm_is_the_mean_of_its_styles(tmp_path):
    write_release("benchlmm", tmp_path)
    found = scored("benchlmm", tmp_path, {0: "A fence.", 1: "no", 2: "none", 3: "It stops"}, None)
    values = {name: figure.value for name, figure in found.figures.items()}
    assert values == {"mean of styles": pytest.approx(2 / 3), "style_cartoon": 1.0, "xray": 0.0, "AD": 1.0}


# --- the command line


def score_with(data: Path, tmp_path: Path, capsys, *options: str) -> tuple[int, str, str]:
    """Exit code, output and errors of scoring the answers."""
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps({"index": n, "answer": text}) + "\n" for n, text in ANSWERS.items()))
    return run("score", "mmvet", str(data), str(answers), *options, capsys=capsys)


def test_score_with_a_judge(mmvet, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with serve_judge(GRADES) as endpoint:
        options = ("--judge", endpoint.url, "--judge-model", "wise", "--judge-key", "JUDGE_KEY", "--json")
        code, out, err = score_with(mmvet, tmp_path, capsys, *options)
        assert endpoint.calls[0].key == f"Bearer {KEY}"
    assert code == 0 and json.loads(out)["score"] == 0.5 and "3 calls" in err and "tokens in" in err
    assert records(tmp_path / "answers.judgements", "mmvet")[1]["score"] == 1.0


def test_the_key_is_written_nowhere(mmvet, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with serve_judge(lambda _: "<401>") as endpoint:
        options = ("--judge", endpoint.url, "--judge-model", "wise", "--judge-key", "JUDGE_KEY")
        code, *told = score_with(mmvet, tmp_path, capsys, *options)
        assert code == 2 and "HTTP 401" in told[1] and endpoint.calls[0].key == f"Bearer {KEY}"
        endpoint.script = lambda asked: f"I got {asked.key}"
        code, *more = score_with(mmvet, tmp_path, capsys, *options)
    assert (
        (code, "judged none of 3 answers: unreadable judgement" in more[1]) == (2, True)
        and KEY not in "".join([*told, *more])
        and "I got Bearer ***" in records(tmp_path / "answers.judgements", "mmvet")[0]["reply"]
    )
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(written) > 5 and not any(KEY.encode() in file.read_bytes() for file in written)


def test_a_price_cap_stops_a_judge(mmvet, tmp_path, capsys):
    with serve_judge(GRADES) as endpoint:
        fields = {"url": endpoint.url, "model": "wise", "price_in": 10.0, "price_out": 30.0, "cap": 0.018, "threads": 1}
        (tmp_path / "judge.yaml").write_text(json.dumps(fields))
        code, _, err = score_with(mmvet, tmp_path, capsys, "--judge", str(tmp_path / "judge.yaml"))
        assert code == 2 and "price cap of 0.018 reached" in err
        assert 0 < len(endpoint.calls) < 3
        (tmp_path / "judge.yaml").write_text(json.dumps(fields | {"cap": 1.0}))
        code, _, err = score_with(mmvet, tmp_path, capsys, "--judge", str(tmp_path / "judge.yaml"))
        assert code == 0 and len(endpoint.calls) == 3 and "spent" in err


def test_what_tasks_of_one_run_spend_is_told_together(tmp_path):
    for name in ("mmvet", "benchlmm"):
        write_release(name, tmp_path / name)
    with serve_judge(lambda _: "0.5") as endpoint:
        prices = {"price_in": 10.0, "price_out": 30.0, "cap": 1.0}
        for before in (False, True):
            judge = a_judge(endpoint.url, tmp_path / "j", **prices)
            for name in ("mmvet", "benchlmm"):
                scored(name, tmp_path / name, dict.fromkeys(range(3), f"x{before}"), judge)
            assert judge.spending.asked == 6 and (judge.spending.before > 0) == before
            assert judge.spending.spent == pytest.approx(sum_of(tmp_path / "j") - judge.spending.before)


def sum_of(folder: Path) -> float:
    """What all calls cost that were kept."""
    lines = map(json.loads, (folder / ".calls" / "answers.jsonl").read_text().splitlines())
    return sum(line.get("paid", 0) for line in lines) / 1e12


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--judge", "http://127.0.0.1:1/v1"), "--judge-model"),
        (("--judge-model", "wise"), "--judge-model goes with --judge"),
        (("--judge", "none", "--judge-key", "X"), "--judge-key goes with --judge"),
        (("--judge", "gpt-4", "--judge-model", "x"), "neither an address"),
        (("--judge", "https://user:secret@host/v1", "--judge-model", "x"), "no password"),
        (("--judge", "https://host/v1", "--judge-model", "x", "--judge-key", "NOT_SET_AT_ALL"), "NOT_SET_AT_ALL"),
    ],
)
def test_options_that_cannot_be_are_told_in_a_line(mmvet, tmp_path, capsys, options, said):
    code, _, error = score_with(mmvet, tmp_path, capsys, *options)
    assert code == 2 and said in error and "secret" not in error and one_line(error)


def test_a_benchmark_that_is_scored_by_rule_wants_no_judge(tmp_path, capsys):
    write_release("pope", tmp_path)
    (tmp_path / "a.jsonl").write_text("")
    options = ["--judge", "http://127.0.0.1:1/v1", "--judge-model", "x"]
    code, _, error = run("score", "pope_popular", str(tmp_path), str(tmp_path / "a.jsonl"), *options, capsys=capsys)
    assert code == 2 and "wants no judge" in error


def test_settings_that_are_none_are_named(tmp_path):
    (tmp_path / "judge.yaml").write_text("url: https://host/v1\nmodel: x\nspeed: 3\n")
    with pytest.raises(DataError, match="speed"):
        read_judge(str(tmp_path / "judge.yaml"), None, None, tmp_path)
    (tmp_path / "judge.yaml").write_text("[1")
    with pytest.raises(DataError, match="no YAML file"):
        read_judge(str(tmp_path / "judge.yaml"), None, None, tmp_path)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_equals_the_undisturbed_one(tmp_path):
    count = 24
    entries = {
        f"v1_{n}": {
            "imagename": f"{n}.png",
            "question": f"Which number is {n}?",
            "answer": str(n),
            "capability": ["rec"],
        }
        for n in range(count)
    }
    (tmp_path / "mm-vet.json").write_text(json.dumps(entries))
    answers = tmp_path / "a" / "answers.jsonl"
    answers.parent.mkdir()
    answers.write_text("".join(json.dumps({"index": n, "answer": f"number {n}"}) + "\n" for n in range(count)))
    command = [sys.executable, "-m", "sphinx_x", "score", "mmvet", str(tmp_path), str(answers), "--json"]
    with serve_judge(lambda asked: late("0.3", 0.2)) as endpoint:
        (tmp_path / "judge.yaml").write_text(json.dumps({"url": endpoint.url, "model": "wise", "threads": 2}))
        command += ["--judge", str(tmp_path / "judge.yaml")]
        for wanted in (3, 8, 15):
            killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
            end = time.monotonic() + 60
            while len(endpoint.calls) < wanted and time.monotonic() < end:
                time.sleep(0.01)
            killed.send_signal(signal.SIGKILL)
            killed.wait()
        out = subprocess.run(command, capture_output=True, text=True, check=True)
        # two calls at most were under way at each of three kills
        assert count <= len(endpoint.calls) <= count + 6
        before = len(endpoint.calls)
        whole = subprocess.run(
            [*command, "--judgements", str(tmp_path / "b")], capture_output=True, text=True, check=True
        )
        assert len(endpoint.calls) == before + count
    assert json.loads(out.stdout) == json.loads(whole.stdout)
    assert records(answers.parent / "answers.judgements", "mmvet") == records(tmp_path / "b", "mmvet")
