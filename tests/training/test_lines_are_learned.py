"""A member that reads lines is trained on them: read once, measured with them, their places learned and moved."""

import json
from dataclasses import replace

import pytest
import torch

import sphinx_x.training.engine as engine
from lined import know_engine, lined, made_lines
from lively import noise
from sphinx_x.data.augment import Augmentation
from sphinx_x.data.lengths import Limits
from sphinx_x.data.mixture import Share, open_mixture
from sphinx_x.data.packs import Budget
from sphinx_x.family import new_model
from sphinx_x.model.views import plan_views
from sphinx_x.training.trainer import Trainer


@pytest.fixture(autouse=True)
def calls(monkeypatch):
    """The sizes of the images that the engine has read."""
    seen = []

    def read(image):
        seen.append(image.size)
        return made_lines(image)

    know_engine(monkeypatch, read)
    return seen


@pytest.fixture
def shares(tmp_path):
    samples = []
    for k in range(4):
        noise(90 + k, 60, k).save(tmp_path / f"{k}.png")
        question = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Where is it?"}]}
        answer = {
            "role": "assistant",
            "content": [{"type": "box", "image": 0, "box": list(made_lines(noise(90 + k, 60, k))[0].box)}],
        }
        samples.append({"id": str(k), "images": [f"{k}.png"], "messages": [question, answer]})
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return {"a": Share((tmp_path / "a.jsonl",), 1)}


def opened(shares, processor, folder, augmentation=None):
    return open_mixture(shares, processor, Limits(900, 64), Budget(900, 64), 12, folder, 0, augmentation, workers=1)


def test_an_image_is_read_once_for_lengths_and_training(shares, tiny_member, tmp_path, calls, monkeypatch):
    _, processor = new_model(lined(tiny_member))
    mixture = opened(shares, processor, tmp_path / "index")
    assert len(calls) == 4 and not mixture.tallies["a"].bad
    know_engine(monkeypatch, lambda image: pytest.fail("it was read before"))
    for number in range(12):
        example = mixture.examples.example(number)
        source, piece = mixture.examples.blend[number]
        lines = made_lines(noise(90 + int(mixture.examples.pieces[source][piece]["sample"]), 60, piece))
        assert not example.error and len(example.line_boxes) == len(lines)
        assert len(example.ids) == mixture.examples.costs(number, number + 1)[0][0]
        assert int((example.ids == processor.prompt_builder().image_tokens.line).sum()) == len(lines)


def test_lines_move_with_their_image(shares, tiny_member, tmp_path):
    """The answer is the first line's box: after any change, it is the place of that line."""
    _, processor = new_model(lined(tiny_member))
    examples = opened(shares, processor, tmp_path / "index", Augmentation((0.6, 1.2), margin=9)).examples
    places = set()
    for number in range(12):
        example = examples.example(number)
        said = processor.tokenizer.decode(example.ids[example.labels >= 0], skip_special_tokens=True)
        box = torch.tensor(json.loads(said))
        assert not example.error and (example.line_boxes[0] - box).abs().max() <= 6e-4  # three decimals
        places.add(said)
    assert len(places) > 8


def test_a_changed_page_of_text_is_as_long_as_it_was_planned(shares, tiny_member, tmp_path, monkeypatch):
    """Margins change which sub-images an image touches, but a page of text keeps none of them."""
    know_engine(monkeypatch, lambda image: made_lines(image)[:1] * 2)
    member = lined(replace(tiny_member, views=replace(tiny_member.views, global_view=True)))
    _, processor = new_model(replace(member, lines={**member.lines, "enough": 2}))
    examples = opened(shares, processor, tmp_path / "index", Augmentation((0.6, 1.2), margin=40)).examples
    touched = set()
    for number in range(12):
        example = examples.example(number)
        row = examples.pieces[0][examples.blend[number][1]]
        size = examples._changed(row, examples._rng(number))[0].size(int(row["width"]), int(row["height"]))
        touched.add(plan_views(*size, examples.grid).views)
        assert not example.error and len(example.views) == 1
        assert len(example.ids) == examples.costs(number, number + 1)[0][0]
    assert len(touched) > 1


def test_another_reader_measures_anew(shares, tiny_member, tmp_path, monkeypatch, calls):
    _, processor = new_model(lined(tiny_member))
    first = opened(shares, processor, tmp_path / "index").examples.pieces[0]["tokens"].tolist()
    processor.image_processor.lines = {**processor.image_processor.lines, "least_confidence": 0.95}
    second = opened(shares, processor, tmp_path / "index").examples.pieces[0]["tokens"].tolist()
    assert all(a > b for a, b in zip(first, second, strict=True)) and len(calls) == 4


def test_a_very_full_page_is_measured_and_trained_as_it_is_shown(shares, tiny_member, tmp_path):
    member = lined(tiny_member)
    _, processor = new_model(replace(member, lines={**member.lines, "max_bytes": 12}))
    mixture = opened(shares, processor, tmp_path / "index")
    left = [sum(len(f"{line.text} ") for line in made_lines(noise(90 + k, 60, k))) > 12 for k in range(4)]
    assert any(left)
    assert mixture.tallies["a"].left_out == {"the last lines of a very full page": sum(left)}
    for number in range(12):
        example = mixture.examples.example(number)
        assert not example.error and len(example.line_boxes) <= 1


def test_a_run_learns_the_places(recipe, tiny_member, monkeypatch, tmp_path):
    monkeypatch.setattr(engine, "get_member", lambda _: lined(tiny_member))
    trainer = Trainer(
        recipe.model_copy(update={"freeze": ["language_model", "experts", "projector"], "total_samples": 16}),
        tmp_path / "run",
    )
    places = trainer.engine.objective.model.model.line_places
    before = [parameter.detach().clone() for parameter in places.parameters()]
    trainer.run()
    assert all((a - b).abs().max() > 1e-4 for a, b in zip(before, places.parameters(), strict=True))
