"""The teacher: classes of one word are summed, its word is taken where it is sure, what it half sees is not denied."""

from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from sphinx_x.checkpoints.experts.efficientnet import rules
from sphinx_x.checkpoints.rules import convert, inverse
from sphinx_x.engines.pictures import engine as pictures_engine
from sphinx_x.engines.pictures.engine import PictureSettings, make_picture, possible, stock_of
from sphinx_x.engines.pictures.library import read_library
from sphinx_x.engines.pictures.teacher import Opinion, Teacher
from sphinx_x.engines.pictures.words import classes
from sphinx_x.errors import DataError
from sphinx_x.model.experts import build_expert
from sphinx_x.model.experts.efficientnet import EfficientNetConfig

GOLDEN, LABRADOR, TABBY = 207, 208, 281


def chances(**shares):
    """Return probabilities of the classes: given ones, the rest shared by all others."""
    given = {int(name[1:]): share for name, share in shares.items()}
    rest = (1 - sum(given.values())) / (1000 - len(given))
    return [given.get(k, rest) for k in range(1000)]


@pytest.fixture
def weights(tmp_path):
    """A tiny EfficientNet whose classifier says the same of every picture."""
    channels = (4, 4, 6, 8, 10, 12, 14, 16, 8)
    config = EfficientNetConfig(channels=channels, depths=(1,) * 7)
    model = build_expert(config)
    state = model.state_dict()
    tensors = {name: t.contiguous() for name, t in convert(inverse(rules(config, "", "")), state.__getitem__)}
    bias = torch.zeros(1000)
    bias[[GOLDEN, LABRADOR, TABBY]] = torch.tensor([8.0, 8.0, 8.4])
    save_file(tensors | {"_fc.weight": torch.zeros(1000, 8), "_fc.bias": bias}, tmp_path / "model.safetensors")
    return tmp_path


def test_classes_of_one_word_are_summed(weights):
    opinion = Teacher(str(weights)).opinion(Image.new("RGB", (90, 40), (3, 200, 90)))
    word, chance = opinion.first
    assert (word.word, word.name) == ("dog", classes()[GOLDEN].name) and 0.5 < chance < 0.8
    assert list(opinion.words)[1] == "cat" and sum(opinion.words.values()) == pytest.approx(1, abs=1e-4)
    assert opinion.own_chance() < chance


def test_weights_without_a_classifier_of_1000_classes(weights, tmp_path):
    from safetensors.torch import load_file

    tensors = load_file(weights / "model.safetensors")
    for head, says in (
        ({"_fc.weight": torch.zeros(9, 8), "_fc.bias": torch.zeros(9)}, "9 classes"),
        ({}, "no classifier"),
    ):
        kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("_fc")}
        save_file(kept | head, weights / "model.safetensors")
        with pytest.raises(DataError, match=says):
            Teacher(str(weights))


@pytest.mark.parametrize(("share", "named"), [(0.9, True), (0.3, False)])
def test_a_photo_is_named_where_the_teacher_is_sure(tmp_path, monkeypatch, share, named):
    Image.effect_noise((400, 300), 80).convert("RGB").save(tmp_path / "p.jpg")
    opinion = Opinion(chances(c207=share, c281=0.05))
    stub = SimpleNamespace(opinion=lambda image: opinion)
    monkeypatch.setattr(pictures_engine, "_teacher", lambda name: stub)
    settings = PictureSettings(held=0, teacher="stub", side=256, turns=8)
    library, left_out = read_library([tmp_path]), Counter()
    shares = possible(settings, library)
    assert set(shares) == {"photo"}
    stock = stock_of(library, True)
    if not named:
        with pytest.raises(pictures_engine.UnusedError, match="no photo in"):
            make_picture(0, settings, library, stock, shares, left_out)
        assert left_out["a try: teacher not sure of a photograph"] == pictures_engine.TRIES
        return
    for number in range(6):
        made = make_picture(number, settings, library, stock, shares, left_out)
        assert made.seen.main is not None and made.seen.main.word == "dog"
        text = " ".join(message.shown(str) for message in made.asked.messages)
        assert "dog" in text and " cat " not in text and "person" not in text
    assert not left_out
