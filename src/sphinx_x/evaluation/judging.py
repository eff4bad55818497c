"""How a judge is asked about an answer: what a task declares that no rule can score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sphinx_x.evaluation.items import UNREADABLE, Item, Verdict

Texts = list[tuple[str, str]]
"""Roles and texts of a conversation."""
PROMPT = "prompt"
"""The fact of an item that is asked about by another prompt than the task's: its name."""
Ask = Callable[[Item, str], Texts | None]
Read = Callable[[Item, str, str], Verdict | None]


@dataclass(frozen=True)
class Judging:
    """How a judge is asked, and what its words mean.

    Attributes:
        prompt: Name and version of the prompt; the version is raised with every change of a word.
        ask: The conversation about an item's answer; None where the task's rule decides without a judge.
        read: The verdict in a judge's words, given the item and the rule; None where there is none in them: nothing is
            guessed.
        again: What a judge is told whose words could not be read; it is asked once more.
        longest: Tokens of its words at most, where the settings of the endpoint do not tell.
        offline: What the score of the task is without a judge, in words; empty where there is none then.
        nothing: The verdict about a missing or empty answer, and, as the worst, where no judgement came.
    """

    prompt: str
    ask: Ask
    read: Read
    again: str = "Reply with the number alone."
    longest: int = 64
    offline: str = ""
    nothing: Verdict = UNREADABLE

    def prompt_of(self, item: Item) -> str:
        """Name and version of the prompt for an item."""
        return item.facts.get(PROMPT, self.prompt)
