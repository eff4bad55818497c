"""What type checkers are to make of answers; read by one in `test_package`, never run."""

from collections.abc import Iterator
from typing import assert_type

from sphinx_x import SphinxX
from sphinx_x.inference import Session


def answers(sphinx: SphinxX, session: Session, many: int, streamed: bool) -> None:
    for asked in (sphinx.chat, session.ask):
        assert_type(asked("a"), str)
        assert_type(asked("a", "b.png", max_new_tokens=3), str)
        assert_type(asked("a", None, False), str)
        assert_type(asked("a", stream=False), str)
        assert_type(asked("a", stream=True), Iterator[str])
        assert_type(asked("a", "b.png", True, max_new_tokens=3), Iterator[str])
        assert_type(asked("a", num_return_sequences=1), str)
        assert_type(asked("a", num_return_sequences=3, do_sample=True), list[str])
        assert_type(asked("a", num_return_sequences=many), str | list[str])
        assert_type(asked("a", stream=streamed), str | list[str] | Iterator[str])
