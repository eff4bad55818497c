"""The library's image processor and processor for SPHINX-X: images and text become the model's inputs.

Shapes: V kept views of all images together, H x W pixels of a view.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image
from transformers import AutoImageProcessor, AutoProcessor, BatchFeature, PreTrainedTokenizerBase, ProcessorMixin
from transformers.image_processing_backends import PilBackend
from transformers.processing_utils import ImagesKwargs, MultiModalData

from sphinx_x.errors import ImageError, PromptError, UnsupportedError
from sphinx_x.images import MAX_PIXELS, Source, open_image, picture_size
from sphinx_x.model.auto import NamesItsPackage
from sphinx_x.model.config import ImageTokens, SphinxXConfig
from sphinx_x.model.image_inputs import by_row, flat, open_images
from sphinx_x.model.prompt import PromptBuilder, chat_template, find_template, view_ids
from sphinx_x.model.tokenizer import image_tokens
from sphinx_x.model.views import Layout, ViewGrid, plan_views
from sphinx_x.text_lines.reader import LineReader

WHITE = (255, 255, 255)
RESIZE = Image.Resampling.BICUBIC
"""How images are scaled into views, as in the reference; weights are trained for one way."""
STRIP_PIXELS = 25_000_000
"""Number of pixels of a padded square that are held in memory at once."""
FIXED = {
    **dict.fromkeys(("do_resize", "do_rescale", "do_normalize", "do_center_crop", "do_pad"), False),
    **{"do_convert_rgb": True, "data_format": "channels_first"},
}
"""Options of other image processors that cannot be changed: views are RGB, and made as the model's grid says."""


def render_views(image: Image.Image, layout: Layout, padding_color: Sequence[int] = WHITE) -> np.ndarray:
    """Return the kept views of one RGB image, the global one first: uint8 (views, 3, H, W)."""
    grid = layout.grid
    views = []
    # only the reference enlarges every image to fit the canvas
    if grid.padding == "center" and grid.max_upscale is None:
        canvas = _padded_first(image, layout, padding_color)
        if grid.global_view:
            small = Image.fromarray(canvas).resize((grid.view_width, grid.view_height), RESIZE)
            views.append(np.asarray(small))
    else:
        box = layout.content()
        content = _resized(image, (box[2] - box[0], box[3] - box[1]))
        if grid.global_view:
            source = min(image, content, key=lambda picture: picture.width * picture.height)
            views.append(_global_view(source, layout, padding_color))
        canvas = _scaled_first(content, layout, padding_color)
    for number, kept in enumerate(layout.kept):
        if kept:
            x1, y1, x2, y2 = layout.cell(number)
            views.append(canvas[y1:y2, x1:x2])
    return np.stack(views).transpose(0, 3, 1, 2)


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, RESIZE)


def _scaled_first(content: Image.Image, layout: Layout, padding_color: Sequence[int]) -> np.ndarray:
    """Return the canvas with the scaled image pasted into it, so that no padding blends into the image's edge."""
    grid = layout.grid
    # the canvas ends with the last sub-image that the image touches, or that is kept though it is padding only
    ends = [layout.cell(number)[3] for number, kept in enumerate(layout.kept) if kept]
    depth = max(-(-layout.content()[3] // grid.view_height) * grid.view_height, *ends, 0)
    return _laid_out(content, layout.content()[:2], (grid.canvas, depth), padding_color)


def _global_view(image: Image.Image, layout: Layout, padding_color: Sequence[int]) -> np.ndarray:
    """Return the whole canvas as one view, scaled from the image or, if smaller, from the canvas."""
    grid = layout.grid
    across, down = grid.view_width / grid.canvas, grid.view_height / grid.canvas
    left, top, right, bottom = layout.content()
    x1, y1 = math.floor(left * across), math.floor(top * down)
    x2, y2 = max(math.ceil(right * across), x1 + 1), max(math.ceil(bottom * down), y1 + 1)
    return _laid_out(_resized(image, (x2 - x1, y2 - y1)), (x1, y1), (grid.view_width, grid.view_height), padding_color)


def _laid_out(
    content: Image.Image, place: tuple[int, int], size: tuple[int, int], padding_color: Sequence[int]
) -> np.ndarray:
    """Return an image pasted on a background of the padding's colour; `size` is the background's (width, height)."""
    ground = np.full((size[1], size[0], 3), padding_color[0], np.uint8)
    if len(set(padding_color)) > 1:
        ground[:] = padding_color
    left, top = place
    ground[top : top + content.height, left : left + content.width] = np.asarray(content)
    return ground


def _padded_first(image: Image.Image, layout: Layout, padding_color: Sequence[int]) -> np.ndarray:
    """Return the canvas as the reference makes it: the image pasted into its square, and that square scaled.

    It is scaled horizontally, then vertically, strip by strip, as Pillow does internally: the bytes are the same, but
    the square of a long thin image is never held in memory.

    Raises:
        ImageError: Even the half-scaled square would be too large.
    """
    side, canvas = int(layout.side), layout.grid.canvas
    if side * canvas > MAX_PIXELS:
        raise ImageError(f"an image of {image.width} x {image.height} pixels is too long to be padded to a square")
    color, rows = tuple(padding_color), max(1, min(side, STRIP_PIXELS // side))
    half = Image.new("RGB", (canvas, side), color)
    for above in range(0, side, rows):
        strip = Image.new("RGB", (side, min(rows, side - above)), color)
        strip.paste(image, (int(layout.left), int(layout.top) - above))
        half.paste(strip.resize((canvas, strip.height), RESIZE), (0, above))
    return np.asarray(half.resize((canvas, canvas), RESIZE))


def boxes_of(layouts: Sequence[Layout]) -> np.ndarray:
    """Return the boxes of the lines of all images, (L, 4) float32, relative to each image's padded square."""
    return np.array([box for layout in layouts for box in layout.line_boxes], np.float32).reshape(-1, 4)


def read_lines(layouts: Iterable[Layout], images: Iterable[Image.Image], reader: LineReader | None) -> list[Layout]:
    """Return layouts with the lines of their images; without a reader, as they are."""
    if reader is None:
        return list(layouts)
    return [layout.with_lines(reader.read(image)) for layout, image in zip(layouts, images, strict=True)]


class SphinxXImagesKwargs(ImagesKwargs, total=False):
    """Options of the image processor.

    Attributes:
        views: The fields of a `ViewGrid`.
        padding_color: RGB of the padding, 0 to 255.
        lines: The fields of a `LineReader` without its folder, for a member that reads lines.
    """

    views: dict[str, Any]
    padding_color: tuple[int, int, int]
    lines: dict[str, Any] | None


class SphinxXImageProcessor(NamesItsPackage, PilBackend):
    """Turns images into `pixel_values` (V, 3, H, W), float32 from 0 to 1, and `num_image_patches`, each image's views.

    For a member that reads lines, `line_boxes` (L, 4) are the places of all images' lines as well.
    All images are opened by `open_image`, so that their pixels are those of `chat` and of training. The experts
    normalise their own inputs, so nothing is normalised here.
    """

    auto_classes = {"AutoImageProcessor": "SphinxXImageProcessor"}  # noqa: RUF012 (a class default)
    valid_kwargs = SphinxXImagesKwargs
    model_input_names = ["pixel_values"]  # noqa: RUF012
    do_convert_rgb = True
    do_resize = False
    do_rescale = False
    do_normalize = False
    views: dict[str, Any] = {}  # noqa: RUF012 (a class default, as the library reads them)
    padding_color: tuple[int, int, int] = WHITE
    lines: dict[str, Any] | None = None

    def grid(self) -> ViewGrid:
        """Return the views as a typed object."""
        return ViewGrid(**self.views)

    def line_reader(self) -> LineReader | None:
        """Return how the lines of an image are read, or None for a member that reads none."""
        return None if self.lines is None else LineReader(**self.lines)

    def layout(self, image: Image.Image) -> Layout:
        """Return where an image lies on the canvas, which sub-images it keeps, and which lines the member reads."""
        return read_lines([plan_views(image.width, image.height, self.grid())], [image], self.line_reader())[0]

    def layout_of(self, source: Source) -> Layout:
        """Return the layout of an image anywhere; it is decoded only for a member that reads lines.

        Raises:
            ImageError: The image is missing or is not one.
        """
        if self.lines is None:
            return plan_views(*picture_size(source), self.grid())
        return self.layout(open_image(source))

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """Open images with `open_image`; the library would make 16-bit grey white and transparent pixels black."""
        return open_images(image_url_or_urls)

    def _validate_preprocess_kwargs(self, **kwargs: Any) -> None:
        for name, value in FIXED.items():
            if kwargs.get(name) not in (None, value):
                raise ImageError(f"{name}: must be left out or {value}; views are made as the model's grid says")
        super()._validate_preprocess_kwargs(**kwargs)

    def _prepare_image_like_inputs(
        self, images: Any, *_: Any, input_data_format: Any = None, **__: Any
    ) -> list[Image.Image]:
        return flat(open_images(images, input_data_format))

    def _preprocess(
        self,
        images: list[Image.Image],
        views: dict[str, Any],
        padding_color: tuple[int, int, int],
        lines: dict[str, Any] | None = None,
        return_tensors: Any = None,
        **_: Any,
    ) -> BatchFeature:
        if not images:
            raise ImageError("there is no image in the list")
        grid = ViewGrid(**views)
        layouts = [plan_views(image.width, image.height, grid) for image in images]
        layouts = read_lines(layouts, images, None if lines is None else LineReader(**lines))
        pixels = [
            render_views(image, layout, tuple(padding_color)) for image, layout in zip(images, layouts, strict=True)
        ]
        data = {
            "pixel_values": np.concatenate(pixels).astype(np.float32) / 255,
            "num_image_patches": [layout.views for layout in layouts],
            "layouts": layouts,
        }
        if lines is not None:
            data["line_boxes"] = boxes_of(layouts)
        return BatchFeature(data, tensor_type=return_tensors, skip_tensor_conversion=["layouts"])


class SphinxXProcessor(NamesItsPackage, ProcessorMixin):
    """Turns text with `<image>` placeholders, and images, into ids, attention mask and pixel values.

    Args:
        image_processor: The image processor.
        tokenizer: The tokenizer.
        tokens_per_view: Number of embedding slots of a view.
        box_decimals: Number of decimals of boxes in text.
        template: A name in `sphinx_x.model.prompt.TEMPLATES`, or the fields of a `Template`.
    """

    auto_classes = {"AutoProcessor": "SphinxXProcessor"}  # noqa: RUF012 (a class default)
    image_processor: SphinxXImageProcessor

    def __init__(
        self,
        image_processor: SphinxXImageProcessor | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        tokens_per_view: int = 257,
        box_decimals: int = 2,
        template: str | dict[str, Any] = "sphinx",
        chat_template: str | None = None,
        **_: Any,
    ) -> None:
        assert image_processor is not None and tokenizer is not None
        self.tokens_per_view, self.box_decimals, self.template = tokens_per_view, box_decimals, template
        tokens = image_tokens(tokenizer, image_processor.lines is not None)
        self.image_token, self.image_token_id = str(tokenizer.convert_ids_to_tokens(tokens.slot)), tokens.slot
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    def __call__(self, images: Any = None, text: Any = None, **kwargs: Any) -> BatchFeature:
        """Process texts and images as the library's processors do.

        A text that begins with the tokenizer's first token (from a chat template) does not get a second one.

        Args:
            images: One image, a list for all texts together, or a list of lists, one for each text; each is anything
                `open_image` takes. An empty list means none.
            text: One text or a list.
            kwargs: As for the library's processors.

        Raises:
            ImageError: An image cannot be read.
            PromptError: A text has another number of placeholders than images.
        """
        bos, texts = self.tokenizer.bos_token, [text] if isinstance(text, str) else list(text or [])
        if images is not None:
            images = self._opened(images, texts, kwargs)
        if bos and texts and all(isinstance(t, str) and t.startswith(bos) for t in texts):
            kwargs.setdefault("add_special_tokens", False)
        return super().__call__(images=images, text=text, **kwargs)

    def _opened(self, images: Any, texts: list[Any], kwargs: dict[str, Any]) -> list[Image.Image] | None:
        """Return the images in one list, in the order of the texts, or None if there are none."""
        own = kwargs.get("images_kwargs") or {}
        channels = kwargs.pop("input_data_format", None) or own.get("input_data_format")
        opened = open_images(images, channels)
        if not all(isinstance(text, str) for text in texts):
            return flat(opened) or None  # the library reports what is wrong with the text
        counts = [text.count(self.image_token) for text in texts]
        return (by_row(opened, counts) if texts else flat(opened)) or None

    def prompt_builder(self) -> PromptBuilder:
        """Return the builder that encodes conversations for this member."""
        return PromptBuilder(
            self.tokenizer,
            find_template(self.template),
            self._tokens(),
            self.tokens_per_view,
            self.box_decimals,
        )

    def _tokens(self) -> ImageTokens:
        return image_tokens(self.tokenizer, self.image_processor.lines is not None)

    @property
    def unused_input_names(self) -> list[str]:
        """Names of the image processor's outputs that are not inputs of the model."""
        return ["num_image_patches", "layouts"]

    def replace_image_token(self, image_inputs: dict[str, Any], image_idx: int, **_: Any) -> str:
        """Return one image's ids as text, which the library puts in place of a placeholder."""
        layout, tokens = image_inputs["layouts"][image_idx], self._tokens()
        text = "".join(self.tokenizer.convert_ids_to_tokens(view_ids(layout, tokens, self.tokens_per_view)))
        if not layout.lines:
            return text
        line, end = map(str, self.tokenizer.convert_ids_to_tokens([tokens.line, tokens.end]))
        said = [one.said for one in layout.lines]
        # `PromptBuilder` keeps such text apart; the library would take it for the token itself
        bad = next((name for name in self.tokenizer.all_special_tokens if any(name in one for one in said)), None)
        if bad:
            raise PromptError(f"the image shows the text {bad}, which the library cannot tell from the token")
        return text + "".join(line + one for one in said) + end

    def _get_num_multimodal_tokens(self, image_sizes: list[tuple[int, int]] | None = None, **_: Any) -> MultiModalData:
        """Return the numbers of ids and views of images of these (height, width), for vLLM."""
        if image_sizes is None:
            return MultiModalData()
        if self.image_processor.lines is not None:
            raise UnsupportedError("this member reads lines: how many tokens an image has is not known from its size")
        layouts = [plan_views(width, height, self.image_processor.grid()) for height, width in image_sizes]
        tokens = image_tokens(self.tokenizer)
        return MultiModalData(
            num_image_tokens=[len(view_ids(layout, tokens, self.tokens_per_view)) for layout in layouts],
            num_image_patches=[layout.views for layout in layouts],
        )


def build_processor(
    tokenizer: PreTrainedTokenizerBase,
    views: ViewGrid,
    tokens_per_view: int,
    template: str | dict[str, Any],
    box_decimals: int = 2,
    padding_color: tuple[int, int, int] = WHITE,
    lines: dict[str, Any] | None = None,
) -> SphinxXProcessor:
    """Build a processor around a tokenizer that has the image tokens; for the arguments see `SphinxXProcessor`."""
    return SphinxXProcessor(
        SphinxXImageProcessor(views=asdict(views), padding_color=padding_color, lines=lines),  # pyright: ignore[reportCallIssue]
        tokenizer,
        tokens_per_view=tokens_per_view,
        box_decimals=box_decimals,
        template=template,
        chat_template=chat_template(find_template(template)),
    )


AutoProcessor.register(SphinxXConfig, SphinxXProcessor, exist_ok=True)
AutoImageProcessor.register(SphinxXConfig, image_processor_classes={"pil": SphinxXImageProcessor}, exist_ok=True)
