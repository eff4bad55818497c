"""Seconds to the first token: of a first turn about an image, of the next turn, and of another question about it.

    python benchmarks/second_turn.py tiny     # its true shape in bfloat16, with made-up weights: 6.3 GB
    python benchmarks/second_turn.py nano     # whose weights are in the package

All are measured in one run, with and without what `SphinxX` remembers. The ids of a made-up member mean nothing, so
they are not compared here; tests/inference compares them.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import torch
from PIL import Image

from sphinx_x import SphinxX
from sphinx_x.family import get_member, new_processor
from sphinx_x.inference import Answer
from sphinx_x.model.tokenizer import byte_tokenizer, image_tokens

TURNS = ("What is in this picture?", "And what is left of it?", "Which colour does it have?")
LONGEST = 8


def made_up_member(name: str) -> SphinxX:
    """The member with made-up weights and a tokenizer of bytes."""
    from true_shape import made_up

    tokenizer = byte_tokenizer()
    model = made_up(name, image_tokens(tokenizer))
    # what a tokenizer of bytes cannot say is never said
    unknown = list(range(len(tokenizer), model.config.text_config.vocab_size))
    model.generation_config.suppress_tokens = unknown  # pyright: ignore[reportAttributeAccessIssue]
    return SphinxX(model.eval(), new_processor(get_member(name), tokenizer, model.config.tokens_per_view))


def photo(size: tuple[int, int], seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def first_token(answer: Answer) -> float:
    return answer.encode_seconds + answer.prefill_seconds


def told(answer: Answer) -> dict[str, float]:
    names = ("prompt_tokens", "remembered_tokens", "encoded_images", "encode_seconds", "prefill_seconds")
    return {name: round(getattr(answer, name), 4) for name in names} | {"first_token": round(first_token(answer), 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("member", nargs="?", default="tiny")
    parser.add_argument("--forget", action="store_true", help="also without what is remembered (the first way again)")
    options = parser.parse_args()
    nano = options.member == "nano"
    sphinx = SphinxX.load("nano") if nano else made_up_member(options.member)
    sphinx.model.config.abilities = None  # Nano takes one question; here it is asked on
    size = (500, 24) if nano else (1000, 1000)
    sphinx.answer(TURNS[0], photo(size, 0), max_new_tokens=2)  # what is only done once
    sphinx.features.kept.clear()
    sphinx.prefixes.kept.clear()
    found: dict[str, dict[str, float]] = {}
    session, picture = sphinx.session(), photo(size, 1)
    for number, question in enumerate(TURNS, 1):
        found[f"turn {number}"] = told(session.answer(question, picture, max_new_tokens=LONGEST))
        picture = None
    found["same image, new chat"] = told(sphinx.answer("Name it.", photo(size, 1), max_new_tokens=LONGEST))
    if options.forget:
        forgetful = SphinxX(sphinx.model, sphinx.processor, cache_bytes=0, prefix_bytes=0)
        session, picture = forgetful.session(), photo(size, 1)
        for number, question in enumerate(TURNS[:2], 1):
            found[f"turn {number}, nothing remembered"] = told(
                session.answer(question, picture, max_new_tokens=LONGEST)
            )
            picture = None
    first = found["turn 1"]["first_token"]
    for name, row in found.items():
        print(f"{name:32} {json.dumps(row)} {first / row['first_token']:.1f} times as fast as turn 1", flush=True)
    print(f"{torch.get_num_threads()} thread(s)")


if __name__ == "__main__":
    main()
