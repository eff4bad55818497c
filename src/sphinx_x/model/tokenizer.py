"""Tokenizers: the byte vocabulary of SPHINX-Nano, and the image tokens that every member adds to its own."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
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
