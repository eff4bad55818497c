"""Files that are not what their names promise, and folders of another form: one line that says what they are."""

import gzip
import io
import json
import pickle
import shutil
import sys
import tarfile

import pytest
import torch
from safetensors.torch import save, save_file

from base_weights import base_llm
from sphinx_x.checkpoints.accessory import import_accessory
from sphinx_x.checkpoints.backbones import import_backbones
from sphinx_x.checkpoints.experts import open_expert
from sphinx_x.checkpoints.recognise import complaint
from sphinx_x.errors import CheckpointError
from sphinx_x.family import get_member
from sphinx_x.inference import SphinxX
from sphinx_x.recipe import Recipe
from sphinx_x.training.engine import begin
from sphinx_x.training.lora import merge_folder

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 4096\n"
PAGE = b"\n<!DOCTYPE html>\n<html><head><title>a model at\n main</title></head></html>"


def zipped() -> bytes:
    content = io.BytesIO()
    torch.save({"a": torch.zeros(9)}, content)
    return content.getvalue()


def tarred() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
    return content.getvalue()


TENSORS = save({"a": torch.arange(64.0)})
WRONG = {
    ("model.safetensors", POINTER): r"Git LFS pointer to a file of 4096 bytes.*git lfs pull",
    ("pytorch_model.bin", POINTER.replace(b"\n", b"\r\n")): "Git LFS pointer",
    ("tokenizer.model", POINTER): "Git LFS pointer",
    ("config.json", POINTER): "Git LFS pointer",
    ("model.safetensors", b"/annex/objects/SHA256E-s1--aa.safetensors\n"): "git-annex",
    ("consolidated.00.pth", PAGE): r"web page \(a model at main\).*/resolve/",
    ("config.json", b"\xef\xbb\xbf<html>"): "web page",
    ("tokenizer.json", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"): "web page",
    ("model.safetensors", b""): "is empty; fetch it again",
    ("config.json", b""): "is empty",
    ("tokenizer.model", b""): "is empty",
    ("model.safetensors", b"Invalid username or password."): "a text that begins with 'Invalid username",
    ("pytorch_model.bin", b'{"error": "Repository not found"}'): 'a text that begins with \'{"error"',
    ("config.json", b"Entry not found"): "not JSON, line 1 .begins with 'Entry not found'",
    ("config.json", b'{"model_type": "sph'): "not JSON, line 1",
    ("config.json", b"[1, 2]"): "not a JSON object",
    ("config.json", '{"a": 1}'.encode("utf-16")): "UTF-16",
    ("model.safetensors", zipped()): r"PyTorch file.*name it \.bin",
    ("model.safetensors", pickle.dumps({"a": 1}, 2)): "PyTorch file",
    ("model.safetensors", pickle.dumps({"a": 1}, 4)): "PyTorch file",
    ("pytorch_model.bin", TENSORS): r"is a safetensors file.*name it \.safetensors",
    ("model.safetensors", TENSORS[:-100]): f"{len(TENSORS) - 100} bytes instead of {len(TENSORS)}",
    ("model.safetensors", TENSORS[:40]): "its head alone has",
    ("model.safetensors", TENSORS[:5]): "cut off or no safetensors",
    ("model.safetensors", bytes(5000)): "nothing but zeros",
    ("pytorch_model.bin", zipped()[:-200]): "the table at its end is missing",
    ("pytorch_model.bin", b"GGUF" + bytes(50)): "GGUF",
    ("model.safetensors", gzip.compress(TENSORS, mtime=0)): "a gzip archive: unpack it",
    ("model.safetensors", tarred()): "a tar archive: unpack it",
    ("pytorch_model.bin", b"\x89HDF\r\n\x1a\n" + bytes(50)): "HDF5",
}


@pytest.mark.parametrize(("name", "content"), WRONG, ids=[f"{name} {content[:12]!r}" for name, content in WRONG])
def test_what_a_file_is_instead(tmp_path, name, content):
    import re

    (tmp_path / name).write_bytes(content)
    said = complaint(tmp_path / name) or ""
    assert re.search(WRONG[name, content], said) and "\n" not in said, said


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", TENSORS),
        ("model.safetensors", save({})),
        ("model.safetensors", save({"x" * (0x280 - 60): torch.zeros(1)})),
        ("pytorch_model.bin", zipped()),
        ("config.json", b' {"a": 1}\n'),
        ("tokenizer.json", b'{"a": "' + b"x" * 2_000_000 + b'"}'),
        ("chat_template.jinja", b"{{ bos }}"),
    ],
)
def test_good_files_are_let_be(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert complaint(tmp_path / name) is None


def start(folder, out):
    begin(Recipe.model_construct(member="nano", start=str(folder)))


def new_member(folder, out):
    import_backbones(get_member("tiny"), out, llm=folder, fresh=["convnext", "dinov2"])


def grown(folder, out):
    import_backbones(get_member("tiny"), out, start=folder, fresh=["convnext", "dinov2"])


USES = {
    "chat": lambda folder, out: SphinxX.load(folder),
    "train": start,
    "accessory": lambda folder, out: import_accessory([folder], out),
    "backbones": new_member,
    "from": grown,
    "expert": lambda folder, out: open_expert(folder),
    "merge": merge_folder,
}


@pytest.fixture(scope="module")
def kinds(tiny_folder, plain, tmp_path_factory):
    """Good folders of every form."""
    from transformers import CLIPVisionConfig, ConvNextConfig, ConvNextModel, LlavaConfig

    work = tmp_path_factory.mktemp("kinds")
    llm, _ = base_llm(work / "llm", "llama")
    expert = ConvNextModel(ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2))
    expert.save_pretrained(work / "expert")
    (work / "adapters").mkdir()
    (work / "adapters" / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    for name, config in (("llava", LlavaConfig()), ("clip", CLIPVisionConfig())):
        config.save_pretrained(work / name)
        save_file({"x": torch.zeros(1)}, work / name / "model.safetensors")
    (work / "params").mkdir()
    (work / "params" / "params.json").write_text('{"dim": 32, "n_heads": 4, "n_layers": 2}')
    (work / "run" / "model").mkdir(parents=True)
    (work / "run" / "model" / "config.json").write_text("{}")
    (work / "gguf").mkdir()
    (work / "gguf" / "a-Q4_K_M.gguf").write_bytes(b"GGUF")
    folders = {path.name: path for path in work.iterdir()}
    return {**folders, "llm": llm, "ours": tiny_folder, "official": plain / "official"}


TOLD = {
    ("official", "chat"): "not a model folder: holds an official checkpoint.*sphinx-x import official",
    ("params", "chat"): "holds an official checkpoint.*sphinx-x import official",
    ("llm", "chat"): "is a llama, a language model.*import backbones --llm",
    ("expert", "train"): r"holds a visual expert \(convnext\).*--expert",
    ("llava", "chat"): "is a llava, a multi-modal model of another family",
    ("gguf", "chat"): "holds GGUF files",
    ("run", "chat"): "no config.json in it; .*run/model has one",
    ("llm", "train"): "is a llama",
    ("ours", "accessory"): "not an official checkpoint: is a model folder of this package",
    ("llm", "accessory"): "is a llama.*--llm",
    ("adapters", "accessory"): "holds adapters.*sphinx-x merge",
    ("ours", "backbones"): "not a base language model: is a model folder of this package.*--from",
    ("official", "backbones"): "holds an official checkpoint.*import official",
    ("expert", "backbones"): r"holds a visual expert.*--expert",
    ("llava", "backbones"): "is a llava",
    ("llm", "from"): "not a model folder: is a llama",
    ("llm", "expert"): "not a visual expert that is known.*it is a llama",
    ("clip", "expert"): "not a visual expert that is known.*it is a clip_vision_model",
    ("ours", "merge"): "not a folder of adapters: is a model folder of this package",
    ("official", "merge"): "not a folder of adapters: holds an official checkpoint",
}


@pytest.mark.parametrize(("form", "use"), TOLD, ids=[" ".join(pair) for pair in TOLD])
def test_a_folder_of_another_form(kinds, tmp_path, form, use):
    with pytest.raises(CheckpointError, match=TOLD[form, use]) as caught:
        USES[use](kinds[form], tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


GOOD = {
    "chat": "ours",
    "train": "ours",
    "from": "ours",
    "accessory": "official",
    "backbones": "llm",
    "expert": "expert",
}


@pytest.mark.parametrize("use", GOOD)
def test_a_file_for_its_folder(kinds, tmp_path, use):
    if use == "expert":
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(CheckpointError, match=r"config.json: no weights .* are read\), give those or their folder"):
            open_expert(tmp_path / "config.json")
        return
    folder = kinds[GOOD[use]]
    file = next(path for path in sorted(folder.iterdir()) if path.name.startswith(("model", "consolidated")))
    with pytest.raises(CheckpointError, match="is a file; give the folder it lies in") as caught:
        USES[use](file, tmp_path / "out")
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("use", GOOD)
@pytest.mark.parametrize("what", ["weights", "settings", "tokenizer"])
def test_every_use_looks(kinds, tmp_path, use, what):
    """A pointer in place of each file that a use reads, with and without a manifest that knows its size."""
    if (use, what) == ("expert", "tokenizer"):
        pytest.skip("an expert has none")
    names = {"weights": ("model.safetensors", "consolidated.00-of-01.model.pth"), "settings": ("config.json",)}
    names["tokenizer"] = ("tokenizer.json", "tokenizer.model")
    folder = tmp_path / "in"
    shutil.copytree(kinds[GOOD[use]], folder)
    file = next(folder / name for name in names[what] if (folder / name).is_file())
    file.write_bytes(POINTER)
    with pytest.raises(CheckpointError, match=f"{file.name}: is a Git LFS pointer"):
        USES[use](folder, tmp_path / "out")


def test_adapters_that_were_not_fetched(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    (tmp_path / "adapter_model.safetensors").write_bytes(POINTER)
    for use in ("chat", "merge", "train"):
        with pytest.raises(CheckpointError, match=r"adapter_model.safetensors: is a Git LFS pointer"):
            USES[use](tmp_path, tmp_path / "out")


def test_other_files_in_a_folder_are_nobodys_business(tiny_folder, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "in")
    for name in ("notes.json", "optimizer.bin", "pytorch_model.bin", "tokenizer.model"):
        (tmp_path / "in" / name).write_bytes(b"")
    SphinxX.load(tmp_path / "in")


@pytest.mark.parametrize("verb", [["chat", "-", "Who?", "-m"], ["eval"], ["export", "--format", "llm", "-o", "OUT"]])
def test_the_command_line_says_it_in_one_line(kinds, tmp_path, monkeypatch, capsys, verb):
    from sphinx_x import cli

    verb = [str(tmp_path / "out") if word == "OUT" else word for word in verb]
    monkeypatch.setattr(sys, "argv", ["sphinx-x", *verb, str(kinds["llm"])])
    with pytest.raises(SystemExit) as left:
        cli.main()
    said = capsys.readouterr().err
    assert left.value.code == 2 and said.count("\n") == 1 and "is a llama" in said
