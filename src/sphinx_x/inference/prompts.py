"""`Prompt`: one conversation with its images, as the model takes it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import PIL.Image
import torch

from sphinx_x.errors import ImageError, PromptError
from sphinx_x.images import Source, open_image
from sphinx_x.model.processing import boxes_of, render_views
from sphinx_x.model.views import Layout, ViewGrid


@dataclass(frozen=True)
class Picture:
    """One image of a prompt, opened.

    Attributes:
        image: The image.
        layout: Where it lies on the canvas.
        padding_color: Colour of the canvas around it.
    """

    image: PIL.Image.Image
    layout: Layout
    padding_color: Sequence[int]

    def digest(self) -> bytes:
        """Return the SHA-256 of the pixels, of everything that views depend on besides, and of the lines."""
        said = hashlib.sha256(repr((self.image.size, self.layout.grid, tuple(self.padding_color))).encode())
        said.update(self.image.tobytes())
        # a member that reads none has none here, and the digest that it always had
        said.update(repr(self.layout.lines).encode() if self.layout.lines else b"")
        return said.digest()

    def views(self) -> torch.Tensor:
        """Return the kept views (V, 3, H, W) uint8."""
        return torch.from_numpy(render_views(self.image, self.layout, self.padding_color))


@dataclass
class Prompt:
    """One conversation, ready for the model.

    Pixels are read each time `views` is accessed, and are not kept.

    Attributes:
        ids: Token ids (T,), in which every image already has its slots.
        images: The images, as the caller gave them.
        layouts: Where each image lies on its canvas.
        grid: The model's canvas and sub-images.
        padding_color: Colour of the canvas around an image, RGB from 0 to 255.
        tokens_per_view: Visual tokens of one view, without its start and end tokens.
        text: The prompt as text (see `PromptBuilder.written`).
        places: For each image, its first id and the number of its ids; empty without ids.
        question: What the last message says.
    """

    ids: list[int]
    images: list[Source]
    layouts: list[Layout]
    grid: ViewGrid
    padding_color: Sequence[int]
    tokens_per_view: int
    text: str = ""
    places: Sequence[tuple[int, int]] = ()
    question: str = ""

    def pictures(self) -> Iterator[Picture]:
        """Open the images anew, one by one.

        Raises:
            ImageError: A fault that only decoding shows: the file is truncated, or has changed since its size was read.
        """
        for source, layout in zip(self.images, self.layouts, strict=True):
            image = open_image(source)
            if image.size != (layout.width, layout.height):
                size = f"{layout.width} x {layout.height}"
                raise ImageError(f"a picture of {size} pixels has {image.width} x {image.height} when it is opened")
            yield Picture(image, layout, self.padding_color)

    @property
    def views(self) -> torch.Tensor:
        """The kept views (V, 3, H, W) uint8, opened and rendered anew on each access (see `pictures`)."""
        none = torch.empty(0, 3, self.grid.view_height, self.grid.view_width, dtype=torch.uint8)
        return torch.cat([none, *(picture.views() for picture in self.pictures())])

    @property
    def image_tokens(self) -> list[int]:
        """Number of tokens that each image takes, skip tokens and lines included; without ids, its views alone."""
        if self.places:
            return [length for _, length in self.places]
        return [layout.views * (self.tokens_per_view + 2) + layout.skip_tokens for layout in self.layouts]

    @property
    def line_boxes(self) -> torch.Tensor:
        """Boxes (L, 4) of the lines of all images, relative to each image's padded square."""
        return torch.from_numpy(boxes_of(self.layouts))

    @property
    def visual_tokens(self) -> int:
        """Number of tokens that the images take, skip tokens included."""
        return sum(self.image_tokens)

    @property
    def unskipped_tokens(self) -> int:
        """Number of tokens that the images would take if no sub-image were skipped."""
        # a view in place of each skip token
        views = sum(layout.skipped for layout in self.layouts) * (self.tokens_per_view + 2)
        return self.visual_tokens + views - sum(layout.skip_tokens for layout in self.layouts)

    @property
    def width(self) -> int:
        """Total width of the images on their canvases, in pixels."""
        return sum(layout.content()[2] for layout in self.layouts)


def context_of(model: Any) -> int | None:
    """Return how many tokens a model's context holds, where it declares that."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def check_context(context: int | None, prompt: Prompt) -> None:
    """Check that a context has room for a prompt and a token of an answer.

    Raises:
        PromptError: It has not.
    """
    if context is not None and len(prompt.ids) >= context:
        what = f"this conversation has {len(prompt.ids)} tokens, {prompt.visual_tokens} of them of images"
        raise PromptError(f"{what}: more than the model's context of {context}")
