"""Asking a model what a benchmark asks: greedy, in batches, on one rank or several, going on after a stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from sphinx_x.conversation import IMAGE, Image, Place
from sphinx_x.errors import DataError, ImageError, PromptError
from sphinx_x.evaluation.answers import Answer, Store, digest
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.task import Task
from sphinx_x.inference import Prompt, SphinxX
from sphinx_x.inference.prompts import check_context, context_of

Shown = Literal["images", "blind", "shuffled"]
"""What a model sees: the item's own images, none, or those of another item."""
WINDOW = 16
"""Batches whose sizes are looked at together, so that a batch holds prompts of about the same length."""
T = TypeVar("T")
LONG = 128
"""Tokens of an answer from which on its probability is not kept: that takes the logits of every step."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Asking:
    """How a model is asked.

    model: its digest; longest: tokens of an answer, in place of the task's own limit; around: makes a context for each
    batch, in which it is answered.
    """

    sphinx: SphinxX
    model: str
    batch_size: int = 8
    longest: int | None = None
    generation: Mapping[str, Any] = field(default_factory=dict)
    around: Callable[[Sequence[Asked]], AbstractContextManager[Any]] = nullcontext

    def settings(self, task: Task) -> dict[str, Any]:
        """The settings of generation for a task, as JSON."""
        return {"max_new_tokens": self.longest or task.max_new_tokens, "do_sample": False, **self.generation}


@dataclass(frozen=True, slots=True)
class Asked:
    """An item with its prompt, ready to be asked. key: what its answer is known by."""

    item: Item
    prompt: Prompt | None
    key: str
    pictures: tuple[str, ...] = ()
    refused: str = ""

    @property
    def length(self) -> tuple[int, int]:
        """What items of one batch should have in common."""
        return (len(self.prompt.ids), self.prompt.width) if self.prompt else (0, 0)


def batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Runs of `size` items, the last one with what is left."""
    return (items[start : start + size] for start in range(0, len(items), size))


def shown_items(items: Sequence[Item], shown: Shown) -> list[Item]:
    """The items with the pictures that the model is to see.

    `shuffled` gives every item the pictures of an item half the list away, others than its own but as many of them
    where there are such; an item without pictures stays so. Raises `DataError` where all have the same.
    """
    if shown == "images":
        return list(items)
    if shown == "blind":
        return [_blind(item) for item in items]
    pictures = [tuple(picture.name for picture in item.pictures) for item in items]
    if len(set(pictures) - {()}) < 2:
        raise DataError("shuffled pictures need two different ones at least")
    count, found = len(items), []
    for number in range(count):
        if not pictures[number]:
            found.append(number)
            continue
        steps = [(number + count // 2 + step) % count for step in range(count)]
        others = [other for other in steps if pictures[other] and pictures[other] != pictures[number]]
        alike = (other for other in others if len(pictures[other]) == len(pictures[number]))
        found.append(next(alike, others[0]))
    return [replace(item, pictures=items[other].pictures) for item, other in zip(items, found, strict=True)]


def _blind(item: Item) -> Item:
    messages = (replace(m, parts=tuple(p for p in m.parts if not isinstance(p, Image))) for m in item.messages)
    places = any(isinstance(part, Place) for message in item.messages for part in message.parts)
    return replace(
        item,
        pictures=(),
        question=item.question.replace(IMAGE, "").strip(),
        messages=tuple(messages),
        hidden=item.pictures if places else (),
    )


def prepare(how: Asking, task: Task, item: Item) -> Asked:
    """An item's prompt and key. What cannot be shown or asked is refused in words, and counted as wrong later."""
    settings = repr(sorted(how.settings(task).items()))
    try:
        contents = [picture.read() for picture in item.pictures]
        if item.messages:
            hidden = [picture.read() for picture in item.hidden]
            messages = how.sphinx.with_places_as_text(item.messages, hidden) if hidden else item.messages
            prompt = how.sphinx.prompt(messages, contents, task.prefix)
        else:
            prompt = how.sphinx.prompt_for(task.ask(item), contents, task.prefix)
        check_context(context_of(how.sphinx.model), prompt)
    except (ImageError, PromptError) as error:
        # nothing is kept under this key: a picture that is put in place is asked about next time
        return Asked(item, None, "", refused=str(error))
    pictures = tuple(digest(content) for content in contents)
    # what was read in the pictures belongs to the prompt, and another version of the reader reads otherwise
    read = [repr(layout.lines) for layout in prompt.layouts if layout.lines]
    key = digest(how.model, prompt.text, *pictures, settings, *read)
    return Asked(item, prompt, key, pictures)


def ask(
    how: Asking,
    task: Task,
    items: Sequence[Item],
    store: Store,
    progress: Progress = lambda *_: None,
    rank: int = 0,
    ranks: int = 1,
) -> dict[int, Answer]:
    """Answers of this rank by the index of the item; those that the store has are not asked again.

    Windows of batches go to the ranks in turn, so that memory holds the pictures of one window at most, encoded, and
    the views of one batch; where items have several pictures, a window has fewer batches. Every answer is in the store
    before the next batch begins.
    """
    known = store.read()
    found: dict[int, Answer] = {}
    most = max((len(item.pictures) for item in items), default=1)
    windows = list(batched(items, max(1, WINDOW // max(1, most)) * how.batch_size))
    mine = windows[rank::ranks]
    total = sum(map(len, mine))
    for window in mine:
        asked = [prepare(how, task, item) for item in window]
        for one in asked:
            if one.refused:
                found[one.item.index] = Answer(one.item.index, "", "", "", refused=one.refused)
            elif one.key in known:
                found[one.item.index] = replace(known[one.key], index=one.item.index)
        progress(len(found), total)
        # the same batches whatever is known: the last digit of a probability depends on what it is computed with
        for batch in batched(sorted((one for one in asked if one.prompt), key=lambda one: one.length), how.batch_size):
            waiting = [one for one in batch if one.item.index not in found]
            if not waiting:
                continue
            answers = list(_answered(how, task, waiting))
            store.append(rank, answers)
            found |= {answer.index: answer for answer in answers}
            progress(len(found), total)
    return found


def _answered(how: Asking, task: Task, batch: Iterable[Asked]) -> Iterator[Answer]:
    """The answers of one batch. A picture that cannot be decoded is refused alone, and the others are asked."""
    asked = list(batch)
    prompts = [one.prompt for one in asked if one.prompt is not None]
    settings = how.settings(task)
    probabilities: list[float] | None = [] if settings["max_new_tokens"] <= LONG else None
    begin = time.perf_counter()
    try:
        # a batch of one would go on from the keys of an earlier prompt, which rounds otherwise
        with how.around(asked), how.sphinx.prefixes.paused():
            texts = how.sphinx.answers(prompts, how.batch_size, probabilities=probabilities, **settings)
    except ImageError as error:
        if len(asked) == 1:
            yield Answer(asked[0].item.index, "", asked[0].key, "", refused=str(error))
            return
        for one in asked:
            yield from _answered(how, task, [one])
        return
    seconds = (time.perf_counter() - begin) / len(asked)
    sure = [None] * len(asked) if probabilities is None else [round(float(p), 6) for p in probabilities]
    for one, text, probability in zip(asked, texts, sure, strict=True):
        assert one.prompt is not None
        prompt = digest(one.prompt.text)
        yield Answer(one.item.index, text, one.key, prompt, one.pictures, round(seconds, 4), probability)
