"""The runner of an export to ONNX says what the model says; with int8 nearly."""

import json
import re
import shutil

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest

from fifty import SINGLE, within
from onnx_exports import NOTES
from sphinx_x.errors import CheckpointError, PromptError
from sphinx_x.evaluation.lines import character_errors, load_line_set
from sphinx_x.inference import SphinxX
from sphinx_x.inference.onnx import OnnxModel

pytest.importorskip("onnxruntime")
GRAPHS = ("vision.onnx", "embed.onnx", "decoder.onnx")
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
def exported(nano_onnx):
    return OnnxModel(nano_onnx, threads=1)


@pytest.fixture(scope="module")
def whole_numbers(nano_int8):
    """The same with int8."""
    return OnnxModel(nano_int8, threads=1)


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
def test_int8_says_the_same_of_lines(exported, whole_numbers):
    """What Nano declares to take: the same text. Anything else it only babbles about, and that differs."""
    taken = [(talk.question, talk.images) for talk in within(SphinxX.load("nano")) if talk in SINGLE]
    read = [(question, images) for question, images in taken if question == "Read the text."]
    assert len(taken) >= 10 and len(read) == 6
    assert whole_numbers.chat_batch(read) == exported.chat_batch(read)
    pairs = zip(whole_numbers.chat_batch(taken, 60), exported.chat_batch(taken, 60), strict=True)
    assert sum(one == other for one, other in pairs) >= 0.7 * len(taken)


@pytest.mark.slow
def test_int8_reads_held_out_lines_nearly_as_well(exported, whole_numbers):
    lines = load_line_set().sample(60)
    pairs = [("Read the text.", image) for image in lines.images(lines.lines)]
    wanted, found = (model.chat_batch(pairs, 160) for model in (exported, whole_numbers))
    assert sum(one == other for one, other in zip(wanted, found, strict=True)) >= 53

    def error_rate(answers):
        counts = [character_errors(said, line.text) for said, line in zip(answers, lines.lines, strict=True)]
        return sum(errors for errors, _ in counts) / sum(length for _, length in counts)

    assert error_rate(found) < error_rate(wanted) + 0.005


@pytest.mark.slow
def test_int8_is_smaller_and_its_folder_says_so(exported, whole_numbers, nano_onnx, nano_int8):
    sizes = {name: ((nano_onnx / name).stat().st_size, (nano_int8 / name).stat().st_size) for name in GRAPHS}
    assert sizes["vision.onnx"][1] < 0.4 * sizes["vision.onnx"][0]
    assert sizes["decoder.onnx"][1] < 0.3 * sizes["decoder.onnx"][0]
    assert sizes["embed.onnx"][1] == sizes["embed.onnx"][0]
    assert whole_numbers.sizes["weights"] == "int8" and exported.sizes["weights"] == "float32"
    said = json.loads((nano_int8 / "config.json").read_text())["quantization_config"]
    assert (said["bits"], said["weights"]) == (8, "int8")
    assert "quantization_config" not in json.loads((nano_onnx / "config.json").read_text())
    notes = [json.loads((folder.parent / NOTES).read_text()) for folder in (nano_int8, nano_onnx)]
    assert [note.split(":")[0] for note in notes[0]] == ["vision.onnx", "decoder.onnx"] and notes[1] == []


@pytest.mark.slow
def test_chat_refuses_what_the_member_does_not_take(exported):
    assert exported.chat("Read the text.", line(3), max_new_tokens=200)
    with pytest.raises(PromptError, match="no text alone"):
        exported.chat("What is the capital of France?")
    with pytest.raises(PromptError, match="one picture in a conversation, not 2"):
        exported.chat("Read.", [line(1), line(2)])


@pytest.mark.slow
def test_an_altered_graph_is_told(nano_onnx, tmp_path):
    shutil.copytree(nano_onnx, tmp_path / "onnx")
    with (tmp_path / "onnx" / "embed.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff\x00\xff\x00")
    with pytest.raises(CheckpointError, match=re.escape("embed.onnx")):
        OnnxModel(tmp_path / "onnx")


def test_a_folder_that_is_no_export_is_told(tiny_folder):
    with pytest.raises(CheckpointError, match="no export to ONNX"):
        OnnxModel(tiny_folder)
