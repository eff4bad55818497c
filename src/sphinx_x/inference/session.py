"""`Session`: a conversation of several turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PIL import Image

from sphinx_x.conversation import Message, Text
from sphinx_x.errors import PromptError
from sphinx_x.images import open_image
from sphinx_x.inference.answer import Answer, build_answer
from sphinx_x.inference.asking import Images, image_list, question_message, typed_as_ask
from sphinx_x.inference.generation import OTHER_STEPS
from sphinx_x.inference.prompts import Prompt, check_context, context_of
from sphinx_x.inference.running import Trace

if TYPE_CHECKING:
    from sphinx_x.inference.sphinx import SphinxX


@dataclass(frozen=True)
class Turn:
    """A question that is asked: the messages and images up to it, and its prompt."""

    asked: list[Message]
    shown: list[Image.Image]
    prompt: Prompt


@dataclass
class Session:
    """A conversation of several turns, each of which sees all turns before it and all their images.

    Attributes:
        sphinx: The model that answers.
        messages: The turns so far, the user's and the model's in alternation.
        images: The images of these turns, opened.
        probability: Mean probability of the tokens of the last answer. None before the first answer, and where the
            member does not declare what counts as probable.
        last: The last answer with all that is known of it; None before the first.
    """

    sphinx: SphinxX
    messages: list[Message] = field(default_factory=list)
    images: list[Image.Image] = field(default_factory=list)
    probability: float | None = None
    last: Answer | None = None

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
            PromptError: The question is empty, the member declares that it does not take such a conversation, or the
                conversation is longer than its context.
            ImageError: An image cannot be read.
        """
        turn = self._turn(question, images)
        if stream:
            return self._stream(turn, generation)
        probabilities, traces = self._watched(generation), []
        answer = self.sphinx.answers([turn.prompt], probabilities=probabilities, traces=traces, **generation)[0]
        self._keep(turn, answer if isinstance(answer, str) else answer[0], probabilities, traces)
        return answer

    def answer(self, question: str, images: Images = None, **generation: Any) -> Answer:
        """Ask the next question as `ask` does, and return what the answer points at and what it took as well.

        Raises:
            PromptError: As for `ask`, and where several answers (`num_return_sequences`) are asked for.
        """
        config = generation.get("generation_config")
        if generation.get("num_return_sequences", getattr(config, "num_return_sequences", None)) not in (None, 1):
            raise PromptError("num_return_sequences: there is one answer at a time; several come from `ask`")
        turn = self._turn(question, images)
        probabilities, traces = [] if self._one_by_one(generation) else None, []
        text = self.sphinx.answers([turn.prompt], probabilities=probabilities, traces=traces, **generation)[0]
        return self._keep(turn, text, probabilities, traces)

    def _turn(self, question: str, images: Images) -> Turn:
        opened = [open_image(image) for image in image_list(images)]
        asked = [*self.messages, question_message(question, len(opened))]
        shown = [*self.images, *opened]
        self.sphinx.check([image.size for image in shown], 1 + len(self.messages) // 2)
        prompt = self.sphinx.prompt(asked, shown)
        check_context(context_of(self.sphinx.model), prompt)
        return Turn(asked, shown, prompt)

    def _stream(self, turn: Turn, generation: dict[str, Any]) -> Iterator[str]:
        probabilities, traces = self._watched(generation), []
        answer = yield from self.sphinx.stream(turn.prompt, probabilities, traces, **generation)
        self._keep(turn, answer, probabilities, traces)

    def _watched(self, generation: dict[str, Any]) -> list[float] | None:
        """Return a list to collect the answer's probability in, or None where there is no measure for it.

        There is none where the member declares none, and none for beams and drafts, which take other steps.
        """
        watched = self._one_by_one(generation) and self.sphinx.model.config.ability().probable is not None
        return [] if watched else None

    def _one_by_one(self, generation: dict[str, Any]) -> bool:
        """Return whether an answer is made token by token."""
        config = generation.get("generation_config")
        return all(generation.get(name, getattr(config, name, None)) in (None, 1) for name in OTHER_STEPS)

    def _keep(self, turn: Turn, text: str, probabilities: list[float] | None, traces: list[Trace]) -> Answer:
        """Make an answer a part of the conversation."""
        self.messages, self.images = [*turn.asked, Message("assistant", (Text(text),))], turn.shown
        self.probability = probabilities[0] if probabilities else None
        self.last = build_answer(turn.prompt, text, traces[0], self.probability)
        return self.last
