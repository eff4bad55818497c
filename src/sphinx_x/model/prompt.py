"""Conversation -> token ids and label mask: the one builder for training, evaluation and serving.

The ids are put together piece by piece, and the pieces that an assistant says are marked as trained on while they
are written: nothing is searched for afterwards. The text of users never becomes a control token.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerBase

from sphinx_x.conversation import IMAGE, Image, Message, Part, Place, Text, count_images, format_place
from sphinx_x.errors import PromptError
from sphinx_x.model.config import ImageTokens
from sphinx_x.model.views import Layout


@dataclass(frozen=True)
class Template:
    """What is written around the turns.

    system: what a conversation without a system message begins with. before, after: by role; what stands behind an
    assistant's answer is trained on with it and ends the answer. images_first: all images stand behind the first
    token, ahead of the system text, wherever their placeholders are (the reference's order).
    """

    system: str
    before: dict[str, str]
    after: dict[str, str]
    images_first: bool = False


TEMPLATES = {
    "tokens": Template(
        system="",
        before={"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"},
        after={"system": "", "user": "", "assistant": "<|eot|>"},
    ),
    "sphinx": Template(
        system=(
            "A chat between a curious human and an artificial intelligence assistant. "
            "The assistant gives helpful, detailed, and polite answers to the human's questions."
        ),
        before={"system": "", "user": " Human: ", "assistant": " Assistant: "},
        after={"system": "\n\n###", "user": "\n###", "assistant": "\n###"},
        images_first=True,
    ),
}


def chat_template(template: Template) -> str:
    """The template in the library's own form (Jinja), for `apply_chat_template`: the same text as `PromptBuilder`.

    There, as everywhere in the library, what a user writes is not kept apart from control tokens; `PromptBuilder` does.
    """

    def quoted(text: str) -> str:
        return f"{{{{ {json.dumps(text)} }}}}" if text else ""

    image = f"{{% if p.type == 'image' %}}{IMAGE}{{% endif %}}"
    each = "{% for p in m.content %}"
    ahead = f"{{% for m in messages if m.content is not string %}}{each}{image}{{% endfor %}}{{% endfor %}}"
    said = (
        f"{{% if m.content is string %}}{{{{ m.content }}}}{{% else %}}{each}"
        + ("" if template.images_first else image)
        + "{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}{% endif %}"
    )
    start = quoted(template.system + template.after["system"]) if template.system else ""
    turns = "".join(
        f"{{% if m.role == '{role}' %}}{quoted(template.before[role])}{said}{quoted(template.after[role])}{{% endif %}}"
        for role in ("system", "user")
    )
    answer = f"{quoted(template.before['assistant'])}{{% generation %}}{said}{quoted(template.after['assistant'])}"
    return (
        "{{ bos_token }}"
        + (ahead if template.images_first else "")
        + f"{{% if messages[0].role != 'system' %}}{start}{{% endif %}}"
        + f"{{% for m in messages %}}{turns}{{% if m.role == 'assistant' %}}{answer}{{% endgeneration %}}{{% endif %}}"
        + "{% endfor %}"
        + f"{{% if add_generation_prompt %}}{quoted(template.before['assistant'].rstrip(' '))}{{% endif %}}"
    )


@dataclass
class Encoded:
    """Token ids of a conversation; trained: for each id whether it is learned (what the assistant says)."""

    ids: list[int] = field(default_factory=list)
    trained: list[bool] = field(default_factory=list)

    def add(self, ids: Sequence[int], trained: bool = False) -> None:
        """Appends a piece."""
        self.ids.extend(ids)
        self.trained.extend([trained] * len(ids))

    def labels(self, ignore: int = -100) -> list[int]:
        """The ids where they are trained, `ignore` elsewhere."""
        return [number if trained else ignore for number, trained in zip(self.ids, self.trained, strict=True)]


def view_ids(layout: Layout, tokens: ImageTokens, tokens_per_view: int) -> list[int]:
    """The ids of one image: each kept view as start, slots, end; each skipped sub-image as one skip token."""
    view = [tokens.start, *[tokens.slot] * tokens_per_view, tokens.end]
    ids = list(view) if layout.grid.global_view else []
    for kept in layout.kept:
        ids.extend(view if kept else [tokens.skip])
    return ids


@dataclass(frozen=True)
class PromptBuilder:
    """Writes conversations as one member reads them. box_decimals: decimals of boxes and points."""

    tokenizer: PreTrainedTokenizerBase
    template: Template
    image_tokens: ImageTokens
    tokens_per_view: int
    box_decimals: int = 2

    def encode(self, messages: Sequence[Message], layouts: Sequence[Layout], answer_next: bool = False) -> Encoded:
        """Messages and the layouts of their images -> ids and label mask.

        answer_next: end with the opening of an assistant's turn, ready to generate. Raises `PromptError` where
        images and placeholders differ in number or a question is empty.
        """
        self._check(messages, layouts)
        out = Encoded()
        if self.tokenizer.bos_token is not None:
            out.add(self.control(str(self.tokenizer.bos_token)))
        images = [view_ids(layout, self.image_tokens, self.tokens_per_view) for layout in layouts]
        if self.template.images_first:
            out.add([number for ids in images for number in ids])
        if messages and messages[0].role != "system" and self.template.system:
            messages = [Message("system", (Text(self.template.system),)), *messages]
        upcoming = iter(images)
        for message in messages:
            answer = message.role == "assistant"
            out.add(self.control(self.template.before[message.role]))
            for part in message.parts:
                if not isinstance(part, Image):
                    out.add(self.text(self._written(part, layouts)), trained=answer)
                elif not self.template.images_first:
                    out.add(next(upcoming))
            out.add(self.control(self.template.after[message.role]), trained=answer)
        if answer_next:
            out.add(self.control(self.template.before["assistant"].rstrip(" ")))
        return out

    def control(self, text: str) -> list[int]:
        """The template's own text: control tokens count as such."""
        return self.tokenizer.encode(text, add_special_tokens=False) if text else []

    def text(self, text: str) -> list[int]:
        """Text of users and answers: never a control token, whatever it looks like."""
        return self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)

    def stop_text(self) -> str:
        """What ends an answer."""
        return self.template.after["assistant"]

    def _written(self, part: Part, layouts: Sequence[Layout]) -> str:
        if isinstance(part, Place):
            return format_place(layouts[part.image].to_square(part.xy), self.box_decimals)
        assert isinstance(part, Text)
        return part.text

    def _check(self, messages: Sequence[Message], layouts: Sequence[Layout]) -> None:
        places = count_images(messages)
        if places != len(layouts):
            raise PromptError(f"the conversation has {places} image placeholders but {len(layouts)} images")
        for number, message in enumerate(messages, 1):
            named = [part.image for part in message.parts if isinstance(part, Place)]
            if any(not 0 <= image < len(layouts) for image in named):
                raise PromptError(f"message {number} names an image that the conversation does not have")
            said = any(isinstance(p, Place) or (isinstance(p, Text) and p.text.strip()) for p in message.parts)
            if not said and message.role == "user":
                raise PromptError(f"message {number} ({message.role}) is empty")
