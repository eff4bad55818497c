"""Fills the tables of docs/smol.md from what was measured, so that no figure there is written by hand.

    python benchmarks/smol_card.py --results runs/smol/smol.json --ablations runs/ablations/results

A table stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->`: `goals` and `figures` of benchmarks/smol.py,
`ablations` of the runs of benchmarks/smol_ablations.py (folders NAME-SEED with a smol.json each).
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from smol_parts.results import as_markdown, further_rows, shown, triple

from sphinx_x.evaluation.report import markdown_table

CARD = Path(__file__).parents[1] / "docs" / "smol.md"
FULL = "full"


def filled(text: str, name: str, content: str) -> str:
    """Return a text with the part between a pair of markers replaced.

    Raises:
        SystemExit: The text does not have each marker once, in order.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    parts = re.split(f"({re.escape(begin)}|{re.escape(end)})", text)
    if parts[1::2] != [begin, end]:
        raise SystemExit(f"the card needs {begin} and {end}, each once")
    return f"{parts[0]}{begin}\n{content.strip()}\n{end}{parts[4]}"


def goals(content: Mapping[str, Any]) -> str:
    """Return the figures that have a goal, and by how much each is reached or missed."""
    rows = []
    for row in [*content["rows"], *further_rows(content)]:
        goal, scale = row["most"] if row["least"] is None else row["least"], row["scale"]
        if goal is None:
            continue
        value = row["value"][0]
        said = "no answers"
        if value is not None:
            said = f"{'reached' if row['reached'] else 'missed'}, {shown(value - goal, scale, sign=True)}"
        way = "or less" if row["least"] is None else "or more"
        rows.append((row["part"], row["figure"], f"{shown(goal, scale)} {way}", triple(row["value"], scale), said))
    return "\n".join(markdown_table(("part", "figure", "goal", "measured", ""), rows))


def ablations(results: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> str:
    """Return how much worse every run is than the full one of the same seed: the mean, and the range over the seeds.

    Args:
        results: What was measured, by the name of the run and the seed.

    Raises:
        SystemExit: There is no full run, or none of the same seed.
    """
    full = {seed: _figures(content) for seed, content in results.get(FULL, {}).items()}
    names = list(dict.fromkeys(name for one in full.values() for name in one))
    if not names:
        raise SystemExit(f"no results of {FULL}-SEED")
    rows = []
    for run, seeds in results.items():
        cells = []
        for name in names:
            pairs = [(_figures(content).get(name), full.get(seed, {}).get(name)) for seed, content in seeds.items()]
            scale = next(one[name][1] for one in full.values() if name in one)
            numbers = [one[0] - (0 if run == FULL else other[0]) for one, other in pairs if one and other]
            cells.append(_range(numbers, scale, run != FULL))
        rows.append((run, str(len(seeds)), *cells))
    heading = ("run", "seeds", *(f"{part}: {figure}" for part, figure in names))
    return "\n".join(markdown_table(heading, rows))


def _figures(content: Mapping[str, Any]) -> dict[tuple[str, str], tuple[float, float]]:
    """Return the value and the scale of the figures that have a goal, by part and name."""
    return {
        (row["part"], row["figure"]): (row["value"][0], row["scale"])
        for row in content["rows"]
        if row["value"][0] is not None and (row["least"] is not None or row["most"] is not None)
    }


def _range(numbers: Sequence[float], scale: float, sign: bool) -> str:
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    return triple([mean(numbers), low, high] if len(numbers) > 1 else [numbers[0], None, None], scale, sign)


def joined(contents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return several results as one, such as receipts with all peers and the other parts with a limit.

    Raises:
        SystemExit: They are not of the same weights, or two have the same figure.
    """
    if len({content["weights"] for content in contents}) != 1:
        raise SystemExit("the results are of different weights")
    whole = {name: dict(contents[0][name]) for name in ("ways", "notes", "left_out", "refused")}
    rows: dict[tuple[str, str], Any] = {}
    for content in contents:
        for name, known in whole.items():
            known |= content[name]
        for row in content["rows"]:
            if (row["part"], row["figure"]) in rows:
                raise SystemExit(f"two results have {row['part']}, {row['figure']}")
            rows[row["part"], row["figure"]] = row
    limits = [content["limit"] for content in contents if content["limit"]]
    for content in contents if limits else ():
        for part in {row["part"] for row in content["rows"] if not content["limit"]}:
            whole["notes"][part] = "; ".join(filter(None, [whole["notes"].get(part), "all items"]))
    alone = {name: content[name] for content in contents for name in ("text", "speed") if content.get(name)}
    said = {"model": contents[0]["model"], "weights": contents[0]["weights"], "limit": max(limits, default=None)}
    return said | whole | alone | {"rows": list(rows.values())}


def read_results(folder: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """Return what was measured of the runs of an ablation, by name and seed, the full one first."""
    found: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for path in sorted(folder.glob("*-*/smol.json"), key=lambda path: not path.parent.name.startswith(FULL)):
        name, _, seed = path.parent.name.rpartition("-")
        found[name][int(seed)] = json.loads(path.read_text("utf-8"))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fills the tables of docs/smol.md.")
    parser.add_argument("--results", type=Path, nargs="+", help="smol.json of benchmarks/smol.py, one or several")
    parser.add_argument("--ablations", type=Path, help="folder with the results of an ablation's runs")
    parser.add_argument("--card", type=Path, default=CARD)
    options = parser.parse_args(arguments)
    text = options.card.read_text("utf-8")
    if options.results is not None:
        content = joined([json.loads(path.read_text("utf-8")) for path in options.results])
        text = filled(filled(text, "goals", goals(content)), "figures", as_markdown(content))
    if options.ablations is not None:
        text = filled(text, "ablations", ablations(read_results(options.ablations)))
    options.card.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
