"""The Jinja chat template writes what the prompt builder writes."""

import PIL.Image
import pytest

from sphinx_x.conversation import parse_messages
from sphinx_x.family import get_member, new_processor
from sphinx_x.model.prompt import TEMPLATES, chat_template
from sphinx_x.model.tokenizer import byte_tokenizer

IMAGE = {"type": "image"}


def text(words: str) -> dict:
    return {"type": "text", "text": words}


CONVERSATIONS = {
    "one question": [{"role": "user", "content": [IMAGE, text('Read the "text".')]}],
    "text only": [{"role": "user", "content": "Hello\nthere"}],
    "two turns": [
        {"role": "user", "content": [IMAGE, text("Read {{ this }}.")]},
        {"role": "assistant", "content": "a\nb"},
        {"role": "user", "content": [text("And this?"), IMAGE]},
    ],
    "own system": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [IMAGE, text("Read.")]}],
}


@pytest.fixture(scope="module")
def processor():
    member = get_member("nano")
    return new_processor(member, byte_tokenizer(), tokens_per_view=49)


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_template_equals_builder(processor, template, name):
    messages = CONVERSATIONS[name]
    processor.template = template
    written = processor.apply_chat_template(
        messages, add_generation_prompt=True, chat_template=chat_template(TEMPLATES[template])
    )
    images = [PIL.Image.new("RGB", (500, 28)) for _ in range(str(messages).count("'image'"))]
    ids = processor(text=written, images=images or None, return_tensors="pt").input_ids[0].tolist()
    layouts = [processor.image_processor.layout(image) for image in images]
    assert ids == processor.prompt_builder().encode(parse_messages(messages), layouts, answer_next=True).ids


def test_generation_marks_are_the_trained_ids(processor):
    processor.template = "tokens"
    messages = [
        *CONVERSATIONS["two turns"][:2],
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"},
    ]
    messages[0] = {"role": "user", "content": "Read."}
    out = processor.tokenizer.apply_chat_template(
        messages,
        chat_template=chat_template(TEMPLATES["tokens"]),
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    encoded = processor.prompt_builder().encode(parse_messages(messages), [])
    assert out["input_ids"] == encoded.ids
    assert [bool(mark) for mark in out["assistant_masks"]] == encoded.trained
    assert sum(encoded.trained) == len("a\nb") + len("d") + 2
