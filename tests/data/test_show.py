"""Samples for people: every token by its text, blanks and all; labels beside what they name; each sample folded."""

import json
import re
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from transformers import PreTrainedTokenizerBase

from sphinx_x.conversation import parse_messages
from sphinx_x.data.shards import SampleReader
from sphinx_x.data.show import runs_of, show
from sphinx_x.drawing import draw_places
from sphinx_x.model.config import ImageTokens
from sphinx_x.model.prompt import TEMPLATES, PromptBuilder
from sphinx_x.model.views import ViewGrid, plan_views

WORDS = "the total is what of a receipt assistant human and polite answers gives helpful detailed curious "


@cache
def pieces() -> PreTrainedTokenizerBase:
    """A small SentencePiece tokenizer, as the LLaMA models have one."""
    import tempfile
    from pathlib import Path

    from sentencepiece import SentencePieceTrainer

    from sphinx_x.model.tokenizer import sentencepiece_tokenizer

    with tempfile.TemporaryDirectory() as folder:
        SentencePieceTrainer.train(
            sentence_iterator=iter([WORDS] * 50), model_prefix=f"{folder}/m", vocab_size=340, model_type="bpe",
            byte_fallback=True, character_coverage=1.0, normalization_rule_name="identity",
            remove_extra_whitespaces=False, hard_vocab_limit=False, minloglevel=2,
        )  # fmt: skip
        return sentencepiece_tokenizer(Path(folder) / "m.model")


def builder_of(tokenizer: PreTrainedTokenizerBase, template: str) -> PromptBuilder:
    last = len(tokenizer)
    return PromptBuilder(tokenizer, TEMPLATES[template], ImageTokens(last, last + 1, last + 2, last + 3), 2)


def shown(builder: PromptBuilder, messages: list[dict], images: int = 0) -> tuple[str, str]:
    """The text of all tokens as the page shows it, and that of those that are trained."""
    layouts = [plan_views(20, 20, ViewGrid(1, 1, 16, 16))] * images
    encoded = builder.encode(parse_messages(messages), layouts)
    runs = runs_of(encoded.ids, encoded.trained, builder)
    assert sum(run.tokens for run in runs) == len(encoded.ids)
    return "".join("".join(r.texts) for r in runs), "".join("".join(r.texts) for r in runs if r.kind == "trained")


SAID = [
    {"role": "user", "content": "<image>What  is the total?"},
    {"role": "assistant", "content": "the total is 12.50 \u20ac \U0001f600 of it"},
    {"role": "user", "content": "a\n  b"},
    {"role": "assistant", "content": "so"},
]


def test_blanks_of_sentencepiece_tokens_are_shown():
    builder = builder_of(pieces(), "sphinx")
    text, trained = shown(builder, SAID, images=1)
    system = TEMPLATES["sphinx"].system
    asked = "\n\n### Human: What  is the total?\n### Assistant: the total is 12.50 \u20ac \U0001f600 of it\n###"
    assert text == f"<s>{system}{asked} Human: a\n  b\n### Assistant: so\n###"
    assert trained == " the total is 12.50 \u20ac \U0001f600 of it\n### so\n###"


@settings(deadline=None, max_examples=60)
@given(st.text(st.sampled_from("ab the\n\u00e9\u20ac\U0001f600.,"), min_size=1, max_size=30).filter(str.strip))
def test_the_texts_of_tokens_are_the_text(said):
    builder = builder_of(pieces(), "sphinx")
    text, trained = shown(builder, [{"role": "user", "content": said}, {"role": "assistant", "content": said}])
    assert trained == f" {said.strip()}\n###"
    assert text.endswith(f"\n\n### Human: {said.strip()}\n### Assistant: {said.strip()}\n###")


def test_the_reference_tokenizer_shows_its_blanks(shared_dir):
    from sphinx_x.model.tokenizer import sentencepiece_tokenizer

    builder = builder_of(sentencepiece_tokenizer(shared_dir / "golden" / "tokenizer" / "tokenizer.model"), "sphinx")
    assert (
        "### Human: What  is the total?\n### Assistant: the total is 12.50 \u20ac" in shown(builder, SAID, images=1)[0]
    )


def test_other_tokenizers_stay_as_they_were(tiny):
    said = "a  b \u20ac\n c"
    messages = [message | {"content": said} for message in SAID[:2]]
    text, trained = shown(tiny.processor.prompt_builder(), messages)
    assert text == f"<|bos|><|user|>{said}<|assistant|>{said}<|eot|>" and trained == f"{said}<|eot|>"


def lines(width: int, height: int, rows: int) -> tuple[Image.Image, list]:
    """A page with lines of black bars (words), and a labelled box around each line."""
    image = Image.new("RGB", (width, height), "white")
    draw, places = ImageDraw.Draw(image), []
    for row in range(rows):
        y = 20 + row * (height - 40) // rows
        for x in range(20, width // 2, 30):
            draw.rectangle((x, y, x + 24, y + 9), fill="black")
        places.append(((18, y - 2, width // 2, y + 12), str(row + 1), "#d62728"))
    return image, places


@pytest.mark.parametrize(("width", "height", "rows"), [(400, 300, 6), (300, 60, 1), (900, 900, 20)])
def test_labels_hide_no_words(width, height, rows):
    image, places = lines(width, height, rows)
    plain = draw_places(image, [(place, "", color) for place, _, color in places])
    labelled = draw_places(image, places)
    margin = (labelled.width - width) // 2
    inner = labelled.crop((margin, margin, margin + width, margin + height))
    black = (np.asarray(plain) == 0).all(-1)
    assert black.sum() > 100 and (np.asarray(inner)[black] == 0).all()
    assert (np.asarray(labelled) != np.asarray(draw_places(image, [(p, " ", c) for p, _, c in places]))).any()


def test_a_sample_is_folded_with_its_picture_large(tmp_path, tiny):
    image, places = lines(300, 200, 3)
    image.save(tmp_path / "a.png")
    boxes = [{"type": "box", "box": list(place)} for place, _, _ in places]
    told = [part for k, box in enumerate(boxes) for part in ({"type": "text", "text": f"line <{k}> "}, box)]
    said = [
        {"role": "user", "content": "<image>Where <are> the lines? " + "x" * 200},
        {"role": "assistant", "content": told},
    ]
    record = {"images": ["a.png"], "messages": said, "regions": [{"text": "a", "box": [1, 1, 9, 9]}]}
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(record)}\n" * 3)
    assert not show(SampleReader(tmp_path / "a.jsonl"), tiny.processor, tmp_path / "page.html", range(3), "mine")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<details ") == page.count("<summary>") == 3
    assert len(re.findall("<details [^>]* open>", page)) == 1
    summary = re.findall(r"<summary>(.*?)<small>", page)[0]
    assert summary.startswith("Where &lt;are&gt; the lines? xx") and summary.endswith("x ...")
    assert [n for n, _ in re.findall(r">(\d)</span> line &lt;(\d)&gt;", page)][:3] == ["1", "2", "3"]
