"""A model is asked the made releases: pictures from tables, Parquet files and folders, several of them or none."""

import pytest

from benchmarks import write_release
from sphinx_x.evaluation import run as running
from sphinx_x.evaluation.report import as_dict, as_markdown
from sphinx_x.evaluation.run import Options, choose, evaluate
from sphinx_x.inference import SphinxX


@pytest.mark.slow
def test_nano_is_asked_every_kind_of_release(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "model_digest", lambda _: "0" * 16)
    names = ["mmbench", "mmmu", "cmmmu", "hallusion_bench", "screenspot", "pope", "tiny_lvlm"]
    for name in names:
        write_release(name, tmp_path / "data")
    sphinx = SphinxX.load("nano", device="cpu")
    chosen = choose(names, tmp_path / "data")
    run = evaluate(sphinx, chosen, tmp_path / "data", tmp_path / "run", "nano", ("images", "blind"), Options(longest=4))
    rows = as_dict(run)["rows"]
    assert [(row["task"], row["shown"], row["items"]) for row in rows if row["shown"] == "images"] == [
        ("mmbench", "images", 5),
        ("mmmu", "images", 3),
        ("cmmmu", "images", 3),
        ("hallusion_bench", "images", 7),
        *((f"screenspot_{split}", "images", 2) for split in ("mobile", "desktop", "web")),
        *((f"pope_{split}", "images", 4) for split in ("random", "popular", "adversarial")),
        ("tiny_lvlm", "images", 6),
    ]
    assert not any(row["refused"] for row in rows), [row["refused"] for row in rows]
    assert "| mmbench | circular |" in as_markdown(run)
