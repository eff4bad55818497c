"""A projector that begins with words: what the classifier is sure of becomes the embedding of its word."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sphinx_x.engines.pictures.words import classes
from sphinx_x.errors import DataError, RecipeError
from sphinx_x.model.experts import build_expert
from sphinx_x.model.experts.dinov2 import DinoV2Config
from sphinx_x.model.experts.efficientnet import EfficientNetConfig
from sphinx_x.training import word_start
from sphinx_x.training.word_start import start_with_words, word_map

FEW = classes()[::50]
"""Few enough classes for few channels to tell apart."""
WORDS = sorted({one.word for one in FEW})
WIDTH, CHANNELS, BEFORE = 48, 64, 3


def tokenizer(text: str, add_special_tokens: bool):
    """Each word is one token, and `table` has its row."""
    assert not add_special_tokens and text.startswith(" ")
    return SimpleNamespace(input_ids=[WORDS.index(text[1:])])


class Other(nn.Module):
    """An expert that is no classifier, in front of the classifier in the group."""

    channels, config_class = BEFORE, DinoV2Config


@pytest.fixture
def teacher(monkeypatch):
    monkeypatch.setattr(word_start, "classes", lambda: FEW)
    torch.manual_seed(0)
    channels = (4, 4, 6, 8, 10, 12, 14, 16, CHANNELS)
    expert = build_expert(EfficientNetConfig(channels=channels, depths=(1,) * 7))
    return SimpleNamespace(model=expert.float(), weight=torch.randn(len(FEW), CHANNELS), bias=torch.randn(len(FEW)))


@pytest.fixture
def model(teacher):
    torch.manual_seed(1)
    table = nn.Embedding(len(WORDS) + 5, WIDTH)
    table.weight.data += 3.0  # embeddings have a mean that is no word's
    group = SimpleNamespace(
        experts=[Other(), copy.deepcopy(teacher.model)],
        projector=nn.Sequential(nn.Linear(BEFORE + CHANNELS, WIDTH), nn.LayerNorm(WIDTH)),
    )
    vision = SimpleNamespace(groups=[group])
    return SimpleNamespace(model=SimpleNamespace(vision=vision), get_input_embeddings=lambda: table)


def test_the_map_takes_each_class_to_its_own_word_where_classes_are_unlike():
    """Ten classes along ten channels: shrinking changes lengths alone."""
    torch.manual_seed(0)
    words = torch.randn(10, WIDTH)
    weight, bias = word_map(5 * torch.eye(10), torch.zeros(10), words)
    said = torch.eye(10) @ weight.T + bias
    alike = nn.functional.cosine_similarity(said[:, None], words[None], dim=-1)
    assert alike.argmax(1).tolist() == list(range(10)) and bool((alike.diagonal() > 0.9).all())
    longer, _ = word_map(5 * torch.eye(10), torch.zeros(10), 9 * words)
    torch.testing.assert_close(longer, weight)
    shifted, _ = word_map(5 * torch.eye(10) + 2.0, torch.zeros(10), words)  # all classes alike: nothing is said
    torch.testing.assert_close(shifted, weight, rtol=1e-4, atol=1e-5)


def test_what_it_is_sure_of_is_nearest_to_its_word(model, teacher, monkeypatch):
    monkeypatch.setattr(word_start, "teacher_named", lambda _: teacher)
    linear, norm = model.model.vision.groups[0].projector
    before = linear.weight[:, :BEFORE].clone()
    start_with_words(model, tokenizer)
    assert torch.equal(linear.weight[:, :BEFORE], before)
    table = model.get_input_embeddings().weight.detach()
    mean = table.mean(0)
    sure = torch.linalg.pinv(teacher.weight - teacher.weight.mean(0)).T  # per class, the channels that say it
    with torch.no_grad():
        said = norm(linear(torch.cat([torch.zeros(len(FEW), BEFORE), 40 * sure], dim=1)))
    alike = nn.functional.normalize(said - mean, dim=1) @ nn.functional.normalize(table - mean, dim=1).T
    right = [WORDS[place] == one.word for place, one in zip(alike.argmax(1).tolist(), FEW, strict=True)]
    assert all(right)
    assert float((said - mean).norm(dim=1).mean()) == pytest.approx(float((table - mean).norm(dim=1).mean()), rel=0.02)


def test_an_expert_that_has_changed_is_refused(model, teacher, monkeypatch):
    monkeypatch.setattr(word_start, "teacher_named", lambda _: teacher)
    model.model.vision.groups[0].experts[1].head.weight.data[0] += 1
    with pytest.raises(RecipeError, match="projector_start: words: no expert of this model is efficientnet-lite2"):
        start_with_words(model, tokenizer)


def test_a_classifier_that_cannot_be_read_is_named(model, monkeypatch):
    def fail(_):
        raise DataError("teacher: no network")

    monkeypatch.setattr(word_start, "teacher_named", fail)
    with pytest.raises(RecipeError, match="projector_start: words: teacher: no network"):
        start_with_words(model, tokenizer)
