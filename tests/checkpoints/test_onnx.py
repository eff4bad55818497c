"""The ONNX graphs answer as the model does."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from safetensors.torch import load_file, save_file

from paths import ROOT
from sphinx_x.checkpoints.onnx import export_onnx
from sphinx_x.errors import CheckpointError
from sphinx_x.family import new_model
from sphinx_x.inference import SphinxX
from sphinx_x.model.views import ViewGrid
from sphinx_x.work.files import MANIFEST

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
MIXTRAL = {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}


def answer(folder: Path, sphinx: SphinxX, question: str, image: PIL.Image.Image, count: int) -> list[int]:
    """Greedy ids by the three graphs alone."""
    sizes = json.loads((folder / "onnx.json").read_text())
    vision, embed, decoder = (
        onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
        for name in ("vision", "embed", "decoder")
    )
    prompt = sphinx.prompt_for(question, image)
    ids = np.array([prompt.ids])
    features = vision.run(None, {"pixel_values": prompt.views.numpy().astype(np.float32) / 255})[0]
    embeds = embed.run(None, {"input_ids": ids})[0]
    embeds[ids == sizes["image_token_id"]] = features.reshape(-1, sizes["hidden_size"])
    shape = (1, sizes["key_value_heads"], 0, sizes["head_width"])
    past = {i.name: np.zeros(shape, np.float32) for i in decoder.get_inputs() if i.name.startswith("past.")}
    out, done = [], 0
    while len(out) < count:
        new = embeds.shape[1]
        mask, positions = np.ones((1, done + new), np.int64), np.arange(done, done + new)[None]
        inputs = {"inputs_embeds": embeds, "attention_mask": mask, "position_ids": positions}
        logits, *present = decoder.run(None, {**inputs, **past})
        past, done = dict(zip(past, present, strict=True)), done + new
        out.append(int(logits[0, -1].argmax()))
        embeds = embed.run(None, {"input_ids": np.array([[out[-1]]])})[0]
    return out


def test_missing_weights_are_told_and_not_made_up(tiny_folder, tmp_path):
    for path in tiny_folder.iterdir():
        if path.name != MANIFEST:
            shutil.copyfile(path, tmp_path / path.name)
    tensors = load_file(tmp_path / "model.safetensors")
    name = next(name for name in tensors if "q_proj" in name)
    del tensors[name]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=f"missing: {name}"):
        export_onnx(tmp_path, tmp_path / "onnx")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama", "mixtral", "resampled"])
def test_graphs_equal_the_model(tiny_member, tmp_path, kind):
    member = tiny_member
    if kind == "mixtral":
        member = replace(member, llm={**member.llm, **MIXTRAL})
    if kind == "resampled":  # one expert sees the views at another size, as in the large members; a global view
        convnext, dinov2 = member.groups[0]["experts"]
        dinov2 = {**dinov2, "height": 21, "width": 21, "patch": (7, 7), "positions": (4, 4)}
        convnext = {**convnext, "height": 32, "width": 32, "strides": ((4, 4), (2, 2))}
        groups = ({"experts": (convnext, dinov2), "tokens": (3, 3)},)
        member = replace(member, views=ViewGrid(2, 2, 32, 32), groups=groups)
    model, processor = new_model(member, seed=2)
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    sphinx = SphinxX.load(tmp_path / "model")
    export_onnx(tmp_path / "model", tmp_path / "onnx")
    for size in ((120, 12), (40, 100)):
        image = PIL.Image.effect_noise(size, 70).convert("RGB")
        wanted = sphinx._generate([sphinx.prompt_for("Read.", image)], max_new_tokens=10, min_new_tokens=10)[0]
        found = answer(tmp_path / "onnx", sphinx, "Read.", image, 10)
        assert found == wanted


@pytest.mark.slow
def test_nano_reads_in_an_onnx_runtime(nano_onnx):
    from sphinx_x.images import open_image

    sphinx = SphinxX.load("nano")
    line = open_image(ROOT / "examples" / "ledger-introduction.pdf").crop((185, 362, 1092, 389))
    wanted = sphinx._generate([sphinx.prompt_for("Read the text.", line)])[0]
    assert len(wanted) > 40
    assert answer(nano_onnx, sphinx, "Read the text.", line, len(wanted)) == wanted


@pytest.mark.slow
def test_int8_tells_what_it_leaves(tiny_mixture, tmp_path):
    model, processor = new_model(tiny_mixture, seed=2)
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    notes = export_onnx(tmp_path / "model", tmp_path / "onnx", int8=True)
    assert [note.split()[0] for note in notes] == ["vision.onnx:", "decoder.onnx:", "the"] and "experts" in notes[2]
    sphinx = SphinxX.load(tmp_path / "model")
    image = PIL.Image.effect_noise((120, 12), 70).convert("RGB")
    assert len(answer(tmp_path / "onnx", sphinx, "Read.", image, 4)) == 4


def test_no_model_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="no model folder"):
        export_onnx(tmp_path, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()
