"""Tokenizers: the byte vocabulary of SPHINX-Nano, and the image tokens that every member adds to its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from sphinx_x.conversation import IMAGE
from sphinx_x.errors import needs_extra, one_line
from sphinx_x.model.config import ImageTokens

SLOT, START, END, SKIP = IMAGE, "<|view_start|>", "<|view_end|>", "<|skip|>"
IMAGE_TOKENS = (SLOT, START, END, SKIP)
LINE = "<|line|>"
"""The further token of a member that reads lines."""
CONTROL_TOKENS = ("<|pad|>", "<|bos|>", "<|eot|>", "<|system|>", "<|user|>", "<|assistant|>")


def byte_tokenizer(lines: bool = False) -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token per byte: no text is ever unknown, and an ASCII letter takes one step.

    Args:
        lines: Whether it has the token of lines as well, after all others.
    """
    letters, more = sorted(pre_tokenizers.ByteLevel.alphabet()), [LINE] if lines else []
    vocabulary = {token: number for number, token in enumerate([*CONTROL_TOKENS, *IMAGE_TOKENS, *letters, *more])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([*CONTROL_TOKENS, *IMAGE_TOKENS, *more])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        bos_token="<|bos|>",
        eos_token="<|eot|>",
        additional_special_tokens=[*CONTROL_TOKENS[3:], *IMAGE_TOKENS, *more],
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def token_names(lines: bool = False) -> tuple[str, ...]:
    """Return the image tokens of a member, with or without that of lines."""
    return (*IMAGE_TOKENS, LINE) if lines else IMAGE_TOKENS


def image_tokens(tokenizer: PreTrainedTokenizerBase, lines: bool = False) -> ImageTokens:
    """Return the ids of the image tokens, with that of lines if asked; raise ValueError if the vocabulary lacks one."""
    vocabulary, names = tokenizer.get_vocab(), token_names(lines)
    missing = [token for token in names if token not in vocabulary]
    if missing:
        raise ValueError(f"the vocabulary has no token {', '.join(missing)}")
    return ImageTokens(*(vocabulary[token] for token in names))


def extend_vocabulary(tokenizer: PreTrainedTokenizerBase, rows: int, lines: bool = False) -> ImageTokens:
    """Add the image tokens to a vocabulary.

    They come after every row of the embedding table: rows without a token get one, so that all keep their place.

    Args:
        tokenizer: The tokenizer, which is changed.
        rows: Number of rows of the embedding table.
        lines: Whether to add the token of lines as well.

    Returns:
        The ids of the image tokens.

    Raises:
        ValueError: The vocabulary is longer than the table, or already has one of the image tokens.
    """
    names = token_names(lines)
    last = max(tokenizer.get_vocab().values(), default=-1)
    if max(len(tokenizer), last + 1) > rows:
        raise ValueError(f"the tokenizer has {max(len(tokenizer), last + 1)} tokens, the embedding table {rows} rows")
    tokenizer.add_tokens([f"<|unused_{k}|>" for k in range(len(tokenizer), rows)])
    tokenizer.add_tokens(
        [AddedToken(token, special=True, normalized=False) for token in names],  # pyright: ignore[reportArgumentType]
        special_tokens=True,
    )
    tokens = image_tokens(tokenizer, lines)
    if tokens.all() != tuple(range(rows, rows + len(names))):
        raise ValueError(f"the vocabulary has one of the tokens {', '.join(names)} already")
    return tokens


def sentencepiece_tokenizer(path: str | Path, settings: dict[str, Any] | None = None) -> PreTrainedTokenizerFast:
    """Load a `tokenizer.model` (sentencepiece, BPE) as a fast tokenizer with the same ids for every text.

    Args:
        path: The file.
        settings: A tokenizer_config.json: its `added_tokens_decoder` renames pieces or adds tokens, and its first, last
            and padding tokens and chat template are adopted.

    Raises:
        ValueError: The file is not such a model, or it splits text in another way (not BPE, or after rewriting it).
    """
    with needs_extra("checkpoints", f"{path}: reading it"):
        from sentencepiece import SentencePieceProcessor

    try:
        pieces = SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path}: not a sentencepiece model") from error
    settings = settings or {}
    added = {int(k): token for k, token in settings.get("added_tokens_decoder", {}).items()}
    count = len(pieces)
    words = [added[k]["content"] if k in added else pieces.id_to_piece(k) for k in range(count)]
    apart = [pieces.is_control(k) or pieces.is_unknown(k) or k in added for k in range(count)]
    blank = pieces.encode("a", out_type=str)[0].startswith("\u2581")
    tokenizer = Tokenizer(
        models.BPE(
            vocab={word: k for k, word in enumerate(words)},
            merges=_merges(words, pieces.get_score, lambda k: not apart[k] and not pieces.is_byte(k)),
            unk_token=words[pieces.unk_id()],
            fuse_unk=True,
            byte_fallback=any(pieces.is_byte(k) for k in range(count)),
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [*([normalizers.Prepend("\u2581")] if blank else []), normalizers.Replace(" ", "\u2581")]
    )
    strip = [decoders.Strip(" ", 1, 0)] if blank else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    _check_ids(path, pieces, tokenizer)
    for k in sorted({k for k in range(count) if apart[k]} | set(added)):
        token = AddedToken(words[k] if k < count else added[k]["content"], normalized=False)
        ordinary = k in added and not added[k].get("special", False)
        (tokenizer.add_tokens if ordinary else tokenizer.add_special_tokens)([token])
        if tokenizer.token_to_id(token.content) != k:
            raise ValueError(f"{path}: the added token {token.content} cannot have the id {k}")
    named = {
        f"{role}_token": _content(settings.get(f"{role}_token")) or (words[k] if k >= 0 else None)
        for role, k in (("bos", pieces.bos_id()), ("eos", pieces.eos_id()), ("unk", pieces.unk_id()))
    }
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **named,
        pad_token=_content(settings.get("pad_token")) or named["unk_token"],
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=settings.get("chat_template"),
    )
    if settings.get("add_bos_token", True):
        begin_with_bos(fast)
    return fast


def begin_with_bos(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make a fast tokenizer begin every text with its first token, if it has one and does not do so yet."""
    bos, number, backend = tokenizer.bos_token, tokenizer.bos_token_id, getattr(tokenizer, "backend_tokenizer", None)
    if bos is None or backend is None or tokenizer.encode("a")[:1] == [number]:
        return
    backend.post_processor = processors.TemplateProcessing(
        single=f"{bos}:0 $A:0", pair=f"{bos}:0 $A:0 {bos}:0 $B:0", special_tokens=[(bos, number)]
    )


def _content(token: Any) -> str | None:
    """Return the text of a token in a tokenizer_config.json, where it is a text or a dictionary."""
    return token.get("content") if isinstance(token, dict) else token


PROBES = (
    *(
        "Read the text.",
        " two  spaces ",
        "\tA\n\n### Human: 12.5 [0.12, 0.34]",
        "na\u00efve caf\u00e9 \u2014 \u2713",
        "\ufb01\u00a0\u2460\uff21",
    ),
    *(
        "\u4f60\u597d\uff0c\u4e16\u754c",
        "\u041f\u0440\u0438\u0432\u0435\u0442",
        "\u0645\u0631\u062d\u0628\u0627",
        "def f(x):\n    return x**2",
        "aaaaaaaa bbbb https://a.b/c?d=e",
    ),
)
"""Texts of many kinds, to check that two tokenizers split alike."""


def _check_ids(path: str | Path, pieces: Any, tokenizer: Tokenizer) -> None:
    """Raise ValueError if a tokenizer does not give sentencepiece's ids."""
    for text in PROBES:
        if tokenizer.encode(text, add_special_tokens=False).ids != pieces.encode(text):
            raise ValueError(f"{path}: not a BPE model that takes a text as it is; that kind is not supported")


def _merges(words: list[str], score: Callable[[int], float], mergeable: Callable[[int], bool]) -> list[tuple[str, str]]:
    """Return every way to join two pieces to a third, the best-scored pieces first."""
    ids = {word: k for k, word in enumerate(words) if mergeable(k)}
    ways = [
        (-score(k), k, ids[word[:cut]], ids[word[cut:]])
        for word, k in ids.items()
        for cut in range(1, len(word))
        if word[:cut] in ids and word[cut:] in ids
    ]
    return [(words[left], words[right]) for _, _, left, right in sorted(ways)]


def read_tokenizer(folder: str | Path, model_first: bool = False) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model folder, without ever running code that comes with it.

    Args:
        folder: The model folder.
        model_first: Whether to prefer its tokenizer.model to its tokenizer.json.

    Raises:
        ValueError: A file is broken (the message names it), or the folder has neither.
    """
    folder = Path(folder)
    config, model = folder / "tokenizer_config.json", folder / "tokenizer.model"
    try:
        settings = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    except ValueError as error:
        raise ValueError(f"{config}: not JSON") from error
    if (folder / "tokenizer.json").is_file() and not (model_first and model.is_file()):
        try:
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
            tokenizer.init_kwargs.pop("auto_map", None)  # it names code in the same folder
            return tokenizer
        except Exception as error:  # the library's own kinds of errors, and Rust's, which have none
            raise ValueError(f"{folder / 'tokenizer.json'}: not a tokenizer ({one_line(error)})") from error
    if not model.is_file():
        raise ValueError(f"{folder}: no tokenizer.json and no tokenizer.model")
    return sentencepiece_tokenizer(model, settings)
