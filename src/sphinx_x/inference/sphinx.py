"""`SphinxX`: a loaded model that answers questions about images."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers.generation.stopping_criteria import StoppingCriteriaList

from sphinx_x.conversation import Message, Text
from sphinx_x.errors import PromptError
from sphinx_x.images import Source
from sphinx_x.inference.answer import Answer
from sphinx_x.inference.asking import Images, image_list, question_message, typed_as_ask
from sphinx_x.inference.features import CACHE_BYTES as FEATURE_BYTES
from sphinx_x.inference.features import Features
from sphinx_x.inference.generation import DEFAULTS, Left, TokenStream, pieces
from sphinx_x.inference.loading import load_parts
from sphinx_x.inference.options import read_options
from sphinx_x.inference.prefix import CACHE_BYTES as PREFIX_BYTES
from sphinx_x.inference.prefix import Prefixes
from sphinx_x.inference.prompts import Prompt, context_of
from sphinx_x.inference.running import Runner, Trace
from sphinx_x.inference.session import Session
from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.model.views import Layout

BATCH = 32
"""Default number of prompts that are answered at once."""


class SphinxX:
    """A member of the family, ready to answer.

    Attributes:
        model: The model, an ordinary Hugging Face object.
        processor: Its processor, likewise.
        features: What is remembered of images.
        prefixes: What is remembered of conversations.
    """

    def __init__(
        self,
        model: SphinxXForConditionalGeneration,
        processor: SphinxXProcessor,
        cache_bytes: int = FEATURE_BYTES,
        prefix_bytes: int = PREFIX_BYTES,
    ) -> None:
        self.model, self.processor = model.eval(), processor
        self.features, self.prefixes = Features(model, cache_bytes), Prefixes(model, prefix_bytes)
        self._runner = Runner(model, processor, self.features, self.prefixes)
        self._builder = processor.prompt_builder()
        self._grid = processor.image_processor.grid()

    @classmethod
    def load(
        cls,
        name_or_path: str | Path = "nano",
        dtype: Any = None,
        device: str | None = None,
        bits: int | None = None,
        base: str | Path | None = None,
        cache_bytes: int = FEATURE_BYTES,
        prefix_bytes: int = PREFIX_BYTES,
        fast: bool = False,
        **options: Any,
    ) -> SphinxX:
        """Load a model.

        Args:
            name_or_path: A built-in member ("nano"), a model folder, a hub id, or a folder of adapters.
            dtype: A PyTorch type. The default is the type of the weights on an accelerator and for large models (whose
                files are memory-mapped on a CPU), and float32 otherwise.
            device: A PyTorch device; by default an accelerator where there is one. "auto" spreads the model over the
                available devices and keeps the rest in memory or on disk.
            bits: 4 or 8 quantises the language model, its experts included: on a CPU for PyTorch's own integer kernels
                (the output layer in 8 bits), elsewhere by bitsandbytes (NF4 for 4 bits).
            base: The model that adapters apply to, in place of the one that their folder names (see `find_adapters`).
                Adapters are added to its weights, so it may be neither quantised nor spread over devices.
            cache_bytes: The most bytes of image features to remember, on the model's device; 0 remembers none.
            prefix_bytes: The most bytes of keys and values to remember, of conversations that may go on and of images
                that may be asked about again, on the model's device; 0 remembers none.
            fast: Compute in bfloat16 where the device has instructions for it (CPUs with AMX or AVX-512 BF16, Arm ones
                with BF16, GPUs since Ampere); elsewhere nothing changes. Answers may differ in the last digit of
                probabilities, and so, rarely, in a word.
            options: Options for `fetch` (revision, token, cache_dir, local_files_only, force_download); all others go
                to `from_pretrained` (quantization_config, device_map, offload_folder, ...).

        Raises:
            CheckpointError: Files are missing, altered or inconsistent.
            MissingToolError: A device or a package is not available.
            SphinxXError: Both `fast` and `dtype` are given.
        """
        parts = load_parts(name_or_path, dtype, device, bits, base, fast, **options)
        return cls(*parts, cache_bytes, prefix_bytes)

    @typed_as_ask
    def chat(
        self, question: str, images: Images = None, stream: bool = False, **generation: Any
    ) -> str | list[str] | Iterator[str]:
        """Answer one question about one image, several, or none.

        Args:
            question: The question; `<image>` marks where images go, by default in front.
            images: Anything that `open_image` takes, or a list of such.
            stream: Return an iterator of pieces of text instead of the whole answer.
            generation: Options for the library's `generate` (by default greedy, with max_new_tokens=256). A
                `temperature` above 0 or a `top_p` below 1 draws the tokens. Besides there are `stop`, a text or several
                of which nothing is given out, nor of what follows, and `seed` for what is drawn.

        Returns:
            The answer, or an iterator of its pieces. With `num_return_sequences` above 1, a list of answers.

        Raises:
            PromptError: The question is empty, or the member declares that it does not take such a question (see
                `check`).
            ImageError: An image cannot be read.
        """
        return self.session().ask(question, images, stream, **generation)

    def answer(self, question: str, images: Images = None, **generation: Any) -> Answer:
        """Answer one question as `chat` does, and return what the answer points at and what it took as well."""
        return self.session().answer(question, images, **generation)

    def chat_batch(self, pairs: Sequence[tuple[str, Images]], batch_size: int = BATCH, **generation: Any) -> list[Any]:
        """Answer many (question, image or images) pairs: as one by one, but faster.

        At first only the sizes of the images are read. They are opened and rendered batch by batch, so that memory
        holds the views of no more than `batch_size` pairs at once, at five bytes a value (20 MB for an image of 5 views
        of 3 x 512 x 512). No question is refused (see `check`): this is for callers who know what they ask, such as
        evaluation and `read`.

        Args:
            pairs: Questions with their images, as for `chat`.
            batch_size: Number of pairs that are answered at once.
            generation: As for `chat`.

        Returns:
            The answers in the order of the pairs.

        Raises:
            ImageError: Before the first answer if an image is missing or is not one; when its batch is reached if it is
                truncated.
        """
        return self.answers([self.prompt_for(question, images) for question, images in pairs], batch_size, **generation)

    def probable_answers(
        self, pairs: Sequence[tuple[str, Images]], batch_size: int = BATCH, **generation: Any
    ) -> list[tuple[str, float]]:
        """Answer as `chat_batch` does, and return each answer with the mean probability of its tokens."""
        prompts = [self.prompt_for(question, images) for question, images in pairs]
        probabilities: list[float] = []
        answers = self.answers(prompts, batch_size, probabilities=probabilities, **generation)
        return list(zip(answers, probabilities, strict=True))

    def session(self) -> Session:
        """Start a conversation of several turns."""
        return Session(self)

    def forget(self) -> None:
        """Forget all images and conversations, such as after a change of the model that is none of its weights."""
        self.features.kept.clear()
        self.prefixes.kept.clear()

    def check(self, sizes: Sequence[tuple[int, int]], turn: int = 1) -> None:
        """Check a conversation against what the member declares that it takes (see `Abilities.refusal`).

        Args:
            sizes: (width, height) of each image, in pixels.
            turn: Number of the turn, from 1.

        Raises:
            PromptError: The member does not take such a conversation.
        """
        refusal = self.model.config.ability().refusal(sizes, turn, self._grid.canvas)
        if refusal is not None:
            raise PromptError(refusal)

    def prompt_for(self, question: str, images: Images = None, answer_begins: str = "") -> Prompt:
        """Build the prompt of one question about images; for the rest see `prompt`."""
        listed = image_list(images)
        return self.prompt([question_message(question, len(listed))], listed, answer_begins)

    def prompt(self, messages: Sequence[Message], images: Sequence[Source], answer_begins: str = "") -> Prompt:
        """Build the prompt of a conversation, up to where the answer begins.

        Only the sizes of images are read, unless the member reads their lines.

        Args:
            messages: The conversation.
            images: Its images, in order.
            answer_begins: Words for the answer to continue; they are no part of what is returned.

        Raises:
            PromptError: The model has no visual experts, or images and placeholders differ in number.
            ImageError: An image is missing or is not one.
        """
        if images and not self.model.config.groups:
            raise PromptError("this model has no visual experts: it takes text only")
        layouts = self._layouts(images)
        encoded = self._builder.encode(messages, layouts, answer_next=True, answer_begins=answer_begins)
        color = self.processor.image_processor.padding_color
        text = self._builder.written(messages, layouts, answer_begins)
        length = self.processor.tokens_per_view
        asked = " ".join(part.text for message in messages[-1:] for part in message.parts if isinstance(part, Text))
        return Prompt(encoded.ids, list(images), layouts, self._grid, color, length, text, encoded.images, asked)

    def with_places_as_text(self, messages: Sequence[Message], images: Sequence[Source]) -> list[Message]:
        """Return messages whose places are texts, as a prompt with these images has them.

        Raises:
            ImageError: An image is missing or is not one.
        """
        return self._builder.with_places_as_text(messages, self._layouts(images))

    def _layouts(self, images: Sequence[Source]) -> list[Layout]:
        return [self.processor.image_processor.layout_of(image) for image in images]

    def answers(
        self,
        prompts: Sequence[Prompt],
        batch_size: int = BATCH,
        probabilities: list[float] | None = None,
        traces: list[Trace] | None = None,
        **generation: Any,
    ) -> list[Any]:
        """Answer prompts, with memory and `generation` as for `chat_batch`.

        Args:
            prompts: Prompts made by `prompt` or `prompt_for`.
            batch_size: Number of prompts that are answered at once.
            probabilities: A list to which the mean token probability of each answer is added, in the order of the
                prompts; only for one answer each.
            traces: A list to which is added how each answer came about, likewise.
            generation: As for `chat`.

        Returns:
            The answers in the order of the prompts: texts, or lists of texts with `num_return_sequences` above 1.
        """
        # Prompts of like length and image width share a batch, so that its answers end at about the same time.
        order = sorted(range(len(prompts)), key=lambda k: (len(prompts[k].ids), prompts[k].width))
        found: list[Any] = []
        means: list[float] | None = None if probabilities is None else []
        made: list[Trace] | None = None if traces is None else []
        for batch in self._batches(prompts, order, batch_size, generation):
            found += self._answers([prompts[k] for k in batch], means, made, **generation)
        places = sorted(range(len(order)), key=lambda row: order[row])  # where each prompt's answer is
        if probabilities is not None and means is not None:
            probabilities += [means[row] for row in places]
        if traces is not None and made is not None:
            several = len(made) // max(len(order), 1)
            traces += [trace for row in places for trace in made[row * several : (row + 1) * several]]
        return [found[row] for row in places]

    def _batches(
        self, prompts: Sequence[Prompt], order: Sequence[int], size: int, generation: Mapping[str, Any]
    ) -> Iterator[Sequence[int]]:
        """Yield the numbers of prompts, sorted by length, in batches.

        A batch ends for all of its prompts when its longest one fills the model's context, or the length that is asked
        for: prompts that may be ended so are only among others of their length.
        """
        config, context = generation.get("generation_config"), context_of(self.model)
        given = {name: generation.get(name) or getattr(config, name, None) for name in ("max_length", "max_new_tokens")}
        wanted = given["max_new_tokens"] or DEFAULTS["max_new_tokens"]

        def group(number: int) -> int:
            length = len(prompts[number].ids)
            ended = given["max_length"] is not None or (context is not None and length + wanted > context)
            return length if ended else 0

        for _, numbers in itertools.groupby(order, key=group):
            alike = list(numbers)
            yield from (alike[first : first + size] for first in range(0, len(alike), size))

    def stream(
        self,
        prompt: Prompt,
        probabilities: list[float] | None = None,
        traces: list[Trace] | None = None,
        **generation: Any,
    ) -> Generator[str, None, str]:
        """Answer one prompt piece by piece, while a thread generates; the generator's return value is the whole answer.

        Args:
            prompt: A prompt made by `prompt` or `prompt_for`.
            probabilities: A list to which the mean token probability of the answer is added.
            traces: A list to which is added how the answer came about.
            generation: As for `chat`.

        Yields:
            Pieces of the answer, as soon as they are certain.
        """
        stream, left, stops = TokenStream(), Left(), read_options(generation).stops
        criteria = StoppingCriteriaList([*generation.pop("stopping_criteria", ()), left])

        def work() -> None:
            try:
                self._generate(
                    [prompt], probabilities, traces, streamer=stream, stopping_criteria=criteria, **generation
                )
            except BaseException as error:  # raised again in the reading thread
                stream.fail(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            ends = [self._builder.stop_text(), *stops]
            answer = yield from pieces(stream, lambda ids: self._text(ids, stops), ends)
        finally:  # also where the reader leaves before the end
            left.event.set()
        thread.join()
        return answer

    def _answers(
        self,
        prompts: Sequence[Prompt],
        probabilities: list[float] | None = None,
        traces: list[Trace] | None = None,
        **generation: Any,
    ) -> list[Any]:
        """Answer the prompts of one batch with texts, or with lists of texts where several answers are asked for."""
        stops = read_options(generation).stops
        texts = [self._text(ids, stops) for ids in self._generate(prompts, probabilities, traces, **generation)]
        several = len(texts) // len(prompts)
        return texts if several == 1 else [texts[k : k + several] for k in range(0, len(texts), several)]

    def _generate(
        self,
        prompts: Sequence[Prompt],
        probabilities: list[float] | None = None,
        traces: list[Trace] | None = None,
        **generation: Any,
    ) -> list[list[int]]:
        """Return the generated ids, one row for each answer (see `Runner.run`)."""
        return self._runner.run(prompts, read_options(generation), probabilities, traces)

    def _text(self, ids: Sequence[int], stops: Sequence[str] = ()) -> str:
        return self._runner.text(ids, stops)
