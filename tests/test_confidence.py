"""The mean probability of generated tokens, beside a sum written out by hand."""

import math

import pytest
import torch

from sphinx_x.confidence import mean_probability
from sphinx_x.evaluation.lines import load_line_set
from sphinx_x.inference import SphinxX

END = 2


def logits(*probabilities):
    """One step: rows of probabilities as logits, shifted by a number that says nothing."""
    return torch.tensor(probabilities).log() + 3.0


def test_the_mean_is_that_of_the_answer_alone():
    steps = [
        logits([0.7, 0.2, 0.1], [0.1, 0.1, 0.8]),
        logits([0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3]),
        logits([0.05, 0.05, 0.9], [0.9, 0.05, 0.05]),
    ]
    ids = torch.tensor([[0, 1, END], [END, 0, 0]])
    assert mean_probability(steps, ids, [3, 1]) == pytest.approx([(0.7 + 0.25 + 0.9) / 3, 0.8])
    assert mean_probability(steps, ids, [3, 3]) == pytest.approx([(0.7 + 0.25 + 0.9) / 3, (0.8 + 1 / 3 + 0.9) / 3])


def test_padding_with_the_end_counts_once():
    steps = [logits([0.5, 0.1, 0.4])] * 4
    assert mean_probability(steps, torch.tensor([[0, END, END, END]]), [2]) == pytest.approx([0.45])


def test_half_precision_is_summed_in_full():
    steps = [torch.zeros(1, 1000, dtype=torch.bfloat16)] * 50
    assert math.isclose(mean_probability(steps, torch.zeros(1, 50, dtype=torch.long), [50])[0], 1e-3, rel_tol=1e-4)


def test_steps_and_ids_must_agree():
    with pytest.raises(ValueError, match="0 steps for 0"):
        mean_probability([], torch.empty(1, 0, dtype=torch.long), [0])
    with pytest.raises(ValueError, match="1 steps for 2"):
        mean_probability([logits([0.5, 0.25, 0.25])], torch.zeros(1, 2, dtype=torch.long), [2])


def test_answers_come_with_the_probability_that_teacher_forcing_gives_them():
    sphinx = SphinxX.load("nano")
    lines = load_line_set().sample(3)
    pairs = [("Read the text.", image) for image in lines.images(lines.lines)]
    answers = sphinx.probable_answers(pairs)
    assert [answer for answer, _ in answers] == sphinx.chat_batch(pairs)
    for pair, (answer, probability) in zip(pairs, answers, strict=True):
        prompt = sphinx.prompt_for(*pair)
        said = [
            *sphinx.processor.tokenizer.encode(answer, add_special_tokens=False),
            sphinx.processor.tokenizer.eos_token_id,
        ]
        with torch.inference_mode():
            out = sphinx.model(torch.tensor([prompt.ids + said]), pixel_values=prompt.views.float() / 255).logits[0]
        rows = out[len(prompt.ids) - 1 : -1].softmax(-1)
        assert rows.gather(1, torch.tensor(said)[:, None]).mean().item() == pytest.approx(probability, abs=1e-4)
