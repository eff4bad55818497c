"""Answers in JSON of a given schema: which tokens may come next, by llguidance."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from sphinx_x.errors import SphinxXError, needs_extra
from sphinx_x.inference import SphinxX
from sphinx_x.serving.limits import RefusedError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

Result = TypeVar("Result")

LONGEST = 32_768
"""Characters of a schema as JSON: the grammar of 2,000 properties takes half a second, and of 6,000 five."""
REFERENCES = 100
"""Different `$ref` of a schema."""
STACK = 64 * 1024 * 1024
"""Bytes of stack for building a grammar, which calls itself at each level and each `$ref`, at up to 10 kB. A chain of
900 `$ref` (or of 170, each ten levels down) takes more than the usual 8 MB, and ends the process."""
GRAMMAR = '%llguidance {"no_forcing": true}\nstart: %json '
"""The form of a schema. What is certain to come next is chosen by the model as well: llguidance would tokenize it as a
whole, and then a text such as `<image>` within a schema becomes that control token."""
OPTIONS = {"whitespace_pattern": r"( |\n {0,32})?", "lenient": False}
"""White space, which a model could else go on with for ever; and no rule of a schema is left out in silence."""


class FormatError(SphinxXError):
    """An answer cannot be kept to its schema any further."""


class Form:
    """What one answer has to look like; follows it token by token."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def masked(self, logits: Tensor) -> Tensor:
        """Return logits (vocabulary,) with -inf for tokens that cannot come next.

        Raises:
            FormatError: It takes too long to know them.
        """
        bits = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        self._check()
        may = (bits[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
        return logits.masked_fill(may.flatten()[: len(logits)].logical_not().to(logits.device), -torch.inf)

    def take(self, number: int) -> None:
        """Take the id that was chosen.

        Raises:
            FormatError: What may follow it is not known.
        """
        self._matcher.consume_token(number)
        self._check()

    @property
    def ended(self) -> bool:
        """Whether the answer is whole, and nothing can follow."""
        return self._matcher.is_stopped()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise FormatError(f"response_format: the schema is too intricate: {_reason(self._matcher.get_error())}")


class Formats:
    """Builds the forms of a model's answers."""

    def __init__(self, sphinx: SphinxX) -> None:
        self._sphinx = sphinx
        self._tokenizer: LLTokenizer | None = None
        self._building = threading.Lock()

    def form(self, schema: dict[str, Any]) -> Form:
        """Return the form of an answer that is JSON of a schema.

        Raises:
            RefusedError: The schema is wrong, too large, or says what is not supported; it is named.
            MissingToolError: llguidance is not installed.
        """
        _check(schema)
        text = json.dumps({**schema, "x-guidance": OPTIONS})
        with needs_extra("serve", "response_format"):
            from llguidance import LLMatcher, LLParserLimits

        def build() -> LLMatcher:
            grammar = LLMatcher.grammar_from_lark(GRAMMAR + text)
            # without a log, which anybody could fill
            return LLMatcher(self._vocabulary(), grammar, log_level=0, limits=LLParserLimits(verbose_errors=False))

        with self._building:
            matcher = _with_stack(build)
        if matcher.is_error():
            raise _refused(_reason(matcher.get_error()))
        matcher.compute_bitmask()
        if matcher.is_stopped():
            raise _refused("no answer has such a form")
        return Form(matcher)

    def _vocabulary(self) -> LLTokenizer:
        """Return the model's tokens as llguidance knows them; a second's work for a large vocabulary, done once."""
        if self._tokenizer is None:
            from llguidance.hf import from_tokenizer

            tokenizer = self._sphinx.processor.tokenizer
            ends = [tokenizer.eos_token_id]
            stop = self._sphinx.processor.prompt_builder().stop_ids()
            if len(stop) == 1:
                ends += [one for one in stop if one not in ends]
            size = self._sphinx.model.config.get_text_config().vocab_size
            try:
                self._tokenizer = from_tokenizer(tokenizer, n_vocab=size, eos_token=ends)
            except ValueError as error:
                raise _refused(f"not with this model's tokenizer: {_reason(str(error))}") from error
        return self._tokenizer


def _check(schema: dict[str, Any]) -> None:
    """Check what would take too much to build, or what llguidance understands otherwise."""
    size = len(json.dumps(schema, ensure_ascii=False))
    if size > LONGEST:
        raise _refused(f"a schema of {size:,} characters is longer than {LONGEST:,}")
    references: set[str] = set()
    for name, value in _entries(schema):
        if name == "$ref" and isinstance(value, str):
            references.add(value)
        # it turns off what the server relies on
        if name == "x-guidance":
            raise _refused("x-guidance is not supported")
        # draft 4, which llguidance passes over
        if name in ("exclusiveMinimum", "exclusiveMaximum") and isinstance(value, bool):
            raise _refused(f"{name} has to be a number")
        # llguidance counts a key that comes twice as two
        if name == "minProperties" and isinstance(value, int) and value > 1:
            raise _refused("minProperties above 1 is not supported")
    if len(references) > REFERENCES:
        raise _refused(f"{len(references)} different $ref are more than {REFERENCES}")


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield all keys of a schema with their values, at every depth."""
    if isinstance(value, dict):
        yield from value.items()
        value = list(value.values())
    for one in value if isinstance(value, list) else ():
        yield from _entries(one)


def _with_stack(work: Callable[[], Result]) -> Result:
    """Do some work in a thread with a stack that is large on every system."""
    done: list[Result] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    before = threading.stack_size(STACK)
    try:
        thread = threading.Thread(target=run, name="sphinx-x schema", daemon=True)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


def _reason(text: str) -> str:
    """Return the reason within an error of llguidance, which also tells where in its own grammar it was."""
    lines = text.strip().splitlines() or ["no reason is given"]
    reason = lines[0].rpartition("failed to compile JSON schema: ")[2]
    # a regular expression is shown before what is wrong with it
    return ", ".join([reason, *(line for line in lines[1:] if line.startswith("error: "))])[:300]


def _refused(what: str) -> RefusedError:
    return RefusedError(f"response_format: {what}", param="response_format", code="invalid_schema")
