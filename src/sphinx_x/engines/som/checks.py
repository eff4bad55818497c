"""Checks of an answer about marks: which marks it cites, and whether it fits what is known about them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher

from sphinx_x.engines.som.facts import shortened
from sphinx_x.engines.som.writing import Exchange, Page
from sphinx_x.sources.dialogue import Content, items_of
from sphinx_x.sources.names import plural

CITED = re.compile(r"<\s*mark\s+([A-Za-z0-9]+)\s*>|\bmarks?\s+(\d+|[A-Z]{1,3})\b", re.IGNORECASE)
MORE = re.compile(r"\s*(?:,\s*and|,|and|&|or)\s*(\d+|[A-Z]{1,2})\b")
LINE = re.compile(r"^\W*(?:<\s*)?mark\s+([A-Za-z0-9]+)(?:\s*>)?\W*?[:\-–]\s*(.+)$", re.IGNORECASE | re.MULTILINE)
SIMILAR = 0.8
"""Required similarity of a text and its reading (0 to 1)."""
KINSHIP = (
    "person people man men woman women boy girl child children kid kids guy lady adult player rider surfer skier",
    "person people pedestrian passenger skateboarder snowboarder crowd baby toddler worker",
    "tv television monitor screen",
    "couch sofa loveseat",
    "cell phone phone smartphone mobile",
    "car automobile vehicle sedan suv taxi",
    "truck lorry vehicle pickup van",
    "bus coach vehicle",
    "motorcycle motorbike bike scooter moped",
    "bicycle bike cycle",
    "airplane plane aeroplane aircraft jet",
    "boat ship vessel canoe kayak sailboat",
    "dining table table desk",
    "potted plant plant houseplant flower",
    "sports ball ball football basketball baseball soccer",
    "donut doughnut",
    "cow cattle bull calf ox",
    "dog puppy",
    "cat kitten",
    "bird seagull duck pigeon goose chicken",
    "handbag bag purse",
    "backpack bag rucksack",
    "suitcase luggage bag",
    "wine glass glass goblet",
    "cup mug glass",
    "tie necktie",
    "remote controller",
    "refrigerator fridge",
    "laptop computer notebook",
    "hair drier dryer",
)
"""Names that may stand for the first one of their line, or for a later single word of it."""


def cited(text: str, labels: Sequence[str] = ()) -> list[str]:
    """Return the labels that a text cites, in order, each once: `<Mark 1>`, `Mark 1:`, `marks 1, 2 and 3`.

    Args:
        text: The text.
        labels: The labels that exist; if there are letters among them, a word after `mark` is a label only in capitals.
    """
    found: list[str] = []
    for match in CITED.finditer(text):
        label = match[1] or match[2]
        known = label.upper() if label.upper() in labels else label
        if match[2] and not label.isdigit() and (label != label.upper() or not any(map(str.isalpha, labels))):
            continue  # `mark on the wall`, `mark A` where marks are numbers
        found.append(known)
        at = match.end()
        while match[0].lower().startswith("marks") and (more := MORE.match(text, at)):
            if more[1].isdigit() == known.isdigit():
                found.append(more[1])
            at = more.end()
    return list(dict.fromkeys(found))


def described(text: str) -> dict[str, list[str]]:
    """Return the lines `Mark 1: ...` of a text by label."""
    lines: dict[str, list[str]] = {}
    for match in LINE.finditer(text):
        lines.setdefault(match[1].upper(), []).append(match[2].strip())
    return lines


def check_answer(
    text: str,
    labels: Sequence[str],
    asked: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
    lines: bool = False,
) -> list[str]:
    """Return the reasons why an answer cannot be used; none for a good one.

    Reasons begin with words that are the same for all answers with this fault, followed by details after `: `.

    Args:
        text: The answer.
        labels: All marks that exist.
        asked: Those that it must cite.
        names: Known names at marks, by label.
        texts: Known texts at marks, by label.
        lines: Whether it must contain exactly one line `Mark k: ...` for every mark in `asked`, each fitting its name
            or text.
    """
    if not text.strip():
        return ["empty text"]
    reasons = []
    found = cited(_without(text, [*(names or {}).values(), *(texts or {}).values()]), labels)
    unknown = [label for label in found if label not in labels]
    if unknown:
        reasons.append(f"mark cited that does not exist: {', '.join(unknown)}")
    missing = [label for label in asked if label not in found]
    if missing:
        reasons.append(f"mark not cited: {', '.join(missing)}")
    if lines:
        said = described(text)
        twice = [label for label in asked if len(said.get(label, ())) > 1]
        none = [label for label in asked if label in found and label not in said]
        if twice:
            reasons.append(f"mark described twice: {', '.join(twice)}")
        if none:
            reasons.append(f"mark without a line of its own: {', '.join(none)}")
        for label in asked:
            if len(said.get(label, ())) == 1:
                reasons += _fits(label, said[label][0], names or {}, texts or {})
    return reasons


def _without(text: str, known: Iterable[str]) -> str:
    """Return a text without the known texts of the image, where these themselves mention a mark."""
    for one in known:
        if "mark" in one.casefold():
            text = text.replace(one, " ")
    return text


def check_exchange(page: Page, exchange: Exchange) -> list[str]:
    """Return the reasons why an exchange about a page's marks cannot be used.

    Descriptions and relations must cite every mark that they are about, descriptions in a separate line that fits what
    is known about it. Questions and their answers may cite none, but only marks that exist.
    """
    asked = page.labels if exchange.labels is None else exchange.labels
    free = exchange.kind == "questions"
    lines = exchange.kind in ("detailed", "short")
    names = {one.mark.label: one.region.name for one in page.known if page.scene.domain in ("natural", "document")}
    texts = {one.mark.label: shortened(one.region.text) for one in page.known if one.region.text}
    reasons = []
    said = {one.mark.label: one.region.name for one in page.known}
    for question, answer in exchange.turns:
        reasons += check_answer(_text_of(question), page.labels, (), said, texts)
        if lines:
            reasons += check_answer(_text_of(answer), page.labels, asked, names, texts, lines)
        else:
            reasons += check_answer(_text_of(answer), page.labels, () if free else asked, said, texts)
    found = []
    for reason in reasons:
        words, colon, detail = reason.partition(": ")
        found.append(f"{words} ({exchange.kind}){colon}{detail}")
    return found


def _text_of(content: Content) -> str:
    return "".join(part if isinstance(part, str) else "[]" for part in items_of(content))


def _fits(label: str, line: str, names: Mapping[str, str], texts: Mapping[str, str]) -> list[str]:
    if texts.get(label):
        return [] if holds_text(line, texts[label]) else [f"text at a mark is read wrongly: {label}"]
    name = names.get(label, "")
    if name and not names_it(line, name):
        others = [other for key, other in names.items() if key != label and other != name and names_it(line, other)]
        if others:
            return [f"mark described as what another one is on: {label} is {name}, not {others[0]}"]
        return [f"mark described as something else: {label} is {name}"]
    return []


def names_it(text: str, name: str) -> bool:
    """Return whether a text names a class: by its name, in the plural, or by a word that stands for it."""
    name = name.casefold()
    wanted = {name, plural(name), name.split()[-1]}
    for line in KINSHIP:
        if line.startswith(name + " ") or name in line.split():
            wanted |= {form for word in line.removeprefix(name).split() for form in (word, plural(word))}
    said = f" {_words(text)} "
    return any(f" {_words(form)} " in said for form in wanted if _words(form))


def _words(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def holds_text(line: str, text: str) -> bool:
    """Return whether a line contains a text, ignoring case, blanks, punctuation and a few wrong letters."""
    line, text = ("".join(re.findall(r"\w", one.casefold())) for one in (line, text))
    if not text or text in line:
        return True
    blocks = SequenceMatcher(None, text, line, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size > 1 or len(text) < 4) >= SIMILAR * len(text)
