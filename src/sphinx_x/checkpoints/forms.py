"""What a folder holds and where it can be used: told in one line where another kind is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from sphinx_x.checkpoints.experts import expert_model_types
from sphinx_x.checkpoints.recognise import SHARD, WEIGHTS, check_files, complaint, read_config
from sphinx_x.errors import CheckpointError, plain
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.work.files import check_folder

OURS = "model folder"
ADAPTERS = "adapters"
OFFICIAL = "official"
LLM = "language model"
EXPERT = "visual expert"
OTHER = "other"
NOTHING = "nothing"
WANTED = {
    OURS: "a model folder",
    ADAPTERS: "a folder of adapters",
    OFFICIAL: "an official checkpoint",
    LLM: "a base language model",
}


@dataclass(frozen=True)
class Form:
    """What a folder holds.

    Attributes:
        kind: One of the names above.
        what: A description that fits after "is" or "holds".
    """

    kind: str
    what: str

    def use(self, folder: Path) -> str:
        """Return what a user can do with such a folder."""
        return {
            OURS: f"it goes to --model, or to `sphinx-x import backbones --from {folder}`",
            ADAPTERS: f"`sphinx-x merge {folder} -o OUT` makes a model folder of it",
            OFFICIAL: f"`sphinx-x import official {folder} -o OUT` makes a model folder of it",
            LLM: f"`sphinx-x import backbones --llm {folder}` makes a member of it",
            EXPERT: f"it goes to `sphinx-x import backbones --expert {folder}`",
        }.get(self.kind, "")


def form_of(folder: Path) -> Form:
    """Determine what a folder holds by its file names and config.json; raise `CheckpointError` if that is broken."""
    names = {path.name for path in folder.iterdir()}
    official = any(SHARD.fullmatch(name) for name in names)
    if "config.json" not in names:
        if "adapter_config.json" in names:
            return Form(ADAPTERS, "holds adapters")
        if official or "params.json" in names:
            return Form(OFFICIAL, "holds an official checkpoint (LLaMA2-Accessory's or Meta's form)")
        if "model_index.json" in names:
            return Form(OTHER, "holds a diffusion pipeline (model_index.json)")
        if any(name.endswith(".gguf") for name in names):
            return Form(OTHER, "holds GGUF files (llama.cpp), which are not read")
        if "open_clip_config.json" in names:
            return Form(EXPERT, "holds a visual expert of open_clip")
        return Form(NOTHING, f"no config.json in it{_inside(folder)}")
    fields = read_config(folder / "config.json")
    kind = fields.get("model_type")
    if kind is None or (official and kind != SphinxXConfig.model_type):
        return _untyped(fields, official or "params.json" in names)
    return _typed(str(kind))


def _inside(folder: Path) -> str:
    """Return where a model is, if it is one folder deeper, as in a run or in the hub's cache."""
    found = sorted(path.parent for path in folder.glob("*/config.json"))
    found += sorted(path.parent for path in folder.glob("snapshots/*/config.json"))
    return f"; {found[-1]} has one" if found else ""


def _untyped(fields: dict[str, Any], official: bool) -> Form:
    if official or {"n_heads", "n_layers"} & fields.keys():
        return Form(OFFICIAL, "holds an official checkpoint (LLaMA2-Accessory's or Meta's form)")
    if "architecture" in fields and ("pretrained_cfg" in fields or "num_features" in fields):
        return Form(EXPERT, f"holds a visual expert of timm ({plain(str(fields['architecture']), 40)})")
    known = ", ".join(plain(str(name), 20) for name in list(fields)[:3]) or "nothing"
    return Form(OTHER, f"has a config.json without model_type (it has {known}), of a form that is not read")


def _typed(kind: str) -> Form:
    name = plain(kind, 40)
    if kind == SphinxXConfig.model_type:
        return Form(OURS, "is a model folder of this package")
    if kind in expert_model_types():
        return Form(EXPERT, f"holds a visual expert ({name})")
    if kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return Form(OTHER, f"is a {name}, a multi-modal model of another family")
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or kind == "internlm2":
        return Form(LLM, f"is a {name}, a language model without eyes")
    if kind in CONFIG_MAPPING:
        return Form(OTHER, f"is a {name}, which is neither a SPHINX-X model nor a part of one that is read")
    return Form(OTHER, f"has the model_type {name}, which is not known")


def check_model_folder(folder: Path) -> None:
    """Raise `CheckpointError` if a path is not a model folder of ours, or its files are not what they should be."""
    if folder.is_dir():
        check_files(folder)
        if form_of(folder).kind in (OURS, NOTHING):
            check_folder(folder)
    expect(folder, OURS)


def expect(folder: Path, wanted: str, *, else_may_be: tuple[str, ...] = ()) -> None:
    """Check that a path is a folder of the form `wanted`.

    Args:
        folder: The path.
        wanted: The name of a form.
        else_may_be: Other forms to let through, for callers that have better messages for them.

    Raises:
        CheckpointError: The path is not a folder, or one of another form.
    """
    if folder.is_file():
        raise CheckpointError(f"{folder}: {instead_of_folder(folder)}")
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder")
    form = form_of(folder)
    if form.kind != wanted and form.kind not in else_may_be:
        use = form.use(folder)
        raise CheckpointError(f"{folder}: not {WANTED[wanted]}: {form.what}{'; ' if use else ''}{use}")


def instead_of_folder(path: Path) -> str:
    """Return what to do with a file where a folder is needed."""
    what = complaint(path) if path.suffix in (*WEIGHTS, ".json") else None
    if what:
        return what
    packed = any(path.name.endswith(end) for end in (".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar"))
    if packed:
        return "is an archive; unpack it and give the folder"
    if path.suffix == ".gguf":
        return "is a GGUF file (llama.cpp), which is not read"
    return f"is a file; give the folder it lies in ({path.absolute().parent})"
