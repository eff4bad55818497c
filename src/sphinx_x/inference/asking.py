"""The signature that `SphinxX.chat` and `Session.ask` share, and the message that a question becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Protocol, cast, overload

from sphinx_x import conversation
from sphinx_x.conversation import Message, split_text
from sphinx_x.errors import PromptError
from sphinx_x.images import Source

Images = Source | Sequence[Source] | None
"""One image, several, or none."""
Several = Literal[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
"""The values of `num_return_sequences` that a type checker knows to mean several answers."""


class Ask(Protocol):
    """The signature of `SphinxX.chat` and `Session.ask`.

    A type checker infers `str` for one answer, `list[str]` for several (`num_return_sequences`), and an iterator of
    pieces of text for `stream=True`.
    """

    @overload
    def __call__(
        self,
        question: str,
        images: Images = None,
        stream: Literal[False] = False,
        *,
        num_return_sequences: Literal[1],
        **generation: Any,
    ) -> str: ...

    @overload
    def __call__(
        self,
        question: str,
        images: Images = None,
        stream: Literal[False] = False,
        *,
        num_return_sequences: Several,
        **generation: Any,
    ) -> list[str]: ...

    @overload
    def __call__(
        self,
        question: str,
        images: Images = None,
        stream: Literal[False] = False,
        *,
        num_return_sequences: int,
        **generation: Any,
    ) -> str | list[str]: ...

    @overload
    def __call__(
        self, question: str, images: Images = None, stream: Literal[False] = False, **generation: Any
    ) -> str: ...

    @overload
    def __call__(
        self, question: str, images: Images = None, *, stream: Literal[True], **generation: Any
    ) -> Iterator[str]: ...

    @overload
    def __call__(self, question: str, images: Images, stream: Literal[True], **generation: Any) -> Iterator[str]: ...

    @overload
    def __call__(
        self, question: str, images: Images = None, stream: bool = False, **generation: Any
    ) -> str | list[str] | Iterator[str]: ...


class AskMethod(Protocol):
    """A method that, once bound to its instance, is called as `Ask`."""

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., Any]: ...

    @overload
    def __get__(self, instance: object, owner: type | None = None) -> Ask: ...


def typed_as_ask(method: Callable[..., str | list[str] | Iterator[str]]) -> AskMethod:
    """Give a method the overloads of `Ask`; at run time the method stays as it is."""
    return cast(AskMethod, method)


def image_list(images: Images) -> list[Source]:
    """Return the images of a call as a list, which is empty for None."""
    if images is None:
        return []
    return list(images) if isinstance(images, (list, tuple)) else [images]  # pyright: ignore[reportReturnType]


def question_message(question: str, images: int) -> Message:
    """Return the user's message for a question about `images` images.

    `<image>` in the question marks where the images go. Without it they go in front of the text.

    Raises:
        PromptError: The question has no text.
    """
    if not question.replace(conversation.IMAGE, "").strip():
        raise PromptError("the question is empty")
    parts = tuple(split_text(question))
    if conversation.IMAGE not in question:
        parts = (*[conversation.Image()] * images, *parts)
    return Message("user", parts)
