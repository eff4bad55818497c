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
    command = [sys.executable, "-m", "sphinx_x", "demo"]
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
    run_demo(tmp_path / "demo.png")
    said = capsys.readouterr().out
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert "are saved" in said and "not found" not in said
    rates = [float(rate) for rate in re.findall(r"\(([\d.]+) % of", said)]
    assert len(rates) == 2 and max(rates) < 15
