"""`Session`: a conversation of several turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PIL import Image

from sphinx_x.conversation import Message, Text
from sphinx_x.images import open_image
from sphinx_x.inference.asking import Images, image_list, question_message, typed_as_ask
from sphinx_x.inference.generation import OTHER_STEPS
from sphinx_x.inference.prompts import Prompt

if TYPE_CHECKING:
    from sphinx_x.inference.sphinx import SphinxX


@dataclass
class Session:
    """A conversation of several turns, each of which sees all turns before it and all their images.

    Attributes:
        sphinx: The model that answers.
        messages: The turns so far, the user's and the model's in alternation.
        images: The images of these turns, opened.
        probability: Mean probability of the tokens of the last answer. None before the first answer, and where the
            member does not declare what counts as probable.
    """

    sphinx: SphinxX
    messages: list[Message] = field(default_factory=list)
    images: list[Image.Image] = field(default_factory=list)
    probability: float | None = None

    @typed_as_ask
    def ask(
        self, question: str, images: Images = None, stream: bool = False, **generation: Any
    ) -> str | list[str] | Iterator[str]:
        """Ask the next question, with or without new images.

        A turn that fails leaves the conversation as it was.

        Args:
            question: The question; `<image>` marks where new images go, by default in front.
            images: Anything that `open_image` takes, or a list of such.
            stream: Return an iterator of pieces of text instead of the whole answer.
            generation: Options for the library's `generate`, as for `SphinxX.chat`.

        Returns:
            The answer, or an iterator of its pieces. With `num_return_sequences` above 1 it is a list of answers, of
            which the first becomes part of the conversation.

        Raises:
            PromptError: The question is empty, or the member declares that it does not take such a conversation.
            ImageError: An image cannot be read.
        """
        opened = [open_image(image) for image in image_list(images)]
        asked = [*self.messages, question_message(question, len(opened))]
        shown = [*self.images, *opened]
        self.sphinx.check([image.size for image in shown], 1 + len(self.messages) // 2)
        prompt = self.sphinx.prompt(asked, shown)
        if stream:
            return self._stream(prompt, asked, shown, generation)
        probabilities = self._watched(generation)
        answer = self.sphinx.answers([prompt], probabilities=probabilities, **generation)[0]
        self._keep(asked, shown, answer if isinstance(answer, str) else answer[0], probabilities)
        return answer

    def _stream(
        self, prompt: Prompt, asked: list[Message], shown: list[Image.Image], generation: dict[str, Any]
    ) -> Iterator[str]:
        probabilities = self._watched(generation)
        answer = yield from self.sphinx.stream(prompt, probabilities, **generation)
        self._keep(asked, shown, answer, probabilities)

    def _watched(self, generation: dict[str, Any]) -> list[float] | None:
        """Return a list to collect the answer's probability in, or None where there is no measure for it.

        There is none where the member declares none, and none for beams and drafts, which take other steps.
        """
        config = generation.get("generation_config")
        others = any(generation.get(name, getattr(config, name, None)) not in (None, 1) for name in OTHER_STEPS)
        return None if others or self.sphinx.model.config.ability().probable is None else []

    def _keep(
        self, asked: list[Message], shown: list[Image.Image], answer: str, probabilities: list[float] | None
    ) -> None:
        self.messages, self.images = [*asked, Message("assistant", (Text(answer),))], shown
        self.probability = probabilities[0] if probabilities else None
