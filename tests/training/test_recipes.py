"""The packaged recipes against the paper's figures, recipes based on others, and sources that are not there."""

import pytest

from paths import ROOT
from sphinx_x.data.mixture import Share, check_paths
from sphinx_x.errors import DataError, RecipeError
from sphinx_x.family import MEMBERS
from sphinx_x.recipe import Recipe, load_recipe
from sphinx_x.sources import SOURCES

RECIPES = ROOT / "src" / "sphinx_x" / "recipes"
PAPER = {"tiny": (2e-5, 1), "intern2": (2e-5, 1), "plus": (2e-5, 2), "plus-2k": (2e-5, 2), "moe": (5e-6, 8)}


def test_every_member_has_a_recipe_and_every_recipe_loads():
    names = {path.stem for path in RECIPES.glob("*.yaml")}
    assert set(MEMBERS) <= names
    assert all(load_recipe(name).member == name for name in MEMBERS)
    assert all(isinstance(load_recipe(name), Recipe) for name in names)


@pytest.mark.parametrize("name", PAPER)
def test_the_figures_of_the_paper(name):
    recipe, (rate, tensor) = load_recipe(name), PAPER[name]
    assert (recipe.learning_rate, recipe.parallel.tensor, recipe.parallel.keep_whole) == (rate, tensor, True)
    assert (recipe.betas, recipe.weight_decay, recipe.warmup) == ((0.9, 0.95), 0.0, 0.01)
    assert recipe.freeze == ["experts"] and recipe.samples == 15_290_000 and recipe.padding is None
    grid = MEMBERS[name].views
    assert recipe.pack.views >= 2 * (grid.cells + grid.global_view)
    assert recipe.max_tokens >= (grid.cells + grid.global_view) * 259 + 1000


def test_a_step_holds_the_papers_batch():
    """Of a mixture like the paper's, by the packs that a run would form."""
    from test_packs import realistic

    from sphinx_x.data.packs import Budget, PackPlan

    recipe = load_recipe("tiny")
    tokens, views = realistic(4096)
    budget = Budget(recipe.pack.tokens, recipe.pack.views, recipe.pack.window)
    plan = PackPlan(lambda first, last: (tokens[first:last], views[first:last]), 4096, budget)
    assert 4096 / sum(len(plan.window(k)) for k in range(plan.windows)) * recipe.batch == pytest.approx(256, rel=0.02)


def test_sources_are_what_can_be_made():
    for name in PAPER:
        sources = load_recipe(name).sources
        assert set(sources) - {"ocr", "som"} == set(SOURCES) - {"sharegpt4v-pt"}
        assert all(str(source.path) == f"data/{source_name}" for source_name, source in sources.items())
        assert all(source.ratio == 1 and source.weight is None for source in sources.values())


def test_a_missing_source_is_named(tmp_path):
    (tmp_path / "there").mkdir()
    check_paths({"there": Share((tmp_path / "there",))})
    shares = {"there": Share((tmp_path / "there",)), "a": Share((tmp_path / "x",)), "b": Share((tmp_path / "y",))}
    with pytest.raises(DataError, match=r"source a: .*x: not there \(nor are those of 1 more") as caught:
        check_paths(shares)
    assert "\n" not in str(caught.value)


GOOD = "member: nano\nfolder: a\nsamples: 96\nsources: {a: {weight: 1}}\n"


def test_a_recipe_takes_what_it_does_not_give_from_its_base(tmp_path):
    (tmp_path / "first.yaml").write_text(GOOD + "seed: 3\n")
    (tmp_path / "second.yaml").write_text("base: first.yaml\nsamples: 5\nsources: {b: {}}\n")
    (tmp_path / "third.yaml").write_text("base: second.yaml\nbatch: 7\n")
    recipe = load_recipe(tmp_path / "third.yaml")
    assert (recipe.seed, recipe.samples, recipe.batch, list(recipe.sources)) == (3, 5, 7, ["b"])
    (tmp_path / "own.yaml").write_text("base: tiny\nsamples: 5\n")
    assert load_recipe(tmp_path / "own.yaml") == load_recipe("tiny").model_copy(update={"samples": 5})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("base: nowhere\n", r"recipe\.yaml: base: nowhere: no such recipe"),
        ("base: recipe.yaml\n", "is based on this recipe itself"),
        ("base: [a]\n", "base: must be the name of a recipe"),
        ("base: nano\nsize: 3\n", "size: Extra inputs"),
    ],
)
def test_a_wrong_base_is_named(tmp_path, text, says):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(RecipeError, match=says) as caught:
        load_recipe(tmp_path / "recipe.yaml")
    assert "\n" not in str(caught.value)
