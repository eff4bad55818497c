"""Features of frozen experts are computed once per image, and a run with them learns what one without learns."""

import pytest
import torch
from pydantic import ValidationError

from runs import log
from sphinx_x.data.features import FeatureStore, identity_of
from sphinx_x.errors import RecipeError
from sphinx_x.family import new_model
from sphinx_x.recipe import Recipe
from sphinx_x.training.trainer import Trainer


def frozen(recipe, **fields):
    """The recipe with frozen experts and images as they are; 32 of 40 samples, then the first ones again."""
    return Recipe(**{**recipe.model_dump(), "augment": {}, "freeze": ["experts"], "total_samples": 32, **fields})


def looked_at(trainer):
    """The number of views that the experts are given, as a list that grows."""
    seen = []
    for expert in trainer.engine.objective.model.model.vision.groups[0].experts[:1]:
        expert.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    return seen


def test_a_run_with_stored_features_learns_the_same_and_looks_once(recipe, tmp_path):
    plain = Trainer(frozen(recipe), tmp_path / "plain")
    plain.run()
    runs = []
    for name in ("first", "second"):
        trainer = Trainer(frozen(recipe, feature_cache=tmp_path / "features"), tmp_path / name)
        views = looked_at(trainer)
        trainer.run()
        runs.append(sum(views))
        assert 0 < trainer.flops < plain.flops
        for mine, theirs in zip(log(tmp_path / name), log(tmp_path / "plain"), strict=True):
            assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
            assert mine["step"] == theirs["step"]
        ours, wanted = (one.engine.objective.model.state_dict() for one in (trainer, plain))
        assert all(torch.allclose(ours[key], wanted[key], atol=1e-4) for key in wanted)
    assert runs[0] > 0 and runs[1] == 0
    assert len(list((tmp_path / "features").rglob("*.safetensors"))) == 32


def test_features_are_those_of_the_experts_as_they_are_rounded(recipe, tmp_path):
    """Runs of two types share a folder, and not their features."""
    for dtype in ("bfloat16", "float32"):
        trainer = Trainer(frozen(recipe, dtype=dtype, feature_cache=tmp_path / "features"), tmp_path / dtype)
        trainer.run()
    assert len(list((tmp_path / "features").rglob("*.safetensors"))) == 2 * 32
    moved = frozen(recipe, dtype="float32", feature_cache=tmp_path / "elsewhere")
    Trainer(moved, tmp_path / "float32", resume=True)


def test_what_cannot_be_stored_is_refused(recipe, tmp_path):
    with pytest.raises(RecipeError, match=r"feature_cache: features change while experts are trained \(freeze: \[expe"):
        Trainer(frozen(recipe, freeze=[], feature_cache=tmp_path / "features"), tmp_path / "run")
    with pytest.raises(ValidationError, match="feature_cache: features are stored for images as they are: no augment"):
        frozen(recipe, augment={"noise": 3.0}, feature_cache=tmp_path / "features")


def test_other_weights_have_other_features_and_a_broken_file_is_none(tiny_member, tmp_path):
    models = [new_model(tiny_member, seed)[0] for seed in (1, 1, 2)]
    same, again, other = (identity_of(one.model.vision, one.config, (255, 255, 255)) for one in models)
    assert same == again != other
    with torch.no_grad():  # the projector is no part of it
        models[0].model.vision.groups[0].projector[0].weight.add_(1)
    assert identity_of(models[0].model.vision, models[0].config, (255, 255, 255)) == same
    assert identity_of(models[0].model.vision, models[0].config, (0, 0, 0)) != same
    store, parts = FeatureStore(tmp_path, same, 2), (torch.rand(2, 3, 4), torch.rand(2, 1, 5).bfloat16())
    key = store.key(b"an image", (True, False))
    assert store.get(key) is None and key != FeatureStore(tmp_path, other, 2).key(b"an image", (True, False))
    assert key != store.key(b"an image", (True, True))  # which views there are depends on what is read as well
    store.put(key, parts)
    found = store.get(key)
    assert found is not None and all(torch.equal(a, b) for a, b in zip(found, parts, strict=True))
    file = next(tmp_path.rglob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-5])
    assert store.get(key) is None
