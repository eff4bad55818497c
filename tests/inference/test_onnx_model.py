"""The runner of an export to ONNX says what the model says."""

import re

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest

from sphinx_x.checkpoints.onnx import export_onnx
from sphinx_x.errors import CheckpointError, PromptError
from sphinx_x.inference import BUILT_IN, SphinxX
from sphinx_x.inference.onnx import OnnxModel

pytest.importorskip("onnxruntime")
WORDS = "the seven oats weigh more than flour and 1984 sour plums cost (about) 3.50 a pound"


def line(number: int) -> PIL.Image.Image:
    """A line of print; some have several views, and one is scaled to fit the canvas."""
    words = WORDS.split()
    said = " ".join(words[(number * 3 + k) % len(words)] for k in range(2 + number % 11))
    font = PIL.ImageFont.load_default(14 + number % 9)
    width = round(font.getlength(said)) + 8
    image = PIL.Image.new("RGB", (width, 36), "white")
    PIL.ImageDraw.Draw(image).text((4, 6), said, fill="black", font=font)
    return image


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("exported") / "nano"
    export_onnx(BUILT_IN / "nano", folder)
    return OnnxModel(folder, threads=1)


@pytest.mark.slow
def test_fifty_prompts_with_none_one_and_three_images(exported):
    pairs = [(f"What is {k} + {k + 3}?", None) for k in range(10)]
    pairs += [(("Read the text.", "Where is the text?")[k % 2], line(k)) for k in range(30)]
    pairs += [("Read <image> and <image>; then <image>", [line(k), line(k + 1), line(k + 2)]) for k in range(10)]
    wanted = SphinxX.load("nano").probable_answers(pairs, max_new_tokens=60)
    found = exported.probable_answers(pairs, max_new_tokens=60)
    assert [text for text, _ in found] == [text for text, _ in wanted]
    assert [p for _, p in found] == pytest.approx([p for _, p in wanted], abs=1e-4)


@pytest.mark.slow
def test_chat_refuses_what_the_member_does_not_take(exported):
    assert exported.chat("Read the text.", line(3), max_new_tokens=200)
    with pytest.raises(PromptError, match="no text alone"):
        exported.chat("What is the capital of France?")
    with pytest.raises(PromptError, match="one picture in a conversation, not 2"):
        exported.chat("Read.", [line(1), line(2)])


@pytest.mark.slow
def test_an_altered_graph_is_told(exported, tmp_path):
    export_onnx(BUILT_IN / "nano", tmp_path / "onnx")
    with (tmp_path / "onnx" / "embed.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff\x00\xff\x00")
    with pytest.raises(CheckpointError, match=re.escape("embed.onnx")):
        OnnxModel(tmp_path / "onnx")


def test_a_folder_that_is_no_export_is_told(tiny_folder):
    with pytest.raises(CheckpointError, match="no export to ONNX"):
        OnnxModel(tiny_folder)
