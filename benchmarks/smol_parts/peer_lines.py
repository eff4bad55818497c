"""What a model answers when something of what it sees is taken away, without any training.

`without` names visual experts by their kind (`efficientnet`, `dinov2`: their features are zeros), `views` (no visual
tokens at all), `lines` (nothing that was read), `objects` (none that a detector names) and `boxes` (no places).
Views, objects and boxes together are a peer: the same language model with the same adapters, fed RapidOCR's text alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from sphinx_x.conversation import Message
from sphinx_x.errors import SphinxXError
from sphinx_x.images import Source
from sphinx_x.inference import Prompt, SphinxX
from sphinx_x.model.views import Layout

SWITCHES = ("views", "lines", "objects", "boxes")
TEXT_ALONE = ("views", "objects", "boxes")


def experts_of(model: Any) -> list[tuple[str, torch.nn.Module]]:
    """Return a model's visual experts with their kinds."""
    groups = model.model.vision.groups
    return [(type(expert).config_class.kind, expert) for group in groups for expert in group.experts]


class Without(SphinxX):
    """A loaded model from which something is taken away."""

    def __init__(self, sphinx: SphinxX, without: Sequence[str]) -> None:
        known = (*SWITCHES, *(kind for kind, _ in experts_of(sphinx.model)))
        for name in without:
            if name not in known:
                raise SphinxXError(f"--without {name}: there are {', '.join(known)}")
        # what is remembered of prompts does not know what was taken away
        super().__init__(sphinx.model, sphinx.processor, prefix_bytes=0)
        self.without = frozenset(without)

    def prompt(self, messages: Sequence[Message], images: Sequence[Source], answer_begins: str = "") -> Prompt:
        """Build a prompt without views, lines or objects, if they are taken away."""
        if not images or not self.without & {"views", "lines", "objects"}:
            return super().prompt(messages, images, answer_begins)
        layouts = [self._less(self.processor.image_processor.layout_of(image)) for image in images]
        encoded = self._builder.encode(messages, layouts, answer_next=True, answer_begins=answer_begins)
        text = self._builder.written(messages, layouts, answer_begins)
        color, length = self.processor.image_processor.padding_color, self.processor.tokens_per_view
        shown = [] if "views" in self.without else list(images)
        return Prompt(encoded.ids, shown, layouts, self._grid, color, length, text, encoded.images)

    def _less(self, layout: Layout) -> Layout:
        kinds = {kind for kind, name in ((False, "lines"), (True, "objects")) if name not in self.without}
        layout = replace(layout, lines=tuple(line for line in layout.lines if line.is_object in kinds))
        if "views" in self.without:
            layout = replace(layout, grid=replace(layout.grid, global_view=False), kept=())
        return layout

    @contextmanager
    def zeroed(self, *_: object) -> Iterator[None]:
        """Let experts, or places of lines, give zeros, as long as the context lasts."""
        modules = [expert for kind, expert in experts_of(self.model) if kind in self.without]
        modules += [self.model.model.line_places] if "boxes" in self.without else []
        hooks = [module.register_forward_hook(_zeros) for module in modules if module is not None]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _zeros(module: torch.nn.Module, inputs: Any, output: Any) -> Any:
    if isinstance(output, tuple):
        return tuple(None if one is None else torch.zeros_like(one) for one in output)
    return torch.zeros_like(output)
