"""What a writer takes and returns: pages with marks, and exchanges about them; the questions that all writers ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from sphinx_x.conversation import Message, Part, Place, format_places
from sphinx_x.engines.som.facts import Known
from sphinx_x.engines.som.marks import Mark, Marked
from sphinx_x.engines.som.scenes import Scene
from sphinx_x.model.views import ViewGrid, plan_views
from sphinx_x.sources.dialogue import Content, box, dialogue, items_of, listing, pick, point, points, rng_of

Task = Literal["detailed", "short", "relations", "questions"]
TASKS: tuple[Task, ...] = get_args(Task)
Turn = tuple[Content, Content]
"""A question and its answer."""

QUESTIONS: dict[Task, tuple[str, ...]] = {
    "detailed": (
        "Provide a detailed description for each of the marks.",
        "Describe what is at each of the marks in detail.",
        "Please give a detailed description of every mark.",
        "Tell me in full sentences what is at each mark.",
        "Describe all of the marks in detail.",
    ),
    "short": (
        "Provide a short description for each of the marks.",
        "Say briefly what each mark is on.",
        "Name what is at each of the marks in a few words.",
        "List the marks with what is there.",
        "What is at each of the marks? Keep it short.",
    ),
    "relations": (
        "Analyze the relationships among the marks.",
        "Describe how the marks relate to each other.",
        "What are the relations between the marks?",
        "Compare the marks with each other.",
    ),
    "questions": (
        "I will ask you questions about the image based on the given marks.",
        "Next come questions about the marks in the image. Are you ready?",
        "Please get ready to answer questions that refer to the given marks.",
        "I want to ask you about some of the marks.",
    ),
}
QUESTIONS_OF: dict[Task, tuple[str, ...]] = {
    "detailed": (
        "Describe what is at {} in detail.",
        "Give a detailed description of what is at {}.",
        "Tell me in full sentences what is at {}.",
    ),
    "short": (
        "Say briefly what is at {}.",
        "Name in a few words what is at {}.",
        "What is at {}? Keep it short.",
    ),
}
"""The same for some of the marks."""
LISTED = ("The marks are: {}.", "Here are the marks: {}.", "Marks in the image: {}.")
LED = 0.5
"""Share of the samples in which questions come before descriptions."""


@dataclass(frozen=True)
class Page:
    """An image with marks to be written about.

    Attributes:
        key: What randomness depends on.
        name: Name of the sample.
        scene: In pixels.
        marked: Its marks.
        known: The marks with what is known of them.
        kinds: What to write.
        raw: Encoded bytes of the raw image.
        picture: Encoded bytes of the marked image.
    """

    key: str
    name: str
    scene: Scene
    marked: Marked
    known: tuple[Known, ...]
    kinds: tuple[Task, ...]
    raw: bytes
    picture: bytes

    @property
    def labels(self) -> list[str]:
        """The labels of all marks, in order."""
        return [mark.label for mark in self.marked.marks]


@dataclass(frozen=True)
class Exchange:
    """Turns of one kind, whose questions do not yet say where the marks are.

    Attributes:
        labels: Labels of the marks that descriptions and relations must cite, None for all of the page.
    """

    kind: Task
    turns: list[Turn]
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Failure:
    """Why there is no exchange of a kind; the others of its page are used nevertheless."""

    kind: Task
    error: Exception


Written = list[Exchange | Failure] | Exception
"""What a writer returns for a page: its exchanges, or why there are none at all."""


class Writer(Protocol):
    """Writes the answers. It is copied into worker processes; one that cannot be copied needs a single worker."""

    @property
    def name(self) -> str:
        """Its name in reports."""
        ...

    def facts(self) -> dict:
        """What its words depend on, as JSON."""
        ...

    def write_all(self, pages: Iterable[Page]) -> Iterator[Written]:
        """Yield what was written for every page in turn.

        Errors are `UnusedError` if there is nothing to say, or others of `sphinx_x.work.tally.UNUSABLE`.
        """
        ...


def in_order(page: Page) -> list[Task]:
    """Return the kinds of a page in the order of its dialogue.

    Questions come first in half of the samples and last in the others, and the rest at random.
    """
    rng = rng_of(f"{page.key} order")
    rest: list[Task] = [kind for kind in page.kinds if kind != "questions"]
    first = rng.random() < LED
    rng.shuffle(rest)
    asked: list[Task] = ["questions"] if "questions" in page.kinds else []
    return [*asked, *rest] if first else [*rest, *asked]


def ask(kind: Task, key: str, labels: Sequence[str] = ()) -> str:
    """Return the question of a kind, in one of several wordings; `labels` are those of its marks, empty for all."""
    if not labels:
        return pick(QUESTIONS[kind], f"{key} {kind}")
    marks = "".join(map(str, listing([cite(label) for label in labels])))
    return pick(QUESTIONS_OF[kind], f"{key} {kind}").format(marks)


def cite(label: str) -> str:
    """Return `<Mark 1>`."""
    return f"<Mark {label}>"


def place_of(mark: Mark) -> Place:
    """Return the part that says where a mark is: its point, its box, or the corners of its polygon or mask."""
    if mark.kind == "point":
        return point(_rounded(mark.point))
    if mark.kind == "box":
        return box(_rounded(mark.box))
    return points([_rounded(corner) for corner in mark.polygon])


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(number, 2) for number in numbers]


def listed(marks: Sequence[Mark]) -> list[str | Part]:
    """Return `<Mark 1> [0.56, 0.24], <Mark 2> [0.76, 0.50]` as parts."""
    parts: list[str | Part] = []
    for number, mark in enumerate(marks):
        parts += [f"{', ' if number else ''}{cite(mark.label)} ", place_of(mark)]
    return parts


def written_marks(marked: Marked, decimals: int = 2, padding: str = "corner") -> str:
    """Return the marks of an image as text for a prompt: `<Mark 1> [0.56, 0.24], ...`, relative to the square.

    Args:
        marked: The marks, in pixels.
        decimals: Decimals of places.
        padding: Where the model's square has the image, see `ViewGrid`.
    """
    layout = plan_views(*marked.size, ViewGrid(padding=padding))
    said = []
    for mark in marked.marks:
        part = place_of(mark)
        relative = [layout.to_square(place) for place in part.places]
        said.append(f"{cite(mark.label)} {format_places(relative, decimals)}")
    return ", ".join(said)


def messages_of(page: Page, exchanges: Sequence[Exchange]) -> list[Message]:
    """Return the messages of a sample: all exchanges in turn, the places of the marks in the first question."""
    turns = [turn for exchange in exchanges for turn in exchange.turns]
    before, after = pick(LISTED, page.key).split("{}")
    question = turns[0][0]
    first = [*items_of(question), f" {before}"]
    turns[0] = ([*first, *listed(page.marked.marks), after], turns[0][1])  # pyright: ignore[reportArgumentType]
    return dialogue(turns)
