"""The packaged recipes against the paper's figures, recipes based on others, and sources that are not there."""

import pytest
import yaml

from paper_mixture import realistic
from paths import ROOT
from sphinx_x.data.mixture import Share, check_paths
from sphinx_x.engines.nano.prepare import DataConfig, check_data
from sphinx_x.errors import DataError, RecipeError
from sphinx_x.family import MEMBERS
from sphinx_x.recipe import DATA_FIELDS, Recipe, load_recipe
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
    assert (recipe.learning_rate, recipe.parallel.tensor, recipe.parallel.zero_stage) == (rate, tensor, 2)
    assert (recipe.betas, recipe.weight_decay, recipe.warmup) == ((0.9, 0.95), 0.0, 0.01)
    assert recipe.freeze == ["experts"] and recipe.total_samples == 15_290_000 and recipe.padding is None
    grid = MEMBERS[name].views
    assert recipe.pack.views >= 2 * (grid.cells + grid.global_view)
    assert recipe.max_tokens >= (grid.cells + grid.global_view) * 259 + 1000


def test_a_step_holds_the_papers_batch():
    """Of a mixture like the paper's, by the packs that a run would form."""
    from sphinx_x.data.packs import Budget, PackPlan

    recipe = load_recipe("tiny")
    tokens, views = realistic(4096)
    budget = Budget(recipe.pack.tokens, recipe.pack.views, recipe.pack.window)
    plan = PackPlan(lambda first, last: (tokens[first:last], views[first:last]), 4096, budget)
    assert 4096 / sum(len(plan.window(k)) for k in range(plan.windows)) * recipe.packs_per_step == pytest.approx(
        256, rel=0.02
    )


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


GOOD = "member: nano\nfolder: a\ntotal_samples: 96\nsources: {a: {weight: 1}}\n"


def test_a_recipe_takes_what_it_does_not_give_from_its_base(tmp_path):
    (tmp_path / "first.yaml").write_text(GOOD + "seed: 3\n")
    (tmp_path / "second.yaml").write_text("base: first.yaml\ntotal_samples: 5\nsources: {b: {}}\n")
    (tmp_path / "third.yaml").write_text("base: second.yaml\npacks_per_step: 7\n")
    recipe = load_recipe(tmp_path / "third.yaml")
    assert (recipe.seed, recipe.total_samples, recipe.packs_per_step, list(recipe.sources)) == (3, 5, 7, ["b"])
    (tmp_path / "own.yaml").write_text("base: tiny\ntotal_samples: 5\n")
    assert load_recipe(tmp_path / "own.yaml") == load_recipe("tiny").model_copy(update={"total_samples": 5})


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


OLD = {
    "activation_checkpointing": ("recompute", True),
    "micro_batch_size": ("at_once", 2),
    "packs_per_step": ("batch", 3),
    "total_samples": ("samples", 96),
    "max_grad_norm": ("clip", 1.5),
    "router_aux_loss_coef": ("balance", 0.25),
    "lr_multipliers": ("rates", {"projector": 2.0}),
    "optimizer_state_dtype": ("moments", "bfloat16"),
    "overflow": ("over_long", "aside"),
    "max_bad_samples": ("max_holes", 0.5),
    "max_nonfinite_steps": ("bad_steps", 7),
    "extra_tokens": ("letters", "é"),
}


@pytest.mark.parametrize("new", OLD)
def test_names_of_the_release_before_are_read_and_the_new_ones_are_told(tmp_path, caplog, new):
    old, value = OLD[new]
    needed = {"member": "nano", "folder": "d", "sources": {"a": {}}, "total_samples": 5}
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in needed.items() if k != new} | {old: value}))
    read = load_recipe(path)
    assert getattr(read, new) == value
    assert [record.message for record in caplog.records if new in record.message and old in record.message]
    assert len(caplog.records) == 1
    path.write_text(yaml.safe_dump(needed | {old: value, new: value}))
    with pytest.raises(RecipeError, match=f"own.yaml: {old}: is called {new} now, and that is given as well"):
        load_recipe(path)
    path.write_text(yaml.safe_dump({"base": "nano", old: value}))  # over a base that has the new name
    assert getattr(load_recipe(path), new) == value


def test_the_stage_of_zero_by_its_former_name(caplog):
    fields = {"member": "nano", "folder": "d", "sources": {"a": {}}, "total_samples": 5}
    for whole, stage in ((True, 2), (False, 3)):
        assert Recipe(**fields, parallel={"keep_whole": whole}).parallel.zero_stage == stage
    assert "zero_stage" in caplog.text
    with pytest.raises(ValueError, match="keep_whole: is called zero_stage now"):
        Recipe(**fields, parallel={"keep_whole": True, "zero_stage": 2})


def test_fields_of_the_data_section_are_those_of_its_engine():
    assert frozenset(DataConfig.model_fields) == DATA_FIELDS
    check_data(load_recipe("nano").data or {})
    with pytest.raises(RecipeError, match=r"data\.counts\.lines: "):
        check_data({"counts": {"lines": "many"}})


WHOLE = "member: nano\nfolder: a\nsamples: 96\nsources: {a: {weight: 1}}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (WHOLE + "\nlicence: My own!", "licence: String should match pattern"),
        (WHOLE + "\nsize: 3", "size: Extra inputs"),
        (WHOLE.replace("96", "many"), "samples: Input should be"),
        (WHOLE.replace("nano", "giant"), "member: 'giant' is not one of nano"),
        ("member: nano\nfolder: a\nsamples: 3\nsources: {}", "sources: Dictionary should have at least 1 item"),
        (WHOLE + "\nmax_tokens: 20000", "max_tokens: a sample may not be longer than a pack"),
        (WHOLE.replace("weight: 1", "weight: 1, ratio: 2"), "sources.a: a source has a weight or a ratio"),
        (WHOLE + "\nlora: {}", "lora: adapters need a model to lie over"),
        (WHOLE + "\nstart: a/b\nlora: {}\nfreeze: [lines]", "freeze: with lora everything is frozen but adapters"),
        (WHOLE + "\nlora: {}\nstart: nano\npadding: corner", "lora: a folder of adapters has no config"),
        (WHOLE + "\nlora: {}\nstart: nano\nletters: é", "lora: adapters cannot hold the new rows"),
        (WHOLE + "\nprojector_start: words", "projector_start: words: of a model that has the weights"),
        (WHOLE + "\nlora: {}\nstart: nano\nprojector_start: words", "projector_start: with lora, the projector is to"),
        ("member: [", "not YAML"),
        (WHOLE + "\nsources: {b: {}}", "not YAML: sources is there twice"),
        (
            WHOLE + "\nvalidation: {sources: {a: {ratio: 2}}}",
            "validation: sources.a.ratio: each sample is measured",
        ),
        ("just words", "not a recipe"),
        (WHOLE + "\nseed: -1", "seed: Input should be"),
        (WHOLE + "\nseed: 4294967296", "seed: Input should be"),
        (WHOLE + "\nbetas: [0.9, 2]", "betas.1: Input should be"),
        (WHOLE + "\naugment: {scale: [2, 1]}", "augment: scale: the smaller factor comes first"),
        (WHOLE.replace("weight: 1", "weight: .inf"), "sources.a.weight: Input should be a finite number"),
        (WHOLE.replace("{a:", "{../a:"), "sources.../a.\\[key\\]: String should match pattern"),
        (WHOLE + "\n1: 2", "1: Keys should be strings"),
        ("a: 2024-13-45", "not YAML"),
    ],
)
def test_wrong_recipes_are_named(tmp_path, text, says):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=says) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_packaged_recipes_are_found_by_name():
    assert load_recipe("nano") == load_recipe("recipes/nano.yaml")
    with pytest.raises(RecipeError, match="no such recipe"):
        load_recipe("recipes/none.yaml")
    with pytest.raises(RecipeError, match="no such recipe"):
        load_recipe("some/folder/nano.yaml")


def test_a_recipe_based_on_another_has_neither_its_name_nor_its_licence(tmp_path):
    (tmp_path / "mine.yaml").write_text("base: nano-engines\nsamples: 10\n")
    mine, base = load_recipe(tmp_path / "mine.yaml"), load_recipe("nano-engines")
    assert (base.name, base.licence) == ("SPHINX-Nano", "apache-2.0") and (mine.name, mine.licence) == (None, None)
    assert mine == base.model_copy(update={"name": None, "licence": None, "total_samples": 10})


def test_nanos_recipe_with_and_without_the_engines_differs_in_their_data_alone():
    told = load_recipe("nano-engines")
    without = load_recipe(ROOT / "benchmarks" / "nano_without_engines.yaml")
    assert told.data is not None
    made = {*told.data["pages"], *told.data["marks"]}
    assert set(told.sources) - set(without.sources) == made
    rest = {name: source for name, source in told.sources.items() if name not in made}
    # what the result says of itself follows from the data
    assert told.model_copy(update={"sources": rest, "data": None, "abilities": without.abilities}) == without
