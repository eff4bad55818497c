"""The model card that a run writes next to its weights: what was trained, on what, for how long."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sphinx_x.jobs import write_atomic
from sphinx_x.training.recipe import Recipe

SCORES = "## Scores"
"""The card's last section; `sphinx-x eval` prints what belongs there."""


def write_card(
    path: Path, recipe: Recipe, records: Sequence[dict[str, Any]], sizes: dict[str, int], parameters: int
) -> None:
    """Writes the card of a finished run. records: its log; sizes: samples of each source; parameters: of the model."""
    last = records[-1]
    hours = sum(record["seconds"] for record in records) / 3600
    rows = "\n".join(
        f"| {name} | {size:,} | {source.weight:g} | {source.weight if source.end is None else source.end:g} |"
        for (name, source), size in zip(recipe.sources.items(), sizes.values(), strict=True)
    )
    packages = ", ".join(recipe.data.packages) if recipe.data else "see the recipe's folder"
    settings = yaml.safe_dump(recipe.model_dump(mode="json", exclude={"data"}), sort_keys=False)
    write_atomic(
        path,
        f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---
# SPHINX-{recipe.member.capitalize()}

{parameters / 1e6:.2f} million parameters, made by `sphinx-x train` with the recipe below and nothing else.

- Samples seen: {last["samples"]:,} in {last["step"]:,} steps.
- Time: {hours:.1f} hours of training.
- Last losses: {last["loss"]:.3f} nats a trained token, alignment {last["align"]:.3f} nats a character.

## Data

| source | samples | share at the start | share at the end |
|---|---|---|---|
{rows}

Documents: {packages}. No other document was used.

## Recipe

```yaml
{settings}```

{SCORES}

Not measured yet: `sphinx-x eval` prints them.
""",
    )
