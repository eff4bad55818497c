"""Reading what a vision model answered: the forms of the four kinds, checked strictly, and their text (section 4.2)."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from sphinx_x.engines.som.prompts import Request

LONGEST = 4000
"""Characters of one text; a model that writes more does not stop."""

_MARK = re.compile(r"<\s*Mark\s+([^<>\s]+)\s*>", re.IGNORECASE)
_LABEL = re.compile(r"<?\s*(?:Mark\s+)?([^<>\s]+?)\s*>?", re.IGNORECASE)
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n?\s*```", re.DOTALL)
_THOUGHT = re.compile(r"\s*<think>.*?</think>", re.DOTALL)


def _clean(text: str) -> str:
    text = " ".join(text.split())
    if not any(c.isalnum() for c in text):
        raise ValueError("a text is empty")
    if len(text) > LONGEST:
        raise ValueError(f"a text has more than {LONGEST} characters")
    if "<image>" in text or "\ufffd" in text or any(unicodedata.category(c) in ("Cc", "Cs", "Co") for c in text):
        raise ValueError("a text holds characters or placeholders that no text may hold")
    return _MARK.sub(lambda match: f"<Mark {match[1]}>", text)


def _label(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    match = _LABEL.fullmatch(value.strip()) if isinstance(value, str) else None
    return match[1] if match else value


Clean = Annotated[str, AfterValidator(_clean)]
Label = Annotated[str, BeforeValidator(_label)]


class Form(BaseModel):
    """A part of an answer: unknown fields and other types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Caption(Form):
    """What one mark shows."""

    mark: Label
    text: Clean


class Short(Form):
    """One caption for every mark."""

    marks: list[Caption]


class Detailed(Form):
    """One or two sentences about the whole image, and one caption for every mark."""

    picture: Clean
    marks: list[Caption]


class Relation(Form):
    """How two or more marks relate."""

    marks: list[Label]
    text: Clean


class Relations(Form):
    """Relations that include every mark."""

    relations: list[Relation]


class Exchange(Form):
    """One question with its answer."""

    question: Clean
    answer: Clean


class Questions(Form):
    """Questions that include every mark."""

    exchanges: list[Exchange]


FORMS: dict[str, type[Form]] = {
    "detailed": Detailed,
    "short": Short,
    "relations": Relations,
    "questions": Questions,
}


@dataclass(frozen=True)
class Answer:
    """An answer in the form of its kind.

    Attributes:
        text: `Mark 1: ...` lines (detailed, short), `<Mark 1><Mark 2>: ...` lines (relations), or `Q: ...` and `A: ...`
            lines (questions).
        picture: About the whole image (detailed only).
        exchanges: Questions with their answers.
    """

    text: str
    picture: str = ""
    exchanges: tuple[tuple[str, str], ...] = ()

    @property
    def whole(self) -> str:
        """Everything that was written."""
        return f"{self.picture}\n{self.text}" if self.picture else self.text


def read_answer(request: Request, content: str) -> tuple[Answer | None, list[str]]:
    """Return the answer in `content`, or None and the reasons why it is not one."""
    try:
        form = FORMS[request.kind].model_validate(json.loads(_bare(content)))
    except ValidationError as error:
        return None, sorted({_reason(dict(problem)) for problem in error.errors()})
    except (ValueError, RecursionError):
        return None, ["the answer is not one JSON object"]
    reasons = _wrong_marks(request, form)
    return (None, reasons) if reasons else (_written(request, form), [])


@cache
def schema(kind: str) -> dict[str, Any]:
    """Return the `response_format` that asks an endpoint for the form of a kind."""
    return {
        "type": "json_schema",
        "json_schema": {"name": kind, "strict": True, "schema": FORMS[kind].model_json_schema()},
    }


def _bare(content: str) -> str:
    """Strip the reasoning before the answer and the code fence around it, which many models write."""
    content = _THOUGHT.sub("", content, count=1).strip() if content.lstrip().startswith("<think>") else content.strip()
    fenced = _FENCE.fullmatch(content)
    return fenced[1] if fenced else content


def _reason(problem: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in problem["loc"] if isinstance(part, str) and part in _FIELDS)
    if problem["type"] == "value_error":
        return f"{place}: {problem['ctx']['error']}"
    if problem["type"] == "missing":
        return f"{place}: is missing"
    if problem["type"] == "extra_forbidden":
        return "a field is there that the form does not have"
    return f"{place or 'the answer'}: is of another type"


_FIELDS = {"picture", "marks", "mark", "text", "relations", "exchanges", "question", "answer"}


def _wrong_marks(request: Request, form: Form) -> list[str]:
    """Return what is wrong with the marks of an answer: unknown, missing, repeated, alone in a relation."""
    reasons, texts = [], []
    if isinstance(form, Short | Detailed):
        cited = Counter(caption.mark for caption in form.marks)
        texts = [caption.text for caption in form.marks] + ([form.picture] if isinstance(form, Detailed) else [])
        reasons = [f"mark {label} is described twice" for label, count in cited.items() if count > 1]
    elif isinstance(form, Relations):
        cited = Counter(label for relation in form.relations for label in relation.marks)
        texts = [relation.text for relation in form.relations]
        if any(len(set(relation.marks)) < max(2, len(relation.marks)) for relation in form.relations):
            reasons = ["a relation does not have two or more different marks"]
    else:
        assert isinstance(form, Questions)
        questions = [_MARK.findall(exchange.question) for exchange in form.exchanges]
        cited = Counter(label for labels in questions for label in labels)
        texts = [exchange.answer for exchange in form.exchanges]
        if not all(questions) or len(questions) < 2:
            reasons = ["there are not two questions, or one is about no mark"]
    known = set(request.labels)
    strange = (cited.keys() | _cited(texts)) - known
    reasons += [f"mark {label[:20]} does not exist" for label in sorted(strange)]
    return reasons + [f"mark {label} is missing" for label in request.labels if label not in cited]


def _cited(texts: Iterable[str]) -> set[str]:
    return {label for text in texts for label in _MARK.findall(text)}


def _written(request: Request, form: Form) -> Answer:
    if isinstance(form, Short | Detailed):
        by_label = {caption.mark: caption.text for caption in form.marks}
        text = "\n".join(f"Mark {label}: {by_label[label]}" for label in request.labels)
        return Answer(text, form.picture if isinstance(form, Detailed) else "")
    if isinstance(form, Relations):
        return Answer("\n".join("".join(f"<Mark {k}>" for k in r.marks) + f": {r.text}" for r in form.relations))
    assert isinstance(form, Questions)
    exchanges = tuple((exchange.question, exchange.answer) for exchange in form.exchanges)
    return Answer("\n".join(f"Q: {question}\nA: {answer}" for question, answer in exchanges), "", exchanges)
