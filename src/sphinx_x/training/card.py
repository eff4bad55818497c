"""The model card that a run writes next to its weights: what was trained, on what, for how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sphinx_x.data.blend import Weighted
from sphinx_x.data.shards import SampleReader
from sphinx_x.inference import BUILT_IN
from sphinx_x.planning.report import duration
from sphinx_x.recipe import Recipe
from sphinx_x.work.files import write_atomic
from sphinx_x.work.tally import UNUSABLE

SCORES = "## Scores"
"""The card's last section; `sphinx-x eval` prints what belongs there."""
LOOKED_AT = 50
"""Number of samples of a source whose licence is read."""


def _packages(fields: dict[str, Any]) -> list[str]:
    """Return the packages that documents come from, each once; `fields` is a recipe's `data`."""
    from sphinx_x.engines.nano.prepare import check_data

    data = check_data(fields)
    return list(dict.fromkeys([*data.packages, *(name for pages in data.pages.values() for name in pages.packages)]))


def licences_of(reader: SampleReader) -> str:
    """Return the licences that samples of a source name, the most frequent first, or `unknown`."""
    found: Counter[str] = Counter()
    for number in sorted(set(np.linspace(0, len(reader) - 1, min(LOOKED_AT, len(reader))).astype(int).tolist())):
        try:
            found[_cell(reader[number].licence) or "unknown"] += 1
        except UNUSABLE:  # counted and named where lengths are measured
            continue
    return "; ".join(licence for licence, _ in found.most_common(5)) or "unknown"


def _cell(text: str) -> str:
    """Return text as a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "/")[:100]


def _licence_of_base(start: str) -> str:
    """Return the licence in the front matter of a model's own card, or `unknown`."""
    path = next((f / "README.md" for f in (Path(start), BUILT_IN / start) if (f / "README.md").is_file()), None)
    text = path.read_text(encoding="utf-8", errors="replace") if path else ""
    try:
        facts: Any = yaml.safe_load(text.split("---")[1]) if text.startswith("---") else None
    except (yaml.YAMLError, IndexError):
        facts = None
    return str(facts.get("license") or "unknown") if isinstance(facts, dict) else "unknown"


def _front_matter(recipe: Recipe) -> str:
    """Return the YAML that the hub reads; it names a base only by hub id, as the hub takes nothing else."""
    facts: dict[str, Any] = {"license": recipe.licence or "unknown"}
    start = recipe.start or ""
    if start.count("/") == 1 and not Path(start).exists() and not start.startswith((".", "~", "/")):
        facts |= {"base_model": start, "base_model_relation": "adapter" if recipe.lora else "finetune"}
    facts |= {"library_name": "peft" if recipe.lora else "transformers", "pipeline_tag": "image-text-to-text"}
    return yaml.safe_dump(facts, sort_keys=False)


def _title(recipe: Recipe, run: str) -> str:
    """Return the recipe's name for the model, else the run's for a fine-tuned model and the member's for others."""
    return recipe.name or (run if recipe.start else f"SPHINX-{recipe.member.capitalize()}")


CARD = """---
{front_matter}---
# {title}

{parameters:.2f} million parameters, made by `sphinx-x train` with the recipe below and nothing else{begun}.

- Of the family: SPHINX-{member}.{base}
- What is here: {kind}.
- Licence: {licence}.
- Samples seen: {samples:,} in {steps:,} steps.
- Time: {took} of training.
- Last losses: {losses}.

## Data

| source | samples (pieces) | share at the start | share at the end | licence, as its samples say |
|---|---|---|---|---|
{rows}

{documents}## Recipe

```yaml
{settings}```

{scores}

Not measured yet: `sphinx-x eval` prints them.
"""


def write_card(
    path: Path,
    recipe: Recipe,
    seen: tuple[int, int],
    records: Sequence[dict[str, Any]],
    sources: Sequence[Weighted],
    parameters: int,
    run: str = "",
    readers: Sequence[SampleReader] = (),
) -> None:
    """Write the card of a run's model.

    Args:
        path: The file to write.
        recipe: The run's recipe.
        seen: Numbers of samples and steps so far.
        records: The run's log, which may be some steps behind, or empty.
        sources: The sources of its mixture.
        parameters: Number of the model's parameters, including those below adapters.
        run: The name of the run's folder.
        readers: Readers of the sources, for the licences that their samples name.
    """
    losses = "none logged yet"
    if records:
        last = records[-1]
        losses = f"{last['loss']:.3f} nats a trained token, alignment {last['align']:.3f} nats a character"
    card = CARD.format(
        **_origin(recipe, run),
        parameters=parameters / 1e6,
        samples=seen[0],
        steps=seen[1],
        took=duration(sum(record["seconds"] for record in records)),
        losses=losses,
        rows=_source_rows(sources, readers),
        documents=f"Documents: {', '.join(_packages(recipe.data))}. No other was used.\n\n" if recipe.data else "",
        settings=yaml.safe_dump(recipe.model_dump(mode="json", exclude={"data"}), sort_keys=False, allow_unicode=True),
        scores=SCORES,
    )
    write_atomic(path, card)


def _origin(recipe: Recipe, run: str) -> dict[str, str]:
    """Return the fields of the card that say whose model it is and what it was made from."""
    return {
        "front_matter": _front_matter(recipe),
        "title": _title(recipe, run),
        "begun": f", beginning with the model `{recipe.start}`" if recipe.start else "",
        "member": recipe.member.capitalize(),
        "base": f"\n- Base: `{recipe.start}`, licence: {_licence_of_base(recipe.start)}." if recipe.start else "",
        "kind": "low-rank adapters over its base, which is needed beside them" if recipe.lora else "all weights",
        "licence": recipe.licence or "unknown: the recipe gives none (`licence`)",
    }


def _source_rows(sources: Sequence[Weighted], readers: Sequence[SampleReader]) -> str:
    """Return the rows of the table of sources: size, share at both ends of the run, licence."""
    shares = [sum(source.share(at) for source in sources) for at in (0.0, 1.0)]
    licences = [licences_of(reader) for reader in readers] or ["unknown"] * len(sources)
    return "\n".join(
        f"| {s.name} | {s.size:,} | {s.share(0.0) / shares[0]:.1%} | {s.share(1.0) / shares[1]:.1%} | {licence} |"
        for s, licence in zip(sources, licences, strict=True)
    )
