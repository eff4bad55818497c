"""Messages as they are written."""

from collections.abc import Iterable

from sphinx_x.conversation import Message


def dicts(messages: Iterable[Message]) -> list[dict]:
    """Messages as JSON."""
    return [message.to_dict() for message in messages]
