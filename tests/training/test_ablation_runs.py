"""A run of SPHINX-Smol's ablation: trained, measured item by item, and not done twice."""

import json
import sys

import pytest
import yaml

from paths import ROOT
from shards import write_lines
from sphinx_x.recipe import Recipe
from sphinx_x.training.trainer import Trainer

sys.path.insert(0, str(ROOT / "benchmarks"))
import smol_ablations as ablations


def test_a_trained_run_writes_the_loss_of_every_held_out_item(recipe, tmp_path):
    write_lines(recipe.folder, "held", 7, seed=5)
    folder, run = tmp_path / "ablation", ablations.Run("full", 96)
    (folder / "recipes").mkdir(parents=True)
    fields = recipe.model_dump(mode="json", exclude_unset=True)
    (folder / "recipes" / "full-0.yaml").write_text(yaml.safe_dump(fields), "utf-8")
    held = {"lines": recipe.folder / "held-00000.jsonl"}
    ablations.train_and_measure(run, 0, folder, held, 5)
    result = folder / "results" / "full-0" / "losses.json"
    found = json.loads(result.read_text("utf-8"))
    assert list(found) == ["lines"] and len(found["lines"]) == 5
    # together they are the loss that a run begun with the trained model is told of the same items
    validation = {"sources": {"lines": {"path": held["lines"]}}, "samples": 5}
    start = {"start": str(folder / "runs" / "full-0" / "model"), "validation": validation}
    again = Trainer(Recipe.model_validate(recipe.model_dump() | start), tmp_path / "again")
    nats, tokens = (sum(part) for part in zip(*found["lines"], strict=True))
    assert nats / tokens == pytest.approx(again.validation.measure(again.engine)["loss"], rel=1e-5)
    written = result.stat().st_mtime_ns
    ablations.train_and_measure(run, 0, folder, held, 5)
    assert result.stat().st_mtime_ns == written
