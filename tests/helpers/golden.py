"""Golden files: what people have looked at and found right. `make golden` writes them anew, all from here."""

import json
import os
from pathlib import Path
from typing import Any

from paths import GOLDEN

UPDATED = bool(os.environ.get("UPDATE_GOLDEN"))


def golden_text(name: str, made: str) -> str:
    """The text of a golden file below `tests/golden`; where they are written anew, it is `made` from now on."""
    path = GOLDEN / name
    if UPDATED:
        _write(path, made)
    return path.read_text(encoding="utf-8")


def golden_json(name: str, made: Any) -> Any:
    """What a golden file holds, likewise."""
    path = GOLDEN / name
    if UPDATED:
        _write(path, json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    return json.loads(path.read_text(encoding="utf-8"))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
