"""A projector that begins with words: what a frozen classifier says of a position, as the language model writes it.

An expert that was trained to classify knows names, but in a language of its own, and a few thousand pictures do not
teach a language model that language from nothing. The classifier's last layer is a table from one to the other: a class
has a direction in the expert's channels, and its common word has an embedding in the language model. The projector
begins with the linear map that takes the one to the other, in the size of embeddings, and training goes on from there.

Shapes: C classes, F channels of the classifier, V rows of the vocabulary, D width of the language model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sphinx_x.engines.pictures.teacher import Teacher, teacher_named
from sphinx_x.engines.pictures.words import classes
from sphinx_x.errors import RecipeError, SphinxXError

SHRUNK = 1.0
"""How far classes that are alike are told apart: 0 takes the map that gives each class its own word exactly, and makes
noise of all others. Of 0.01 to 100, this had the most photos' words among the first five."""
DEVIATION = 0.65
"""Standard deviation of a position of a picture behind the map, by which it is divided."""
CLASSIFIERS = {"efficientnet": "efficientnet-lite2"}
"""For kinds of experts, the base weights that have the classifier."""


def word_map(weight_CF: Tensor, bias_C: Tensor, words_CD: Tensor) -> tuple[Tensor, Tensor]:
    """Return the linear map (D, F), (D) from a classifier's channels to the words of what it says.

    Args:
        weight_CF: The classifier's layer.
        bias_C: Its bias.
        words_CD: For each class, the embedding of its word, less the mean of all embeddings; their lengths do not
            matter.
    """
    weight_CF, bias_C = weight_CF - weight_CF.mean(0), bias_C - bias_C.mean()
    alike_CC = weight_CF @ weight_CF.T
    alike_CC = alike_CC / alike_CC.diagonal().mean() + SHRUNK * torch.eye(len(bias_C))
    back_CD = torch.linalg.solve(alike_CC, nn.functional.normalize(words_CD, dim=1))
    return back_CD.T @ weight_CF / DEVIATION, back_CD.T @ bias_C / DEVIATION


@torch.no_grad()
def start_with_words(model: Any, tokenizer: Any) -> None:
    """Let the projectors behind a classifier begin with its words; the columns of other experts stay as they are.

    The norm's gain and bias become those with which a position is as large as an embedding, around their mean.

    Raises:
        RecipeError: No expert of the model is a classifier whose last layer is at hand, or it cannot be read.
    """
    table_VD = model.get_input_embeddings().weight.float()
    mean_D = table_VD.mean(0)
    found = False
    for group in model.model.vision.groups:
        first = 0
        for expert in group.experts:
            teacher = _classifier_of(expert)
            if teacher is not None:
                words_CD = torch.stack([_embedding(one.word, tokenizer, table_VD) for one in classes()]) - mean_D
                weight_DF, bias_D = word_map(teacher.weight, teacher.bias, words_CD)
                linear, norm = group.projector
                linear.weight[:, first : first + weight_DF.shape[1]] = weight_DF.to(linear.weight.dtype)
                linear.bias.copy_(bias_D)
                norm.weight.fill_(float((table_VD - mean_D).norm(dim=1).mean()) / table_VD.shape[1] ** 0.5)
                norm.bias.copy_(mean_D)
                found = True
            first += expert.channels
    if not found:
        raise RecipeError(f"projector_start: words: no expert of this model is {' or '.join(CLASSIFIERS.values())}")


def _embedding(word: str, tokenizer: Any, table_VD: Tensor) -> Tensor:
    """Return the mean of the embeddings of a word's tokens, as it stands within a sentence."""
    return table_VD[tokenizer(f" {word}", add_special_tokens=False).input_ids].mean(0)


def _classifier_of(expert: Any) -> Teacher | None:
    """Return the classifier that an expert comes from, if it has not changed since."""
    name = CLASSIFIERS.get(expert.config_class.kind)
    if name is None:
        return None
    try:
        teacher = teacher_named(name)
    except SphinxXError as error:
        raise RecipeError(f"projector_start: words: {error}") from error
    own, others = expert.state_dict(), teacher.model.state_dict()
    alike = own.keys() == others.keys() and all(torch.equal(own[key].float(), others[key]) for key in own)
    return teacher if alike else None
