"""The model card that a run writes next to its weights: what was trained, on what, for how long."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sphinx_x.data.blend import Weighted
from sphinx_x.data.prepare import DataConfig
from sphinx_x.jobs import write_atomic
from sphinx_x.training.recipe import Recipe

SCORES = "## Scores"
"""The card's last section; `sphinx-x eval` prints what belongs there."""


def _packages(data: DataConfig) -> list[str]:
    """Where documents come from, each once."""
    return list(dict.fromkeys([*data.packages, *(name for pages in data.pages.values() for name in pages.packages)]))


def write_card(
    path: Path, recipe: Recipe, records: Sequence[dict[str, Any]], sources: Sequence[Weighted], parameters: int
) -> None:
    """Writes the card of a finished run. records: its log; sources: of its mixture; parameters: of the model."""
    last = records[-1]
    hours = sum(record["seconds"] for record in records) / 3600
    shares = [sum(source.share(at) for source in sources) for at in (0.0, 1.0)]
    rows = "\n".join(
        f"| {s.name} | {s.size:,} | {s.share(0.0) / shares[0]:.1%} | {s.share(1.0) / shares[1]:.1%} |" for s in sources
    )
    documents = f"Documents: {', '.join(_packages(recipe.data))}. No other was used.\n\n" if recipe.data else ""
    begun = f", beginning with the model `{recipe.start}`" if recipe.start else ""
    settings = yaml.safe_dump(recipe.model_dump(mode="json", exclude={"data"}), sort_keys=False, allow_unicode=True)
    write_atomic(
        path,
        f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---
# SPHINX-{recipe.member.capitalize()}

{parameters / 1e6:.2f} million parameters, made by `sphinx-x train` with the recipe below and nothing else{begun}.

- Samples seen: {last["samples"]:,} in {last["step"]:,} steps.
- Time: {hours:.1f} hours of training.
- Last losses: {last["loss"]:.3f} nats a trained token, alignment {last["align"]:.3f} nats a character.

## Data

| source | samples (pieces) | share at the start | share at the end |
|---|---|---|---|
{rows}

{documents}## Recipe

```yaml
{settings}```

{SCORES}

Not measured yet: `sphinx-x eval` prints them.
""",
    )
