"""A model exported to ONNX answers through onnxruntime: the same prompts, without PyTorch's copy of the weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import AutoProcessor

from sphinx_x.errors import CheckpointError, PromptError, needs_extra
from sphinx_x.images import picture_size
from sphinx_x.inference.asking import Images, image_list, question_message
from sphinx_x.inference.generation import DEFAULTS
from sphinx_x.inference.options import cut
from sphinx_x.inference.prompts import Prompt, check_context
from sphinx_x.model.abilities import Abilities
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.model.views import plan_views
from sphinx_x.work.files import check_folder

GRAPHS = ("vision", "embed", "decoder")
DEFAULT_PROVIDERS = ("CPUExecutionProvider",)


class OnnxModel:
    """The three graphs of `sphinx-x export --format onnx`, ready to answer; every answer is greedy.

    Attributes:
        processor: The processor of the exported model.
        sizes: What `onnx.json` says.
        abilities: What the member declares about itself.
    """

    def __init__(self, folder: str | Path, threads: int | None = None, providers: Sequence[str] | None = None) -> None:
        """Load a folder.

        Args:
            folder: What `export_onnx` wrote.
            threads: Threads of one operation; by default as many as there are cores.
            providers: onnxruntime's execution providers, in the order of preference; by default the CPU's.

        Raises:
            CheckpointError: The folder is no such export, or a file is missing or altered.
            MissingToolError: onnxruntime is not installed.
        """
        with needs_extra("onnx", "running ONNX graphs"):
            import onnxruntime
        folder = Path(folder)
        if not (folder / "onnx.json").is_file():
            raise CheckpointError(f"{folder}: no export to ONNX (`sphinx-x export MODEL --format onnx` writes one)")
        check_folder(folder)
        self.sizes = json.loads((folder / "onnx.json").read_text(encoding="utf-8"))
        self.processor: SphinxXProcessor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.abilities = Abilities.from_dict(config.get("abilities"))
        self._context: int | None = config.get("text_config", {}).get("max_position_embeddings")
        self._builder, self._grid = self.processor.prompt_builder(), self.processor.image_processor.grid()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        chosen = list(providers or DEFAULT_PROVIDERS)
        sessions: list[Any] = [
            onnxruntime.InferenceSession(folder / f"{name}.onnx", options, providers=chosen) for name in GRAPHS
        ]
        self._vision, self._embed, self._decoder = sessions
        self._past = [entry.name for entry in self._decoder.get_inputs() if entry.name.startswith("past.")]

    def chat(self, question: str, images: Images = None, max_new_tokens: int = DEFAULTS["max_new_tokens"]) -> str:
        """Answer one question about one image, several, or none, greedily; `images` as for `SphinxX.chat`.

        Raises:
            PromptError: The question is empty, or the member declares that it does not take such a question.
            ImageError: An image cannot be read.
        """
        prompt = self.prompt_for(question, images)
        sizes = [(layout.width, layout.height) for layout in prompt.layouts]
        refusal = self.abilities.refusal(sizes, 1, self._grid.canvas)
        if refusal is not None:
            raise PromptError(refusal)
        return self._answer(prompt, max_new_tokens)[0]

    def chat_batch(
        self, pairs: Sequence[tuple[str, Images]], max_new_tokens: int = DEFAULTS["max_new_tokens"]
    ) -> list[str]:
        """Answer (question, image or images) pairs one by one, refusing none, as `SphinxX.chat_batch` does."""
        return [text for text, _ in self.probable_answers(pairs, max_new_tokens=max_new_tokens)]

    def probable_answers(
        self, pairs: Sequence[tuple[str, Images]], *, max_new_tokens: int = DEFAULTS["max_new_tokens"]
    ) -> list[tuple[str, float]]:
        """Answer as `chat_batch` does, and return each answer with the mean probability of its tokens."""
        return [self._answer(self.prompt_for(question, images), max_new_tokens) for question, images in pairs]

    def prompt_for(self, question: str, images: Images = None) -> Prompt:
        """Build the prompt of one question about images, as `SphinxX.prompt_for` does."""
        listed = image_list(images)
        layouts = [plan_views(*picture_size(image), self._grid) for image in listed]
        messages = [question_message(question, len(listed))]
        encoded = self._builder.encode(messages, layouts, answer_next=True)
        color = self.processor.image_processor.padding_color
        length = self.processor.tokens_per_view
        return Prompt(encoded.ids, listed, layouts, self._grid, color, length, places=encoded.images)

    def generate(self, prompt: Prompt, max_new_tokens: int = DEFAULTS["max_new_tokens"]) -> Iterator[tuple[int, float]]:
        """Yield the ids of the greedy answer, up to the one that ends it, with their probabilities.

        Raises:
            PromptError: The prompt is longer than the model's context, or no token is asked for.
        """
        check_context(self._context, prompt)
        if max_new_tokens < 1:
            raise PromptError(f"max_new_tokens must be at least 1, not {max_new_tokens}")
        if self._context is not None:
            max_new_tokens = min(max_new_tokens, self._context - len(prompt.ids))
        end = self.processor.tokenizer.eos_token_id
        embeds, done = self._embedded(prompt), 0
        shape = (1, self.sizes["key_value_heads"], 0, self.sizes["head_width"])
        past = dict.fromkeys(self._past, np.zeros(shape, np.float32))
        for _ in range(max_new_tokens):
            new = embeds.shape[1]
            mask, positions = np.ones((1, done + new), np.int64), np.arange(done, done + new)[None]
            inputs = {"inputs_embeds": embeds, "attention_mask": mask, "position_ids": positions, **past}
            logits, *present = self._decoder.run(None, inputs)
            past, done = dict(zip(self._past, present, strict=True)), done + new
            last: NDArray[np.float32] = logits[0, -1]
            chosen = int(last.argmax())
            yield chosen, float(1 / np.exp(last - last[chosen]).sum())
            if chosen == end:
                return
            embeds = self._embed.run(None, {"input_ids": np.array([[chosen]])})[0]

    def _embedded(self, prompt: Prompt) -> NDArray[np.float32]:
        """Return the prompt's embeddings (1, T, D), with the features of its images in their slots."""
        ids = np.array([prompt.ids])
        embeds: NDArray[np.float32] = self._embed.run(None, {"input_ids": ids})[0]
        # one image after another: a graph of a member that skips nothing takes all views of one image
        features = [
            self._vision.run(None, {"pixel_values": picture.views().numpy().astype(np.float32) / 255})[0]
            for picture in prompt.pictures()
        ]
        if features:
            embeds[ids == self.sizes["image_token_id"]] = np.concatenate(features).reshape(-1, embeds.shape[-1])
        return embeds

    def _answer(self, prompt: Prompt, max_new_tokens: int) -> tuple[str, float]:
        stop, said, probabilities = self._builder.stop_ids(), [], []
        for number, probability in self.generate(prompt, max_new_tokens):
            said.append(number)
            probabilities.append(probability)
            if said[-len(stop) :] == stop:
                break
        text: Any = self.processor.tokenizer.decode(said, skip_special_tokens=True)
        return cut(text, [self._builder.stop_text()]).strip(), sum(probabilities) / len(probabilities)
