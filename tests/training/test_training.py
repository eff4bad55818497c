"""Training: sums that do not depend on how a batch is cut, runs that survive a kill, errors that name the sample."""

import json
import logging
import math
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from transformers.utils.logging import is_progress_bar_enabled

from runs import log, take_step, weights
from shards import write_lines
from sphinx_x.data.blend import Weighted
from sphinx_x.data.loader import batches
from sphinx_x.data.shards import SampleReader
from sphinx_x.errors import CheckpointError, DataError, RecipeError
from sphinx_x.inference import SphinxX
from sphinx_x.model.letters import add_letters
from sphinx_x.recipe import Recipe
from sphinx_x.training.card import write_card
from sphinx_x.training.checkpoint import saved_states
from sphinx_x.training.metrics import Sums, record_of
from sphinx_x.training.optim import learning_rate_at
from sphinx_x.training.trainer import Trainer, train
from sphinx_x.work.files import check_manifest, read_lines


def gradients(recipe, folder, packs):
    trainer = Trainer(recipe, folder)
    optimizer, taken = trainer.engine.optimizer, {}
    parameters = optimizer.parameters.items()
    optimizer.step = lambda *_: taken.update({n: p.grad.clone() for n, p in parameters})  # type: ignore[method-assign]
    sums = Sums()
    take_step(trainer, packs, 1e-3, sums)
    return taken, sums


def test_a_step_may_be_packed_in_any_way(recipe, tmp_path):
    whole, sums = gradients(recipe, tmp_path / "a", [range(8)])
    cut, cut_sums = gradients(recipe, tmp_path / "b", [[5, 1], [0], [2, 7, 3], [6, 4]])
    assert sums.loss == pytest.approx(cut_sums.loss, rel=1e-5) and sums.trained == cut_sums.trained
    assert whole.keys() == cut.keys()
    for name in whole:
        assert torch.allclose(whole[name], cut[name], atol=1e-5), name


def test_the_loss_is_the_mean_over_trained_tokens(recipe, tmp_path):
    trainer = Trainer(recipe, tmp_path / "run")
    examples = [trainer.examples.example(i) for i in range(4)]
    sums = Sums()
    trainer.engine.step([examples], 1, 0.0, sums, trainer.sources)
    trainer.engine.objective.attention("sdpa")
    total = trained = 0.0
    for example in examples:
        inputs = {"input_ids": example.ids[None], "pixel_values": example.views.float() / 255}
        out = trainer.engine.objective.model(**inputs, labels=example.labels[None])
        count = int((example.labels != -100).sum())
        total, trained = total + out.loss.item() * count, trained + count
    assert record_of([sums.plain()])["loss"] == pytest.approx(total / trained, rel=1e-5)


@pytest.mark.slow
def test_it_learns_and_the_result_answers(recipe, tmp_path):
    folder = Trainer(recipe.model_copy(update={"total_samples": 480}), tmp_path / "run").run()
    records = log(tmp_path / "run")
    assert records[-1]["loss"] < 0.7 * records[0]["loss"]
    assert records[-1]["align"] < records[0]["align"]
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "480" in (folder / "README.md").read_text()
    assert len(saved_states(tmp_path / "run" / "state")) == recipe.keep
    assert isinstance(SphinxX.load(folder).chat("Read the text.", max_new_tokens=3), str)


def test_a_run_goes_on_from_a_model(recipe, tmp_path, tiny_folder, tiny):
    """It begins with that model's weights, and says so in its card."""
    begun = recipe.model_copy(update={"start": str(tiny_folder)})
    trainer = Trainer(begun, tmp_path / "run")
    model = trainer.engine.objective.model
    for name, tensor in tiny.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    assert model.training
    card = (trainer.run() / "README.md").read_text()
    assert f"beginning with the model `{tiny_folder}`" in card
    assert "license: unknown" in card and "\n# run\n" in card and "base_model" not in card  # a path is no hub id
    assert f"- Base: `{tiny_folder}`, licence: unknown." in card and "apache" not in card.lower()
    assert "0.0 hours" not in card and "seconds of training" in card
    with pytest.raises(CheckpointError, match="no such model"):
        Trainer(recipe.model_copy(update={"start": str(tmp_path / "nowhere")}), tmp_path / "other")


@pytest.mark.parametrize("extra_tokens", ["", "é"])
def test_the_way_back_to_another_format_is_kept(recipe, tmp_path, tiny_folder, extra_tokens):
    """It is not where training changed the tokenizer, which lies there as well."""
    shutil.copytree(tiny_folder, tmp_path / "start")
    (tmp_path / "start" / "original").mkdir()
    (tmp_path / "start" / "original" / "tokenizer.model").write_bytes(b"as it came")
    fields = {"start": str(tmp_path / "start"), "extra_tokens": extra_tokens, "total_samples": 16}
    folder = Trainer(recipe.model_copy(update=fields), tmp_path / "run").run()
    kept = folder / "original" / "tokenizer.model"
    assert not kept.exists() if extra_tokens else kept.read_bytes() == b"as it came"
    check_manifest(folder, full=True)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, ["license: apache-2.0", "# SPHINX-Nano\n", "library_name: transformers"]),
        ({"start": "nano"}, ["license: apache-2.0", "# labels\n", "- Base: `nano`, licence: apache-2.0."]),
        ({"start": "a/b", "licence": None}, ["license: unknown", "base_model: a/b", "base_model_relation: finetune"]),
        ({"start": "a/b", "lora": {}}, ["base_model_relation: adapter", "library_name: peft", "low-rank adapters"]),
        ({"start": "./a", "name": "Price labels"}, ["# Price labels\n", "`./a`, licence: unknown"]),
    ],
)
def test_the_card_says_whose_model_it_is(recipe, tmp_path, fields, says):
    """Its own name, base, data with their licences, the licence that was given, and the time that it took."""
    licensed, plain = tmp_path / "licensed.jsonl", tmp_path / "plain.jsonl"
    sample = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    for path, licence in ((licensed, {"licence": "CC-BY-4.0 |\n x"}), (plain, {})):
        path.write_text("".join(json.dumps({"id": str(k), **sample, **licence}) + "\n" for k in range(60)))
    readers = [SampleReader(path) for path in (licensed, plain)]
    sources = [Weighted("one", 60, 1.0, None), Weighted("two", 60, 3.0, None)]
    records = [{"seconds": 70.0, "samples": 5, "step": 1, "loss": 1.0, "align": 0.0}] * 2
    path, given = tmp_path / "README.md", recipe.model_dump() | {"licence": "apache-2.0"} | fields
    write_card(path, Recipe.model_validate(given), (5, 1), records, sources, 10**6, "labels", readers)
    card = path.read_text()
    assert yaml.safe_load(card.split("---")[1])["pipeline_tag"] == "image-text-to-text"
    for words in (
        *says,
        "Time: 2.33 minutes of training",
        "| one | 60 | 25.0% | 25.0% | CC-BY-4.0 / x |",
        "| unknown |",
    ):
        assert words in card, words


@pytest.mark.slow
def test_a_state_is_exported_at_any_step(recipe, tmp_path):
    trainer = Trainer(recipe, tmp_path / "run")
    trainer.run()
    oldest = saved_states(tmp_path / "run" / "state")[0]
    for state in saved_states(tmp_path / "run" / "state")[1:]:
        shutil.rmtree(state)
    before = [p.read_bytes() for p in oldest.iterdir()]
    model = SphinxX.load(train(recipe, tmp_path / "run", export=tmp_path / "then")).model.state_dict()
    state = weights(tmp_path / "run")
    for name, tensor in model.items():
        if f"weight.model.{name}" in state:
            assert torch.equal(tensor, state[f"weight.model.{name}"]), name
    assert before == [p.read_bytes() for p in oldest.iterdir()]


def test_frozen_parts_stay(recipe, tmp_path):
    trainer = Trainer(recipe.model_copy(update={"freeze": ["experts"]}), tmp_path / "run")
    model = trainer.engine.objective.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    take_step(trainer, [range(8)], 1e-2, Sums())
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(".experts." in name for name in changed)
    assert any(".projector." in name for name in changed) and any("layers" in name for name in changed)


TRAINED = ("float32", "bfloat16")
ANY_TYPE = [(a, b, lora, "float32") for a in ("float32", "bfloat16", "float16") for b in TRAINED for lora in (0, 1)]


@pytest.mark.parametrize(
    ("start", "dtype", "lora", "moments"), [*ANY_TYPE, *(("bfloat16", dtype, 0, "bfloat16") for dtype in TRAINED)]
)
def test_a_start_of_any_type_is_trained_in_any_type(recipe, tmp_path, tiny_folder, start, dtype, lora, moments):
    """What it begins with is the start's own numbers; what comes out has the recipe's type and loads again."""
    loaded = SphinxX.load(tiny_folder, dtype=getattr(torch, start))
    loaded.model.save_pretrained(tmp_path / "start")
    loaded.processor.save_pretrained(tmp_path / "start")
    settings = {
        "start": str(tmp_path / "start"),
        "dtype": dtype,
        "total_samples": 16,
        "align": {},
        "optimizer_state_dtype": moments,
    }
    settings |= {"lora": {"rank": 2}} if lora else {"freeze": ["experts"]}
    trainer = Trainer(Recipe.model_validate(recipe.model_dump() | settings), tmp_path / "run")
    begun = dict(trainer.engine.objective.model.named_parameters())
    before = {n: p.detach().clone() for n, p in begun.items()}
    assert {p.dtype for n, p in begun.items()} == {getattr(torch, dtype)}
    own = {n: p for n, p in loaded.model.named_parameters() if n in before}
    assert own and all(torch.equal(p.to(before[n].dtype), before[n]) for n, p in own.items())
    folder = trainer.run()
    assert any(not torch.equal(p, before[n]) for n, p in begun.items())
    again = SphinxX.load(folder, dtype="auto").model
    if not lora:
        assert {p.dtype for p in again.parameters()} == {getattr(torch, dtype)}
        after = dict(again.named_parameters())
        assert all(torch.equal(p, after[n]) for n, p in begun.items())


def test_held_out_samples_are_measured_and_the_best_model_is_kept(recipe, tmp_path, whole_runs):
    write_lines(recipe.folder, "held", 7, seed=5)
    validation = {"sources": {"held": {}}, "every": 5, "samples": 5}
    recipe = Recipe.model_validate(recipe.model_dump() | {"validation": validation})
    trainer = Trainer(recipe, tmp_path / "run")
    weights_before = {n: p.clone() for n, p in trainer.engine.objective.named_parameters()}
    first, again = trainer.validation.measure(trainer.engine), trainer.validation.measure(trainer.engine)
    assert first == again and set(first["by_source"]) == {"held"} and first["bad_samples"] == 0
    assert all(torch.equal(p, weights_before[n]) for n, p in trainer.engine.objective.named_parameters())
    assert len({i for w in range(1) for pack in trainer.validation.sets[0].plan.window(w) for i in pack}) == 5
    trainer.run()
    measured = read_lines(tmp_path / "run" / "validation.jsonl")
    records = read_lines(tmp_path / "run" / "log.jsonl")
    last = records[-1]["step"]
    assert all(0 < record["mfu"] < 1 for record in records)
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [record["step"] for record in measured] == [*range(5, last, 5), last]
    assert trainer.at.best == min(record["loss"] for record in measured) < first["loss"]
    best = Trainer(recipe.model_copy(update={"start": str(tmp_path / "run" / "best")}), tmp_path / "again")
    assert best.validation.measure(best.engine)["loss"] == pytest.approx(trainer.at.best, rel=1e-6)


def test_the_best_model_so_far_has_a_card_before_anything_is_logged(recipe, tmp_path):
    write_lines(recipe.folder, "held", 7, seed=5)
    fields = {"validation": {"sources": {"held": {}}, "every": 1}, "log_every": 50, "total_samples": 32}
    trainer = Trainer(Recipe.model_validate(recipe.model_dump() | fields), tmp_path / "run")
    measure, losses = trainer.validation.measure, [math.nan, 3.0]
    trainer.validation.measure = lambda engine: measure(engine) | {"loss": losses.pop(0) if losses else 4.0}
    trainer.run()
    assert trainer.at.best == 3.0  # a loss that is no number is none to be better than
    card = (tmp_path / "run" / "best" / "README.md").read_text()
    seen = read_lines(tmp_path / "run" / "validation.jsonl")[1]["samples"]
    assert f"Samples seen: {seen} in 2 steps" in card and "Last losses: none logged yet" in card


def test_a_validation_has_sources_of_its_own(recipe, tmp_path):
    """One with the name of a source that is trained on, and a list in the reference's format."""
    write_lines(recipe.folder / "held", "lines", 7, seed=5)
    path = tmp_path / "meta.yaml"
    path.write_text(yaml.safe_dump({"META": [{"path": str(recipe.folder / "held" / "lines-00000.jsonl")}]}))
    held = {"lines": {"path": str(recipe.folder / "held" / "lines-00000.jsonl")}, "listed": {"path": str(path)}}
    recipe = Recipe.model_validate(recipe.model_dump() | {"validation": {"sources": held}})
    trainer = Trainer(recipe, tmp_path / "run")
    index = tmp_path / "run" / "index"
    assert len(np.load(index / "lines.npy")) == 40
    assert len(np.load(index / "validation" / "lines.npy")) == len(np.load(index / "validation" / "listed.0.npy")) == 7
    losses = trainer.validation.measure(trainer.engine)["by_source"]
    assert losses["lines"] == pytest.approx(losses["listed.0"])


def test_each_sample_of_a_list_is_measured_once(recipe, tmp_path):
    """Two files of unlike sizes; of fewer than all, each gives its part."""
    paths = []
    for name, count in (("few", 3), ("many", 9)):
        write_lines(recipe.folder / name, "lines", count, seed=count)
        paths.append({"path": str(recipe.folder / name / "lines-00000.jsonl"), "ratio": 0.5})
    (tmp_path / "meta.yaml").write_text(yaml.safe_dump({"META": paths}))
    for asked, counts in ((99, [3, 9]), (4, [1, 3])):
        held = {"sources": {"listed": {"path": str(tmp_path / "meta.yaml")}}, "samples": asked}
        trainer = Trainer(Recipe.model_validate(recipe.model_dump() | {"validation": held}), tmp_path / f"run-{asked}")
        names = []
        for one in trainer.validation.sets:
            steps = one.plan.steps(1)
            names.append([e.name for _, packs in batches(one.examples, steps, 0) for pack in packs for e in pack])
        assert [len(set(own)) for own in names] == [len(own) for own in names] == counts


def test_a_missing_validation_is_told_before_anything_is_measured(recipe, tmp_path):
    held = {"sources": {"gone": {"path": str(tmp_path / "gone.jsonl")}}}
    with pytest.raises(DataError, match=r"source gone: .*gone\.jsonl: not there"):
        Trainer(Recipe.model_validate(recipe.model_dump() | {"validation": held}), tmp_path / "run")
    assert not (tmp_path / "run" / "index").exists()


def test_the_best_of_other_samples_is_none(recipe, tmp_path):
    """A run that is resumed with another validation keeps the best model of that one."""
    for name, count in (("one", 4), ("other", 6)):
        write_lines(recipe.folder / name, "lines", count, seed=count)

    def asked(name: str) -> Recipe:
        held = {"sources": {"held": {"path": str(recipe.folder / name / "lines-00000.jsonl")}}, "every": 2}
        return Recipe.model_validate(recipe.model_dump() | {"validation": held})

    first = Trainer(asked("one"), tmp_path / "run")
    first.run(until=32)
    first.states.finish()
    assert Trainer(asked("one"), tmp_path / "run", resume=True).at.best == first.at.best is not None
    shutil.rmtree(tmp_path / "run" / "index" / "validation")
    assert Trainer(asked("other"), tmp_path / "run", resume=True).at.best is None


def test_gradients_of_many_micro_batches_are_added_in_float32(recipe, tmp_path):
    """In bfloat16, what is a hundredth of the sum is rounded away, and what is a thousandth lost."""
    trainer = Trainer(recipe.model_copy(update={"dtype": "bfloat16"}), tmp_path / "run")
    optimizer = trainer.engine.optimizer
    name = next(iter(optimizer.parameters))
    parts = torch.full((500, *optimizer.parameters[name].shape), 0.013, dtype=torch.bfloat16)
    for part in parts:
        optimizer.parameters[name].grad = part.clone()
        optimizer.collect()
    exact = parts.double().sum(0)
    assert torch.allclose(optimizer.sums[name].double(), exact, rtol=1e-5)
    assert optimizer.norm() == pytest.approx(float(exact.norm()), rel=1e-5)
    assert optimizer.parameters[name].grad is None
    optimizer.step(1e-3, 1.0, optimizer.norm())
    assert not optimizer.sums


def test_lines_are_spelled_by_bands_alone(recipe, tmp_path, tiny_member, monkeypatch):
    views = replace(tiny_member.views, global_view=True)
    monkeypatch.setattr("sphinx_x.training.engine.get_member", lambda _: replace(tiny_member, views=views))
    asked = recipe.model_copy(update={"align": recipe.align.model_copy(update={"weight": 1.0})})
    with pytest.raises(RecipeError, match="align: only views of a member without a global view"):
        Trainer(asked, tmp_path / "run")


@pytest.mark.slow
def test_numbers_go_to_tensorboard(recipe, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    Trainer(recipe.model_copy(update={"trackers": ["tensorboard"], "total_samples": 32}), tmp_path / "run").run()
    found = events.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    found.Reload()
    records = read_lines(tmp_path / "run" / "log.jsonl")
    told = {event.step: event.value for event in found.Scalars("by_source/lines")}
    assert told == {r["step"]: pytest.approx(r["by_source"]["lines"], rel=1e-6) for r in records}


def test_learning_rates_by_part(recipe, tmp_path):
    trainer = Trainer(
        recipe.model_copy(update={"lr_multipliers": {"language_model": 0.0, "projector": 0.5}}), tmp_path / "run"
    )
    before = {name: master.clone() for name, master in trainer.engine.optimizer.masters.items()}
    take_step(trainer, [range(8)], 1e-2, Sums())
    moved = {n: float((m - before[n]).abs().max()) for n, m in trainer.engine.optimizer.masters.items()}
    assert all(far == 0.0 for name, far in moved.items() if ".language_model." in name)
    # Adam's first step is the learning rate itself
    assert max(far for name, far in moved.items() if ".experts." in name) == pytest.approx(1e-2, rel=1e-2)
    assert max(far for name, far in moved.items() if ".projector." in name) == pytest.approx(5e-3, rel=1e-2)
    with pytest.raises(RecipeError, match="lr_multipliers: no parameter that is trained is named nothing"):
        Trainer(recipe.model_copy(update={"lr_multipliers": {"nothing": 2.0}}), tmp_path / "other")
    with pytest.raises(RecipeError, match="freeze: no parameter is named nowhere"):
        Trainer(recipe.model_copy(update={"freeze": ["nowhere"]}), tmp_path / "other")


def test_letters_get_a_token_and_begin_as_what_they_look_like(recipe, tmp_path, tiny_folder, tiny):
    begun = recipe.model_copy(update={"start": str(tiny_folder), "extra_tokens": "é’\u2026", "total_samples": 16})
    trainer = Trainer(begun, tmp_path / "run")
    tokenizer, old = trainer.processor.tokenizer, tiny.processor.tokenizer
    text = "caf\u00e9\u2019s \u4e2d\u2026"
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == text
    assert len(ids) == len(text) + 2  # the letter that was not asked for still takes three
    assert tokenizer.encode("plain", add_special_tokens=False) == old.encode("plain", add_special_tokens=False)
    table = trainer.engine.objective.model.get_input_embeddings().weight
    assert torch.equal(table[ids[3]], table[old.encode("e", add_special_tokens=False)[0]])
    assert torch.equal(table[ids[4]], table[old.encode("'", add_special_tokens=False)[0]])
    loaded = SphinxX.load(trainer.run())
    assert loaded.processor.tokenizer.encode(text, add_special_tokens=False) == ids


def test_letters_leave_the_tokenizers_other_settings_alone(tiny_folder):
    """Words that are tokens as a whole, without merges that lead to them, are so still."""
    sphinx = SphinxX.load(tiny_folder)
    backend = sphinx.processor.tokenizer.backend_tokenizer
    backend.model.ignore_merges = True
    add_letters(sphinx.model, sphinx.processor.tokenizer, "é’")
    kept = json.loads(sphinx.processor.tokenizer.backend_tokenizer.to_str())["model"]
    assert kept["ignore_merges"] and len(sphinx.processor.tokenizer.encode("é", add_special_tokens=False)) == 1


def test_recomputing_warns_of_nothing_and_changes_nothing(recipe, tmp_path):
    """It asked the library by a name that is deprecated."""
    plain, sums = gradients(recipe, tmp_path / "plain", [range(4)])
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        again, more = gradients(
            recipe.model_copy(update={"activation_checkpointing": True}), tmp_path / "again", [range(4)]
        )
    assert more.loss == pytest.approx(sums.loss, rel=1e-6)
    assert all(torch.allclose(plain[name], again[name], atol=1e-6) for name in plain)


def test_learning_rate_by_hand():
    rates = [learning_rate_at(step / 100, 1.0, 0.1) for step in range(101)]
    assert rates[0] == 0 and rates[5] == pytest.approx(0.5) and rates[10] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.5) and rates[100] < 1e-9
    assert sorted(rates[10:], reverse=True) == rates[10:]
    assert learning_rate_at(0.0, 1.0, 0.0) == 1.0


def test_a_run_leaves_other_libraries_as_they_were(recipe, tmp_path):
    loggers = [logging.getLogger(name) for name in ("torch.distributed.checkpoint", "transformers", "huggingface_hub")]
    before = torch.random.get_rng_state(), [logger.level for logger in loggers], is_progress_bar_enabled()
    folder = Trainer(recipe.model_copy(update={"total_samples": 16}), tmp_path / "run").run()
    SphinxX.load(folder)
    after = torch.random.get_rng_state(), [logger.level for logger in loggers], is_progress_bar_enabled()
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]
