"""The single prompt builder for training, evaluation and serving: from a conversation to token ids and a label mask.

The ids are concatenated piece by piece, and the assistant's pieces are marked as trained when they are added: nothing
has to be searched for afterwards. Text from users never becomes a control token.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from transformers import PreTrainedTokenizerBase

from sphinx_x.conversation import IMAGE, Image, Message, Part, Place, Text, count_images, format_places
from sphinx_x.errors import PromptError
from sphinx_x.model.config import ImageTokens
from sphinx_x.model.views import Layout


@dataclass(frozen=True)
class Template:
    """The text around the turns of a conversation.

    Attributes:
        system: Beginning of a conversation that has no system message.
        before: Text before a turn, by role.
        after: Text after a turn, by role; after an assistant's answer it is trained on, and ends the answer.
        lead: Text between `before` and a turn's own text; it counts as part of the latter.
        trim: Whether white space around a turn's text is removed.
        bos: Whether the tokenizer's first token, if it has one, comes first.
        images_first: Whether all images come right after that, before the system text, wherever their placeholders are
            (the reference's order).
    """

    system: str
    before: dict[str, str]
    after: dict[str, str]
    lead: str = ""
    trim: bool = False
    bos: bool = True
    images_first: bool = False


TEMPLATES = {
    "tokens": Template(
        system="",
        before={"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"},
        after={"system": "", "user": "", "assistant": "<|eot|>"},
    ),
    # the reference's template, and therefore the large members'
    "sphinx": Template(
        system=(
            "A chat between a curious human and an artificial intelligence assistant. "
            "The assistant gives helpful, detailed, and polite answers to the human's questions."
        ),
        before={"system": "", "user": " Human:", "assistant": " Assistant:"},
        after={"system": "\n\n###", "user": "\n###", "assistant": "\n###"},
        lead=" ",
        trim=True,
        images_first=True,
    ),
    # the template of many instruction-tuned language models; `import backbones` looks up their system text and bos
    "chatml": Template(
        system="",
        before={role: f"<|im_start|>{role}\n" for role in ("system", "user", "assistant")},
        after=dict.fromkeys(("system", "user", "assistant"), "<|im_end|>\n"),
    ),
}


def find_template(template: str | dict[str, Any]) -> Template:
    """Return a template by its name in `TEMPLATES`, or from its fields; raise ValueError for an unknown name."""
    if isinstance(template, dict):
        return Template(**template)
    if template not in TEMPLATES:
        raise ValueError(f"unknown prompt template {template!r}; known: {', '.join(TEMPLATES)}")
    return TEMPLATES[template]


def chat_template(template: Template) -> str:
    """Return the template in the library's format (Jinja), for `apply_chat_template`.

    It gives the same text as `PromptBuilder`. There, as everywhere in the library, a user's text can contain control
    tokens; `PromptBuilder` keeps them apart.
    """

    def quoted(text: str) -> str:
        return f"{{{{ {json.dumps(text)} }}}}" if text else ""

    image = f"{{% if p.type == 'image' %}}{IMAGE}{{% endif %}}"
    each = "{% for p in m.content %}"
    ahead = f"{{% for m in messages if m.content is not string %}}{each}{image}{{% endfor %}}{{% endfor %}}"
    trim = " | trim" if template.trim else ""
    pieces = each + ("" if template.images_first else image) + "{% if p.type == 'text' %}{{ p.text }}{% endif %}"
    gathered = f"{{% set said %}}{pieces}{{% endfor %}}{{% endset %}}{{{{ said{trim} }}}}"
    said = f"{{% if m.content is string %}}{{{{ m.content{trim} }}}}{{% else %}}{gathered}{{% endif %}}"
    start = quoted(template.before["system"] + template.system + template.after["system"]) if template.system else ""

    def turn(role: str) -> str:
        lead = "" if role == "system" else quoted(template.lead)
        words, end = lead + said, quoted(template.after[role])
        if role == "assistant":
            words, end = f"{{% generation %}}{words}{end}{{% endgeneration %}}", ""
        return f"{{% if m.role == '{role}' %}}{quoted(template.before[role])}{words}{end}{{% endif %}}"

    turns = "".join(turn(role) for role in ("system", "user", "assistant"))
    return (
        ("{{ bos_token }}" if template.bos else "")
        + (ahead if template.images_first else "")
        + f"{{% if messages[0].role != 'system' %}}{start}{{% endif %}}"
        + f"{{% for m in messages %}}{turns}{{% endfor %}}"
        + f"{{% if add_generation_prompt %}}{quoted(template.before['assistant'])}{{% endif %}}"
    )


_ENCODING = threading.Lock()
ANCHORS = ("\n", "\t", "|", "0")


@dataclass
class Encoded:
    """Token ids of a conversation.

    Attributes:
        ids: The ids.
        trained: For each id, whether it is learned: the assistant's text, except answers that are not to be trained.
        images: For each image, its first id and the number of its ids.
    """

    ids: list[int] = field(default_factory=list)
    trained: list[bool] = field(default_factory=list)
    images: list[tuple[int, int]] = field(default_factory=list)

    def add(self, ids: Sequence[int], trained: bool = False) -> None:
        """Append a piece."""
        self.ids.extend(ids)
        self.trained.extend([trained] * len(ids))

    def add_image(self, ids: Sequence[int]) -> None:
        """Append the ids of an image, which are never trained."""
        self.images.append((len(self.ids), len(ids)))
        self.add(ids)

    def labels(self, ignore: int = -100) -> list[int]:
        """Return the ids where they are trained, and `ignore` elsewhere."""
        return [number if trained else ignore for number, trained in zip(self.ids, self.trained, strict=True)]


def view_ids(layout: Layout, tokens: ImageTokens, tokens_per_view: int) -> list[int]:
    """Return the ids of an image's views: each kept one as start, slots, end; each skipped one as one skip token.

    A grid that drops its padding has no skip tokens.
    """
    view = [tokens.start, *[tokens.slot] * tokens_per_view, tokens.end]
    ids = list(view) if layout.grid.global_view else []
    skipped = [tokens.skip] if layout.skip_tokens else []
    for kept in layout.kept:
        ids.extend(view if kept else skipped)
    return ids


@dataclass(frozen=True)
class PromptBuilder:
    """Encodes conversations for one member.

    Attributes:
        tokenizer: The member's tokenizer.
        template: The text around the turns.
        image_tokens: Ids of the image tokens.
        tokens_per_view: Number of embedding slots of a view.
        box_decimals: Number of decimals of boxes and points.
    """

    tokenizer: PreTrainedTokenizerBase
    template: Template
    image_tokens: ImageTokens
    tokens_per_view: int
    box_decimals: int = 2

    def encode(
        self, messages: Sequence[Message], layouts: Sequence[Layout], answer_next: bool = False, answer_begins: str = ""
    ) -> Encoded:
        """Encode messages with the layouts of their images.

        Args:
            messages: The conversation.
            layouts: One layout for each image, in order.
            answer_next: Whether to end with the opening of an assistant's turn, ready to generate.
            answer_begins: The words with which that turn begins, for the answer to continue.

        Raises:
            PromptError: The numbers of images and placeholders differ, or a question is empty.
        """
        self._check(messages, layouts)
        out = Encoded()
        if self.template.bos and self.tokenizer.bos_token is not None:
            out.add(self._ids(str(self.tokenizer.bos_token), first=True, split=False))
        images = [self.image_ids(layout) for layout in layouts]
        for ids in images if self.template.images_first else ():
            out.add_image(ids)
        if messages and messages[0].role != "system" and self.template.system:
            messages = [Message("system", (Text(self.template.system),)), *messages]
        upcoming = iter([] if self.template.images_first else images)
        first = True
        for message in messages:
            answer = message.role == "assistant" and message.trained
            out.add(self.control(self.template.before[message.role], first))
            first = first and not self.template.before[message.role]
            for run in self._runs(message, layouts):
                if run is None:
                    out.add_image(next(upcoming))
                else:
                    out.add(self.text(run, first), trained=answer)
                first = False
            out.add(self.control(self.template.after[message.role]), trained=answer)
        if answer_next:
            out.add(self.control(self.template.before["assistant"]))
            out.add(self.text(self.template.lead + answer_begins if answer_begins else ""))
        return out

    def image_ids(self, layout: Layout) -> list[int]:
        """Return the ids of one image: its views, then each line as its token and what it says, and one end token.

        What a line says never becomes a control token, whatever is written in an image.
        """
        ids = view_ids(layout, self.image_tokens, self.tokens_per_view)
        for line in layout.lines:
            if self.image_tokens.line is None:
                raise PromptError("this member reads no lines, and an image has some")
            ids += [self.image_tokens.line, *self.text(line.said)]
        return [*ids, self.image_tokens.end] if layout.lines else ids

    def written(self, messages: Sequence[Message], layouts: Sequence[Layout], answer_begins: str = "") -> str:
        """Write the prompt that `encode` makes with `answer_next` as text, for records and hashes.

        The tokenizer's first token is left out. Images are placeholders; those of a template that puts all images first
        are left out. Nothing is checked here.
        """
        if messages and messages[0].role != "system" and self.template.system:
            messages = [Message("system", (Text(self.template.system),)), *messages]
        said = ""
        for message in messages:
            runs = (IMAGE if run is None else run for run in self._runs(message, layouts))
            said += f"{self.template.before[message.role]}{''.join(runs)}{self.template.after[message.role]}"
        begins = self.template.lead + answer_begins if answer_begins else ""
        return f"{said}{self.template.before['assistant']}{begins}"

    def with_places_as_text(self, messages: Sequence[Message], layouts: Sequence[Layout]) -> list[Message]:
        """Return messages whose places are texts, as they stand in the prompt."""

        def text(part: Part) -> Part:
            return Text(self._written(part, layouts)) if isinstance(part, Place) else part

        return [replace(message, parts=tuple(map(text, message.parts))) for message in messages]

    def control(self, text: str, first: bool = False) -> list[int]:
        """Encode the template's own text, control tokens included; `first` means that only images precede it."""
        return self._ids(text, first, split=False)

    def text(self, text: str, first: bool = False) -> list[int]:
        """Encode text of users and answers, which never becomes a control token; `first` as in `control`."""
        return self._ids(text, first, split=True)

    def stop_text(self) -> str:
        """Return the text that ends an answer."""
        return self.template.after["assistant"]

    def stop_ids(self) -> list[int]:
        """Return the ids that end an answer, just one if it is a control token."""
        ids = self.control(self.stop_text())
        return ids[:1] if ids[:1] and ids[0] in self.tokenizer.all_special_ids else ids

    def _ids(self, text: str, first: bool, split: bool) -> list[int]:
        """Return the ids of a piece of text.

        A sentencepiece tokenizer puts a blank before every text it is given. That is wrong in the middle of a text, so
        a piece that is not the first is encoded after an anchor that does not merge with it.

        Args:
            text: The piece.
            first: Whether it begins the text.
            split: Whether whatever looks like a control token is plain text.
        """
        if not text:
            return []
        options: dict[str, Any] = {"add_special_tokens": False, "split_special_tokens": split}
        ids = self._encoded(text, options)
        if first or not self._adds_blank or ids[0] in self.tokenizer.all_special_ids:
            return ids
        for anchor in ANCHORS:
            ahead = self._encoded(anchor, {"add_special_tokens": False})
            ids = self._encoded(anchor + text, options)
            if ids[: len(ahead)] == ahead:
                return ids[len(ahead) :]
        raise PromptError(f"the tokenizer joins {text[:20]!r} with whatever stands before it")

    def _encoded(self, text: str, options: dict[str, Any]) -> list[int]:
        # a fast tokenizer keeps `split_special_tokens` from call to call: the threads of a server would change it
        # between one another's setting and encoding
        with _ENCODING:
            return self.tokenizer.encode(text, **options)

    @cached_property
    def _adds_blank(self) -> bool:
        ids = self._encoded("a", {"add_special_tokens": False})
        return str(self.tokenizer.convert_ids_to_tokens(ids[:1])[0]).startswith("\u2581")

    def _runs(self, message: Message, layouts: Sequence[Layout]) -> list[str | None]:
        """Return a message as texts, with None for each image between them."""
        runs: list[str | None] = [""]
        for part in message.parts:
            if isinstance(part, Image):
                runs += [] if self.template.images_first else [None, ""]
            else:
                runs[-1] = f"{runs[-1]}{self._written(part, layouts)}"
        if self.template.trim:
            runs = [run if run is None else run.strip() for run in runs]
        if message.role != "system" and runs[0] is not None:
            runs[0] = self.template.lead + runs[0]
        return [run for run in runs if run != ""]

    def _written(self, part: Part, layouts: Sequence[Layout]) -> str:
        if isinstance(part, Place):
            layout = layouts[part.image]
            return format_places([layout.to_square(place) for place in part.places], self.box_decimals)
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
