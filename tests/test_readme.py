"""What README says is in the package, and the demo."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from paths import ROOT
from sphinx_x.inference import BUILT_IN
from sphinx_x.sources import SOURCES
from sphinx_x.sources.table import as_markdown

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_nano_comes_with_the_package():
    assert (BUILT_IN / "nano" / "model.safetensors").is_file()


def test_the_page_of_public_sets_is_what_the_package_says():
    assert (ROOT / "docs" / "sources.md").read_text(encoding="utf-8") == as_markdown()
    assert f"{len(SOURCES)} public sets" in README


@pytest.mark.slow
def test_the_demo_runs_from_an_installed_wheel_far_from_here(tmp_path, repository):
    """Installing a wheel fetches hatchling, so this needs the network or pip's cache, as the set-up does."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    source = tmp_path / "source"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):  # without the ignored files of this folder
        if (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name, follow_symlinks=False)
    subprocess.run([*pip, "wheel", source, "--no-deps", "-w", tmp_path / "wheel"], check=True)
    wheel = next((tmp_path / "wheel").glob("*.whl"))
    subprocess.run([*pip, "install", wheel, "--no-deps", "--target", tmp_path / "site"], check=True)
    (tmp_path / "away").mkdir()
    command = [sys.executable, "-m", "sphinx_x", "demo", "--no-answers"]
    env = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(command, cwd=tmp_path / "away", env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and str(tmp_path / "site") in done.stdout
    assert [path.name for path in (tmp_path / "away").iterdir()] == ["demo.png"]


def test_make_demo_leaves_nothing_that_git_would_track(repository):
    said = re.search(r"sphinx-x demo --out (\S+)", (ROOT / "Makefile").read_text())
    assert said and subprocess.run(["git", "check-ignore", "-q", said[1]], cwd=repository).returncode == 0


@pytest.mark.slow
def test_the_demo_draws_what_it_says(tmp_path, monkeypatch, capsys):
    from sphinx_x.demo import run_demo

    monkeypatch.chdir(ROOT)
    run_demo(tmp_path / "demo.png", answers=False)
    said = capsys.readouterr().out
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert "are saved" in said and "not found" not in said
    rates = [float(rate) for rate in re.findall(r"\(([\d.]+) % of", said)]
    assert len(rates) == 2 and max(rates) < 15


@pytest.fixture
def page_read(monkeypatch):
    """Nano's part is not run."""
    from sphinx_x import demo

    monkeypatch.setattr(demo, "read_page", lambda out, model: print(f"read with {model}"))


def test_the_demo_without_smol_says_why(page_read, tmp_path, monkeypatch, capsys):
    from sphinx_x import demo
    from sphinx_x.errors import CheckpointError, MissingToolError

    for error in (CheckpointError("the package index cannot be reached"), MissingToolError("smol needs gguf")):
        monkeypatch.setattr(demo.SphinxX, "load", lambda name, fast, error=error: (_ for _ in ()).throw(error))
        demo.run_demo(tmp_path / "demo.png")
        assert capsys.readouterr().out.splitlines() == [
            "read with nano",
            "",
            f"SPHINX-Smol is left out: {error}",
        ]
    demo.run_demo(tmp_path / "demo.png", answers=False)
    assert capsys.readouterr().out == "read with nano\n" and not list(tmp_path.iterdir())


def test_the_demo_of_answers_draws_four_pictures(page_read, tmp_path, monkeypatch, capsys, tiny_member):
    """Of a tiny member, which is told what to say; a box is drawn around the line that says so."""
    import json

    from lined import know_engine, lined
    from lively import lively
    from sphinx_x import demo
    from sphinx_x.demo.answers import PANEL, QUESTIONS
    from sphinx_x.images import open_image
    from sphinx_x.text_lines.line import TextLine

    asked = json.loads(QUESTIONS.read_text(encoding="utf-8"))
    know_engine(monkeypatch, lambda image: [TextLine((10, 10, image.width / 2, 40), "Mark 221.60", 0.9)])
    sphinx = lively(lined(tiny_member))
    said = iter([one["truth"] for one in asked])
    monkeypatch.setattr(sphinx._runner, "text", lambda *_: next(said))
    monkeypatch.setattr(demo.SphinxX, "load", lambda name, fast: sphinx if name == "smol" else pytest.fail(name))
    demo.run_demo(tmp_path / "demo.png")
    out = capsys.readouterr().out
    for one in asked:
        assert f"{one['file']}: {one['question']}" in out and f"(it is: {one['truth']})" in out
    assert out.count("  line 10,10,") == 1 and "The marks are: <Mark 1> [0.11, 0.25, 0.42, 0.28], <Mark 2> [" in out
    picture = open_image(tmp_path / "demo-answers.png")
    assert picture.width > 4 * PANEL[0] and picture.height > PANEL[1]
    assert len(asked) == 4 and {"receipt.jpg", "cat.jpg", "chart.png"} < {one["file"] for one in asked}
