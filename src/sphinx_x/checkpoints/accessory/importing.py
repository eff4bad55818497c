"""From official SPHINX checkpoints (the format of LLaMA2-Accessory) to model folders of this package."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from sphinx_x.checkpoints.accessory.architectures import (
    EXTRA,
    FACTS,
    PADDING,
    SETTINGS,
    UNUSED,
    Checkpoint,
    read_settings,
    understand,
)
from sphinx_x.checkpoints.accessory.shards import AccessoryFolder, Overlay
from sphinx_x.checkpoints.forms import NOTHING, OFFICIAL, OTHER, expect
from sphinx_x.checkpoints.guard import told_in_one_line
from sphinx_x.checkpoints.parts import Backbone, Part, convert_parts, plan_parts
from sphinx_x.checkpoints.recognise import check_file
from sphinx_x.checkpoints.writer import (
    ORIGINAL,
    finish,
    keep_tokenizer,
    new_folder,
    size_of,
    write_safetensors,
    write_weights,
)
from sphinx_x.errors import CheckpointError, one_line
from sphinx_x.model.processing import build_processor
from sphinx_x.model.tokenizer import begin_with_bos, extend_vocabulary, read_tokenizer


def _tokenizer(folders: Sequence[Path]) -> tuple[Path, PreTrainedTokenizerBase]:
    """Return the last folder that has a tokenizer, and the tokenizer.

    As in the reference, sentencepiece comes first, and a text always begins with the first token.
    """
    having = [f for f in folders if (f / "tokenizer.json").is_file() or (f / "tokenizer.model").is_file()]
    if not having:
        raise CheckpointError(f"{folders[-1]}: no tokenizer.model and no tokenizer.json")
    model_first = (having[-1] / "tokenizer.model").is_file()
    check_file(having[-1] / ("tokenizer.model" if model_first else "tokenizer.json"))
    try:
        tokenizer = read_tokenizer(having[-1], model_first=True)
    except ValueError as error:
        raise CheckpointError(one_line(error)) from error
    tokenizer.bos_token = tokenizer.bos_token or tokenizer.eos_token
    begin_with_bos(tokenizer)
    return having[-1], tokenizer


@told_in_one_line
def import_accessory(
    folders: Sequence[str | Path], out: str | Path, kind: str | None = None, experts: Sequence[Backbone] = ()
) -> list[str]:
    """Convert an official checkpoint to a model folder, exactly.

    Tensors stream from memory maps to the disk. If an error is raised, `out` is not created.

    Args:
        folders: The checkpoint's folder; or several, a base first: a later folder's tensors replace those of earlier
            ones, and `*.model-diff.pth` are added to them.
        out: The folder to write.
        kind: The architecture, if no meta.json names it.
        experts: The visual experts (`open_expert`), if the folders only hold what was trained.

    Returns:
        Notes for the user, one line each.

    Raises:
        CheckpointError: The checkpoint is incomplete, damaged or unknown.
    """
    paths = [Path(folder) for folder in folders]
    _check_experts(experts)
    for path in paths:
        expect(path, OFFICIAL, else_may_be=(NOTHING, OTHER))
    opened = [AccessoryFolder(path) for path in paths]
    source = Overlay(opened)
    kind, settings = read_settings(paths, source.tensors(), kind)
    home, tokenizer = _tokenizer(paths)
    checkpoint = understand(source, kind, settings, experts)
    try:
        extend_vocabulary(tokenizer, checkpoint.vocabulary)
    except ValueError as error:
        raise CheckpointError(f"{home}: {one_line(error)}") from error
    parts = [Part(source, checkpoint.rules({expert.kind for expert in experts}), _is_unused)]
    parts += [expert.part(checkpoint.place(expert.kind)) for expert in experts]
    outline = plan_parts(parts, checkpoint.config)
    unused = {name: tensor for name, tensor in source.tensors().items() if _is_unused(name)}
    views, length = checkpoint.config.view_grid(), checkpoint.config.tokens_per_view
    processor = build_processor(tokenizer, views, length, "sphinx", padding_color=PADDING)
    with new_folder(out, size_of(outline.values()) + size_of(unused.values()), paths) as folder:
        hashes = write_weights(folder, outline, convert_parts(parts))
        _keep_original(folder / ORIGINAL, checkpoint, opened, home)
        if unused:
            pairs = ((name, source.read(name)) for name in unused)
            hashes[f"{ORIGINAL}/{EXTRA}"] = write_safetensors(folder / ORIGINAL / EXTRA, unused, pairs)
        finish(folder, checkpoint.config, processor, outline["lm_head.weight"].dtype, hashes)
    return source.notes


def _check_experts(experts: Sequence[Backbone]) -> None:
    """Raise `CheckpointError` if two experts are of one kind, of which an architecture has one at most."""
    kinds = [expert.kind for expert in experts]
    twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
    if twice:
        raise CheckpointError(f"two experts of the kind {twice} are given; one is wanted")
    numbered = next((expert for expert in experts if expert.place is not None), None)
    if numbered:
        raise CheckpointError(
            f"an official checkpoint has one expert of a kind; give {numbered.source.name} without a number"
        )


def _is_unused(name: str) -> bool:
    return UNUSED.fullmatch(name) is not None


def _keep_original(folder: Path, checkpoint: Checkpoint, opened: Sequence[AccessoryFolder], home: Path) -> None:
    """Keep what the way back needs besides the weights."""
    keep_tokenizer(home, folder)
    last = opened[-1]
    facts = {
        "llama_type": checkpoint.kind,
        "config": checkpoint.settings,
        "shards": len(last.paths),
        "meta_style": last.meta_style,
        "order": list(last.tensors()),
    }
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n")
    for names in (SETTINGS[:2], SETTINGS[2:]):  # of the folder that they are read from: others would be read again
        there = [[each.folder / name for name in names if (each.folder / name).is_file()] for each in opened]
        for path in next((paths for paths in reversed(there) if paths), []):
            shutil.copyfile(path, folder / path.name)
