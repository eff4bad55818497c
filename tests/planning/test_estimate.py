"""What a run needs: counted against what is published, against sums by hand, and against the run's own plan."""

import json
import shutil
import sys
from dataclasses import replace

import pytest
import torch
import yaml

import sphinx_x.planning.outline as outline
import sphinx_x.planning.workload as working
from sphinx_x import cli
from sphinx_x.errors import RecipeError
from sphinx_x.family import IMAGE_VOCABULARY, build_config, get_member
from sphinx_x.planning.costs import Costs, Load, Model, count_costs
from sphinx_x.planning.estimate import CHUNK, PROGRAM, Estimate, Estimator, Memory, memory_of
from sphinx_x.planning.machine import Machine, Trial, product_rate
from sphinx_x.planning.outline import Size, config_of, count_parts, sizes_of, slice_of
from sphinx_x.planning.report import alternatives, duration, format_estimate, missing, refusal, span, what_fits
from sphinx_x.planning.workload import Workload, glance, workload
from sphinx_x.recipe import LoraRecipe, PackRecipe, ParallelRecipe, Recipe, SourceRecipe
from sphinx_x.training import trial
from sphinx_x.training.trainer import Trainer
from sphinx_x.training.trial import try_steps


def costs_of(config, recipe: Recipe, load: Load, short_attention: bool = True) -> Costs:
    return count_costs(Model(config, sizes_of(config, recipe), recipe), load, short_attention)


def recipe_of(member: str = "nano", **fields) -> Recipe:
    return Recipe(**{"member": member, "folder": "data", "total_samples": 1000, "sources": {"a": {}}, **fields})


@pytest.mark.parametrize("name", ["tiny", pytest.param("moe", marks=pytest.mark.slow)])
def test_parameters_are_the_published_ones(name):
    member = get_member(name)
    parts = count_parts(sizes_of(build_config(member), recipe_of(name)))
    llm, *experts = member.published.values()
    own = llm + 2 * IMAGE_VOCABULARY * member.llm["hidden_size"]
    assert parts["language_model"] == (own, own)
    assert parts["experts"] == (pytest.approx(sum(experts), rel=1e-3), 0)
    projector = (3072 + 1536) * member.llm["hidden_size"] + 3 * member.llm["hidden_size"]
    assert parts["projector"] == (projector, projector)


def test_adapters_are_counted_and_nothing_else_is_trained():
    config = build_config(get_member("nano"))
    width, hidden, layers, rank = 256, 704, 4, 8
    parts = count_parts(sizes_of(config, recipe_of(start="nano", lora=LoraRecipe(rank=rank))))
    adapters = layers * rank * (4 * 2 * width + 3 * (width + hidden))
    assert parts["lora"] == (adapters, adapters)
    assert sum(trained for _, trained in parts.values()) == adapters
    dotted = sizes_of(config, recipe_of(start="nano", lora=LoraRecipe(rank=rank, targets=["q_proj", "mlp.up_proj"])))
    assert count_parts(dotted)["lora"][1] == layers * rank * (2 * width + width + hidden)
    with pytest.raises(RecipeError, match=r"lora\.targets: w1: no linear layer"):
        sizes_of(config, recipe_of(start="nano", lora=LoraRecipe(targets=["q_proj", "w1"])))
    with pytest.raises(RecipeError, match="freeze: no parameter is named heads"):
        sizes_of(config, recipe_of(freeze=["heads"]))


SIZES = [
    Size("model.model.vision.groups.0.experts.0.blocks.0.w", "experts", 4_000, False),
    Size("model.model.language_model.layers.0.w", "language_model", 1_200, True, split=True),
    Size("model.model.language_model.layers.1.w", "language_model", 1_200, True, split=True),
    Size("model.model.language_model.layers.1.experts.w", "language_model", 9_600, True, split=True, experts=8),
    Size("model.lm_head.w", "language_model", 500, True),
]
TRAINED, FROZEN = 12_500, 4_000


def test_memory_of_one_process_by_hand():
    memory = memory_of(recipe_of(), SIZES, 1, 777)
    assert memory == Memory(PROGRAM, 2 * 16_500, 4 * TRAINED, 0, 2 * TRAINED, 8 * TRAINED, 777, 4 * TRAINED)
    assert memory.peak == PROGRAM + 2 * 16_500 + 14 * TRAINED + 4 * TRAINED
    assert memory_of(recipe_of(optimizer_state_dtype="bfloat16"), SIZES, 1, 0).moments == 4 * TRAINED
    exact = memory_of(recipe_of(dtype="float32"), SIZES, 1, 10**6)
    assert (exact.weights, exact.masters, exact.gradients) == (4 * 16_500, 0, 4 * TRAINED)
    assert exact.peak == PROGRAM + 4 * 16_500 + 12 * TRAINED + 10**6
    huge = [Size("model.lm_head.w", "language_model", 10**9, True)]
    assert memory_of(recipe_of(), huge, 1, 0).step == 4 * 10**9
    many = [Size(f"model.lm_head.{k}", "language_model", 10**7, True) for k in range(100)]
    assert memory_of(recipe_of(), many, 1, 0).step == 4 * (CHUNK + 10**7)


def test_memory_of_slices_by_hand():
    shared = recipe_of(packs_per_step=8, parallel=ParallelRecipe(tensor=2, expert=2))
    memory = memory_of(shared, SIZES, 8, 0)  # 4 data ranks, 2 of which hold each expert
    own = {"experts": 4_000, "layers": 600 + 600 + 9_600 // 4, "head": 500}
    kept = 600 // 4 * 2 + 9_600 // 4 // 2 + 500 // 4
    assert memory.weights == 4 * kept + 2 * FROZEN // 4
    assert memory.moments == 8 * kept and memory.masters == 0
    assert memory.gathered == 2 * sum(own.values())
    # slices, the block that is being summed, and whole gradients: 8 packs are two micro-batches on 4 data ranks
    assert memory.gradients == 4 * kept + 6 * 4_000 + 4 * (own["layers"] + own["head"])
    once = memory_of(shared.model_copy(update={"packs_per_step": 4}), SIZES, 8, 0)
    assert once.gradients == 4 * kept + 6 * 4_000
    gathered = memory_of(recipe_of(parallel=ParallelRecipe(zero_stage=3)), SIZES, 4, 0).gathered
    assert gathered == 2 * (500 + 2 * (1_200 + 9_600))
    with pytest.raises(RecipeError, match=r"6 ranks cannot be 2 \(tensor\) x 2 \(expert\).*--ranks 4"):
        memory_of(shared, SIZES, 6, 0)


def llm_flops(text, lengths: tuple[int, ...], rows: int, backward: int) -> int:
    """Forward and `backward` times as much; every product of a Llama, its attention by groups of padded samples."""
    width, inner, heads = text.hidden_size, text.intermediate_size, text.num_attention_heads
    head = width // heads
    matrices = width * head * (2 * heads + 2 * text.num_key_value_heads) + 3 * width * inner
    tokens = -(-sum(lengths) // 512) * 512
    longest = -(-max(lengths) // 32) * 32
    attention = 2 * 2 * len(lengths) * longest**2 * width
    layers = text.num_hidden_layers * (2 * tokens * matrices + attention)
    return (1 + backward) * (layers + 2 * rows * width * text.vocab_size)


@pytest.mark.parametrize(("freeze", "backward"), [(["experts"], 2), (["experts", "language_model"], 1)])
def test_operations_by_hand(tiny_member, freeze, backward):
    config, load = build_config(tiny_member), Load((100, 90, 100), 8, 200)
    found = costs_of(config, recipe_of(freeze=freeze), load)
    # attention goes backward to its inputs alone, twice its products, whether weights are trained or not
    text = config.text_config
    attention = text.num_hidden_layers * 4 * 3 * 128**2 * text.hidden_size
    projector = 2 * (16 + 16) * text.hidden_size * 9 * 8 * 2  # itself and its weights, and nothing before it
    wanted = llm_flops(text, load.lengths, 256, backward) + (2 - backward) * attention + projector
    assert found.llm_flops == wanted
    thawed = costs_of(config, recipe_of(freeze=[]), load)
    assert thawed.vision_flops == 3 * found.vision_flops


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_mixture_computes_with_as_many_experts_as_a_token_goes_to(tiny_member, dtype):
    mixture = {**tiny_member.llm, "model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2}
    config = build_config(replace(tiny_member, llm=mixture))
    config.groups = []
    text = config.text_config
    found = costs_of(config, recipe_of(freeze=[], dtype=dtype), Load((512,), 0, 256))
    one = 3 * 3 * 2 * 512 * text.hidden_size * text.intermediate_size * text.num_hidden_layers
    router = 3 * 2 * 512 * text.hidden_size * 4 * text.num_hidden_layers
    assert found.llm_flops == llm_flops(text, (512,), 256, 2) + one + router


@pytest.mark.slow
def test_shared_matrices_and_recomputed_activations():
    config, load, plain = build_config(get_member("nano")), Load((256,) * 4, 0, 256), recipe_of(freeze=[])
    config.groups, config.text_config.num_hidden_layers = [], 3
    whole, half = (costs_of(c, plain, load) for c in (config, slice_of(config, 2)))
    head = 6 * 256 * config.text_config.hidden_size * config.text_config.vocab_size
    assert half.llm_flops - head == pytest.approx((whole.llm_flops - head) / 2)
    assert half.activations < whole.activations
    again = costs_of(config, recipe_of(freeze=[], activation_checkpointing=True), load)
    assert again.activations < 0.6 * whole.activations
    assert 1.25 < again.llm_flops / whole.llm_flops < 1.34
    assert costs_of(config, plain, load, short_attention=False).activations < whole.activations


@pytest.fixture
def measured(tmp_path, tiny_member, monkeypatch):
    """A recipe whose samples have been measured, and the plan of its run."""
    import sphinx_x.training.engine as engine
    from shards import write_lines

    write_lines(tmp_path / "data", "lines", 40)
    monkeypatch.setattr(engine, "get_member", lambda _: tiny_member)
    pack = PackRecipe(tokens=700, views=64, window=32)
    fields = {"total_samples": 96, "pack": pack, "max_tokens": 200, "freeze": [], "packs_per_step": 2, "workers": 0}
    recipe = recipe_of(folder=tmp_path / "data", sources={"lines": {"ratio": 2.0}}, **fields)
    return recipe, Trainer(recipe, tmp_path / "run"), build_config(tiny_member)


def test_measured_samples_give_the_runs_own_steps(measured, tmp_path):
    recipe, trainer, config = measured
    steps = list(trainer.mixture.plan.steps(recipe.packs_per_step))
    costs = trainer.examples.costs(0, recipe.total_samples)
    found = workload(recipe, config, tmp_path / "run" / "index")
    assert (found.steps, found.certainty) == (len(steps), "exact")
    per_step = recipe.packs_per_step / sum(len(step.packs) for step in steps)
    assert (found.tokens, found.views) == pytest.approx(tuple(int(cost.sum()) * per_step for cost in costs))
    assert found.heaviest.tokens <= 700 and found.heaviest.views <= 64
    other = recipe.model_copy(update={"max_tokens": 190})
    assert workload(other, config, tmp_path / "run" / "index").certainty == "bound"


def test_a_few_samples_are_measured_where_none_were(measured, tmp_path, monkeypatch):
    """All of a small source give the run's own numbers; some of it nearly those."""
    recipe, trainer, config = measured
    exact = workload(recipe, config, tmp_path / "run" / "index")
    found = workload(recipe, config, tmp_path / "nowhere", glance(recipe, trainer.processor))
    assert found.certainty == "sampled" and found.known.startswith("of 40 samples that were measured now")
    assert replace(found, known=exact.known, certainty="exact") == exact
    monkeypatch.setattr(working, "GLANCED", 12)
    some = workload(recipe, config, None, glance(recipe, trainer.processor))
    assert some.tokens == pytest.approx(exact.tokens, rel=0.1) and some.steps == pytest.approx(exact.steps, rel=0.1)
    gone = recipe.model_copy(update={"folder": tmp_path / "gone"})
    assert glance(gone, trainer.processor) is None
    monkeypatch.setattr(working, "LARGE", 100)
    assert glance(recipe, trainer.processor) is None


def test_sources_are_read_as_the_recipe_says(measured, tmp_path):
    """Keys to ignore, for a few samples; and the ratios of a list of files, for all."""
    recipe, trainer, config = measured
    shard = next((tmp_path / "data").glob("lines-*.jsonl"))
    strange = tmp_path / "data" / "strange-00000.jsonl"
    strange.write_text(
        "".join(json.dumps(json.loads(line) | {"mood": "x"}) + "\n" for line in shard.read_text().splitlines())
    )
    shutil.copy(shard.with_suffix(".tar"), strange.with_suffix(".tar"))
    sources = {"strange": SourceRecipe(ignore=["mood"])}
    [(name, _, rows)] = glance(recipe.model_copy(update={"sources": sources}), trainer.processor)
    assert (name, len(rows)) == ("strange", 40)

    sources["lines"] = SourceRecipe(ratio=2.0)
    weights = {
        name: share.weight
        for name, share, _ in glance(recipe.model_copy(update={"sources": sources}), trainer.processor)
    }
    assert weights == {"strange": 40, "lines": 80}, "one without a ratio counts once"

    few = tmp_path / "few.jsonl"
    few.write_text("".join(shard.read_text().splitlines(keepends=True)[:10]))
    shutil.copy(shard.with_suffix(".tar"), few.with_suffix(".tar"))
    listed = tmp_path / "meta.yaml"
    files = [{"path": str(shard), "ratio": 1.0}, {"path": str(few), "ratio": 8.0}]
    listed.write_text(yaml.safe_dump({"META": files}))
    recipe = recipe.model_copy(update={"sources": {"mine": SourceRecipe(path=listed)}})
    run = Trainer(recipe, tmp_path / "listed")
    found = workload(recipe, config, tmp_path / "listed" / "index")
    costs = run.examples.costs(0, recipe.total_samples)
    steps = list(run.mixture.plan.steps(recipe.packs_per_step))
    per_step = recipe.packs_per_step / sum(len(step.packs) for step in steps)
    assert found.certainty == "exact" and found.tokens == pytest.approx(int(costs[0].sum()) * per_step)


def test_before_that_the_budgets_bound_them(measured, tmp_path):
    recipe, trainer, config = measured
    steps = len(list(trainer.mixture.plan.steps(recipe.packs_per_step)))
    bound = workload(recipe, config, tmp_path / "nowhere")
    assert bound.certainty == "bound" and bound.steps >= steps
    assert bound.tokens == 2 * 700 and bound.heaviest.lengths == (200, 200, 200, 100)


WORK = Workload(1200, 256.4, 300_000.0, 900.0, Load((10,), 1, 5), "by the measured lengths of the samples", "exact")
PARTS = {"experts": (2 * 10**9, 0), "language_model": (10**9, 10**9), "lora": (4 * 10**6, 4 * 10**6)}
MEMORY = Memory(450_000_000, 6 * 10**9, 4 * 10**9, 0, 2 * 10**9, 8 * 10**9, 3 * 10**9, 5 * 10**8)


def test_the_table():
    estimate = Estimate(recipe_of(packs_per_step=32), 1, 1, PARTS, MEMORY, WORK, 6.5e15, 6.5e15)
    lines = format_estimate(estimate, Machine("cpu", 24 * 10**9, 2e11)).splitlines()
    table = {line.split("  ")[0] or line.strip(): " ".join(line.split()) for line in lines if not line.startswith("  ")}
    assert table["parameters"] == "parameters 3 B, 1 B of them trained"
    assert table["memory of a device"] == "memory of a device 23.4 GB (1 rank)"
    assert table["a step"] == "a step 32 packs: 300,000 tokens, 900 views, 256 samples"
    assert table["steps"] == "steps 1,200 for 1,000 samples"
    assert "9.03 hours a step, 451 days in all" in table["time"]
    assert any("moments (float32)" in line and line.endswith("8 GB") for line in lines)
    assert not any("whole weights" in line for line in lines)
    assert max(map(len, lines)) <= 120
    bound = Workload(1200, 256, 3e5, 900, WORK.heaviest, "by the budgets", "bound")
    text = format_estimate(Estimate(recipe_of(), 4, 4, PARTS, MEMORY, bound, 1e12, 1e11))
    assert "<= 300,000 tokens, <= 900 views, >= 256 samples" in text and "<= 1,200 for" in text and "time" not in text


def test_time_is_a_range_where_steps_were_tried():
    """By hand: 1e11 operations of a rank at 4e10 to 5e10 a second, and half as much again for what is not a step."""
    machine = Machine("cpu", 10**11, 1e12, Trial(5e10, 4e10, "7 steps of 99 tokens"))
    for certainty in ("exact", "bound"):
        work = Workload(1200, 256, 3e5, 900, WORK.heaviest, "known", certainty)
        text = format_estimate(Estimate(recipe_of(), 4, 4, PARTS, MEMORY, work, 4e11, 1e11), machine)
        assert "2 to 3.75 seconds a step, 40 to 75 minutes in all" in text
        assert "7 steps of 99 tokens were tried, at 40 G to 50 GFLOP/s" in text
        assert "at most" not in text and "longer" not in text and ("full packs" in text) == (certainty == "bound")
    assert span(50, 130) == "50 seconds to 2.17 minutes" and span(1, 2) == "1 to 2 seconds"


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"freeze": ["experts"]},
        {"start": "nano", "lora": LoraRecipe(rank=2)},
        {"start": "nano", "lora": LoraRecipe(rank=2, whole=["projector"])},
    ],
)
def test_steps_are_tried(tiny_member, change, monkeypatch):
    recipe = recipe_of(
        pack=PackRecipe(tokens=512, views=32), max_tokens=256, dtype="float32", freeze=[], max_grad_norm=1.0
    )
    recipe, config = recipe.model_copy(update=change), build_config(tiny_member)
    load, device = Load((200, 100, 150), 20, 60), torch.device("cpu")
    before = torch.random.get_rng_state()
    found = try_steps(recipe, config, load, device, 1e11, seconds=0.01)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert found and found.what == "3 steps of 450 tokens" and found.fastest >= found.slowest > 0
    monkeypatch.setattr(trial, "_timed", lambda *_: [2.0, 4.0])
    counted = costs_of(config, recipe, load)
    flops = counted.llm_flops + counted.vision_flops
    found = try_steps(recipe, config, load, device, 1e11)
    assert found == Trial(flops / 2, flops / 4, "2 steps of 450 tokens")


def test_of_a_large_model_one_layer_is_tried_and_of_a_larger_one_nothing(tiny_member, monkeypatch, tmp_path):
    config, device = build_config(tiny_member), torch.device("cpu")
    recipe = recipe_of(pack=PackRecipe(tokens=512, views=32), max_tokens=256)
    total = sum(numbers for numbers, _ in count_parts(sizes_of(config, recipe)).values())
    monkeypatch.setattr(trial, "LARGEST", total - 1)
    found = try_steps(recipe, config, Load((200,), 5, 60), device, 1e11, seconds=0.05)
    assert found and found.what.endswith("of one layer of the language model")
    # parts that the one layer does not have
    lora = {"start": "nano", "lora": LoraRecipe(rank=2, whole=["projector"]), "feature_cache": tmp_path / "features"}
    found = try_steps(recipe.model_copy(update=lora), config, Load((200,), 5, 60), device, 1e11, seconds=0.05)
    assert found and found.what.endswith("of one layer of the language model")
    monkeypatch.setattr(trial, "LARGEST", 10)
    assert try_steps(recipe, config, Load((200,), 5, 60), device, 1e11) is None
    assert config.text_config.num_hidden_layers == 2 and config.groups


def test_what_a_run_would_not_find_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "there.jsonl").touch()
    (tmp_path / "empty").mkdir()
    sources = {
        "a": {"path": "there.jsonl"},
        "b": {"path": "gone.jsonl"},
        "c": {},
        "d": {"path": "there.jsonl", "root": "r"},
    }
    validation = {"sources": {"held": {"path": "held.jsonl"}}}
    fields = {"folder": tmp_path / "data", "sources": sources, "validation": validation}
    told = missing(recipe_of(start="nobody/nothing-here", **fields))
    assert told[0].startswith("start: nobody/nothing-here: not fetched from the hub")
    assert [line.split(": ")[0] for line in told[1:]] == [
        "sources.b",
        "sources.c",
        "sources.d",
        "validation.sources.held",
    ]
    assert "gone.jsonl: not there" in told[1] and "c-*.jsonl" in told[2] and "root: r: no such folder" in told[3]
    for start, says in (("models/members/x", "no such model"), ("empty", "no config.json"), ("gone", "no such model")):
        assert says in missing(recipe_of(start=start, sources={"a": {"path": "there.jsonl"}}))[0]
    assert missing(recipe_of(start="nano", sources={"a": {"path": "there.jsonl"}})) == []
    made = missing(recipe_of(sources={"c": {}}, folder=tmp_path, data={}))
    assert "yet; the run makes it" in made[0]


def test_numbers_in_words():
    assert [duration(s) for s in (0.5, 90, 130, 7300, 9e6)] == [
        "0.5 seconds",
        "90 seconds",
        "2.17 minutes",
        "2.03 hours",
        "104 days",
    ]
    assert 1e8 < product_rate(torch.device("cpu"), torch.float32, seconds=0.01) < 1e15


@pytest.mark.slow
def test_what_would_fit_is_tried_and_named(tiny_member, monkeypatch):
    monkeypatch.setattr(outline, "get_member", lambda _: tiny_member)
    recipe = recipe_of(pack=PackRecipe(tokens=2048, views=32), max_tokens=1024, freeze=[], packs_per_step=4)
    estimator = Estimator(recipe)
    whole = estimator.estimate(recipe)
    memory = whole.memory.peak - 1000
    fitting = what_fits(estimator, recipe, 1, memory)
    tried = {words: (changed, ranks) for words, changed, ranks in alternatives(recipe, 1, [])}
    assert [words for words, _ in fitting][:2] == ["optimizer_state_dtype: bfloat16", "activation_checkpointing: true"]
    for words, peak in fitting:
        assert peak == estimator.estimate(*tried[words]).memory.peak <= memory
    smaller = "pack: {tokens: 1024, views: 16}, packs_per_step: 8"
    assert f"optimizer_state_dtype: bfloat16, activation_checkpointing: true, {smaller}" in tried
    assert "activation_checkpointing: true, 2 ranks" in tried
    started = [words for words, *_ in alternatives(recipe.model_copy(update={"start": "nano"}), 1, [])]
    assert "lora: {}, activation_checkpointing: true" in started
    assert not any("lora" in words for words in tried)  # adapters lie over a model, and this run starts from none
    text = refusal(whole, Machine("cpu", memory, 1e9), fitting)
    assert "optimizer_state_dtype: bfloat16 (" in text and "\n" not in text
    assert what_fits(estimator, recipe, 1, 10**6) == []
    assert "nothing that was tried fits" in refusal(whole, Machine("cpu", 10**6, 1e9), [])


@pytest.mark.slow
def test_the_command_refuses_what_cannot_fit(tiny_member, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(outline, "get_member", lambda _: tiny_member)
    text = "member: nano\nfolder: a\ntotal_samples: 96\nsources: {a: {}}\n"
    text += "pack: {tokens: 1024, views: 16}\nmax_tokens: 512\n"
    path = tmp_path / "recipe.yaml"
    path.write_text(text)

    def run(*more: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sphinx-x", "train", str(path), *more])
        try:
            cli.main()
            code = 0
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        return code, *capsys.readouterr()

    code, out, err = run("--dry-run", "--memory", "100")
    assert code == 0 and "memory of a device" in out and not err
    code, out, err = run("--dry-run", "--memory", "0.1")
    assert code == 2 and "memory of a device" in out and err.startswith("error: ") and err.count("\n") == 1
    code, _, err = run("--dry-run", "--ranks", "0")
    assert code == 2
    code, _, err = run("--ranks", "2")
    assert code == 2 and "go with --dry-run" in err


def test_tiny_in_its_true_shape():
    """Float32 weights, gradients and moments of the language model alone are 18 GB, as the paper's shape wants."""
    recipe = recipe_of("tiny", activation_checkpointing=True)
    sizes = sizes_of(build_config(get_member("tiny")), recipe)
    llm = [size for size in sizes if size.part == "language_model"]
    exact = memory_of(recipe.model_copy(update={"dtype": "float32"}), llm, 1, 0)
    assert exact.weights + exact.gradients + exact.moments == pytest.approx(17.6e9, rel=0.01)
    small = memory_of(recipe.model_copy(update={"optimizer_state_dtype": "bfloat16"}), sizes, 1, 0)
    assert small.peak < 19e9 < memory_of(recipe, sizes, 1, 0).peak


def test_a_shape_comes_from_the_folder_that_a_run_starts_from(tiny_folder, tiny):
    recipe = recipe_of(start=str(tiny_folder))
    assert config_of(recipe).text_config.hidden_size == tiny.model.config.text_config.hidden_size
    assert config_of(recipe_of("tiny", start="models/none/tiny")).text_config.hidden_size == 2048
    assert config_of(recipe_of(start="smol")).lines is not None  # of the name, whatever the recipe's member is
    letters = config_of(recipe_of(extra_tokens="é€"))
    assert letters.text_config.vocab_size == get_member("nano").llm["vocab_size"] + 3
