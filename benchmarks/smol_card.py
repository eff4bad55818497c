"""Fills the tables of docs/smol.md from what was measured, so that no figure there is written by hand.

    python benchmarks/smol_card.py --results runs/smol/smol.json --ablations runs/ablations/results

A table stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->`: `goals` and `figures` of benchmarks/smol.py,
`ablations` of the runs of benchmarks/smol_ablations.py (folders NAME-SEED with a losses.json each).
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from smol_parts.results import as_markdown, further_rows, shown, triple

from sphinx_x.evaluation.report import markdown_table
from sphinx_x.studies.pairs import paired

CARD = Path(__file__).parents[1] / "docs" / "smol.md"
FULL = "full"
Losses = Mapping[str, Sequence[Sequence[float]]]
"""By kind of held-out dialogue, nats and tokens of every item."""


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


def ablations(results: Mapping[str, Mapping[int, Losses]]) -> str:
    """Return by kind of held-out dialogue the loss of the full runs, and how much more each other run's is.

    Args:
        results: By the name of the run and the seed, what `train_and_measure` wrote.

    Raises:
        SystemExit: There is no full run, or another run has no full one of its seed.
    """
    if FULL not in results:
        raise SystemExit(f"no results of {FULL}-SEED")
    kinds = list(next(iter(results[FULL].values())))
    rows = []
    for run, seeds in results.items():
        missing = set(seeds) - set(results[FULL])
        if missing:
            raise SystemExit(f"{run}: no {FULL} run of the seed {min(missing)}")
        cells = []
        for kind in kinds:
            values = [results[name][seed][kind] for name in (FULL, run) for seed in seeds]
            nats, tokens = np.array(values, float).transpose(2, 0, 1)  # (runs, items) each
            first, second = np.split(nats / tokens, 2)
            if run == FULL:
                cells.append(f"{nats.sum() / tokens.sum():.3f}")
            else:
                cells.append("{:+.3f} ({:+.3f} to {:+.3f})".format(*paired(first, second, tokens[0])))
        rows.append((run, str(len(seeds)), *cells))
    return "\n".join(markdown_table(("run", "seeds", *kinds), rows))


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
    said = {name: contents[0].get(name) for name in ("model", "weights", "fast")} | {"limit": max(limits, default=None)}
    return said | whole | alone | {"rows": list(rows.values())}


def read_results(folder: Path) -> dict[str, dict[int, Losses]]:
    """Return what was measured of the runs of an ablation, by name and seed, the full one first."""
    found: dict[str, dict[int, Losses]] = defaultdict(dict)
    for path in sorted(folder.glob("*-*/losses.json"), key=lambda path: (not path.parent.name.startswith(FULL), path)):
        name, _, seed = path.parent.name.rpartition("-")
        found[name][int(seed)] = json.loads(path.read_text("utf-8"))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fills the tables of docs/smol.md.")
    parser.add_argument("--results", type=Path, nargs="+", help="smol.json of benchmarks/smol.py, one or several")
    parser.add_argument("--ablations", type=Path, nargs="+", help="folders with results of ablations, a table each")
    parser.add_argument("--card", type=Path, default=CARD)
    options = parser.parse_args(arguments)
    text = options.card.read_text("utf-8")
    if options.results is not None:
        content = joined([json.loads(path.read_text("utf-8")) for path in options.results])
        text = filled(filled(text, "goals", goals(content)), "figures", as_markdown(content))
    if options.ablations is not None:
        text = filled(text, "ablations", "\n\n".join(ablations(read_results(path)) for path in options.ablations))
    options.card.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
