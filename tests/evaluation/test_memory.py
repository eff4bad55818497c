"""A thousand photos are never in memory together: real memory of a process of its own, above what it needs for few."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COUNT, WIDTH, HEIGHT = 1000, 8000, 500
"""Panoramas, of which Nano keeps few views: what counts here is the pictures' memory, not the model's time."""
RUN = """
import resource, sys
from pathlib import Path
from sphinx_x.evaluation.run import Options, choose, evaluate
from sphinx_x.inference import SphinxX

data, sphinx = Path(sys.argv[1]), SphinxX.load("nano", device="cpu")
for limit in (8, None):
    options = Options(limit=limit, batch_size=8, longest=1)
    run = evaluate(sphinx, choose(["docvqa"], data), data, data / "run", options=options)
    assert not run.rows[0].refused
    print(len(run.rows[0].answers), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux alone")
def test_a_thousand_photos_of_four_megapixels_in_batches_of_8(tmp_path: Path) -> None:
    folder = tmp_path / "docvqa" / "val"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT // 10, WIDTH // 10, 3), np.uint8)
    Image.fromarray(noise).resize((WIDTH, HEIGHT)).save(folder / "photo.jpg")
    rows = []
    for number in range(COUNT):
        (folder / f"{number}.jpg").hardlink_to(folder / "photo.jpg")
        rows.append({"questionId": number, "question": f"{number}?", "image": f"{number}.jpg", "answers": ["a"]})
    (folder / "val_v1.0.json").write_text(json.dumps({"data": rows}))
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, env=env, check=True).stdout.split()
    assert said[::2] == ["8", str(COUNT)]
    grown, encoded = (int(said[3]) - int(said[1])) * 1024, (folder / "photo.jpg").stat().st_size
    # files of a window of 16 batches, and some decoded pictures; all together would be 12 GB
    assert grown < 16 * 8 * encoded + 8 * 3 * WIDTH * HEIGHT, f"{grown / 1e6:.0f} MB, {encoded / 1e6:.2f} MB a file"
    print(f"{grown / 1e6:.0f} MB more for {COUNT} photos than for 8; {encoded / 1e6:.2f} MB a file")
