"""A judge: a language model behind an OpenAI-compatible endpoint that is asked what answers are worth.

Its words are kept in `judgements/.calls` as they come, so that a killed or repeated run costs nothing (key: the judge's
name and settings, the prompt, which has the answer in it), and beside every verdict in `judgements/TASK.jsonl`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from sphinx_x.endpoints.cache import Completion, key_of, opened
from sphinx_x.endpoints.calls import Calls, Question, host_of
from sphinx_x.endpoints.client import CallError, Client
from sphinx_x.endpoints.settings import EndpointSettings, body_of, parameters_of, read_settings, text_tokens
from sphinx_x.endpoints.spending import Spending, StopError
from sphinx_x.errors import DataError, one_line
from sphinx_x.evaluation.items import Item, Verdict
from sphinx_x.evaluation.judging import Judging, Texts
from sphinx_x.evaluation.scoring.thoughts import without_thoughts
from sphinx_x.evaluation.task import Reading, Task
from sphinx_x.work.files import write_atomic

CALLS = ".calls"
NOTHING = "(nothing)"
"""Shown instead of an empty reply, which many endpoints do not take back."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Judgement:
    """What a judge said about an answer.

    Attributes:
        index: The item's.
        verdict: What the words mean.
        asked: The conversation; empty where a rule decided, or where there is no answer.
        reply: The judge's last words.
        version: The judge's version, by the endpoint's own name.
        prompt: Name and version of the prompt.
    """

    index: int
    verdict: Verdict
    asked: Texts = field(default_factory=list)
    reply: str = ""
    version: str = ""
    prompt: str = ""


@dataclass(frozen=True)
class Judge:
    """A judge with the folder of its judgements.

    Attributes:
        settings: How its endpoint is asked.
        folder: Where its words are kept.
        spending: What this run cost, told by `account`.
        stopped: Why no further answer could be judged, told by `check_answered`.
    """

    settings: EndpointSettings
    folder: Path
    spending: Spending = field(default_factory=Spending)
    stopped: list[StopError] = field(default_factory=list)

    def described(self, judgements: Sequence[Judgement]) -> dict[str, Any]:
        """Who judged, by the endpoint's names for the versions that answered, and how it was asked, as JSON."""
        return {
            "judge": self.settings.model,
            "versions": sorted({judgement.version for judgement in judgements if judgement.version}),
            "prompts": sorted({judgement.prompt for judgement in judgements if judgement.prompt}),
            "temperature": self.settings.temperature,
            "endpoint": host_of(self.settings.url),
        }

    def judge(
        self,
        name: str,
        task: Task,
        answers: Sequence[tuple[Item, str | None]],
        how: Reading,
        progress: Progress = lambda *_: None,
    ) -> list[Judgement]:
        """What the judge says about all answers to a task (None: there is none), in their order.

        Args:
            name: Of the file of the judgements.
            task: Has to have a `judging`.
            answers: Items with what was answered, without thoughts.
            how: How the task's own rule reads an answer that needs no judge.
            progress: Told how many answers of how many are done.

        Where no further answer can be judged (the price cap, the key, the address), the others are marked as such.
        """
        assert task.judging is not None
        found: list[Judgement] = []
        with opened(self.folder / CALLS) as cache:
            calls = Calls(_fitted(self.settings, task.judging), cache)
            work = partial(_judged, calls, task, how)
            try:
                for judgement in calls.results(work, answers, lambda _: None):
                    found.append(judgement)
                    progress(len(found), len(answers))
            except StopError as error:
                self.stopped.append(error)
                left = answers[len(found) :]
                found += [_missing(item, task.judging, [], one_line(error)) for item, _ in left]
            finally:
                account = calls.account()
                if self.spending == Spending():  # what later tasks find spent is this run's own
                    self.spending.before = account.before
                self.spending.add(account)
        self._count(found)
        rows = map(self._row, found)
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_atomic(self.folder / f"{name}.jsonl", "".join(lines))
        return found

    def _count(self, judgements: Sequence[Judgement]) -> None:
        for judgement in judgements:
            if judgement.verdict.unjudged:
                self.spending.failed[judgement.verdict.unjudged] += 1
            elif judgement.asked:
                self.spending.answered += 1

    def check_answered(self) -> None:
        """Raise `DataError` if the judge stopped, or was asked and has given no judgement, now or in an earlier run."""
        if self.stopped:
            raise self.stopped[0]
        told = self.spending
        if told.failed and not told.answered:
            count, (reason, _) = sum(told.failed.values()), told.failed.most_common(1)[0]
            place = host_of(self.settings.url)
            raise DataError(f"judge {self.settings.model} at {place} judged none of {count} answers: {reason}")

    def _row(self, judgement: Judgement) -> Mapping[str, Any]:
        return {
            "index": judgement.index,
            "judge": self.settings.model if judgement.asked else None,
            "version": judgement.version or None,
            "prompt": judgement.prompt or None,
            "asked": judgement.asked,
            "reply": judgement.reply,
            **asdict(judgement.verdict),
        }

    def account(self) -> str:
        """What judging cost, in words."""
        told = self.spending
        came, went = told.tokens
        cost = f", {told.spent:.4f} spent" if told.spent else ""
        before = f" ({told.before:.4f} by earlier runs)" if told.before else ""
        place = host_of(self.settings.url)
        return (
            f"judge {self.settings.model} at {place}: {told.asked} calls, {came} tokens in and {went} out{cost}{before}"
        )


def read_judge(place: str, model: str | None, key_variable: str | None, folder: Path) -> Judge:
    """A judge by the address of its endpoint, or by a YAML or JSON file of settings (`EndpointSettings`).

    Args:
        place: The address (`https://host/v1`) or the file.
        model: The judge's name there, where no file tells it.
        key_variable: The environment variable that holds the key.
        folder: Where its judgements are kept.

    Raises:
        DataError: Settings that are incomplete or wrong, a key that is not set.
    """
    fields: dict[str, Any] = {"temperature": 0, "structured": "plain", "price_in": 0, "price_out": 0, "cap": 0}
    if place.startswith(("http://", "https://")):
        fields |= {"url": place}
    else:
        fields |= _file_fields(Path(place))
    fields |= {"model": model} if model else {}
    fields |= {"key_variable": key_variable} if key_variable else {}
    if "model" not in fields:
        raise DataError("a judge needs a name: --judge-model, as its endpoint calls it")
    settings = read_settings(fields)
    Client(settings.url, settings.key_variable, settings.timeout)  # an address or key that cannot be is told at once
    return Judge(settings, folder)


def _file_fields(path: Path) -> dict[str, Any]:
    import yaml

    from sphinx_x.work.settings import load_yaml

    if not path.is_file():
        raise DataError(f"--judge {path}: neither an address like https://host/v1 nor a file of settings, nor none")
    try:
        fields = load_yaml(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: no YAML file of an endpoint's settings") from error
    if not isinstance(fields, dict):
        raise DataError(f"{path}: holds no settings of an endpoint")
    return fields


def _fitted(settings: EndpointSettings, judging: Judging) -> EndpointSettings:
    """The settings with the length of a task's judgements, unless they tell one: a judge that thinks needs more."""
    if "max_tokens" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"max_tokens": judging.longest})


def _judged(calls: Calls, task: Task, how: Reading, pair: tuple[Item, str | None]) -> Judgement:
    item, answer = pair
    judging = task.judging
    assert judging is not None
    if answer is None or not answer.strip():
        return Judgement(item.index, judging.nothing)
    texts = judging.ask(item, answer)
    if texts is None:
        return Judgement(item.index, task.score(item, answer, how))
    asked, completion = texts, None
    for last in (False, True):
        try:
            completion, known = calls.ask(_question(task.name, item, asked, calls.settings))
        except CallError as error:
            return _missing(item, judging, asked, str(error))
        if not known and last:
            calls.add(reasked=True)
        if completion.refusal or completion.finish == "content_filter":
            return _missing(item, judging, asked, "refused by the judge", completion)
        verdict = judging.read(item, without_thoughts(completion.content).strip(), how.rule)
        if verdict is not None:
            return Judgement(item.index, verdict, asked, completion.content, completion.model, judging.prompt_of(item))
        if not last:
            asked = [*asked, ("assistant", completion.content or NOTHING), ("user", judging.again)]
    return _missing(item, judging, asked, "unreadable judgement", completion)


def _missing(
    item: Item, judging: Judging, asked: Texts, reason: str, completion: Completion | None = None
) -> Judgement:
    """No judgement: the worst verdict, counted apart from unreadable answers."""
    verdict = replace(judging.nothing, said="", unjudged=reason)
    reply, version = (completion.content, completion.model) if completion else ("", "")
    return Judgement(item.index, verdict, asked, reply, version, judging.prompt_of(item))


def _question(task: str, item: Item, texts: Texts, settings: EndpointSettings) -> Question:
    messages: list[dict[str, Any]] = [{"role": role, "content": text} for role, text in texts]
    body = json.dumps(body_of(messages, settings)).encode()
    # two servers may call different models the same
    key = key_of(parameters_of(settings) | {"host": host_of(settings.url)}, texts, b"")
    return Question(f"{task} {item.index}", key, texts, (text_tokens(texts), settings.max_tokens), lambda _: body)
