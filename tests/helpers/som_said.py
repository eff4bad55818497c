"""What a dialogue about marks says, read from its text alone, and whether that is true of boxes and pixels.

Nothing of the writer is used here: statements are found by their words, and checked against the marks as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LABEL = r"<?Mark (\w+)>?"
SIDES = r"((?:above|below|to the left of|to the right of)(?: and (?:to the left of|to the right of))?)"
SIDE = re.compile(rf"{SIDES} (?:the [^.;]*? at )?{LABEL}")
SIZE = re.compile(r"(?:covers?|takes? up) about (\d+)% of the image")
LARGER = re.compile(rf"\b(larger|smaller)\b[^.;]*? than {LABEL}")
COLOUR = re.compile(r"mostly (\w+)(?: and (black|white|grey|red|orange|brown|yellow|green|blue|purple|pink))?")
PLACES = {
    f"{place} of the image": (down, across)
    for down, row in enumerate(
        (
            ("in the upper left", "at the top", "in the upper right"),
            ("on the left", "in the middle", "on the right"),
            ("in the lower left", "at the bottom", "in the lower right"),
        )
    )
    for across, place in enumerate(row)
}
OPPOSITE = {
    "above": "below",
    "below": "above",
    "to the left of": "to the right of",
    "to the right of": "to the left of",
}
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905

Fact = tuple


@dataclass
class Thing:
    """A mark as the scene has it. pixels: bool (H, W) of the whole image; exact: they are the thing and not its box."""

    name: str
    box: tuple[float, float, float, float]
    pixels: np.ndarray
    exact: bool = True


def statements(question: str, answer: str, names: Mapping[str, str]) -> set[Fact]:
    """The facts that an answer tells. names: what every label is on."""
    found: set[Fact] = set()
    compared = re.match(rf"Which (?:covers more|has the larger).* {LABEL} or {LABEL}\?", question)
    if compared:
        right = re.fullmatch(rf"{LABEL}\.", answer)
        other = next(label for label in compared.groups() if label != right[1])
        return {("larger", right[1], other)}
    if question.startswith(("Which mark is on", "How many of the marks")):
        labels = re.findall(LABEL, answer)
        name = re.search(r" on (?:an? )?(.*)\?$", question)[1]
        found |= {("what", label, names[label]) for label in labels if _same(name, names[label])}
        assert len(found) == len(labels), (question, answer)
        if question.startswith("How many"):
            number = answer.split(":")[0].lower()
            found.add(("count", name, NUMBERS.index(number) if number in NUMBERS else int(number)))
        return found
    for line in answer.split("\n"):
        head = re.match(r"(?:<Mark \w+>)+(?=:)|Mark \w+(?=:)", line)
        subject = re.findall(LABEL, head[0])[0] if head else None
        body = line[head.end() + 1 :] if head else line
        if not head:
            subject = next(iter(re.findall(LABEL, body)), next(iter(re.findall(LABEL, question)), None))
        for sentence in re.split(r"(?<=[^.]\.) |; ", body):
            found |= set(_of_sentence(sentence, subject, names, bool(head and head[0][0] == "<")))
    read = re.match(rf"(?:What does the text|Read the text|What is written) at {LABEL}", question)
    if read and answer == names[read[1]]:
        found.add(("what", read[1], answer))
    return found


def _of_sentence(sentence: str, subject: str | None, names: Mapping[str, str], pair: bool) -> Iterator[Fact]:
    cited = re.findall(LABEL, sentence)
    lead = re.match(rf"(?:(?:Yes|No), )?(?:the box of )?{LABEL}", sentence.strip())
    if lead and pair:
        subject = lead[1]
    if subject is None:
        return
    for side, other in SIDE.findall(sentence):
        yield from (("side", subject, one, other) for one in side.split(" and "))
    for word, other in LARGER.findall(sentence):
        yield ("larger", subject, other) if word == "larger" else ("larger", other, subject)
    for percent in SIZE.findall(sentence):
        yield "size", subject, int(percent)
    for place in PLACES:
        if place in sentence.lower():
            yield "where", subject, place
    for first, second in COLOUR.findall(sentence):
        yield "colour", subject, (first, second) if second else (first,)
    if "both are" in sentence:
        yield from (
            ("what", label, names[label]) for label in names if _same(sentence, names[label]) and label in cited
        )
    elif not pair and names[subject] and _same(re.sub(r"\([^)]*\)", "", sentence), names[subject]):
        yield "what", subject, names[subject]


def _same(said: str, name: str) -> bool:
    plain = said.lower()
    irregular = {"person": "people", "knife": "knives", "mouse": "mice", "sheep": "sheep"}
    forms = {name.lower(), irregular.get(name, name + "s").lower(), (name + "es").lower(), (name[:-1] + "ies").lower()}
    return bool(name) and any(re.search(rf"(?<!\w){re.escape(form)}(?!\w)", plain) for form in forms)


def same_fact(fact: Fact, told: set[Fact]) -> bool:
    """Whether a fact is among those that were told, in whichever form."""
    if fact[0] == "side":
        return fact in told or ("side", fact[3], OPPOSITE[fact[2]], fact[1]) in told
    return fact in told


def repeated(turns: Sequence[tuple[str, str]], names: Mapping[str, str]) -> list[bool]:
    """For every turn after the first one that says anything whether earlier answers have said all of it."""
    told: set[Fact] = set()
    found = []
    for question, answer in turns:
        facts = statements(question, answer, names)
        if told and facts:
            found.append(all(same_fact(fact, told) for fact in facts))
        told |= facts
    return found


def false_ones(facts: set[Fact], things: Mapping[str, Thing], image: np.ndarray) -> list[Fact]:
    """The facts that are not true of the marks in an image (H, W, 3)."""
    return [fact for fact in facts if not _true(fact, things, image)]


def _true(fact: Fact, things: Mapping[str, Thing], image: np.ndarray) -> bool:
    sort = fact[0]
    if sort == "count":
        return sum(_same(fact[1], thing.name) for thing in things.values()) == fact[2]
    one = things[fact[1]]
    height, width = image.shape[:2]
    if sort == "what":
        return one.name == fact[2]
    if sort == "side":
        a, b = one.box, things[fact[3]].box
        holds = {"to the left of": a[2] <= b[0], "to the right of": a[0] >= b[2]}
        return (holds | {"above": a[3] <= b[1], "below": a[1] >= b[3]})[fact[2]]
    if sort == "larger":
        return one.pixels.sum() > 1.1 * things[fact[2]].pixels.sum()
    if sort == "size":
        share = 100 * one.pixels.mean()
        return fact[2] >= 1 and abs(share - fact[2]) <= 0.5 + 0.02 * share + 0.2
    if sort == "where":
        down, across = PLACES[fact[2]]
        x, y = (one.box[0] + one.box[2]) / 2 / width, (one.box[1] + one.box[3]) / 2 / height
        inside = across / 3 <= x <= (across + 1) / 3 and down / 3 <= y <= (down + 1) / 3
        if (down, across) == (1, 1):
            inside &= one.box[0] >= width / 3 and one.box[2] <= 2 * width / 3
        return inside
    assert sort == "colour", fact
    seen = image[one.pixels].astype(int)
    return sum(_coloured(seen, name).mean() for name in fact[2]) >= 0.5


def _coloured(pixels: np.ndarray, name: str) -> np.ndarray:
    """Which of some pixels (N, 3) may be called so, generously, by the differences of their channels."""
    r, g, b = pixels[:, 0], pixels[:, 1], pixels[:, 2]
    most, least = pixels.max(1), pixels.min(1)
    return {
        "black": most < 70,
        "white": least > 190,
        "grey": (most - least < 40) & (most > 40) & (most < 225),
        "red": (r > g + 30) & (r > b + 30),
        "orange": (r > g) & (g > b) & (r > 150),
        "brown": (r > g) & (g >= b - 12) & (r < 180),
        "yellow": (r > b + 40) & (g > b + 40),
        "green": (g >= r) & (g >= b),
        "blue": (b >= r) & (b > g - 15),
        "purple": (b > g) & (r > g),
        "pink": (r > g) & (b > g - 15) & (r > 150),
    }[name]


def faults(text: str) -> list[str]:
    """Grammatical faults that simple patterns find: doubled blanks and words, plural after one, a before a vowel."""
    patterns = (
        r"(?<=\S)  +(?=\S)",
        r"\b(\w+) \1\b",
        r"\b[Oo]ne (?:of text|\w+s)(?= (?:and|is|are|in)|[,.\[])",
        r"\b(?:[Tt]wo|[Tt]hree|[Ff]our|\d+) (?:text|person|dog|title|table|figure|list)(?=[ ,.\[])",
        r"(?<!Mark )\b[Aa] (?:[aei]\w+|orange|oven|otter|umbrella)\b",
        r"\b[Aa]n (?:[bcdfgjkmpqtvwyz]\w+)\b",
        r"There is (?:two|three|four|\d+)\b|There are one\b",
        r"\.\.|,,| [,.;:?]|\(\)|<Mark >",
    )
    return [match[0] for pattern in patterns for match in re.finditer(pattern, text)]
