"""Members whose answers depend on what they see, and pictures of noise for them."""

from dataclasses import replace
from typing import Any

import PIL.Image
import torch

from sphinx_x.family import new_model
from sphinx_x.inference import SphinxX


def noise(width: int, height: int, seed: int = 0) -> PIL.Image.Image:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)
    return PIL.Image.fromarray(pixels.numpy())


def lively(member, seed: int = 1, **fields: Any) -> SphinxX:
    """A member with weights so large that what it says depends on what it sees."""
    model, processor = new_model(replace(member, llm={**member.llm, **fields}), seed=seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3)
    return SphinxX(model.eval(), processor)


def forgetful(sphinx: SphinxX) -> SphinxX:
    """The same model, which remembers nothing."""
    return SphinxX(sphinx.model, sphinx.processor, cache_bytes=0, prefix_bytes=0)


def new_memory(sphinx: SphinxX, **sizes: int) -> SphinxX:
    """The same model, which has seen nothing yet."""
    return SphinxX(sphinx.model, sphinx.processor, **sizes)


class Looks:
    """Counts the views that the experts of a model look at, within a `with`."""

    def __init__(self, sphinx: SphinxX) -> None:
        self.sphinx, self.calls, self.views = sphinx, 0, 0

    def __enter__(self) -> "Looks":
        def seen(_: Any, given: Any, __: Any) -> None:
            self.calls, self.views = self.calls + 1, self.views + len(given[0])

        self.hook = self.sphinx.model.model.vision.register_forward_hook(seen)
        return self

    def __exit__(self, *_: Any) -> None:
        self.hook.remove()
