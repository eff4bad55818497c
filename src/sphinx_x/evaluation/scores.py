"""Scoring saved answers of any model, without loading one: what `sphinx-x score` does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import NOT_SCORED, UNREADABLE, Item, Verdict
from sphinx_x.evaluation.measures import Figure, figures
from sphinx_x.evaluation.readers import PUBLISHED, json_lines, load, named
from sphinx_x.evaluation.scoring.thoughts import without_thoughts
from sphinx_x.evaluation.task import Chosen, Reading, find_task

if TYPE_CHECKING:
    from sphinx_x.evaluation.judge import Judge

FEW = 10
"""Names that a message tells at most."""
NOT = "not scored"


@dataclass(frozen=True)
class Scored:
    """A benchmark's answers with their verdicts, in the order of its items.

    answers: as they were given, None where there is none; repeated: indices that were answered twice, in the same
    words; doubled: items that the benchmark itself has twice; judge: who judged the answers, and by which prompt.
    """

    chosen: Chosen
    how: Reading
    items: Sequence[Item]
    answers: Sequence[str | None]
    verdicts: Sequence[Verdict]
    repeated: tuple[int, ...] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)
    judge: Mapping[str, Any] | None = None

    @property
    def unjudged(self) -> dict[int, str]:
        """Items without a judgement, with the reason: they count at their worst, so that a score is a lower bound."""
        pairs = zip(self.items, self.verdicts, strict=True)
        return {item.index: verdict.unjudged for item, verdict in pairs if verdict.unjudged}

    @property
    def way(self) -> str:
        """How a benchmark that wants a judge was scored; empty for others."""
        judging = self.chosen.task.judging
        if judging is None:
            return ""
        if self.judge is None:
            return f"no judge: {judging.offline}" if judging.offline else f"{NOT}: no judge"
        return f"judge {self.judge['judge']} ({', '.join(self.judge['versions']) or 'unnamed version'})"

    @property
    def headline(self) -> tuple[str, Figure]:
        """The name and the value of the benchmark's own score."""
        return next(iter(self.figures.items()))

    @property
    def missing(self) -> list[int]:
        """Items without an answer: they count as wrong."""
        return [item.index for item, answer in zip(self.items, self.answers, strict=True) if answer is None]

    @property
    def empty(self) -> list[int]:
        """Items with an empty answer."""
        pairs = zip(self.items, self.answers, strict=True)
        return [item.index for item, answer in pairs if answer is not None and not answer.strip()]

    @property
    def unreadable(self) -> list[int]:
        """Items with an answer in which nothing can be read."""
        return [
            item.index
            for item, answer, verdict in zip(self.items, self.answers, self.verdicts, strict=True)
            if answer is not None and not verdict.readable
        ]

    @property
    def doubled(self) -> list[int]:
        """Items that stand in the benchmark a second time; both count."""
        seen: set[str] = set()
        found = []
        for item in self.items:
            if item.key in seen:
                found.append(item.index)
            seen.add(item.key)
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON: the headline in the benchmark's own scale, items from 0 to 1 in the order of the annotation file."""
        name, headline = self.headline
        return {
            "task": self.chosen.name,
            "metric": name,
            "rule": self.how.rule,
            "score": known(headline.value),
            "interval": [known(headline.low), known(headline.high)],
            "scores": {key: known(figure.value) for key, figure in self.figures.items()},
            "items": len(self.items),
            "clusters": len({item.cluster or f"#{item.index}" for item in self.items}),
            "unreadable": self.unreadable,
            "empty": self.empty,
            "missing": self.missing,
            "repeated": list(self.repeated),
            "doubled": self.doubled,
            **self._judging(),
            "per_item": [known(verdict.score) for verdict in self.verdicts],
        }

    def _judging(self) -> dict[str, Any]:
        """What is told of judging, where a benchmark wants a judge."""
        if self.chosen.task.judging is None:
            return {}
        missing = {str(index): reason for index, reason in self.unjudged.items()}
        return {"scored by": self.way, "judge": self.judge, "unjudged": missing}


def known(value: float) -> float | None:
    """A number as JSON has it: None where there is none."""
    return None if value != value else value


def find_split(name: str, path: Path) -> Chosen:
    """Return the one split that a name means, told by the file or folder of questions where the task has several.

    A list of the reference repository names its split itself; elsewhere the names of the file and its folder tell it.
    Raises `DataError` for an unknown name, a path that is not there or without questions, and where the split cannot be
    told or is another one than named.
    """
    meant = find_task(name)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    listed = _listed_split(path)
    every = [Chosen(meant[0].task, split) for split in meant[0].task.splits]
    if listed in [chosen.name for chosen in every]:
        if listed not in [chosen.name for chosen in meant]:
            raise DataError(f"{path}: holds questions of {listed}, not of {name}")
        return next(chosen for chosen in meant if chosen.name == listed)
    found = meant if len(meant) == 1 else [chosen for chosen in meant if _named_like(chosen, path)]
    if not found and path.is_dir():
        raise DataError(f"{path}: holds no questions of {name}")
    if len(found) != 1:
        names = ", ".join(chosen.name for chosen in found or meant)
        raise DataError(f"{name}: {path} does not tell which split it is of; name one of {names}")
    return found[0]


def _listed_split(path: Path) -> object:
    """What the first entry of a list of the reference repository calls its data set; None for other files."""
    path = path / "annotation.json" if path.is_dir() else path
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        rows = load(path)
    except DataError:  # JSON lines that are called .json, as POPE's; what is broken is told by the task's own reader
        return None
    first = rows[0] if isinstance(rows, list) and rows else None
    return first.get("dataset_name") if isinstance(first, Mapping) and PUBLISHED in first else None


def _named_like(chosen: Chosen, path: Path) -> bool:
    """Whether a file, or its folder, is called as the split is or as its files are, or a folder holds such a file."""
    if path.is_dir():
        return path.name == chosen.name or chosen.files.find(path) is not None
    patterns = [pattern.rsplit("/", 1)[-1] for pattern in chosen.files.annotations]
    return chosen.name in (path.stem, path.parent.name) or any(fnmatchcase(path.name, name) for name in patterns)


def locate(chosen: Chosen, path: Path) -> tuple[Path, tuple[Path, ...]]:
    """The questions' file of a task that a path means, and the folders of its pictures.

    path: the file itself, or a folder: the benchmark's own, or one that holds `annotation.json`. Raises `DataError`.
    """
    if path.is_file():
        return path, chosen.files.folders(path.parent, path)
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder")
    listed = path / "annotation.json"
    found = listed if listed.is_file() else chosen.files.find(path)
    if found is None:
        wanted = " or ".join(chosen.files.annotations)
        raise DataError(f"{path}: holds no questions of {chosen.name} ({wanted}, or annotation.json)")
    return found, chosen.files.folders(path, found)


def unlike_release(chosen: Chosen, count: int) -> str:
    """How a number of questions differs from that of the split's release, in words; empty where it does not."""
    release = chosen.files.items
    return "" if release in (None, count) else f"the files have {count} questions, the release has {release}"


def read_items(chosen: Chosen, path: Path) -> list[Item]:
    """All items of a split. Raises `DataError` where there are none."""
    questions, folders = locate(chosen, path)
    with named(f"{questions}, or a file beside it"):
        items = list(chosen.read(questions, folders))
    if not items:
        raise DataError(f"{questions}: holds no questions of {chosen.name}")
    return items


def read_answers(path: Path, count: int) -> tuple[dict[int, str], tuple[int, ...]]:
    """Answers by their `index` from JSON lines or a JSON list, and the indices that stand twice with the same answer.

    Raises `DataError` for an entry without index or answer, an index that no item has, and two different answers to
    one question.
    """
    rows = _answer_rows(path)
    found: dict[int, str] = {}
    repeated: list[int] = []
    for number, row in enumerate(rows, 1):
        where = f"{path}, answer {number}"
        if not isinstance(row, Mapping) or "index" not in row or "answer" not in row:
            raise DataError(f"{where}: needs index and answer")
        index, answer = row["index"], row["answer"]
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < count:
            raise DataError(f"{where}: index {index!r} is not from 0 to {count - 1}, the items of the annotation")
        if answer is not None and not isinstance(answer, str):
            raise DataError(f"{where}: the answer must be a text, not {answer!r}")
        if index in found:
            if found[index] != (answer or ""):
                raise DataError(f"{where}: another answer to item {index}, which was answered before")
            repeated.append(index)
        found[index] = answer or ""
    return found, tuple(repeated)


def _answer_rows(path: Path) -> list[Any]:
    """The entries of a file of answers: of a JSON list, or of JSON lines, whatever the file is called."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return json_lines(path)
    if isinstance(content, list):
        return content
    if path.suffix == ".json" and not (isinstance(content, Mapping) and "index" in content):
        raise DataError(f"{path}: holds no list of answers")
    return [content]


def score_answers(
    chosen: Chosen,
    items: Sequence[Item],
    answers: Mapping[int, str],
    how: Reading | None = None,
    repeated: tuple[int, ...] = (),
    judge: Judge | None = None,
    name: str = "",
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Scored:
    """Verdicts and scores.

    Args:
        chosen: The split of a task.
        items: Its items.
        answers: By the index of the item; one that is not there counts as wrong. Thoughts of a reasoning model are
            taken off before an answer is scored.
        how: How answers are read.
        repeated: Indices that were answered twice, in the same words.
        judge: Who judges answers to a task that wants a judge; None: the task's approximation, or none.
        name: What the file of the judgements is called; by default the split's name.
        progress: Told how many answers of how many are judged.

    Raises:
        DataError: A rule that the task does not have, or a judge that cannot be asked any further.
    """
    how, task = how or Reading(), chosen.task
    task.check_rule(how.rule)
    said = [answers.get(item.index) for item in items]
    pairs = [(item, None if a is None else without_thoughts(a)) for item, a in zip(items, said, strict=True)]
    by: Mapping[str, Any] | None = None
    if task.judging is not None and judge is not None:
        judgements = judge.judge(name or chosen.name, task, pairs, how, progress)
        verdicts = [judgement.verdict for judgement in judgements]
        by = judge.described(judgements)
    elif task.judging is not None and not task.judging.offline:
        verdicts = [NOT_SCORED if answer and answer.strip() else task.judging.nothing for _, answer in pairs]
    else:
        verdicts = [UNREADABLE if answer is None else task.score(item, answer, how) for item, answer in pairs]
    found = figures(task.measure, list(zip(items, verdicts, strict=True)))
    return Scored(chosen, how, items, said, verdicts, repeated, found, by)


def as_text(scored: Scored) -> str:
    """The scores in words, and what was wrong with the answers."""
    scale = scored.chosen.task.measure.scale
    lines = [f"{name}: {shown_figure(figure, scale)}" for name, figure in scored.figures.items()]
    lines.append(f"{len(scored.items)} items; rule {scored.how.rule}; in brackets 95 % intervals over draws of images")
    lines += [scored.way] if scored.way else []
    unlike = unlike_release(scored.chosen, len(scored.items))
    lines += [f"note: {unlike}"] if unlike else []
    facts = {
        "unreadable answers, counted as wrong": scored.unreadable,
        "items without an answer, counted as wrong": scored.missing,
        "answers without a judgement, counted at their worst": list(scored.unjudged),
        "empty answers": scored.empty,
        "answers that stand twice, the same, counted once": list(scored.repeated),
        "items that the benchmark has twice, both counted": scored.doubled,
    }
    return "\n".join([*lines, *(f"{len(k)} {what}: {some(k)}" for what, k in facts.items() if k)])


def some(numbers: Sequence[int]) -> str:
    """The first few of some numbers."""
    return ", ".join(map(str, numbers[:FEW])) + (" ..." if len(numbers) > FEW else "")


def shown_number(value: float, scale: float) -> str:
    """A score as it is printed: shares as per cent."""
    if value != value:
        return NOT
    return f"{100 * value:.1f} %" if scale == 1 else f"{value:.1f}"


def shown_figure(figure: Figure, scale: float) -> str:
    """A score with its interval."""
    if figure.value != figure.value:
        return NOT
    low, high = shown_number(figure.low, scale), shown_number(figure.high, scale)
    return f"{shown_number(figure.value, scale)} ({low} to {high})"
