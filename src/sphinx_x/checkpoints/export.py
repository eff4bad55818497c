"""Exporting a model folder's language model alone, and the checks that every export begins with."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from sphinx_x.checkpoints.forms import check_model_folder
from sphinx_x.checkpoints.guard import told_in_one_line
from sphinx_x.checkpoints.parts import disk_outline
from sphinx_x.checkpoints.rules import LLM
from sphinx_x.checkpoints.weights import WeightFiles
from sphinx_x.checkpoints.writer import (
    ORIGINAL,
    keep_tokenizer,
    new_folder,
    size_of,
    write_safetensors,
    write_weights,
)
from sphinx_x.errors import CheckpointError, one_line
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.tokenizer import token_names
from sphinx_x.work.files import write_manifest


def config_of(folder: Path) -> SphinxXConfig:
    """Return a model folder's configuration; raise `CheckpointError` if it is not one."""
    check_model_folder(folder)
    try:
        return SphinxXConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # a malformed file makes the library raise errors of nearly every kind
        raise CheckpointError(f"{folder}: no model folder ({one_line(error)})") from error


def check_model(model: Path, config: SphinxXConfig, source: WeightFiles) -> None:
    """Check that a folder's tensors are exactly its configuration's, and that its image tokens come after all others.

    What is cut off with the image tokens must be nothing else.

    Raises:
        CheckpointError: They are not.
    """
    wanted, found = disk_outline(config), dict(source.tensors())
    if config.tie_word_embeddings:
        found.pop("lm_head.weight", None)
    odd = next((name for name in {**wanted, **found} if name not in found or name not in wanted), None)
    odd = odd or next((name for name, tensor in wanted.items() if found[name].shape != tensor.shape), None)
    if odd:
        raise CheckpointError(f"{model}: its tensor {odd} is not that of its config.json")
    rows = config.text_config.vocab_size
    tokens = config.image_tokens().all()
    if tokens != tuple(range(rows - len(tokens), rows)):
        raise CheckpointError(f"{model}: its image tokens are not the last of its vocabulary: nothing to go back to")


def plain_tokenizer(model: Path, folder: Path, lines: bool = False) -> None:
    """Write the model's tokenizer without the image tokens, in the library's files."""
    fields = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    fields["added_tokens"] = [token for token in fields["added_tokens"] if token["content"] not in token_names(lines)]
    (folder / "tokenizer.json").write_text(json.dumps(fields, ensure_ascii=False), encoding="utf-8")
    settings = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    for key in ("processor_class", "additional_special_tokens", "extra_special_tokens"):
        settings.pop(key, None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1, ensure_ascii=False), encoding="utf-8")


@told_in_one_line
def export_llm(model: str | Path, out: str | Path) -> list[str]:
    """Write the language model alone, as the library and tools based on it read it (llama.cpp's converter, vLLM).

    Vocabulary and tokenizer are those from before the image tokens were added; these tokens' rows of the embedding
    table (start, end, skip, line) are in `image_tokens/rows.safetensors`, for a runtime that feeds embeddings. If an
    error is raised, `out` is not created.

    Returns:
        Notes for the user, one line each.

    Raises:
        CheckpointError: The folder is not a model.
    """
    model = Path(model)
    config, source = config_of(model), WeightFiles(model)
    check_model(model, config, source)
    rows = config.image_token_id
    tensors = {name: t for name, t in source.tensors().items() if name.startswith((LLM, "lm_head."))}
    names = {name: f"model.{name.removeprefix(LLM)}" if name.startswith(LLM) else name for name in tensors}

    def cut(name: str, tensor: Tensor) -> Tensor:
        return tensor[:rows] if name.endswith(("embed_tokens.weight", "lm_head.weight")) else tensor

    outline = {names[name]: cut(name, tensor) for name, tensor in tensors.items()}
    text = type(config.text_config)(**{**config.text_config.to_dict(), "vocab_size": rows})
    text.architectures = [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[text.model_type]]
    table = source.read(f"{LLM}embed_tokens.weight")
    names_of_ends = ("start", "end", "skip", "line")[: len(config.image_tokens().all()) - 1]
    ends = {name: table[rows + k : rows + k + 1] for k, name in enumerate(names_of_ends, 1)}
    with new_folder(out, size_of(outline.values()), [model]) as folder:
        hashes = write_weights(folder, outline, ((names[name], cut(name, source.read(name))) for name in tensors))
        shapes = {name: row.to("meta") for name, row in ends.items()}
        (folder / "image_tokens").mkdir()
        write_safetensors(folder / "image_tokens" / "rows.safetensors", shapes, ends.items())
        text.save_pretrained(folder)
        if (model / ORIGINAL / "tokenizer.json").is_file():
            keep_tokenizer(model / ORIGINAL, folder)
        else:
            plain_tokenizer(model, folder, config.lines is not None)
        write_manifest(folder, hashes)
    return []
