"""Prompts from several sources, each with its licence: our own lists, WordNet's glosses, the tasks of reasoning_gym."""

from __future__ import annotations

import functools
import hashlib
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sphinx_x.engines.dialogues.topics import ASKED, LONG, SMALL_TALK, TOPICS, WRITTEN_ABOUT
from sphinx_x.errors import DataError, needs_extra
from sphinx_x.sources.dialogue import rng_of

LICENCES = {"written": "CC0-1.0", "long": "CC0-1.0", "wordnet": "WordNet-3.0", "reasoning": "Apache-2.0"}
"""Sources with the licences of their prompts."""
HELD_OF = 10
"""One topic of so many is held back."""
TRIES = 100
"""Draws for a prompt that was not drawn before."""
REASONING = (
    *("basic_arithmetic", "chain_sum", "count_bits", "leg_counting", "letter_counting", "number_sorting"),
    *("spell_backward", "time_intervals", "word_sorting", "simple_equations", "gcd", "prime_factorization"),
)
"""Short tasks of reasoning_gym."""
GLOSS = (
    'What does the word "{word}" mean?',
    'Define "{word}" in one sentence.',
    'Use the word "{word}" in a sentence.',
    'Which word means "{gloss}"?',
    "Put it more simply: {gloss}.",
    "Write one sentence about this: {gloss}.",
)
"""Questions about an entry of WordNet."""
LONGEST_GLOSS = 90
"""Letters of the longest gloss that is asked about."""


@dataclass(frozen=True)
class Prompt:
    """What is asked, and the source that it comes from."""

    text: str
    source: str

    @property
    def licence(self) -> str:
        """Its licence."""
        return LICENCES[self.source]


def check_shares(shares: Mapping[str, float], wordnet: Path | None) -> dict[str, float]:
    """Return the sources that have a share.

    Raises:
        DataError: There is no such source, its share is below 0, none has one, or WordNet's folder is not named.
        MissingToolError: reasoning_gym has a share and is not installed.
    """
    for name, share in shares.items():
        if name not in LICENCES:
            raise DataError(f"{name}: no such source of prompts, but {', '.join(LICENCES)}")
        if share < 0:
            raise DataError(f"the share of {name} is below 0")
    kept = {name: shares[name] for name in LICENCES if shares.get(name, 0) > 0}
    if not kept:
        raise DataError("no source of prompts has a share")
    if "wordnet" in kept:
        if wordnet is None:
            raise DataError("wordnet has a share: name the folder of its files (Debian's wordnet-base)")
        entries(wordnet)
    if "reasoning" in kept:
        with needs_extra("dialogues", "drawing tasks of reasoning_gym"):
            import reasoning_gym  # noqa: F401  # pyright: ignore[reportMissingImports]
    return kept


def draw_prompts(
    count: int, seed: int, shares: Mapping[str, float], wordnet: Path | None = None, held: bool = False
) -> list[Prompt]:
    """Return different prompts; a longer list begins with a shorter one.

    Args:
        count: How many.
        seed: Seed of all random choices.
        shares: How often each source is drawn from, relative to the others.
        wordnet: The folder with WordNet's files.
        held: Whether they are about the topics that are held back, or about the others.

    Raises:
        DataError: The sources have not so many.
        MissingToolError: A source is not installed.
    """
    kept = check_shares(shares, wordnet)
    drawn: dict[str, Prompt] = {}
    for number in range(count):
        rng = rng_of(f"{seed} {number} prompt")
        for _ in range(TRIES):
            name = rng.choices(list(kept), list(kept.values()))[0]
            prompt = Prompt(_draw(name, rng, wordnet, held), name)
            if prompt.text and prompt.text not in drawn:
                drawn[prompt.text] = prompt
                break
        else:
            raise DataError(f"the sources {', '.join(kept)} have only about {len(drawn)} different prompts")
    return list(drawn.values())


def is_held(topic: str) -> bool:
    """Return whether a topic is held back; always the same for the same topic."""
    return hashlib.sha256(topic.encode()).digest()[0] % HELD_OF == 0


def _draw(name: str, rng: random.Random, wordnet: Path | None, held: bool) -> str:
    """Return a prompt of a source; an empty text if what was drawn is on the other side."""
    if name == "reasoning":
        return _reasoning(rng, held)
    if name == "wordnet" and wordnet is not None:
        word, gloss = rng.choice(entries(wordnet))
        return rng.choice(GLOSS).format(word=word, gloss=gloss) if is_held(word) == held else ""
    if name == "long":
        topic, asked = rng.choice([topic for kind in WRITTEN_ABOUT for topic in TOPICS[kind]]), LONG
    elif rng.random() < 0.03:
        topic, asked = rng.choice(SMALL_TALK), ("{}",)
    else:
        kind = rng.choice(sorted(TOPICS))
        topic, asked = rng.choice(TOPICS[kind]), ASKED[kind]
    return rng.choice(asked).format(topic) if is_held(topic) == held else ""


def _reasoning(rng: random.Random, held: bool) -> str:
    import reasoning_gym  # pyright: ignore[reportMissingImports]

    seed = rng.getrandbits(31) // 2 * 2 + held  # odd seeds are held back
    task = reasoning_gym.create_dataset(rng.choice(REASONING), seed=seed, size=1)
    return str(task[0]["question"]).strip()


@functools.cache
def entries(folder: Path) -> tuple[tuple[str, str], ...]:
    """Return words of WordNet with short glosses, by the files `data.noun`, `data.verb` and `data.adj` of a folder.

    Raises:
        DataError: There is no such file in it, or none of its lines is an entry.
    """
    files = [folder / f"data.{kind}" for kind in ("noun", "verb", "adj")]
    found: list[tuple[str, str]] = []
    for file in files:
        if not file.is_file():
            raise DataError(f"{file}: no such file of WordNet")
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            fields, _, gloss = line.partition(" | ")
            parts = fields.split()
            if line.startswith(" ") or len(parts) < 5 or not re.fullmatch(r"[a-z]{3,}", parts[4]):
                continue  # the licence at the head of the file, names, several words
            gloss = gloss.split(";")[0].strip()
            if 10 <= len(gloss) <= LONGEST_GLOSS and '"' not in gloss:
                found.append((parts[4], gloss))
    if not found:
        raise DataError(f"{folder}: no entry of WordNet in its files")
    return tuple(found)
