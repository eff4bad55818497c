"""SphinxX: one answer however it is asked for, and a conversation that survives an error."""

import json
import shutil

import numpy as np
import PIL.Image
import pytest

from sphinx_x.conversation import parse_messages
from sphinx_x.errors import CheckpointError, ImageError, PromptError
from sphinx_x.images import open_image
from sphinx_x.inference import SphinxX, find_model
from sphinx_x.work.files import MANIFEST


def picture(width=100, height=12):
    return PIL.Image.linear_gradient("L").resize((width, height)).convert("RGB")


def test_streamed_is_what_is_returned(tiny):
    for question, image in (("Read the text.", picture()), ("No picture", None), ("Ü?", picture(40, 40))):
        pieces = list(tiny.chat(question, image, stream=True, max_new_tokens=20))
        assert "".join(pieces) == tiny.chat(question, image, max_new_tokens=20)


def test_a_session_sees_all_turns(tiny):
    session = tiny.session()
    first = session.ask("Read the text.", picture(), max_new_tokens=5)
    second = "".join(session.ask("And now?", stream=True, max_new_tokens=5))
    assert len(session.messages) == 4 and len(session.images) == 1
    messages = [
        {"role": "user", "content": "<image>Read the text."},
        {"role": "assistant", "content": first},
        {"role": "user", "content": "And now?"},
    ]
    prompt = tiny.prompt(parse_messages(messages), [picture()])
    assert tiny._text(tiny._generate([prompt], max_new_tokens=5)[0]) == second


def test_a_failed_turn_leaves_the_session_as_it_was(tiny):
    session = tiny.session()
    session.ask("Read the text.", picture(), max_new_tokens=3)
    before = list(session.messages)
    for question, image in (
        (" ", None),
        ("<image>", None),
        ("a", "missing.png"),
        ("<image> a", [picture(), picture()]),
    ):
        with pytest.raises((PromptError, ImageError)):
            session.ask(question, image)
    assert session.messages == before and len(session.images) == 1


def test_errors_of_a_stream_reach_the_reader(tiny):
    with pytest.raises(ValueError):
        list(tiny.chat("Hi", stream=True, max_new_tokens=4, num_beams=-3))


def test_counts_of_visual_tokens(tiny):
    prompt = tiny.prompt_for("Read the text.", picture(120, 12))
    layout = prompt.layouts[0]
    assert (layout.views, layout.skipped) == (2, 14)
    assert prompt.visual_tokens == 2 * (9 + 2) + 14
    assert prompt.unskipped_tokens == 16 * (9 + 2)
    image = set(tiny.model.config.image_tokens().all())
    assert sum(number in image for number in prompt.ids) == prompt.visual_tokens


def test_pictures_are_opened_and_rendered_by_batches(tiny, tmp_path, monkeypatch):
    """However many there are: before the first token only their sizes are known, and a batch holds its own only."""
    from sphinx_x.inference import prompts

    tiny = SphinxX(tiny.model, tiny.processor)  # which has seen none of them
    pairs, events = [], []
    for number in range(10):
        path = tmp_path / f"{number}.png"
        picture(20 + 10 * number, 12).save(path)
        pairs.append(("Read.", [path, path.read_bytes(), picture(25 + 10 * number), path][number % 4]))
    for name in ("open_image", "render_views"):
        kept = getattr(prompts, name)
        monkeypatch.setattr(prompts, name, lambda *a, kept=kept, name=name: (events.append(name), kept(*a))[1])
    generate = tiny._generate
    monkeypatch.setattr(tiny, "_generate", lambda *a, **k: (events.append("batch"), generate(*a, **k))[1])
    answers = tiny.chat_batch(pairs, batch_size=4, max_new_tokens=3)
    assert (
        events
        == (["batch"] + ["open_image", "render_views"] * 4) * 2
        + ["batch"]
        + [
            "open_image",
            "render_views",
        ]
        * 2
    )
    monkeypatch.undo()
    assert answers == [tiny.chat(*pair, max_new_tokens=3) for pair in pairs]


def test_sizes_are_those_of_the_opened_pictures(tiny, tmp_path):
    """The layout follows from what the head says: turned pictures, arrays and PDFs included."""
    turned = picture(40, 20)
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    picture(50, 20).save(tmp_path / "page.pdf")
    sources = [tmp_path / "turned.jpg", PIL.Image.open(tmp_path / "turned.jpg"), picture(), np.zeros((7, 9), np.uint8)]
    sources += [tmp_path / "page.pdf", (tmp_path / "page.pdf").read_bytes(), PIL.Image.new("RGBA", (3, 4))]
    for source in sources:
        prompt = tiny.prompt_for("Read.", source)
        assert (prompt.layouts[0].width, prompt.layouts[0].height) == open_image(source).size
        assert len(prompt.views) == prompt.layouts[0].views


def test_broken_pictures_are_named_in_time(tiny, tmp_path):
    good, cut, text = tmp_path / "good.png", tmp_path / "cut.png", tmp_path / "text.png"
    PIL.Image.effect_noise((200, 100), 60).save(good)
    cut.write_bytes(good.read_bytes()[:5000])
    text.write_text("no picture")
    for bad, says in ((text, "text.png: not an image"), (tmp_path / "none.png", "none.png: no such file")):
        with pytest.raises(ImageError, match=says):
            tiny.prompt_for("Read.", [good, bad])
    prompt = tiny.prompt_for("Read.", cut)  # its head is whole
    with pytest.raises(ImageError, match=r"cut.png: cannot be read"):
        tiny.answers([prompt])
    prompt = tiny.prompt_for("Read.", good)
    picture(10, 10).save(good)
    with pytest.raises(ImageError, match="200 x 100 pixels has 10 x 10"):
        tiny.answers([prompt])
    with pytest.raises(ImageError, match="floating-point"):
        tiny.prompt_for("Read.", PIL.Image.new("F", (4, 4)))


def test_missing_and_altered_files_are_named(tiny_folder, tmp_path):
    for change, says in (
        (lambda folder: (folder / "config.json").unlink(), "config.json: missing"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x"), "model.safetensors"),
        (lambda folder: _flip(folder / "model.safetensors"), "model.safetensors"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json"),
        (lambda folder: [(folder / name).unlink() for name in (MANIFEST, "tokenizer.json")], "model"),
        (lambda folder: [(folder / name).unlink() for name in (MANIFEST, "config.json")], "no config.json"),
    ):
        folder = tmp_path / "model"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tiny_folder, folder)
        change(folder)
        with pytest.raises(CheckpointError, match=says) as caught:
            SphinxX.load(folder)
        assert "\n" not in str(caught.value)


def _flip(path):
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def test_models_that_are_not_there():
    with pytest.raises(CheckpointError, match="not in the package"):
        find_model("plus")
    with pytest.raises(CheckpointError, match="no such model"):
        find_model("./nothing")
    with pytest.raises(CheckpointError, match="no such model"):
        find_model("nothing")


def test_another_kind_of_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nonsense"}))
    with pytest.raises(CheckpointError):
        SphinxX.load(tmp_path)
