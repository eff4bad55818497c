"""What became of every item of a run, one JSON line each: what `compare` and the page of the report are made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import Item, Verdict
from sphinx_x.evaluation.run import SCORER, Row, Run
from sphinx_x.evaluation.scores import known
from sphinx_x.evaluation.task import Chosen, find_task
from sphinx_x.work.files import read_lines, write_atomic

ITEMS = "items"


@dataclass(frozen=True, slots=True)
class Result:
    """An item with its answer and verdict.

    refused: why it was not asked; judge: who judged it, if anybody; rule: by which it was scored; scorer: the version
    of what scored it, 0 of the releases that did not tell.
    """

    item: Item
    answer: str
    verdict: Verdict
    refused: str = ""
    judge: str = ""
    rule: str = "official"
    scorer: int = 0

    @property
    def judged(self) -> tuple[Item, Verdict]:
        """What measures take."""
        return self.item, self.verdict


def write_results(run: Run, out: Path) -> None:
    """Writes `items/TASK.jsonl` of every row of a run."""
    for row in run.rows:
        lines = (
            json.dumps({**line, "weights": run.digest}, ensure_ascii=False) + "\n" for line in _lines(row, run.rule)
        )
        (out / ITEMS).mkdir(parents=True, exist_ok=True)
        write_atomic(out / ITEMS / f"{row.name}.jsonl", "".join(lines))


def _lines(row: Row, rule: str) -> Iterator[Mapping[str, Any]]:
    scored, refused = row.scored, row.refused
    for item, answer, verdict in zip(scored.items, scored.answers, scored.verdicts, strict=True):
        yield {
            "index": item.index,
            "id": item.id,
            "question": item.question,
            "pictures": [picture.name for picture in item.pictures],
            "references": list(item.references),
            "kind": item.kind,
            "cluster": item.cluster,
            "options": dict(item.options),
            "facts": dict(item.facts),
            "answer": answer,
            "said": verdict.said,
            "score": known(verdict.score),
            "beside": verdict.beside,
            "unjudged": verdict.unjudged,
            "judge": scored.way,
            "rule": rule,
            "scorer": SCORER,
            "refused": refused.get(item.index, ""),
        }


def read_results(out: Path, name: str) -> tuple[Chosen, list[Result]]:
    """The results of a row of a run by its name. Raises `DataError` where they are not there or are something else."""
    path = out / ITEMS / f"{name}.jsonl"
    if not path.is_file():
        raise DataError(f"{path}: no such results; is {out} the folder of a finished run?")
    chosen = find_task(name.removesuffix(".blind").removesuffix(".shuffled"))[0]
    return chosen, [_result(path, number, row) for number, row in enumerate(read_lines(path), 1)]


def _result(path: Path, number: int, row: Mapping[str, Any]) -> Result:
    try:
        item = Item(
            row["index"],
            row["question"],
            (),
            tuple(row["references"]),
            row["id"],
            row["kind"],
            row["cluster"],
            row["options"],
            facts=row["facts"],
        )
        score = float("nan") if row["score"] is None else row["score"]
        verdict = Verdict(score, row["said"], row["beside"], row["unjudged"])
        how = row["judge"], row.get("rule", "official"), row.get("scorer", 0)
        return Result(item, row["answer"] or "", verdict, row["refused"], *how)
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}, line {number}: not a result of a run") from error


def row_names(out: Path) -> list[str]:
    """The names of a run's rows.

    Raises `DataError` where the folder is none of a finished run, or has rows of several models.
    """
    found = sorted(path.stem for path in (out / ITEMS).glob("*.jsonl"))
    if not found:
        raise DataError(f"{out}: not the folder of a finished run (no {ITEMS}/*.jsonl)")
    models: dict[str, list[str]] = {}
    for name in found:
        first = next(iter(read_lines(out / ITEMS / f"{name}.jsonl")), {})
        models.setdefault(first.get("weights", ""), []).append(name)
    if len(models) > 1:
        told = "; ".join(
            f"{', '.join(names)} of {weights or 'an earlier release'}" for weights, names in models.items()
        )
        raise DataError(f"{out}: has results of several models ({told}): evaluate each into a folder of its own")
    return found
