"""SPHINX-Nano exported to ONNX, for several tests."""

import json
import logging
from pathlib import Path

from sphinx_x.checkpoints.onnx import export_onnx
from sphinx_x.inference import BUILT_IN
from sphinx_x.work.quiet import only_above

NOTES = "notes.json"


def export_nano(folder: Path, int8: bool = False) -> None:
    """Exports it to `nano` in a folder, and writes the notes of it beside that."""
    # PyTorch tells its trace to whoever listens, and pytest does: that takes several times as long as the export
    with only_above("torch.__trace", logging.ERROR):
        notes = export_onnx(BUILT_IN / "nano", folder / "nano", int8=int8)
    (folder / NOTES).write_text(json.dumps(notes))
