"""Operations of a study's arms, the visual experts among them, against a counted pass; and what its runs add up to."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sphinx_x.errors import RecipeError, SphinxXError
from sphinx_x.family import get_member, new_model, vary
from sphinx_x.model.views import plan_views
from sphinx_x.planning.costs import Load
from sphinx_x.recipe import LoraRecipe, Recipe
from sphinx_x.studies.costs import Shapes, pack_flops, sample_flops
from sphinx_x.studies.declaration import load_study, multiplied
from sphinx_x.studies.outlook import run_cost, trained_samples
from sphinx_x.studies.plan import plan_of
from sphinx_x.training.distributed import World
from sphinx_x.training.engine import Engine
from sphinx_x.training.objective import pack_examples
from sphinx_x.training.trial import _samples

VARIANTS = {
    "as it is": {},
    "narrow": {"width": 0.5},
    "one expert": {"experts": ["dinov2"]},
    "another grid": {"grid": [8, 1]},
    "padding encoded": {"skip": False},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_operations_are_those_of_a_counted_pass(tiny_member, monkeypatch, name):
    """Everything is trained, so a step costs three forward passes."""
    monkeypatch.setattr("sphinx_x.planning.outline.get_member", lambda _: tiny_member)
    fields = {"member": "nano", "folder": "data", "total_samples": 8, "sources": {"a": {}}, "freeze": []}
    recipe = Recipe(**fields, dtype="float32", align={"weight": 1.0}, variant=VARIANTS[name])
    shapes = Shapes.of(recipe)
    model, _ = new_model(vary(tiny_member, **recipe.variant.model_dump()))
    assert shapes.parameters == sum(p.numel() for p in model.parameters())
    views, slots = 8, shapes.config.tokens_per_view + 2
    examples = _samples(Load((slots * 2 + 30,) * 4, views, 60), model.config)
    engine = Engine(model, recipe, World(torch.device("cpu")))
    with FlopCounterMode(display=False) as counter:  # with gradients: attention is plain products then, which it knows
        engine.objective(pack_examples([examples], torch.device("cpu"), view=engine.view))
    assert pack_flops(shapes, examples) == pytest.approx(3 * counter.get_total_flops(), rel=0.02)


@pytest.mark.parametrize(("width", "parameters"), [(0.375, 1_103_214), (0.625, 2_923_170), (1.0, 7_279_824)])
def test_sizes_of_nano(width, parameters):
    """Heads can be turned by pairs, and the shape that ships is the one without a change."""
    member = vary(get_member("nano"), width=width)
    assert member.llm["hidden_size"] % (2 * member.llm["num_attention_heads"]) == 0
    recipe = load_study("scaling").recipe_of({"variant": {"width": width}, "total_samples": 48})
    assert Shapes.of(recipe).parameters == parameters
    assert width != 1.0 or member == get_member("nano")


def test_padding_is_skipped_encoded_or_dropped():
    """A line of text on Nano's canvas: two views, and thirty sub-images of padding."""
    nano = get_member("nano")
    layouts = {skip: plan_views(700, 26, vary(nano, skip=skip).views) for skip in (True, False, "drop")}
    assert [layouts[skip].views for skip in layouts] == [2, 32, 2]
    assert [layouts[skip].skip_tokens for skip in layouts] == [30, 0, 0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"experts": ["siglip"]}, "no expert siglip"),
        ({"experts": []}, "no expert at all"),
        ({"grid": (7, 2)}, "cannot be cut"),
        ({"grid": (32, 2)}, "no whole number of tokens"),
    ],
)
def test_variants_that_cannot_be(change, said):
    with pytest.raises(SphinxXError, match=said):
        vary(get_member("nano"), **change)


def test_a_recipe_that_starts_from_a_model_is_counted_as_that_model():
    typical = load_study("ablations").typical
    nano = Recipe(member="nano", start="nano", folder="data", total_samples=8, sources={"lines": {}})
    fresh = Recipe(member="nano", folder="data", total_samples=8, sources={"lines": {}})
    assert sample_flops(nano, typical) == pytest.approx(sample_flops(fresh, typical), rel=0.01)
    adapted = nano.model_copy(update={"lora": LoraRecipe()})
    assert 0 < sample_flops(adapted, typical) < sample_flops(nano, typical)


def test_branches_cost_their_cool_downs():
    """One run a size: the longest amount, and a fifth of each other."""
    study = load_study("scaling")
    run = next(iter(plan_of(study).runs))
    assert run.amounts == (2304, 4608, 9216, 18432, 36864)
    extra = trained_samples(run) - run.amounts[-1]
    assert extra == pytest.approx(0.2 * sum(run.amounts[:-1]), rel=0.02)
    assert run_cost(study, run) == pytest.approx(sample_flops(run.recipe, study.typical) * trained_samples(run))


@pytest.mark.slow
def test_the_packaged_ablations_are_matched():
    """Arms of the same operations cost within 2 % of their reference, and runs that are the same are run once."""
    study = load_study("ablations")
    plan = plan_of(study)
    runs = {run.name: run for run in plan.runs}
    assert len(runs) == len(plan.runs) == len({run.key for run in plan.runs})
    for cell in plan.cells:
        if cell.match == "flops":
            reference = study.comparisons[cell.comparison].reference
            same = cell.comparison, cell.size, cell.seed, cell.match
            other = next(
                c for c in plan.cells if (c.comparison, c.size, c.seed, c.match) == same and c.arm == reference
            )
            costs = [run_cost(study, runs[c.run]) for c in (cell, other)]
            assert costs[0] == pytest.approx(costs[1], rel=0.02), cell


def test_ten_times_the_samples_have_ten_times_the_data():
    plain, more = (load_study("scaling").recipe["data"], multiplied(load_study("scaling"), 10).recipe["data"])
    assert more["counts"] == {kind: 10 * count for kind, count in plain["counts"].items()}
    assert more["pages"]["parts"] == plain["pages"]["parts"] | {"documents": 10 * plain["pages"]["parts"]["documents"]}
    assert more["marks"] == plain["marks"]  # on all pictures that are there
    assert multiplied(load_study("scaling"), 1) == load_study("scaling")
    for name in ("folder", "sources"):
        study = load_study("scaling")
        less = study.model_copy(update={"recipe": {k: v for k, v in study.recipe.items() if k != name}})
        with pytest.raises(RecipeError, match=f"data without {name} cannot be multiplied"):
            multiplied(less, 10)
    recipe = multiplied(load_study("scaling"), 10).recipe
    assert recipe["folder"] == "data/study-x10" and recipe["sources"]["marks"]["path"] == "data/study-x10/marks"


@pytest.mark.parametrize("name", ["scaling", "ablations"])
def test_no_run_needs_more_samples_of_a_source_than_are_made(name):
    """By the shares of the sources; how many parts the pages give is known only when they are read."""
    for run in plan_of(load_study(name)).runs:
        for recipe in run.stages:
            made = recipe.data["counts"] | {"marks": recipe.data["counts"]["emoji"]}
            whole = sum(source.weight for source in recipe.sources.values())
            for source in recipe.sources.keys() - {"parts"}:
                assert recipe.sources[source].weight / whole * recipe.total_samples <= made[source], (run.name, source)
