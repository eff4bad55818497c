"""A study of two tiny sizes of `tiny_member` on drawn lines: a few steps each."""

from pathlib import Path

import yaml

from shards import write_lines

TINY = {
    "title": "Two tiny sizes",
    "base": "nano",
    "recipe": {
        "seed": 0,
        "pack": {"tokens": 4096, "views": 64, "window": 4},
        "max_tokens": 200,
        "warmup": 0.1,
        "lr_schedule": "constant",
        "cooldown": 0.25,
        "dtype": "float32",
        "data": None,
        "sources": {"words": None, "lines": {"weight": 1.0, "end": None}, "fonts": None, "emoji": None},
        "workers": 0,
        "save_every": 1,
        "log_every": 2,
    },
    "sizes": {"small": {"variant": {"width": 0.5}}, "large": {}},
    "held_out": {
        "skills": {"lines": {"of": "lines", "kinds": ["text"]}, "boxes": {"of": "lines", "kinds": ["box"]}},
        "items": 4,
        "asked": 2,
        "longest": 4,
    },
    "typical": {"lines": {"width": 100, "height": 14, "question": 30, "answer": 20}},
    "scaling": {"amounts": [8, 16]},
    "samples": 8,
    "repeats": {"small": [0]},
    "comparisons": {
        "padding": {
            "question": "A token for padding, or none",
            "arms": {"token": {}, "dropped": {"change": {"variant": {"skip": "drop"}}}},
            "reference": "token",
        }
    },
}


def write_study(folder: Path, **changes) -> Path:
    """The declaration in a file of a folder, with data there."""
    write_lines(folder / "data", "lines", 24)
    write_lines(folder / "held", "lines", 6, seed=1)
    study = TINY | changes
    study["recipe"] = study["recipe"] | {"folder": str(folder / "data")}
    study["held_out"] = study["held_out"] | {"folder": str(folder / "held")}
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path
