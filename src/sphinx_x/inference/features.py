"""What the visual experts make of images, remembered by what the images show.

The key is made of the decoded pixels, of how views are made of them, and of the weights that look at them: a file's
name, format or date is no part of it. A failure is never remembered.

Shapes: V kept views of one image, N slots of a view, D width of the LLM.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from sphinx_x.inference.bounded import Bounded
from sphinx_x.inference.prompts import Prompt

if TYPE_CHECKING:
    from sphinx_x.model.modeling import SphinxXForConditionalGeneration

CACHE_BYTES = 256 * 2**20
"""Default size of the cache of features."""


def weights_key(module: nn.Module) -> bytes:
    """Return what identifies the weights of this very object: they are others once one is replaced or changed.

    In-place changes count as well (an optimiser's step, `load_state_dict`), and so does which adapters are in use. What
    goes around PyTorch's own count (`.data`, NumPy, hooks) does not: `SphinxX.forget` is for that.
    """
    said = hashlib.sha256()
    for part in module.modules():
        own = vars(part)
        if "_disable_adapters" in own:  # PEFT switches adapters by these alone
            said.update(repr((own["_disable_adapters"], own.get("_active_adapter"))).encode())
    for tensor in [*module.parameters(), *module.buffers()]:
        version = -1 if tensor.is_inference() else tensor._version  # the former has no count
        said.update(f"{tensor.data_ptr()} {version} {tensor.dtype} {tensor.device} {tuple(tensor.shape)};".encode())
    return said.digest()


@dataclass
class Look:
    """One image of a prompt as the model takes it.

    Attributes:
        key: What was seen and by which weights.
        pixels: Digest of the pixels and of how views are made of them.
        features: Features (V, N, D), if they are remembered.
        views: Otherwise the views (V, 3, H, W) uint8.
    """

    key: bytes
    pixels: bytes
    features: torch.Tensor | None
    views: torch.Tensor | None


class Features:
    """The features of images, from the experts or from memory.

    Attributes:
        kept: The remembered features (V, N, D).
    """

    def __init__(self, model: SphinxXForConditionalGeneration, most_bytes: int = CACHE_BYTES) -> None:
        self._model = model
        self.kept: Bounded[torch.Tensor] = Bounded(most_bytes, lambda features: features.untyped_storage().nbytes())

    def look(self, prompts: Sequence[Prompt]) -> list[Look]:
        """Open the images of prompts one by one, in order, and make views of those whose features are not known.

        Raises:
            ImageError: An image cannot be read.
        """
        seen: list[Look] = []
        if not any(prompt.images for prompt in prompts):
            return seen
        by_whom, made = self._experts_key(), {}
        for prompt in prompts:
            for picture in prompt.pictures():
                pixels = picture.digest()
                key = hashlib.sha256(by_whom + pixels).digest()
                features = self.kept.get(key)
                if features is None and key not in made:
                    made[key] = picture.views()
                seen.append(Look(key, pixels, features, made.get(key)))
        return seen

    def of(self, seen: Sequence[Look], device: torch.device) -> torch.Tensor | None:
        """Return the features (V, N, D) of the views of all these images, or None without images.

        All images that are not known are encoded together, each once.

        Args:
            seen: The images.
            device: Where the experts take their inputs.
        """
        if not seen:
            return None
        known = {one.key: one.features for one in seen if one.features is not None}
        known |= self.encode([one for one in seen if one.features is None], device)
        return torch.cat([known[one.key] for one in seen])

    def encode(self, seen: Sequence[Look], device: torch.device) -> dict[bytes, torch.Tensor]:
        """Encode images that are not known, all together and each once, and remember what comes of it.

        Args:
            seen: The images, with views.
            device: Where the experts take their inputs.

        Returns:
            Features (V, N, D) by the images' keys.
        """
        unknown = {one.key: one.views for one in seen if one.views is not None}
        if not unknown:
            return {}
        views = torch.cat(list(unknown.values())).to(device).float().div_(255)
        encoded = self._model.get_image_features(views, return_dict=True).pooler_output
        parts = encoded.split([len(views) for views in unknown.values()])
        # a part alone, as otherwise all of them would stay in memory with it
        made = dict(zip(unknown, [part.clone() for part in parts] if len(parts) > 1 else parts, strict=True))
        for key, features in made.items():
            self.kept.put(key, features)
        return made

    def _experts_key(self) -> bytes:
        config = self._model.config
        groups = repr((config.groups, config.view_grid()))
        return weights_key(self._model.model.vision) + groups.encode()
