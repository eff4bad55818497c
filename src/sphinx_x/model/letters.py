"""Single tokens for letters that take several tokens of a byte vocabulary.

A model that reads letter by letter loses its place where one letter takes two or three steps. The new rows of the
embedding table start as those of the plain letter that looks similar (an e for an e with an accent), so that a model
that can read the one has little to learn for the other.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import torch
from tokenizers import Tokenizer, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerBase

LIKE = {
    **dict.fromkeys("‘’‚′", "'"),
    **dict.fromkeys("“”„″", '"'),
    **dict.fromkeys("–—−", "-"),
    **{"•": "*", "·": ".", "«": "<", "»": ">", "©": "c", "€": "E", "§": "S", "°": "o"},
    **{"ß": "B", "ø": "o", "Ø": "O", "æ": "a", "Æ": "A", "œ": "o", "Œ": "O", "ł": "l", "Ł": "L", "đ": "d", "ı": "i"},
}
"""Plain letters for letters that have no decomposition."""


def add_letters(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, letters: str) -> None:
    """Give each of `letters` a single token; letters that have one already stay as they are.

    Raises:
        ValueError: The tokenizer is not a byte-level BPE, or its ids do not end with the embedding table.
    """
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    kind = json.loads(backend.to_str()) if backend is not None else {}
    if backend is None or kind["model"]["type"] != "BPE" or "ByteLevel" not in json.dumps(kind.get("pre_tokenizer")):
        raise ValueError("letters can be added to a byte vocabulary only")
    table: Any = model.get_input_embeddings()
    rows = len(table.weight)
    if max(tokenizer.get_vocab().values()) + 1 != rows:
        raise ValueError(f"the vocabulary ends at {max(tokenizer.get_vocab().values()) + 1}, the table has {rows} rows")
    vocabulary: dict[str, int] = kind["model"]["vocab"]
    merges: list[list[str]] = kind["model"]["merges"]
    alike = {letter: _encoded(tokenizer, _plain(letter)) for letter in letters}
    begun: list[list[int]] = []
    for letter in letters:
        written = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(letter)[0][0]
        for end in range(2, len(written) + 1):  # three bytes are merged in two steps
            if written[:end] not in vocabulary:
                vocabulary[written[:end]] = rows + len(begun)
                merges.append([written[: end - 1], written[end - 1]])
                begun.append(alike[letter])
    backend.model = Tokenizer.from_str(json.dumps(kind)).model  # with its other settings as they were
    model.resize_token_embeddings(rows + len(begun), mean_resizing=False)
    with torch.no_grad():
        new: Any = model.get_input_embeddings()
        for number, like in enumerate(begun):
            new.weight[rows + number] = new.weight[like].mean(0)


def _encoded(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def _plain(letter: str) -> str:
    """Return the ASCII letters that look similar, or the letter itself if there are none."""
    return LIKE.get(letter) or unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode() or letter
