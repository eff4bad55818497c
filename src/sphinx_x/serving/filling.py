"""Prompts on their way into the cache: images are encoded and chunks of tokens processed, in pieces and in turn.

What is remembered of earlier requests (features of images, keys and values of first tokens) is not computed again. A
piece of work is done for who has waited longest for one, and for others along with it where that costs little more.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from transformers import DynamicCache

from sphinx_x.inference import SphinxX
from sphinx_x.inference.features import Features, Look
from sphinx_x.inference.prefix import Prefixes, unheld
from sphinx_x.serving.faults import Faults
from sphinx_x.serving.jobs import Progress
from sphinx_x.serving.metrics import Metrics
from sphinx_x.serving.rows import copied
from sphinx_x.serving.settings import Settings

VIEWS = 8
"""Number of views that are encoded together; more only where one image has more."""


class Filling:
    """The prompts that are being processed.

    Attributes:
        features: What is remembered of images.
        prefixes: What is remembered of prompts.
        prompts: The prompts, the one that has waited longest first.
    """

    def __init__(self, sphinx: SphinxX, settings: Settings, metrics: Metrics, faults: Faults, share: bool) -> None:
        self._model, self._settings = sphinx.model, settings
        self._metrics, self._faults, self._share = metrics, faults, share
        self.features = Features(sphinx.model, settings.cache_bytes)
        self.prefixes = Prefixes(sphinx.model, settings.prefix_bytes)
        self.prompts: deque[Progress] = deque()

    def add(self, progress: Progress) -> None:
        """Take on a prompt, and see what of it is remembered."""
        job, images = progress.job, progress.job.images
        job.images = []
        if self.prefixes.refusal is None:
            start = progress.start = self.prefixes.begin(job.tokens)
            progress.cache, progress.done, job.cached = start.cache, start.held, start.held
            self._metrics.cache("prefix", start.held > 0)
            ends = [first + length for first, length, _ in job.tokens.images]
            images = [image for image, end in zip(images, ends, strict=True) if end > start.held]
        else:
            # of whole length where it is copied into a row; else as the library keeps it for this model
            progress.cache = DynamicCache() if self._share else DynamicCache(config=self._model.config)
        progress.looks, progress.places = images, self._places(progress)
        for look in images:
            self._know(look)
            if look.features is not None:
                self._metrics.cache("features", True)
        self.prompts.append(progress)

    def work(self) -> list[tuple[Progress, Tensor | Exception]]:
        """Do one piece of work; return the prompts that are ready, with their logits (vocabulary,), or have failed."""
        first = self.prompts[0]
        if any(self._know(look) is None for look in first.looks):
            return self._encode()
        return self._process(first)

    def _know(self, look: Look) -> Tensor | None:
        """Return the features of an image, which another request may have brought since it was looked at."""
        if look.features is None:
            look.features = self.features.kept.get(look.key)
        return look.features

    def _places(self, progress: Progress) -> Tensor | None:
        """Return what is added to the tokens (L, D) of a prompt's lines that are not in the cache yet."""
        boxes, token = progress.job.line_boxes, self._model.config.line_token_id
        if boxes is None or token is None:
            return None
        rest = progress.job.ids[progress.done :].count(token)
        return self._model.model.places(boxes[len(boxes) - rest :].to(self._model.device)) if rest else None

    def drop(self, progress: Progress) -> None:
        """Give a prompt up."""
        self.prompts.remove(progress)

    # --- images

    def _encode(self) -> list[tuple[Progress, Tensor | Exception]]:
        """Encode the next image of the first prompt, and next ones of others as far as there is room for views."""
        began, looks, model = time.monotonic(), self._next_looks(), self._model

        def encode(some: Sequence[Look]) -> list[Tensor]:
            made = self.features.encode(some, model.device)
            return [made[look.key] for look in some]

        keys = [look.key for look in looks]
        made = dict(zip(keys, self._faults.apart("encode", looks, encode), strict=True))
        seconds, failed, new = time.monotonic() - began, [], set(keys)
        for progress in list(self.prompts):
            mine = [look for look in progress.looks if look.features is None and look.key in made]
            for look in mine:
                found = made[look.key]
                if isinstance(found, Exception):
                    self.prompts.remove(progress)
                    failed.append((progress, found))
                    break
                look.features, look.views = found, None
                self._metrics.cache("features", look.key not in new)
                new.discard(look.key)
            else:
                if mine:
                    progress.job.seconds.encode += seconds
                    self._wait(progress)
        return failed

    def _next_looks(self) -> list[Look]:
        """Return the images to be encoded next, each once: the next one of each prompt, then those after them."""
        each = [[look for look in progress.looks if self._know(look) is None] for progress in self.prompts]
        chosen: dict[bytes, Look] = {}
        views = 0
        for look in (look for turn in itertools.zip_longest(*each) for look in turn if look is not None):
            if look.key in chosen:
                continue
            assert look.views is not None  # as its features were not known when it was looked at
            views += len(look.views)
            if chosen and (views > VIEWS or not self._settings.preparing):
                break
            chosen[look.key] = look
        return list(chosen.values())

    def _wait(self, progress: Progress) -> None:
        """Let a prompt wait behind all others."""
        self.prompts.remove(progress)
        self.prompts.append(progress)

    # --- tokens

    def _process(self, first: Progress) -> list[tuple[Progress, Tensor | Exception]]:
        """Process a chunk of the first prompt, or several short prompts that have a chunk's length together."""
        began, group = time.monotonic(), self._together(first)
        done = self._faults.apart("prefill", group, self._prefill)
        seconds, ready = time.monotonic() - began, []
        for progress, logits in zip(group, done, strict=True):
            progress.job.seconds.prefill += seconds
            if logits is None:
                self._wait(progress)
            else:
                self.prompts.remove(progress)
                ready.append((progress, logits))
        return ready

    def _together(self, first: Progress) -> list[Progress]:
        """Return the prompts whose first chunk, which is all of them, is processed with the first prompt's."""
        group, longest = [first], len(first.job.ids)
        if not (self._share and self._settings.preparing and first.done == 0):
            return group
        for progress in itertools.islice(self.prompts, 1, None):
            longest = max(longest, len(progress.job.ids))
            if longest * (len(group) + 1) > self._settings.chunk:
                break
            if progress.done == 0 and all(self._know(look) is not None for look in progress.looks):
                group.append(progress)
        return group

    def _prefill(self, group: Sequence[Progress]) -> Sequence[Tensor | None]:
        """Process the next chunk of a prompt, or several whole prompts; return the logits of those that are whole."""
        for progress in group:
            self._fill(progress)
        return self._whole(group) if len(group) > 1 else [self._chunk(group[0])]

    def _fill(self, progress: Progress) -> None:
        """Put the features of all images of a prompt, which are known by now, together in the order of their slots."""
        known = [look.features for look in progress.looks if look.features is not None]
        if known:
            slots = torch.tensor(progress.job.ids) == self._model.config.image_token_id
            features = unheld(torch.cat(known), slots, progress.done)
            progress.slots = None if features is None else features[0]
            progress.looks = []

    def _chunk(self, progress: Progress) -> Tensor | None:
        model, tokens, ids = self._model, self._model.config.image_tokens(), progress.job.ids
        first = progress.done
        last = min(len(ids), first + self._settings.chunk)
        chunk = torch.tensor([ids[first:last]], device=model.device)
        slots = ids[first:last].count(tokens.slot)
        lines = 0 if tokens.line is None else ids[first:last].count(tokens.line)
        features = places = None
        if progress.slots is not None:
            features = progress.slots[progress.filled : progress.filled + slots]
        if progress.places is not None:
            places = progress.places[progress.placed : progress.placed + lines]
        out = model(
            inputs_embeds=model.model.embed(chunk, features, places),
            past_key_values=progress.cache,
            position_ids=torch.arange(first, last, device=model.device)[None],
            use_cache=True,
            logits_to_keep=1,
        )
        progress.done = last
        progress.filled, progress.placed = progress.filled + slots, progress.placed + lines
        return out.logits[0, -1] if last == len(ids) else None

    def _whole(self, group: Sequence[Progress]) -> list[Tensor]:
        """Process whole prompts, filled up behind their ends: no token sees what comes after it."""
        model, lengths = self._model, [len(progress.job.ids) for progress in group]
        longest, cache = max(lengths), DynamicCache()
        # with its own last token, which is no slot of an image
        rows = [one.job.ids + one.job.ids[-1:] * (longest - len(one.job.ids)) for one in group]
        filled = [one.slots for one in group if one.slots is not None]
        placed = [one.places for one in group if one.places is not None]
        ends = sorted(set(lengths))
        out = model(
            inputs_embeds=model.model.embed(
                torch.tensor(rows, device=model.device),
                torch.cat(filled) if filled else None,
                torch.cat(placed) if placed else None,
            ),
            past_key_values=cache,
            position_ids=torch.arange(longest, device=model.device).expand(len(group), -1),
            use_cache=True,
            logits_to_keep=torch.tensor([end - 1 for end in ends], device=model.device),
        )
        for place, progress in enumerate(group):
            progress.cache, progress.place, progress.done = cache, place, lengths[place]
        return [out.logits[place, ends.index(length)] for place, length in enumerate(lengths)]

    # --- what is remembered

    def own_cache(self, progress: Progress) -> DynamicCache:
        """Return the keys and values of a processed prompt, in memory of its own where others share it."""
        cache = progress.cache
        alone = cache.layers[0].keys.shape[0] == 1
        return cache if alone else copied(cache.layers, progress.place, progress.done)

    def keep(self, progress: Progress, cache: DynamicCache) -> None:
        """Remember a prompt with its answer as far as a cache of its own holds them."""
        if progress.start is not None and self.prefixes.refusal is None:
            self.prefixes.keep(replace(progress.start, cache=cache), progress.ids)
