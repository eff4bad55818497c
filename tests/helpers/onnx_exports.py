"""SPHINX-Nano exported to ONNX, for several tests."""

import logging
from pathlib import Path

from sphinx_x.checkpoints.onnx import export_onnx
from sphinx_x.inference import BUILT_IN
from sphinx_x.work.quiet import only_above


def export_nano(folder: Path, int8: bool = False) -> list[str]:
    """Exports it, and returns the notes."""
    # PyTorch tells its trace to whoever listens, and pytest does: that takes several times as long as the export
    with only_above("torch.__trace", logging.ERROR):
        return export_onnx(BUILT_IN / "nano", folder, int8=int8)
