"""What the tests of the endpoint writer share: requests, settings that hardly wait, runs with their accounts."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from sphinx_x.endpoints.cache import LOG
from sphinx_x.endpoints.settings import EndpointSettings
from sphinx_x.endpoints.spending import Spending, StopError
from sphinx_x.engines.som import endpoint as writer
from sphinx_x.engines.som.endpoint import write_all
from sphinx_x.engines.som.prompts import DOMAINS, KINDS, Request
from sphinx_x.engines.som.replies import Answer
from vision_endpoint import PRICES

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
PASSING = ["429", "429 0.01", "500", "502", "503", "504", "529", "408", "drop", "html", "torn", "envelope"]
