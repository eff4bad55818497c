"""The half of the plug-in for vLLM that needs no vLLM: images, messages, ids. `test_vllm` runs the whole."""

from io import BytesIO

import numpy as np
import PIL.Image
import pytest
import torch

from fifty import FIFTY
from lined import know_engine, lined
from lively import noise
from sphinx_x.conversation import Image, Message, Text, parse_messages
from sphinx_x.errors import CheckpointError, ImageError, MissingToolError, PromptError
from sphinx_x.family import new_model
from sphinx_x.inference import SphinxX
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.serving.vllm_plugin.member import Member, open_images, read_conversation
from sphinx_x.serving.vllm_plugin.registering import check_version


@pytest.fixture(scope="module")
def member(tiny):
    return Member(tiny.processor, tiny.model.config)


def test_prompts_are_those_of_this_package(tiny, member):
    for talk in FIFTY:
        messages = parse_messages(talk.messages())
        short = member.prompt_ids(messages, talk.images)
        member.check_ids(short, len(talk.images))
        upcoming = iter(talk.images)
        slot = member.builder.image_tokens.slot
        ids = [
            number for n in short for number in (member.image_ids(member.layout(next(upcoming))) if n == slot else [n])
        ]
        assert ids == tiny.prompt(messages, talk.images).ids, talk.name


def test_a_typed_placeholder_is_a_text(tiny, member):
    words = "What do <image> and <|user|> mean?"
    (read,) = read_conversation([{"role": "user", "content": [{"type": "text", "text": words}]}])
    assert read == Message("user", (Text(words),))
    assert member.prompt_ids([read], []) == tiny.prompt([Message("user", (Text(words),))], []).ids
    assert read_conversation([{"role": "user", "content": words}]) == [read]


def test_images_stand_where_their_part_stands():
    parts = [{"type": "text", "text": "First"}, {"type": "image"}, {"type": "image"}, {"type": "text", "text": "?"}]
    (read,) = read_conversation([{"role": "user", "content": parts}])
    assert read.parts == (Text("First"), Image(), Image(), Text("?"))


@pytest.mark.parametrize(
    ("conversation", "said"),
    [
        ([], "the last one has to be the user's"),
        ([{"role": "tool", "content": "1"}], "messages.0: the role 'tool'"),
        ([{"role": "user", "content": "a"}, {"role": "system", "content": "b"}], "messages.1: a system message"),
        ([{"role": "assistant", "content": [{"type": "image"}]}], "messages.0.content: only the user's"),
        ([{"role": "user", "content": [{"type": "video"}]}], "messages.0.content: 'video'"),
        ([{"role": "user", "content": [{"type": "text", "text": "a", "weight": 2}]}], "messages.0.content.weight"),
        ([{"role": "user", "content": "a", "name": "Ada"}], "messages.0.name: not supported"),
        ([{"role": "assistant", "content": "a", "tool_calls": [1]}], "messages.0.tool_calls"),
    ],
)
def test_what_is_not_taken_is_named(conversation, said):
    with pytest.raises(PromptError, match=said):
        read_conversation(conversation)


def test_image_tokens_in_a_prompt_of_ids(member):
    tokens = member.builder.image_tokens
    member.check_ids([1, tokens.slot, 40, tokens.slot], 2)
    for ids, images, said in (
        ([1, 40], 1, "0 image placeholders but 1 images"),
        ([tokens.slot, tokens.slot], 1, "2 image placeholders but 1 images"),
        ([tokens.slot, tokens.skip], 1, "other than placeholders"),
    ):
        with pytest.raises(PromptError, match=said):
            member.check_ids(ids, images)


def test_what_a_member_declares_not_to_take():
    nano = SphinxX.load("nano")
    member = Member(nano.processor, nano.model.config)
    with pytest.raises(PromptError, match="takes no text alone"):
        member.prompt_ids([Message("user", (Text("Hi"),))], [])
    line = PIL.Image.new("RGB", (300, 20), "white")
    asked = [
        Message("user", (Image(), Text("Read."))),
        Message("assistant", (Text("a"),)),
        Message("user", (Text("?"),)),
    ]
    with pytest.raises(PromptError, match="takes one question"):
        member.prompt_ids(asked, [line])


class Decoded:
    """As vLLM's `MediaWithBytes`: the decoded image besides its bytes."""

    def __init__(self, content: bytes) -> None:
        self.original_bytes = content


def test_images_are_opened_as_everywhere():
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    noise(30, 10).save(stream := BytesIO(), format="PNG", exif=turned)
    picture = noise(20, 12)
    array = np.asarray(picture)
    given = [Decoded(stream.getvalue()), picture, array, torch.from_numpy(array.copy()), array[..., 0]]
    opened = open_images(given)
    assert [image.size for image in opened] == [(10, 30), *[(20, 12)] * 4]
    assert all(image.tobytes() == picture.tobytes() for image in opened[1:4])
    assert [image.size for image in open_images(np.stack([array, array]))] == [(20, 12)] * 2
    for wrong in (None, "line.png", b"png", {"url": ""}, torch.zeros(5)):
        with pytest.raises(ImageError, match=r"not NoneType|not str|not bytes|not dict|features"):
            open_images([wrong])


def test_a_config_that_does_not_fit_its_processor(tiny):
    fields = tiny.model.config.to_dict()
    other = SphinxXConfig(**{**fields, "views": {**fields["views"], "max_upscale": 2.0}})
    with pytest.raises(CheckpointError, match="other views"):
        Member(tiny.processor, other)


def test_a_member_that_reads_lines_is_refused(tiny_member, monkeypatch):
    know_engine(monkeypatch)
    model, processor = new_model(lined(tiny_member))
    with pytest.raises(CheckpointError, match=r"^it reads the lines of images, which vLLM has no input for$"):
        Member(processor, model.config)


def test_another_version_of_vllm_is_refused():
    check_version("0.32.0")
    check_version("0.32.1+cpu")
    for other in ("0.31.2", "0.33.0", "0.320.0"):
        with pytest.raises(MissingToolError, match=r"sphinx-x\[vllm\]"):
            check_version(other)
