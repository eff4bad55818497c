"""`SphinxX`: a loaded model that answers questions about images."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers.generation.stopping_criteria import StoppingCriteriaList

from sphinx_x.confidence import mean_probability
from sphinx_x.conversation import Message
from sphinx_x.errors import PromptError
from sphinx_x.images import Source, picture_size
from sphinx_x.inference.asking import Images, image_list, question_message, typed_as_ask
from sphinx_x.inference.generation import DEFAULTS, EndsWith, TokenStream
from sphinx_x.inference.loading import load_parts
from sphinx_x.inference.prompts import Prompt
from sphinx_x.inference.session import Session
from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.model.views import plan_views

BATCH = 32
"""Default number of prompts that are answered at once."""


class SphinxX:
    """A member of the family, ready to answer.

    Attributes:
        model: The model, an ordinary Hugging Face object.
        processor: Its processor, likewise.
    """

    def __init__(self, model: SphinxXForConditionalGeneration, processor: SphinxXProcessor) -> None:
        self.model, self.processor = model.eval(), processor
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
        **options: Any,
    ) -> SphinxX:
        """Load a model.

        Args:
            name_or_path: A built-in member ("nano"), a model folder, a hub id, or a folder of adapters.
            dtype: A PyTorch type. The default is the type of the weights on an accelerator and for large models (whose
                files are memory-mapped on a CPU), and float32 otherwise.
            device: A PyTorch device; by default an accelerator where there is one. "auto" spreads the model over the
                available devices and keeps the rest in memory or on disk.
            bits: 4 or 8 quantises the language model, its experts included (bitsandbytes; NF4 for 4 bits).
            base: The model that adapters apply to, in place of the one that their folder names (see `find_adapters`).
                Adapters are added to its weights, so it may be neither quantised nor spread over devices.
            options: Options for `fetch` (revision, token, cache_dir, local_files_only, force_download); all others go
                to `from_pretrained` (quantization_config, device_map, offload_folder, ...).

        Raises:
            CheckpointError: Files are missing, altered or inconsistent.
            MissingToolError: A device or a package is not available.
        """
        return cls(*load_parts(name_or_path, dtype, device, bits, base, **options))

    @typed_as_ask
    def chat(
        self, question: str, images: Images = None, stream: bool = False, **generation: Any
    ) -> str | list[str] | Iterator[str]:
        """Answer one question about one image, several, or none.

        Args:
            question: The question; `<image>` marks where images go, by default in front.
            images: Anything that `open_image` takes, or a list of such.
            stream: Return an iterator of pieces of text instead of the whole answer.
            generation: Options for the library's `generate` (by default greedy, with max_new_tokens=256).

        Returns:
            The answer, or an iterator of its pieces. With `num_return_sequences` above 1, a list of answers.

        Raises:
            PromptError: The question is empty, or the member declares that it does not take such a question (see
                `check`).
            ImageError: An image cannot be read.
        """
        return self.session().ask(question, images, stream, **generation)

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
        """Build the prompt of a conversation, up to where the answer begins; only the sizes of images are read.

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
        layouts = [plan_views(*picture_size(image), self._grid) for image in images]
        encoded = self._builder.encode(messages, layouts, answer_next=True, answer_begins=answer_begins)
        color = self.processor.image_processor.padding_color
        text = self._builder.written(messages, layouts, answer_begins)
        return Prompt(encoded.ids, list(images), layouts, self._grid, color, self.processor.tokens_per_view, text)

    def answers(
        self,
        prompts: Sequence[Prompt],
        batch_size: int = BATCH,
        probabilities: list[float] | None = None,
        **generation: Any,
    ) -> list[Any]:
        """Answer prompts, with memory and `generation` as for `chat_batch`.

        Args:
            prompts: Prompts made by `prompt` or `prompt_for`.
            batch_size: Number of prompts that are answered at once.
            probabilities: A list to which the mean token probability of each answer is added, in the order of the
                prompts; only for one answer each.
            generation: As for `chat`.

        Returns:
            The answers in the order of the prompts: texts, or lists of texts with `num_return_sequences` above 1.
        """
        # Prompts of like length and image width share a batch, so that its answers end at about the same time.
        order = sorted(range(len(prompts)), key=lambda k: (len(prompts[k].ids), prompts[k].width))
        found: list[Any] = []
        means: list[float] | None = None if probabilities is None else []
        for first in range(0, len(order), batch_size):
            found += self._answers([prompts[k] for k in order[first : first + batch_size]], means, **generation)
        places = sorted(range(len(order)), key=lambda row: order[row])  # where each prompt's answer is
        if probabilities is not None and means is not None:
            probabilities += [means[row] for row in places]
        return [found[row] for row in places]

    def stream(
        self, prompt: Prompt, probabilities: list[float] | None = None, **generation: Any
    ) -> Generator[str, None, str]:
        """Answer one prompt piece by piece, while a thread generates; the generator's return value is the whole answer.

        Args:
            prompt: A prompt made by `prompt` or `prompt_for`.
            probabilities: A list to which the mean token probability of the answer is added.
            generation: As for `chat`.

        Yields:
            Pieces of the answer, as soon as they are certain.
        """
        stream = TokenStream()

        def work() -> None:
            try:
                self._generate([prompt], probabilities, streamer=stream, **generation)
            except BaseException as error:  # raised again in the reading thread
                stream.fail(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        ids: list[int] = []
        said, stop = "", self._builder.stop_text()
        for number in stream:
            ids.append(number)
            text = self._text(ids)
            # A character of several bytes, or the beginning of a stop text, is held back until it is complete.
            begun = next((k for k in range(len(stop), 0, -1) if text.endswith(stop[:k])), 0)
            text = text[: len(text) - begun]
            if len(text) > len(said) and not text.endswith("\ufffd"):
                yield text[len(said) :]
                said = text
        thread.join()
        answer = self._text(ids)
        yield answer[len(said) :]
        return answer

    def _answers(
        self, prompts: Sequence[Prompt], probabilities: list[float] | None = None, **generation: Any
    ) -> list[Any]:
        """Answer the prompts of one batch with texts, or with lists of texts where several answers are asked for."""
        texts = [self._text(ids) for ids in self._generate(prompts, probabilities, **generation)]
        several = len(texts) // len(prompts)
        return texts if several == 1 else [texts[k : k + several] for k in range(0, len(texts), several)]

    @torch.inference_mode()
    def _generate(
        self, prompts: Sequence[Prompt], probabilities: list[float] | None = None, **generation: Any
    ) -> list[list[int]]:
        """Return the generated ids, one row for each answer: those to the first prompt, those to the second, ...

        Args:
            prompts: The prompts of one batch.
            probabilities: A list to which the mean token probability of each row is added.
            generation: As for `chat`.
        """
        tokenizer, device = self.processor.tokenizer, self._device()
        longest = max(len(prompt.ids) for prompt in prompts)
        ids = torch.full((len(prompts), longest), self._pad())
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt.ids) :] = torch.tensor(prompt.ids)
            mask[row, longest - len(prompt.ids) :] = 1
        views = torch.cat([prompt.views for prompt in prompts]).to(device).float().div_(255)
        stop = self._builder.stop_ids()
        if stop != [tokenizer.eos_token_id]:
            criteria = [*generation.get("stopping_criteria", ()), EndsWith(stop)]
            generation = {**generation, "stopping_criteria": StoppingCriteriaList(criteria)}
        if probabilities is not None:
            generation = {**generation, "return_dict_in_generate": True, "output_logits": True}
        out: Any = self.model.generate(  # pyright: ignore[reportAttributeAccessIssue]
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            pixel_values=views if len(views) else None,
            **{**self._defaults(generation.get("generation_config")), **generation},
        )
        rows = getattr(out, "sequences", out)  # the former with return_dict_in_generate
        if probabilities is not None:
            ends = [tokenizer.eos_token_id, self._pad()]
            probabilities += mean_probability(out.logits, rows[:, longest:], ends)
        return [row[longest:].tolist() for row in rows.cpu()]

    def _pad(self) -> int:
        tokenizer = self.processor.tokenizer
        return next((k for k in (tokenizer.pad_token_id, tokenizer.eos_token_id) if k is not None), 0)

    def _defaults(self, given: Any) -> dict[str, Any]:
        """Return the settings for `generate` that apply unless the call or its `generation_config` sets them."""
        own = {**DEFAULTS, "eos_token_id": self.processor.tokenizer.eos_token_id, "pad_token_id": self._pad()}
        return {name: value for name, value in own.items() if getattr(given, name, None) is None}

    def _device(self) -> torch.device:
        """Return the device for inputs; offloaded parts of the model have none of their own."""
        devices = (parameter.device for parameter in self.model.parameters())
        return next((device for device in devices if device.type != "meta"), torch.device("cpu"))

    def _text(self, ids: Sequence[int]) -> str:
        text = self.processor.tokenizer.decode(ids, skip_special_tokens=True)
        return text.split(self._builder.stop_text())[0].strip()
