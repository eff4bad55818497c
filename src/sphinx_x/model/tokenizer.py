"""Tokenizers: the byte vocabulary of SPHINX-Nano, and the image tokens that every member adds to its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from sphinx_x.conversation import IMAGE
from sphinx_x.model.config import ImageTokens

SLOT, START, END, SKIP = IMAGE, "<|view_start|>", "<|view_end|>", "<|skip|>"
IMAGE_TOKENS = (SLOT, START, END, SKIP)
CONTROL_TOKENS = ("<|pad|>", "<|bos|>", "<|eot|>", "<|system|>", "<|user|>", "<|assistant|>")


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte: any text can be written, nothing is ever unknown, and a letter costs one step."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*CONTROL_TOKENS, *IMAGE_TOKENS, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([*CONTROL_TOKENS, *IMAGE_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        bos_token="<|bos|>",
        eos_token="<|eot|>",
        additional_special_tokens=[*CONTROL_TOKENS[3:], *IMAGE_TOKENS],
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def image_tokens(tokenizer: PreTrainedTokenizerBase) -> ImageTokens:
    """The ids of the image tokens; raises ValueError where the vocabulary lacks one."""
    vocabulary = tokenizer.get_vocab()
    missing = [token for token in IMAGE_TOKENS if token not in vocabulary]
    if missing:
        raise ValueError(f"the vocabulary has no token {', '.join(missing)}")
    return ImageTokens(*(vocabulary[token] for token in IMAGE_TOKENS))


def add_image_tokens(tokenizer: PreTrainedTokenizerBase) -> ImageTokens:
    """Adds the image tokens that a vocabulary lacks, behind all others, and returns their ids."""
    known = tokenizer.get_vocab()
    missing = [AddedToken(token, special=True, normalized=False) for token in IMAGE_TOKENS if token not in known]
    tokenizer.add_tokens(missing, special_tokens=True)  # pyright: ignore[reportArgumentType]
    return image_tokens(tokenizer)


def sentencepiece_tokenizer(
    path: str | Path, added: dict[int, dict[str, Any]] | None = None
) -> PreTrainedTokenizerFast:
    """A `tokenizer.model` (sentencepiece, BPE) as a fast tokenizer with the same ids for every text.

    added: by id, tokens that take the place of a piece, as `added_tokens_decoder` of a tokenizer_config.json has them.
    Raises ValueError where the file is not such a model, or rewrites its text before it cuts it.
    """
    from sentencepiece import SentencePieceProcessor

    try:
        pieces = SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path}: not a sentencepiece model") from error
    blank, odd = pieces.encode("a", out_type=str)[0].startswith("\u2581"), "  \ufb01\u00a0\u2460\uff21  b "
    if pieces.decode(pieces.encode(odd)).strip() != odd.strip():
        raise ValueError(f"{path}: rewrites its text (a normalisation rule), which is not supported")
    added = added or {}
    words = [added[k]["content"] if k in added else pieces.id_to_piece(k) for k in range(len(pieces))]
    special = [pieces.is_control(k) or pieces.is_unknown(k) or k in added for k in range(len(pieces))]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={word: k for k, word in enumerate(words)},
            merges=_merges(words, pieces.get_score, lambda k: not special[k] and not pieces.is_byte(k)),
            unk_token=words[pieces.unk_id()],
            fuse_unk=True,
            byte_fallback=any(pieces.is_byte(k) for k in range(len(pieces))),
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [*([normalizers.Prepend("\u2581")] if blank else []), normalizers.Replace(" ", "\u2581")]
    )
    strip = [decoders.Strip(" ", 1, 0)] if blank else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    tokenizer.add_special_tokens([AddedToken(words[k], normalized=False) for k in range(len(pieces)) if special[k]])
    bos, eos, unknown = (words[k] if k >= 0 else None for k in (pieces.bos_id(), pieces.eos_id(), pieces.unk_id()))
    if bos is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, pieces.bos_id())]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=bos,
        eos_token=eos,
        unk_token=unknown,
        pad_token=unknown,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def _merges(words: list[str], score: Callable[[int], float], mergeable: Callable[[int], bool]) -> list[tuple[str, str]]:
    """Every way to put a piece together from two others, the pieces of the best score first."""
    ids = {word: k for k, word in enumerate(words) if mergeable(k)}
    ways = [
        (-score(k), k, ids[word[:cut]], ids[word[cut:]])
        for word, k in ids.items()
        for cut in range(1, len(word))
        if word[:cut] in ids and word[cut:] in ids
    ]
    return [(words[left], words[right]) for _, _, left, right in sorted(ways)]


def read_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder: its tokenizer.json, else its tokenizer.model.

    Code that comes with a folder is never run. Raises ValueError where the folder has neither file.
    """
    folder = Path(folder)
    if (folder / "tokenizer.json").is_file():
        return PreTrainedTokenizerFast.from_pretrained(folder)
    if not (folder / "tokenizer.model").is_file():
        raise ValueError(f"{folder}: no tokenizer.json and no tokenizer.model")
    config = folder / "tokenizer_config.json"
    added = json.loads(config.read_text(encoding="utf-8")).get("added_tokens_decoder", {}) if config.is_file() else {}
    return sentencepiece_tokenizer(folder / "tokenizer.model", {int(k): token for k, token in added.items()})
