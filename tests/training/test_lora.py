"""Low-rank adapters: nothing at first, the same merged as beside the weights, and the same in PEFT's hands."""

import json
import re
import runpy
import shutil
import sys
from dataclasses import replace

import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file

from paths import ROOT
from processes import begin_command
from shards import write_lines
from sphinx_x import cli
from sphinx_x.checkpoints.adapters import BASE, CONFIG, WEIGHTS, is_adapter, weight_hashes
from sphinx_x.errors import CheckpointError, MissingToolError, RecipeError
from sphinx_x.evaluation.samples import rates
from sphinx_x.family import new_model
from sphinx_x.inference import SphinxX, find_model, load_processor
from sphinx_x.model.abilities import Abilities
from sphinx_x.model.modeling import NEVER
from sphinx_x.planning.outline import config_of
from sphinx_x.recipe import LoraRecipe, Recipe, as_of_now, load_recipe
from sphinx_x.training import lora
from sphinx_x.training.engine import begin
from sphinx_x.training.lora import ADAPTER, adapter_tensors, add_adapters, merge_adapters, merge_folder, save_adapters
from sphinx_x.training.trainer import Trainer
from sphinx_x.work.files import MANIFEST, check_manifest, read_lines, write_manifest

PICTURE = PIL.Image.effect_noise((100, 14), 60).convert("RGB")
LORA = LoraRecipe(rank=4, alpha=12.0)
MIXTRAL = {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}


def logits(sphinx: SphinxX) -> torch.Tensor:
    prompt = sphinx.prompt_for("Read.", PICTURE)
    with torch.no_grad():
        pixels = (prompt.views / 255).to(torch.float32)
        out = sphinx.model(input_ids=torch.tensor([prompt.ids]), pixel_values=pixels).logits[0].float()
    return out[:, (out > NEVER).all(0)]


def filled(model, seed: int = 3) -> None:
    """Gives B numbers, as training would."""
    torch.manual_seed(seed)
    for name, parameter in adapter_tensors(model).items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)


@pytest.fixture
def trained(tiny_folder, tmp_path):
    """A folder of adapters over the tiny member, and the model with them beside its weights."""
    sphinx = SphinxX.load(tiny_folder)
    add_adapters(sphinx.model, LORA)
    filled(sphinx.model)
    folder = save_adapters(sphinx.model, tmp_path / "adapters", str(tiny_folder), sphinx.processor)
    return folder, sphinx


def test_fresh_adapters_change_nothing_and_alone_are_trained(tiny_folder):
    sphinx = SphinxX.load(tiny_folder, dtype=torch.bfloat16)
    before = logits(sphinx)
    random = torch.get_rng_state()
    count = add_adapters(sphinx.model, LORA)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(logits(sphinx), before)
    taken = {name: p for name, p in sphinx.model.named_parameters() if p.requires_grad}
    assert taken.keys() == adapter_tensors(sphinx.model).keys() and len(taken) == 2 * 2 * 7
    assert all(p.dtype == torch.float32 for p in taken.values())
    # width 32, keys and values 16, hidden 48; two layers
    widths = [(32, 32), (32, 16), (32, 16), (32, 32), (32, 48), (32, 48), (48, 32)]
    assert count == 2 * sum(4 * (i + o) for i, o in widths) == sum(p.numel() for p in taken.values())
    filled(sphinx.model)
    assert not torch.equal(logits(sphinx), before)


def test_the_seed_alone_decides_the_adapters(tiny_folder):
    drawn = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        model = SphinxX.load(tiny_folder).model
        torch.manual_seed(noise)
        add_adapters(model, LORA, seed)
        drawn.append(torch.cat([p.flatten() for p in adapter_tensors(model).values()]))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_targets_are_layers_of_the_language_model(tiny_folder):
    model = SphinxX.load(tiny_folder).model
    add_adapters(model, LoraRecipe(targets=["q_proj", "mlp.up_proj"]))
    names = {name.partition(".lora_")[0] for name in adapter_tensors(model)}
    ends = ("self_attn.q_proj", "mlp.up_proj")
    assert names == {f"model.language_model.layers.{k}.{end}" for k in range(2) for end in ends}


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        (["q_proj", "w7"], "lora.targets: w7: no linear layer of this language model; it has q_proj, k_proj"),
        (["lm_head"], "lora.targets: lm_head: "),
        (["embed_tokens", "roj"], "lora.targets: embed_tokens, roj: "),
        ([], "lora.targets: nothing: "),
    ],
)
def test_targets_that_are_not_there_are_named(tiny_folder, targets, says):
    with pytest.raises(RecipeError, match=says) as caught:
        add_adapters(SphinxX.load(tiny_folder).model, LoraRecipe(targets=targets))
    assert "\n" not in str(caught.value)


def test_without_peft_the_extra_is_named(tiny_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingToolError, match=r"sphinx-x\[train\]"):
        add_adapters(SphinxX.load(tiny_folder).model, LORA)


def test_a_mixture_of_experts(tiny_member, tmp_path):
    """Its attention takes adapters; its joined experts do not, and are named."""
    model, processor = new_model(replace(tiny_member, llm={**tiny_member.llm, **MIXTRAL}), seed=1)
    model.save_pretrained(tmp_path / "base")
    processor.save_pretrained(tmp_path / "base")
    with pytest.raises(RecipeError, match=r"gate_proj, up_proj, down_proj: .*experts are joined.*; it has q_proj"):
        add_adapters(model, LORA)
    sphinx = SphinxX.load(tmp_path / "base")
    add_adapters(sphinx.model, LoraRecipe(targets=["q_proj", "v_proj"]))
    filled(sphinx.model)
    beside = logits(sphinx)
    save_adapters(sphinx.model, tmp_path / "adapters", str(tmp_path / "base"), processor)
    assert not (tmp_path / "adapters" / BASE).exists()  # the base has no manifest
    assert torch.allclose(logits(SphinxX.load(tmp_path / "adapters")), beside, atol=1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_merged_is_what_was_beside(tiny_folder, dtype, tolerance):
    sphinx = SphinxX.load(tiny_folder, dtype=dtype)
    names = {name: parameter.dtype for name, parameter in sphinx.model.named_parameters()}
    start = logits(sphinx)
    add_adapters(sphinx.model, LORA)
    filled(sphinx.model)
    beside = logits(sphinx)
    assert merge_adapters(sphinx.model) is sphinx.model
    change = (beside - start).norm()
    assert (logits(sphinx) - beside).norm() < tolerance * change
    assert {name: parameter.dtype for name, parameter in sphinx.model.named_parameters()} == names
    assert not hasattr(sphinx.model, "peft_config")


def test_sums_are_float32_and_rounded_once(tiny_folder):
    sphinx = SphinxX.load(tiny_folder, dtype=torch.bfloat16)
    layer = "model.language_model.layers.0.mlp.up_proj"
    weight = sphinx.model.get_submodule(layer).weight.detach().clone()
    add_adapters(sphinx.model, LORA)
    filled(sphinx.model)
    tensors = adapter_tensors(sphinx.model)
    a, b = (tensors[f"{layer}.lora_{half}.default.weight"].detach().double() for half in "AB")
    merge_adapters(sphinx.model)
    wanted = (weight.double() + 3.0 * (b @ a)).to(torch.bfloat16)
    assert (sphinx.model.get_submodule(layer).weight == wanted).float().mean() > 0.999


def test_saved_and_loaded_it_is_the_same(trained):
    folder, sphinx = trained
    assert {path.name for path in folder.iterdir()} >= {CONFIG, WEIGHTS, BASE, MANIFEST, "processor_config.json"}
    check_manifest(folder, full=True)
    loaded = SphinxX.load(folder)
    assert torch.allclose(logits(loaded), logits(sphinx), atol=1e-4)
    assert not adapter_tensors(loaded.model)
    assert loaded.chat("Read.", PICTURE, max_new_tokens=8) == sphinx.chat("Read.", PICTURE, max_new_tokens=8)


def test_another_process_says_the_same(trained, tmp_path):
    folder, sphinx = trained
    PICTURE.save(tmp_path / "a.png")
    begun = begin_command("chat", tmp_path / "a.png", "Read.", "-m", folder, "--max-new-tokens", 8)
    out, err = begun.communicate(timeout=120)
    assert out == sphinx.chat("Read.", PICTURE, max_new_tokens=8) + "\n", err


def test_tensors_can_be_given_whole(trained, tmp_path, tiny_folder):
    """A sharded run gathers them and gives them by name."""
    folder, sphinx = trained
    whole = {name: parameter.detach().clone() for name, parameter in adapter_tensors(sphinx.model).items()}
    for parameter in adapter_tensors(sphinx.model).values():
        parameter.data.zero_()
    again = save_adapters(sphinx.model, tmp_path / "again", str(tiny_folder), sphinx.processor, whole)
    assert (again / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()
    first = next(iter(whole))
    for wrong in (
        {**whole, first: whole[first][:1]},
        {k: v for k, v in whole.items() if k != first},
        {**whole, "x": whole[first]},
    ):
        with pytest.raises(ValueError, match="not what the model's adapters are"):
            save_adapters(sphinx.model, tmp_path / "wrong", str(tiny_folder), sphinx.processor, wrong)
    assert not (tmp_path / "wrong").exists()


def test_peft_reads_what_is_written(trained, tiny_folder):
    from peft import PeftModel, get_peft_model_state_dict

    folder, sphinx = trained
    peft: torch.nn.Module = PeftModel.from_pretrained(SphinxX.load(tiny_folder).model, str(folder))  # type: ignore[arg-type]
    read = {name: p for name, p in peft.named_parameters() if ".lora_" in name}
    own = adapter_tensors(sphinx.model)
    assert {name.removeprefix("base_model.model.") for name in read} == own.keys()
    for name, parameter in own.items():
        assert torch.equal(read[f"base_model.model.{name}"], parameter), name
    theirs = logits(SphinxX(peft.get_base_model(), sphinx.processor))  # type: ignore[operator]
    assert torch.allclose(theirs, logits(sphinx), atol=1e-5)  # the order of sums differs
    written = load_file(folder / WEIGHTS)
    peft_written = get_peft_model_state_dict(peft, save_embedding_layers=False)
    assert written.keys() == peft_written.keys()


def test_what_peft_writes_is_read(tiny_folder, tiny, tmp_path):
    """Visual experts and a scale by the root of the rank as well."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=3, lora_alpha=5, use_rslora=True, target_modules=["q_proj", "projector.0"])
    sphinx = SphinxX.load(tiny_folder)
    sphinx.model.name_or_path = str(tiny_folder)
    peft = get_peft_model(sphinx.model, config)  # type: ignore[arg-type]
    filled(peft)
    peft.save_pretrained(tmp_path / "peft")
    loaded = SphinxX.load(tmp_path / "peft")  # it has no processor: that of the base is taken
    assert any("projector" in name for name in adapter_tensors(peft))
    assert torch.allclose(logits(loaded), logits(sphinx), atol=1e-4)
    assert not torch.allclose(logits(loaded), logits(tiny), atol=1e-2)


WHOLE = LoraRecipe(rank=4, alpha=12.0, whole=["projector"])


def shaken(model, seed: int = 5) -> None:
    """Changes all that is trained, as training would."""
    torch.manual_seed(seed)
    for parameter in adapter_tensors(model).values():
        torch.nn.init.normal_(parameter, std=0.2)


@pytest.fixture
def trained_whole(tiny_folder, tmp_path):
    """The same as `trained`, with a projector that was trained beside the adapters."""
    sphinx = SphinxX.load(tiny_folder)
    add_adapters(sphinx.model, WHOLE)
    shaken(sphinx.model)
    return save_adapters(sphinx.model, tmp_path / "adapters", str(tiny_folder), sphinx.processor), sphinx


def test_parts_are_trained_whole_beside_the_adapters(tiny_folder, trained_whole):
    folder, sphinx = trained_whole
    wanted = {name for name, p in sphinx.model.named_parameters() if ".lora_" in name or ".projector." in name}
    assert {name for name, p in sphinx.model.named_parameters() if p.requires_grad} == wanted
    assert adapter_tensors(sphinx.model).keys() == wanted and any(".projector." in name for name in wanted)
    loaded = SphinxX.load(folder)
    assert torch.allclose(logits(loaded), logits(sphinx), atol=1e-4)
    for name, parameter in sphinx.model.named_parameters():
        if ".projector." in name:
            assert torch.equal(loaded.model.get_parameter(name), parameter)


def going_on(start, folder, **changed) -> Recipe:
    adapters = {"rank": 4, "alpha": 12.0, "whole": ["projector"], "start": str(folder)} | changed
    return Recipe(
        **{
            "member": "nano",
            "start": str(start),
            "lora": adapters,
            "total_samples": 1,
            "folder": ".",
            "sources": {"lines": {}},
        }
    )


def test_finished_adapters_are_gone_on_with(trained_whole, tiny_folder):
    folder, sphinx = trained_whole
    model, _ = begin(going_on(tiny_folder, folder))
    wanted, found = adapter_tensors(sphinx.model), adapter_tensors(model)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) and found[name].requires_grad for name in wanted)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"rank": 8}, r"has rank 4 and alpha 12, not 8 and 12"),
        ({"alpha": 4.0}, r"has rank 4 and alpha 12, not 4 and 4"),
        ({"targets": ["q_proj"]}, r"q?\w+_proj.lora_A.default.weight differs"),
        ({"whole": []}, r"projector.* differs"),
    ],
)
def test_finished_adapters_of_another_kind_are_refused(trained_whole, tiny_folder, changed, says):
    with pytest.raises(RecipeError, match=says):
        begin(going_on(tiny_folder, trained_whole[0], **changed))


def test_a_run_of_before_there_was_a_start_is_resumed():
    """Its state names no field that came later."""
    recipe = Recipe(
        **{"member": "nano", "start": "a", "lora": {"rank": 4, "alpha": 12}, "total_samples": 1, "folder": "."},
        sources={"lines": {}},  # pyright: ignore[reportArgumentType]
    ).model_dump(mode="json")
    before = recipe | {"lora": {name: recipe["lora"][name] for name in ("rank", "alpha", "dropout", "targets")}}
    assert as_of_now(before)["lora"] == LoraRecipe(rank=4, alpha=12.0).model_dump(mode="json")
    assert as_of_now(recipe) == recipe and as_of_now(recipe | {"lora": None})["lora"] is None


def test_a_share_within_the_product_is_pefts(tiny_folder):
    """Outputs and gradients are those of PEFT's own layers, and its switch is obeyed."""
    from peft.tuners.lora import LoraLayer

    model = SphinxX.load(tiny_folder).model
    add_adapters(model, LORA)
    filled(model)
    layer = next(module for module in model.modules() if isinstance(module, LoraLayer))
    x, found = torch.randn(2, 5, layer.in_features), []
    for forward in (layer.forward, lambda x: type(layer).forward(layer, x)):
        own = x.clone().requires_grad_()
        y = forward(own)
        y.square().sum().backward()
        halves = [half[ADAPTER].weight for half in (layer.lora_A, layer.lora_B)]
        found.append([y, own.grad, *(half.grad.clone() for half in halves)])
        layer.zero_grad()
    assert all(torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5) for ours, theirs in zip(*found, strict=True))
    layer.enable_adapters(False)
    assert torch.equal(layer(x), layer.base_layer(x))


def test_a_model_is_no_finished_adapter(tiny_folder):
    with pytest.raises(RecipeError, match="is a model, not a folder of adapters"):
        begin(going_on(tiny_folder, tiny_folder))


def test_peft_reads_parts_that_were_trained_whole(tiny_folder, trained_whole):
    from peft import PeftModel

    folder, sphinx = trained_whole
    peft: torch.nn.Module = PeftModel.from_pretrained(SphinxX.load(tiny_folder).model, str(folder))  # type: ignore[arg-type]
    assert torch.allclose(logits(SphinxX(peft.get_base_model(), sphinx.processor)), logits(sphinx), atol=1e-5)  # type: ignore[operator]


def test_what_peft_trained_whole_is_read(tiny_folder, tmp_path):
    """It names modules by the ends of their paths."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=3, lora_alpha=5, target_modules=["q_proj"], modules_to_save=["projector"])
    sphinx = SphinxX.load(tiny_folder)
    sphinx.model.name_or_path = str(tiny_folder)
    peft = get_peft_model(sphinx.model, config)  # type: ignore[arg-type]
    torch.manual_seed(0)
    for parameter in peft.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.2)
    peft.save_pretrained(tmp_path / "peft")
    assert torch.allclose(logits(SphinxX.load(tmp_path / "peft")), logits(sphinx), atol=1e-4)


def test_parts_trained_whole_stay_in_a_merged_folder_and_in_its_probe(trained_whole, tmp_path):
    folder, sphinx = trained_whole
    notes = []
    merge_folder(folder, tmp_path / "merged", tell=notes.append)
    assert torch.allclose(logits(SphinxX.load(tmp_path / "merged")), logits(sphinx), atol=1e-4)
    places = re.search(r"the same at (\d+) of (\d+) places", notes[-1])
    assert places and places[1] == places[2]  # the probe beside the weights has the projector as well


def test_a_merged_folder_declares_what_its_adapters_do(tiny_folder, tmp_path):
    """What was trained into the base can take other things than the base declares."""
    base = SphinxX.load(tiny_folder)
    base.model.config.abilities = {"turns": 1, "most_pictures": 1}
    base.model.save_pretrained(tmp_path / "base")
    base.processor.save_pretrained(tmp_path / "base")
    sphinx = SphinxX.load(tmp_path / "base")
    assert sphinx.model.config.ability().turns == 1
    add_adapters(sphinx.model, WHOLE)
    shaken(sphinx.model)
    folder = save_adapters(sphinx.model, tmp_path / "adapters", str(tmp_path / "base"), sphinx.processor)
    merged = SphinxX.load(merge_folder(folder, tmp_path / "merged"))
    assert merged.model.config.ability() == SphinxX.load(folder).model.config.ability() == Abilities()


def test_half_the_bytes_are_nearly_the_same(trained_whole, tiny_folder, tmp_path):
    folder, sphinx = trained_whole
    (half := tmp_path / "half").mkdir()
    lora.write_adapters(sphinx.model, half, str(tiny_folder), dtype=torch.float16)
    sphinx.processor.save_pretrained(half)
    assert (half / WEIGHTS).stat().st_size < 0.6 * (folder / WEIGHTS).stat().st_size
    wanted = logits(sphinx)
    assert (logits(SphinxX.load(half)) - wanted).norm() < 0.01 * wanted.norm()


def test_whole_parts_that_do_not_fit_are_named(trained_whole, tiny_folder, tmp_path):
    folder, _ = trained_whole
    tensors, fields = load_file(folder / WEIGHTS), json.loads((folder / CONFIG).read_text())
    projector = next(name for name in tensors if ".projector." in name)
    odd = {
        "has no .*projector.*, which was trained whole": {k: v for k, v in tensors.items() if k != projector},
        "does not fit": tensors | {projector: tensors[projector][:1].clone()},
        "is no adapter": tensors | {"base_model.model.model.other.weight": torch.zeros(2)},
        "not of floating-point": tensors | {projector: tensors[projector].int()},
    }
    for number, (says, given) in enumerate(odd.items()):
        shutil.copytree(folder, wrong := tmp_path / f"wrong-{number}")
        save_file(given, wrong / WEIGHTS, {"format": "pt"})
        write_manifest(wrong)
        with pytest.raises(CheckpointError, match=says):
            SphinxX.load(wrong)
    names = {"no module attic": [*fields["modules_to_save"], "attic"], "not a list of names": "projector"}
    for number, (says, named) in enumerate(names.items()):
        shutil.copytree(folder, wrong := tmp_path / f"names-{number}")
        (wrong / CONFIG).write_text(json.dumps(fields | {"modules_to_save": named}))
        write_manifest(wrong)
        with pytest.raises(CheckpointError, match=says):
            SphinxX.load(wrong)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("attic", "lora.whole: no parameter is named attic"),
        ("language_model", "is the language model's, which gets adapters"),
        ("model.model.*", "is the language model's, which gets adapters"),
    ],
)
def test_whole_parts_that_cannot_be_are_named(tiny_folder, part, says):
    with pytest.raises(RecipeError, match=says):
        add_adapters(SphinxX.load(tiny_folder).model, LoraRecipe(whole=[part]))


def test_a_plain_folder_is_made_of_it(trained, tmp_path, monkeypatch, capsys):
    folder, sphinx = trained
    monkeypatch.setattr(sys, "argv", ["sphinx-x", "merge", str(folder), "-o", str(tmp_path / "merged")])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 0
    said = capsys.readouterr()
    assert said.out == f"written to {tmp_path / 'merged'}\n"
    assert [line.split(":")[0] for line in said.err.splitlines()] == ["note", "note"]
    check_manifest(tmp_path / "merged", full=True)
    assert find_model(tmp_path / "merged") == tmp_path / "merged"
    assert torch.allclose(logits(SphinxX.load(tmp_path / "merged")), logits(sphinx), atol=1e-4)
    with pytest.raises(CheckpointError, match="is there already"):
        merge_folder(folder, tmp_path / "merged")
    with pytest.raises(CheckpointError, match="not a folder of adapters"):
        merge_folder(tmp_path / "merged", tmp_path / "other")


def test_types_of_the_base_stay(tiny_folder, tmp_path):
    sphinx = SphinxX.load(tiny_folder, dtype=torch.bfloat16)
    sphinx.model.save_pretrained(tmp_path / "base")
    sphinx.processor.save_pretrained(tmp_path / "base")
    add_adapters(sphinx.model, LORA)
    save_adapters(sphinx.model, tmp_path / "adapters", str(tmp_path / "base"), sphinx.processor)
    merge_folder(tmp_path / "adapters", tmp_path / "merged")
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("base", "merged"))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("dtype", [None, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("below", [torch.bfloat16, torch.float32])
def test_merging_says_the_type_and_how_far_the_logits_are(tiny_folder, tmp_path, below, dtype):
    """The base's own type unless another is asked for; the figures are those of PEFT's layers against the result."""
    start = SphinxX.load(tiny_folder, dtype=below)
    start.model.save_pretrained(tmp_path / "base")
    start.processor.save_pretrained(tmp_path / "base")
    trained = SphinxX.load(tmp_path / "base", dtype=dtype or below)
    add_adapters(trained.model, LORA)
    filled(trained.model)
    save_adapters(trained.model, tmp_path / "adapters", str(tmp_path / "base"), trained.processor)
    notes: list[str] = []
    merge_folder(tmp_path / "adapters", tmp_path / "merged", dtype=dtype, tell=notes.append)
    merged = SphinxX.load(tmp_path / "merged", dtype="auto")
    kept = dtype or below
    assert {p.dtype for p in merged.model.parameters()} == {kept}
    name = str(kept).removeprefix("torch.")
    assert notes[0].startswith(f"weights are {name}, {'as asked' if dtype else 'as those of'}")
    wanted, found = lora._probed(trained), lora._probed(merged)
    told = float(re.search(r"tokens are (\S+) at most", notes[1])[1])  # type: ignore[index]
    assert told == pytest.approx(float((wanted - found).abs().max()), rel=0.5, abs=1e-5)
    assert (told < 1e-4) == (kept == torch.float32)
    assert "the likeliest token is the same at" in notes[1]


def test_an_official_model_goes_back_with_its_adapters(plain, tmp_path):
    from sphinx_x.checkpoints.accessory import export_accessory, import_accessory

    sphinx = SphinxX.load(plain / "model")
    add_adapters(sphinx.model, LORA)
    filled(sphinx.model)
    save_adapters(sphinx.model, tmp_path / "adapters", str(plain / "model"), sphinx.processor)
    merge_folder(tmp_path / "adapters", tmp_path / "merged")
    export_accessory(tmp_path / "merged", tmp_path / "back")
    import_accessory([tmp_path / "back"], tmp_path / "again")
    before, merged, again = (
        load_file(folder / "model.safetensors") for folder in (plain / "model", tmp_path / "merged", tmp_path / "again")
    )
    assert merged.keys() == again.keys() and all(torch.equal(merged[name], again[name]) for name in merged)
    assert sum(not torch.equal(merged[name], before[name]) for name in merged) == 7 * sum("q_proj" in n for n in merged)


def test_adapters_over_adapters(trained, tmp_path):
    folder, _ = trained
    sphinx = SphinxX.load(folder)
    add_adapters(sphinx.model, LORA)
    filled(sphinx.model, seed=4)
    save_adapters(sphinx.model, tmp_path / "second", str(folder), sphinx.processor)
    assert torch.allclose(logits(SphinxX.load(tmp_path / "second")), logits(sphinx), atol=1e-4)
    merge_folder(tmp_path / "second", tmp_path / "merged")
    assert torch.allclose(logits(SphinxX.load(tmp_path / "merged")), logits(sphinx), atol=1e-4)
    rewritten(tmp_path / "second", base_model_name_or_path=str(tmp_path / "second"))
    with pytest.raises(CheckpointError, match="lie over themselves"):
        SphinxX.load(tmp_path / "second")


def rewritten(folder, **changes) -> None:
    """Other fields in the configuration of adapters, and no manifest that forbids it."""
    path = folder / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    (folder / MANIFEST).unlink(missing_ok=True)
    (folder / BASE).unlink(missing_ok=True)


def test_where_the_base_is_looked_for(trained, tiny_folder, tmp_path, monkeypatch):
    folder, _ = trained
    shutil.copytree(tiny_folder, tmp_path / "base")
    rewritten(folder, base_model_name_or_path="../base")
    SphinxX.load(folder)  # from its own folder
    rewritten(folder, base_model_name_or_path="base")
    with pytest.raises(CheckpointError, match="the model below its adapters: base: no such model") as caught:
        SphinxX.load(folder)
    assert "\n" not in str(caught.value)
    monkeypatch.chdir(tmp_path)
    SphinxX.load(folder)  # from the current one
    monkeypatch.chdir(folder)
    assert SphinxX.load(folder, base=tmp_path / "base") and load_processor(folder, tmp_path / "base")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hidden_size": 16}, r"layers\.0\.mlp\.down_proj does not fit: \(32, 4\) x \(4, 48\) over \(16, 48\)"),
        ({"num_hidden_layers": 1}, r"no linear layer model\.language_model\.layers\.1"),
    ],
)
def test_another_base_is_refused(trained, tiny_member, tmp_path, change, says):
    folder, _ = trained
    model, processor = new_model(replace(tiny_member, llm={**tiny_member.llm, **change}), seed=1)
    model.save_pretrained(tmp_path / "other")
    processor.save_pretrained(tmp_path / "other")
    with pytest.raises(CheckpointError, match=says) as caught:
        SphinxX.load(folder, base=tmp_path / "other")
    assert "\n" not in str(caught.value)


def test_adapters_over_a_member_of_packages_name_its_weights(tiny_folder, tmp_path, monkeypatch):
    """The weights that they were trained over are those of the member, not of what this package has for it."""
    monkeypatch.setattr("sphinx_x.inference.finding.packaged_model", lambda name, folder: tiny_folder)
    sphinx = SphinxX.load("smol")
    add_adapters(sphinx.model, LORA)
    folder = save_adapters(sphinx.model, tmp_path / "adapters", "smol", sphinx.processor)
    assert json.loads((folder / BASE).read_text()) == weight_hashes(tiny_folder) != {}
    assert torch.equal(logits(SphinxX.load(folder)), logits(SphinxX.load(tiny_folder)))  # fresh ones change nothing
    recipe = Recipe(
        **{"member": "nano", "start": str(folder), "total_samples": 1, "folder": ".", "sources": {"lines": {}}}
    )
    assert config_of(recipe).lines is not None  # the member's, whatever the recipe says


def test_other_weights_of_the_same_shape_are_refused(trained, tiny_member, tiny_folder, tmp_path):
    """Where both are known: by the hashes that the base's manifest had."""
    folder, _ = trained
    model, processor = new_model(tiny_member, seed=2)
    model.save_pretrained(tmp_path / "other")
    processor.save_pretrained(tmp_path / "other")
    write_manifest(tmp_path / "other")
    with pytest.raises(CheckpointError, match=r"trained over other weights .*\(model\.safetensors\)"):
        SphinxX.load(folder, base=tmp_path / "other")
    shutil.copytree(tiny_folder, tmp_path / "copy")
    SphinxX.load(folder, base=tmp_path / "copy")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"peft_type": "IA3"}, "kind IA3"),
        ({"use_dora": True}, "with use_dora are not read"),
        ({"layer_replication": [[0, 1]], "bias": "all"}, "with bias, layer_replication are not read"),
        ({"init_lora_weights": "pissa"}, "with init_lora_weights are not read"),
        ({"target_parameters": ["experts.down_proj"]}, "with target_parameters are not read"),
        ({"base_model_name_or_path": None}, "does not name the model"),
        ({"lora_alpha": "much"}, "lora_alpha is not a number"),
    ],
)
def test_kinds_that_are_not_read_are_named(trained, fields, says):
    folder, _ = trained
    rewritten(folder, **fields)
    with pytest.raises(CheckpointError, match=says):
        SphinxX.load(folder)


def test_a_shared_output_layer_takes_none(tiny_folder, tmp_path):
    """Merged, they would change the embedding table as well."""
    from peft import LoraConfig, get_peft_model

    model = SphinxX.load(tiny_folder).model
    model.name_or_path = str(tiny_folder)
    peft = get_peft_model(model, LoraConfig(r=2, target_modules=["lm_head"]))  # type: ignore[arg-type]
    peft.save_pretrained(tmp_path / "peft", save_embedding_layers=False)
    with pytest.raises(CheckpointError, match="lm_head is the embedding table"):
        SphinxX.load(tmp_path / "peft")


def test_broken_adapters_are_named(trained, tmp_path):
    folder, _ = trained
    whole = load_file(folder / WEIGHTS)
    first = next(iter(whole))
    for change, says in (
        (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-4]), "cut off"),
        (lambda f: (f / WEIGHTS).unlink(), "missing"),
        (lambda f: [rewritten(f), (f / WEIGHTS).write_bytes(b"x")], WEIGHTS),
        (lambda f: [rewritten(f), (f / CONFIG).write_text("{")], "not JSON"),
        (lambda f: [rewritten(f), save_file({k: whole[k] for k in list(whole)[1:]}, f / WEIGHTS)], "half an adapter"),
        (lambda f: [rewritten(f), save_file({"a.weight": whole[first]}, f / WEIGHTS)], "a.weight is no adapter"),
        (lambda f: [rewritten(f), save_file({}, f / WEIGHTS)], "no adapters"),
    ):
        broken = tmp_path / "broken"
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(folder, broken)
        change(broken)
        with pytest.raises(CheckpointError, match=says) as caught:
            SphinxX.load(broken)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"bits": 4}, {"device": "auto"}, {"device_map": "cpu"}])
def test_quantised_or_spread_it_is_to_be_merged_first(trained, options):
    with pytest.raises(CheckpointError, match="merge them first"):
        SphinxX.load(trained[0], **options)


def test_what_wants_a_model_says_what_it_got(trained):
    with pytest.raises(CheckpointError, match="not a model folder: holds adapters"):
        find_model(trained[0])


def test_the_packaged_recipes():
    large, small = load_recipe("finetune"), load_recipe("recipes/finetune-nano.yaml")
    assert (large.member, small.member, small.start, small.lora) == ("tiny", "nano", "nano", None)
    assert large.lora and large.start and large.validation


def test_a_run_trains_adapters(tiny_folder, tmp_path):
    """What it writes lies over `start`, has learned, and changes the named layers alone."""
    write_lines(tmp_path / "data", "lines", 24)
    recipe = Recipe(
        **{"member": "nano", "start": str(tiny_folder), "lora": LoraRecipe(rank=4), "total_samples": 96},
        **{
            "pack": {"tokens": 700, "views": 64, "window": 24},
            "max_tokens": 200,
            "dtype": "float32",
            "max_grad_norm": 1.0,
        },
        **{"learning_rate": 3e-2, "folder": tmp_path / "data", "sources": {"lines": {}}, "workers": 0, "log_every": 2},
    )
    folder = Trainer(recipe, tmp_path / "run").run()
    assert (folder / WEIGHTS).is_file() and not (folder / "config.json").exists()
    assert json.loads((folder / CONFIG).read_text())["base_model_name_or_path"] == str(tiny_folder)
    log = read_lines(tmp_path / "run" / "log.jsonl")
    assert log[-1]["loss"] < 0.95 * log[0]["loss"]
    before, after = (SphinxX.load(name).model.state_dict() for name in (tiny_folder, folder))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert len(changed) == 14 and all(".layers." in name and "_proj." in name for name in changed)
    assert merge_folder(folder, tmp_path / "merged") and SphinxX.load(tmp_path / "merged").chat("Hi", max_new_tokens=2)


@pytest.mark.slow
@pytest.mark.parametrize("way", [[], ["--lora"]])
def test_the_example_of_fine_tuning(way, tmp_path, monkeypatch, capsys):
    """A hundred samples teach SPHINX-Nano a form that it did not know, on labels that it has not seen."""
    monkeypatch.chdir(tmp_path)
    path = ROOT / "examples" / "finetune.py"
    before, after = runpy.run_path(str(path))["main"](way)
    assert is_adapter(f"runs/finetune{'-lora' if way else ''}/model") == bool(way)
    first, second = (rates(scores)["text"].rate for scores in (before, after))
    assert first > 0.5 and second < 0.2, (first, second)
    assert "labels right" in capsys.readouterr().out
