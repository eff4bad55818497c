"""SphinxX: the one way from a question (and images) to an answer, for chat, evaluation and serving alike."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, overload

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.generation.stopping_criteria import StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from sphinx_x import conversation
from sphinx_x.checkpoints.adapters import Adapter, apply_adapter, check_base, is_adapter, read_adapter
from sphinx_x.checkpoints.forms import check_model_folder, instead_of_folder
from sphinx_x.checkpoints.hub import NAME, OPTIONS, fetch
from sphinx_x.confidence import mean_probability
from sphinx_x.conversation import Message, Text, count_images, split_text
from sphinx_x.errors import CheckpointError, ImageError, MissingToolError, PromptError, SphinxXError, one_line
from sphinx_x.images import Source, open_image, picture_size
from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.model.processing import SphinxXProcessor, render_views
from sphinx_x.model.quantized import quantization_options
from sphinx_x.model.tokenizer import image_tokens
from sphinx_x.model.views import Layout, ViewGrid, plan_views
from sphinx_x.work.quiet import without_bars

Images = Source | Sequence[Source] | None
Several = Literal[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
"""Numbers of answers (`num_return_sequences`) that a type checker knows to be several."""
BUILT_IN = Path(__file__).parent / "weights"
LARGE = 1_000_000_000
"""Bytes of weights from which on a CPU computes in the type that they are stored in, not in float32."""
DEFAULTS: dict[str, Any] = {"max_new_tokens": 256, "do_sample": False}
BATCH = 32
OTHER_STEPS = ("num_beams", "num_return_sequences", "assistant_model", "prompt_lookup_num_tokens")
"""What makes the logits of `generate` others than those of one answer, token by token."""
MERGE_FIRST = (
    "adapters are added to whole weights: merge them first (sphinx-x merge), then quantise or spread the result"
)


@dataclass
class Prompt:
    """One conversation, ready for the model. ids: (T,); images, layouts: the pictures as they were given, and where
    each lies on the canvas. Pixels are read when `views` is asked for, and not kept."""

    ids: list[int]
    images: list[Source]
    layouts: list[Layout]
    grid: ViewGrid
    padding_color: Sequence[int]
    tokens_per_view: int
    text: str = ""
    """The prompt as it is written, with `<image>` where images stand between its words."""

    @property
    def views(self) -> torch.Tensor:
        """The kept views (V, 3, H, W) uint8, opened and rendered anew each time.

        Raises `ImageError` for what only decoding shows: a file that is cut short, or has changed.
        """
        rendered = [torch.empty(0, 3, self.grid.view_height, self.grid.view_width, dtype=torch.uint8)]
        for source, layout in zip(self.images, self.layouts, strict=True):
            image = open_image(source)
            if image.size != (layout.width, layout.height):
                size = f"{layout.width} x {layout.height}"
                raise ImageError(f"a picture of {size} pixels has {image.width} x {image.height} when it is opened")
            rendered.append(torch.from_numpy(render_views(image, layout, self.padding_color)))
        return torch.cat(rendered)

    @property
    def visual_tokens(self) -> int:
        """Tokens that the images take, skip tokens included."""
        return sum(self._tokens(layout, layout.views, layout.skipped) for layout in self.layouts)

    @property
    def unskipped_tokens(self) -> int:
        """Tokens that the images would take if no sub-image were skipped."""
        return sum(self._tokens(layout, layout.views + layout.skipped, 0) for layout in self.layouts)

    @property
    def width(self) -> int:
        """Pixels of the canvas that the images take across, summed."""
        return sum(layout.content()[2] for layout in self.layouts)

    def _tokens(self, layout: Layout, views: int, skipped: int) -> int:
        return views * (self.tokens_per_view + 2) + skipped


def load_processor(name_or_path: str | Path, base: str | Path | None = None, **hub: Any) -> SphinxXProcessor:
    """The processor alone of what `SphinxX.load` would load; raises `CheckpointError` where it is none of ours."""
    return _read_processor(name_or_path, *find_adapters(name_or_path, base, **hub))


def _read_processor(name: str | Path, source: Path, adapters: Sequence[Adapter]) -> SphinxXProcessor:
    """The processor of a model folder, or of the highest folder of adapters over it that has one."""
    source = next((a.folder for a in reversed(adapters) if (a.folder / "processor_config.json").is_file()), source)
    try:
        processor = AutoProcessor.from_pretrained(source, trust_remote_code=False)
    except SphinxXError:
        raise
    except Exception as error:  # malformed files make the library raise errors of nearly every kind
        raise CheckpointError(f"{name}: {one_line(error)}") from error
    if not isinstance(processor, SphinxXProcessor):
        raise CheckpointError(f"{name}: not a SPHINX-X model")
    return processor


def _load_model(
    path: Path, dtype: Any, bits: int | None, device: str, options: dict[str, Any]
) -> SphinxXForConditionalGeneration:
    """A model from its files, all of them and no others."""
    try:
        options = {**quantization_options(path, bits, device, options), "trust_remote_code": False}
        with without_bars():
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                path, dtype=dtype, output_loading_info=True, **options
            )
        model, report = loaded
    except ImportError as error:
        raise MissingToolError(f"{one_line(error)} (pip install 'sphinx-x[quant]')") from error
    except Exception as error:  # malformed files make the library raise errors of nearly every kind
        raise CheckpointError(f"{path}: {one_line(error)}") from error
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(what):
            names = ", ".join(sorted(map(str, report[what]))[:3])
            raise CheckpointError(f"{path}: its weights are not those of its config ({what[:-5]}: {names})")
    if not isinstance(model, SphinxXForConditionalGeneration):
        raise CheckpointError(f"{path}: not a SPHINX-X model")
    return model


class SphinxX:
    """A member of the family, ready to answer. `model` and `processor` are ordinary Hugging Face objects."""

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
        """Loads a built-in member ("nano"), a model folder, a model of the hub by its id, or a folder of adapters.

        dtype: as PyTorch names it; by default that of the weights on an accelerator and for large models (on a CPU they
        are then mapped from their files), else float32. device: as PyTorch names it, by default an accelerator where
        there is one; "auto" spreads the model over what there is and keeps the rest in memory or on the disk. bits: 4
        or 8 quantises the language model, its experts included (bitsandbytes, NF4). base: the model below adapters, in
        place of the one that their folder names (see `find_adapters`); they are added to its weights, so it may be
        neither quantised nor spread. Of the hub it is fetched as `fetch` does with these options: revision, token,
        cache_dir, local_files_only, force_download. Further options go to `from_pretrained` (quantization_config,
        device_map, offload_folder, ...). Raises `CheckpointError` where files are missing, altered or contradict each
        other, `MissingToolError` for a device or a package that is not there.
        """
        hub = {name: options.pop(name) for name in OPTIONS if name in options}
        path, adapters = find_adapters(name_or_path, base, **hub)
        processor = _read_processor(name_or_path, path, adapters)
        if device == "auto":
            options.setdefault("device_map", "auto")
        if device in (None, "auto"):
            accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
            device = accelerator.type if accelerator else "cpu"
        if dtype is None:
            dtype = torch.float32 if device == "cpu" and _weights_size(path) < LARGE else "auto"
        whole = bits is None and not {"device_map", "quantization_config"} & options.keys()
        if adapters and not whole:
            raise CheckpointError(f"{name_or_path}: {MERGE_FIRST}")
        model = _load_model(path, dtype, bits, device, options)
        quantized = getattr(model, "is_quantized", False)
        if adapters and quantized:
            raise CheckpointError(f"{name_or_path}: {path} is quantised; {MERGE_FIRST}")
        for adapter in adapters:
            apply_adapter(model, adapter)
            model.config.abilities = None  # those of the model below: what it learned since it does not say
        if image_tokens(processor.tokenizer) != model.config.image_tokens():
            raise CheckpointError(f"{name_or_path}: its config and its tokenizer have other image tokens")
        if whole and not quantized:
            try:
                torch.nn.Module.to(model, device)
            except (RuntimeError, AssertionError) as error:
                raise MissingToolError(f"device {device}: {one_line(error)}") from error
        return cls(model, processor)

    @overload
    def chat(
        self,
        question: str,
        image_or_images: Images = None,
        stream: Literal[False] = False,
        *,
        num_return_sequences: Literal[1],
        **generation: Any,
    ) -> str: ...

    @overload
    def chat(
        self,
        question: str,
        image_or_images: Images = None,
        stream: Literal[False] = False,
        *,
        num_return_sequences: Several,
        **generation: Any,
    ) -> list[str]: ...

    @overload
    def chat(
        self,
        question: str,
        image_or_images: Images = None,
        stream: Literal[False] = False,
        *,
        num_return_sequences: int,
        **generation: Any,
    ) -> str | list[str]: ...

    @overload
    def chat(
        self, question: str, image_or_images: Images = None, stream: Literal[False] = False, **generation: Any
    ) -> str: ...

    @overload
    def chat(
        self, question: str, image_or_images: Images = None, *, stream: Literal[True], **generation: Any
    ) -> Iterator[str]: ...

    @overload
    def chat(
        self, question: str, image_or_images: Images, stream: Literal[True], **generation: Any
    ) -> Iterator[str]: ...

    @overload
    def chat(
        self, question: str, image_or_images: Images = None, stream: bool = False, **generation: Any
    ) -> str | list[str] | Iterator[str]: ...

    def chat(
        self, question: str, image_or_images: Images = None, stream: bool = False, **generation: Any
    ) -> str | list[str] | Iterator[str]:
        """The answer to one question about one image, several, or none.

        image_or_images: anything `open_image` takes, or a list of such; of a video the frame in its middle is shown
        (`video.sample_frames` gives more of it). `<image>` in the question says where images stand; without it they
        stand in front. stream: an iterator of pieces of text instead. generation: as for the library's `generate`
        (max_new_tokens 256 and greedy by default); with `num_return_sequences` above 1 a list of answers is returned.
        Raises `PromptError` for what the member says that it does not take (see `check`).
        """
        return self.session().ask(question, image_or_images, stream, **generation)

    def chat_batch(self, pairs: Sequence[tuple[str, Images]], batch_size: int = BATCH, **generation: Any) -> list[Any]:
        """Answers to many (question, image or images) pairs, in their order: the same as one by one, but faster.

        At first only the sizes of the pictures are read. They are opened and rendered batch by batch, so that memory
        holds the views of `batch_size` pairs at once, five bytes for each value (20 MB for a picture that takes 5 views
        of 3 x 512 x 512), however many pairs there are. Nothing is refused here (see `check`): this is for those who
        know what they ask, as evaluation and `read` do. Raises `ImageError` before the first answer for a picture that
        is missing or none, and in its batch for one that is cut short. See `chat` for `generation`.
        """
        return self.answers([self.prompt_for(question, images) for question, images in pairs], batch_size, **generation)

    def answers(
        self,
        prompts: Sequence[Prompt],
        batch_size: int = BATCH,
        probabilities: list[float] | None = None,
        **generation: Any,
    ) -> list[Any]:
        """The answers to prompts (see `prompt`), in their order; memory and `generation` as in `chat_batch`.

        probabilities: takes the mean probability of each, where one answer is asked for.
        """
        # alike in prompt and in width, so that the answers of a batch end at about the same time
        order = sorted(range(len(prompts)), key=lambda k: (len(prompts[k].ids), prompts[k].width))
        found: list[Any] = []
        means: list[float] | None = None if probabilities is None else []
        for first in range(0, len(order), batch_size):
            found += self._answers([prompts[k] for k in order[first : first + batch_size]], means, **generation)
        places = sorted(range(len(order)), key=lambda row: order[row])  # where each prompt's answer is
        if probabilities is not None and means is not None:
            probabilities += [means[row] for row in places]
        return [found[row] for row in places]

    def _answers(
        self, prompts: Sequence[Prompt], probabilities: list[float] | None = None, **generation: Any
    ) -> list[Any]:
        """The answers to the prompts of one batch: texts, or lists of texts where several were asked for."""
        texts = [self._text(ids) for ids in self._generate(prompts, probabilities, **generation)]
        several = len(texts) // len(prompts)
        return texts if several == 1 else [texts[k : k + several] for k in range(0, len(texts), several)]

    def probable_answers(
        self, pairs: Sequence[tuple[str, Images]], batch_size: int = BATCH, **generation: Any
    ) -> list[tuple[str, float]]:
        """`chat_batch`, and with every answer the mean probability of its tokens (see `mean_probability`)."""
        prompts = [self.prompt_for(question, images) for question, images in pairs]
        probabilities: list[float] = []
        answers = self.answers(prompts, batch_size, probabilities=probabilities, **generation)
        return list(zip(answers, probabilities, strict=True))

    def session(self) -> Session:
        """A conversation of several turns."""
        return Session(self)

    def prompt_for(self, question: str, images: Images = None, answer_begins: str = "") -> Prompt:
        """One question about images -> what the model takes. answer_begins: as for `prompt`."""
        listed = _listed(images)
        return self.prompt([_question(question, len(listed))], listed, answer_begins)

    def check(self, sizes: Sequence[tuple[int, int]], turn: int = 1) -> None:
        """Raises `PromptError` where the member says that it takes no such conversation (see `Abilities.refusal`)."""
        refusal = self.model.config.ability().refusal(sizes, turn, self._grid.canvas)
        if refusal is not None:
            raise PromptError(refusal)

    def prompt(self, messages: Sequence[Message], images: Sequence[Source], answer_begins: str = "") -> Prompt:
        """Messages and images -> what the model takes, ending where the answer begins. Only sizes are read here.

        answer_begins: words that the answer goes on from; they are no part of what is returned. Raises `PromptError`
        where the model has no visual experts, or images and placeholders differ in number, and `ImageError` for what
        is no image.
        """
        if images and not self.model.config.groups:
            raise PromptError("this model has no visual experts: it takes text only")
        layouts = [plan_views(*picture_size(image), self._grid) for image in images]
        encoded = self._builder.encode(messages, layouts, answer_next=True, answer_begins=answer_begins)
        color = self.processor.image_processor.padding_color
        text = self._builder.written(messages, layouts, answer_begins)
        return Prompt(encoded.ids, list(images), layouts, self._grid, color, self.processor.tokens_per_view, text)

    @torch.inference_mode()
    def _generate(
        self, prompts: Sequence[Prompt], probabilities: list[float] | None = None, **generation: Any
    ) -> list[list[int]]:
        """Generated ids, one row for each answer: those to the first prompt, to the second, ...

        probabilities: takes the mean probability of each row.
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
            criteria = [*generation.get("stopping_criteria", ()), _EndsWith(stop)]
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
        """What `generate` is told where neither the call nor its `generation_config` says something else."""
        own = {**DEFAULTS, "eos_token_id": self.processor.tokenizer.eos_token_id, "pad_token_id": self._pad()}
        return {name: value for name, value in own.items() if getattr(given, name, None) is None}

    def _device(self) -> torch.device:
        """Where inputs go: a part of the model that is offloaded has no device of its own."""
        devices = (parameter.device for parameter in self.model.parameters())
        return next((device for device in devices if device.type != "meta"), torch.device("cpu"))

    def _text(self, ids: Sequence[int]) -> str:
        text = self.processor.tokenizer.decode(ids, skip_special_tokens=True)
        return text.split(self._builder.stop_text())[0].strip()


@dataclass
class Session:
    """A conversation of several turns: every turn sees those before it, and all their images.

    probability: mean probability of the tokens of the last answer, where the member says what is probable for it.
    """

    sphinx: SphinxX
    messages: list[Message] = field(default_factory=list)
    images: list[Image.Image] = field(default_factory=list)
    probability: float | None = None

    @overload
    def ask(
        self,
        question: str,
        images: Images = None,
        stream: Literal[False] = False,
        *,
        num_return_sequences: Literal[1],
        **generation: Any,
    ) -> str: ...

    @overload
    def ask(
        self,
        question: str,
        images: Images = None,
        stream: Literal[False] = False,
        *,
        num_return_sequences: Several,
        **generation: Any,
    ) -> list[str]: ...

    @overload
    def ask(
        self,
        question: str,
        images: Images = None,
        stream: Literal[False] = False,
        *,
        num_return_sequences: int,
        **generation: Any,
    ) -> str | list[str]: ...

    @overload
    def ask(self, question: str, images: Images = None, stream: Literal[False] = False, **generation: Any) -> str: ...

    @overload
    def ask(
        self, question: str, images: Images = None, *, stream: Literal[True], **generation: Any
    ) -> Iterator[str]: ...

    @overload
    def ask(self, question: str, images: Images, stream: Literal[True], **generation: Any) -> Iterator[str]: ...

    @overload
    def ask(
        self, question: str, images: Images = None, stream: bool = False, **generation: Any
    ) -> str | list[str] | Iterator[str]: ...

    def ask(
        self, question: str, images: Images = None, stream: bool = False, **generation: Any
    ) -> str | list[str] | Iterator[str]:
        """Asks the next question, with new images or none; returns the answer, or an iterator of its pieces.

        Of several answers (`num_return_sequences`) the first one stands in the conversation. Raises `PromptError` for
        what the member says that it does not take. A turn that fails leaves the conversation as it was.
        """
        opened = [open_image(image) for image in _listed(images)]
        asked = [*self.messages, _question(question, len(opened))]
        shown = [*self.images, *opened]
        self.sphinx.check([image.size for image in shown], 1 + len(self.messages) // 2)
        prompt = self.sphinx.prompt(asked, shown)
        if stream:
            return self._pieces(prompt, asked, shown, generation)
        probabilities = self._watched(generation)
        answer = self.sphinx._answers([prompt], probabilities, **generation)[0]
        self._keep(asked, shown, answer if isinstance(answer, str) else answer[0], probabilities)
        return answer

    def _watched(self, generation: dict[str, Any]) -> list[float] | None:
        """Takes the probability of an answer that the member has a measure for; beams and drafts have other steps."""
        config = generation.get("generation_config")
        others = any(generation.get(name, getattr(config, name, None)) not in (None, 1) for name in OTHER_STEPS)
        return None if others or self.sphinx.model.config.ability().probable is None else []

    def _keep(
        self, asked: list[Message], shown: list[Image.Image], answer: str, probabilities: list[float] | None
    ) -> None:
        self.messages, self.images = [*asked, Message("assistant", (Text(answer),))], shown
        self.probability = probabilities[0] if probabilities else None

    def _pieces(
        self, prompt: Prompt, asked: list[Message], shown: list[Image.Image], generation: dict[str, Any]
    ) -> Iterator[str]:
        pieces, probabilities = _Pieces(), self._watched(generation)

        def work() -> None:
            try:
                self.sphinx._generate([prompt], probabilities, streamer=pieces, **generation)
            except BaseException as error:  # handed to the reader, who raises it
                pieces.fail(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        ids: list[int] = []
        said, stop = "", self.sphinx._builder.stop_text()
        for number in pieces:
            ids.append(number)
            text = self.sphinx._text(ids)
            # a letter of several bytes, or the beginning of a stop, is held back until it is whole
            begun = next((k for k in range(len(stop), 0, -1) if text.endswith(stop[:k])), 0)
            text = text[: len(text) - begun]
            if len(text) > len(said) and not text.endswith("\ufffd"):
                yield text[len(said) :]
                said = text
        thread.join()
        answer = self.sphinx._text(ids)
        yield answer[len(said) :]
        self._keep(asked, shown, answer, probabilities)


class _EndsWith(StoppingCriteria):
    """Ends a row of a batch whose last ids are `ids`."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = torch.tensor(ids)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        """(B, T) ids so far -> (B,) whether a row is at its end."""
        self.ids = self.ids.to(input_ids.device)
        return (input_ids[:, -len(self.ids) :] == self.ids).all(-1)


class _Pieces(BaseStreamer):
    """Hands generated ids from the thread that makes them to the one that reads them."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
        self.prompt = True

    def put(self, value: torch.Tensor) -> None:
        """Called by the library with the prompt (B, T) first, then with each new id (B,), or with several of one row
        (1, n) at once where an assistant proposed them."""
        if len(value if self.prompt or value.ndim == 1 else value[:, 0]) != 1:
            raise PromptError("a stream gives one answer; several (num_return_sequences) come without stream")
        for number in [] if self.prompt else value.flatten().tolist():
            self.queue.put(number)
        self.prompt = False

    def end(self) -> None:
        """Called by the library at the end."""
        self.queue.put(None)

    def fail(self, error: BaseException) -> None:
        """Ends the stream with an error."""
        self.queue.put(error)

    def __iter__(self) -> Iterator[int]:
        while (item := self.queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item


def find_model(name_or_path: str | Path, **hub: Any) -> Path:
    """The folder of a built-in member, of a path, or of a hub id (downloaded, see `fetch`), its files looked at."""
    path = _located(name_or_path, **hub)
    check_model_folder(path)
    return path


def _located(name_or_path: str | Path, revision: str | None = None, **hub: Any) -> Path:
    """The folder that a name stands for, whatever is in it. Raises `CheckpointError` where there is none."""
    from sphinx_x.family import MEMBERS

    path, name = Path(name_or_path), str(name_or_path)
    if not path.is_dir() and name in MEMBERS:
        if not (BUILT_IN / name).is_dir():
            raise CheckpointError(f"{name}: its weights are not in the package; give a folder or a hub id")
        path = BUILT_IN / name
    if path.is_dir():
        if revision is not None:
            raise CheckpointError(f"{name}: a folder has no revision {revision}")
        return path
    if path.is_file():
        raise CheckpointError(f"{name}: {instead_of_folder(path)}")
    if not name.startswith("hf://") and (path.is_symlink() or not NAME.fullmatch(name)):
        known = "".join(f"{built}, " for built in built_in_models())
        raise CheckpointError(f"{name}: no such model; give {known}a folder, or a hub id owner/name")
    try:
        return fetch(name, revision, **hub)
    except CheckpointError as error:
        here = "" if name.startswith("hf://") else "; nor is there such a folder"
        raise CheckpointError(f"{error}{here}") from error


def find_adapters(
    name_or_path: str | Path, base: str | Path | None = None, revision: str | None = None, **hub: Any
) -> tuple[Path, list[Adapter]]:
    """The model that a name stands for (see `find_model`) and, of a folder of adapters, those over it, lowest first.

    What adapters lie over is `base`, or what their folder names: a built-in name, a hub id or a path, which is looked
    for from the current folder and then from theirs; it may be a folder of adapters itself. revision: of what is named
    itself; further options of `fetch` are for all. Raises `CheckpointError` where it is not found, or its weights are
    known to be others than those that were trained over.
    """
    adapters: list[Adapter] = []
    below = _located(name_or_path, revision, **hub)
    while is_adapter(below):
        adapter = read_adapter(below)
        if any(other.folder.samefile(adapter.folder) for other in adapters):
            raise CheckpointError(f"{adapter.folder}: its adapters lie over themselves")
        beside = adapter.folder / adapter.base
        named = beside if not Path(adapter.base).is_dir() and beside.is_dir() else adapter.base
        if not adapters and base is not None:
            named = base
        adapters.insert(0, adapter)
        try:
            below = _located(named, **hub)
            if not is_adapter(below):
                check_model_folder(below)
        except CheckpointError as error:
            raise CheckpointError(f"{adapter.folder}: the model below its adapters: {error}") from error
        check_base(adapter, below)
    if not adapters:
        check_model_folder(below)
    return below, adapters


def _weights_size(path: Path) -> int:
    """Bytes of the weights of a folder."""
    return sum(file.stat().st_size for file in path.glob("*.safetensors"))


def built_in_models() -> list[str]:
    """Names of the members whose weights are in the package."""
    return sorted(path.parent.name for path in BUILT_IN.glob("*/config.json"))


def _listed(images: Images) -> list[Source]:
    if images is None:
        return []
    return list(images) if isinstance(images, (list, tuple)) else [images]  # pyright: ignore[reportReturnType]


def _question(question: str, images: int) -> Message:
    if not question.replace(conversation.IMAGE, "").strip():
        raise PromptError("the question is empty")
    parts = tuple(split_text(question))
    missing = images - count_images([Message("user", parts)])
    if conversation.IMAGE not in question:
        parts = (*[conversation.Image()] * missing, *parts)
    return Message("user", parts)
