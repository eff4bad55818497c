"""From the body of a request to a prompt for the engine; runs in a thread, as images are opened and rendered here."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass, replace

from sphinx_x.inference import Prompt, SphinxX
from sphinx_x.inference.features import Features, Look
from sphinx_x.inference.generation import DEFAULTS
from sphinx_x.inference.prefix import Tokens
from sphinx_x.inference.prompts import context_of
from sphinx_x.serving.limits import RefusedError, read_json
from sphinx_x.serving.media import open_images, read_bytes
from sphinx_x.serving.requests import Asked, read_request
from sphinx_x.serving.sampling import Sampling
from sphinx_x.serving.settings import Settings

DECODING = threading.BoundedSemaphore(2)
"""The images of so many requests are opened at once, as that takes memory; they are fetched without it."""


@dataclass(frozen=True)
class Prepared:
    """A request that can be answered.

    Attributes:
        asked: What the request says.
        prompt: The prompt; its images are not kept.
        tokens: Its tokens with what its images show.
        looks: The images as the model takes them.
        sampling: How the answer is generated, with a number of tokens that fits.
    """

    asked: Asked
    prompt: Prompt
    tokens: Tokens
    looks: list[Look]
    sampling: Sampling


def prepare(sphinx: SphinxX, features: Features, body: bytes, settings: Settings) -> Prepared:
    """Read a request and its images, and build the prompt.

    Args:
        sphinx: The model.
        features: What is remembered of images; of those that it does not know, views are made.
        body: The body of the request.
        settings: The limits.

    Raises:
        RefusedError: The request is wrong, or beyond a limit.
        PromptError: The member does not take such a conversation.
        ImageError: An image cannot be read.
    """
    asked = read_request(read_json(body, settings.depth), settings)
    contents = [read_bytes(image.url, settings) for image in asked.images]
    questions = sum(message.role == "user" for message in asked.messages)
    with DECODING if contents else nullcontext():
        images = open_images(contents, [image.page for image in asked.images], settings)
        sphinx.check([image.size for image in images], questions)
        prompt = sphinx.prompt(asked.messages, images)
        most = min(DEFAULTS["max_new_tokens"], settings.answer_tokens)
        sampling = replace(asked.sampling, max_tokens=_tokens(sphinx, prompt, asked.sampling.max_tokens, most))
        looks = features.look([prompt])
    tokens = Tokens.of(prompt, [look.pixels for look in looks])
    return Prepared(asked, replace(prompt, images=[]), tokens, looks, sampling)


def _tokens(sphinx: SphinxX, prompt: Prompt, wanted: int, most: int) -> int:
    """Return how many tokens the answer may have: as asked for, or `most`, within the model's context."""
    context = context_of(sphinx.model)
    room = most + wanted if context is None else context - len(prompt.ids)
    if room < max(wanted, 1):
        what = f"{len(prompt.ids)} tokens of the prompt and {max(wanted, 1)} of the answer"
        raise RefusedError(f"messages: {what} are more than the model's {context}", code="context_length_exceeded")
    return wanted or min(most, room)
