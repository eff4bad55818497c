"""What README says can be run."""

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from excerpts import EXCERPTS
from som_files import coco
from sphinx_x import cli
from sphinx_x.data.sources import SOURCES
from sphinx_x.data.sources.table import as_markdown
from sphinx_x.inference import BUILT_IN

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
PYTHON = [code for kind, code in BLOCKS if kind == "python"]
COMMANDS = [line.split("#")[0].strip() for kind, code in BLOCKS if kind == "bash" for line in code.splitlines() if line]
LEFT_OUT = {
    "sphinx-x train recipes/nano.yaml": "more than an hour",
    "sphinx-x train recipes/nano.yaml --resume": "more than an hour",
    'sphinx-x chat page.pdf "Read the text." --page 2 --model FOLDER_OR_HUB_ID': "stands for a model of the user's own",
    "sphinx-x chat line.png": "asks at the terminal",
    "sphinx-x import accessory SPHINX_TINY_1K -o sphinx-tiny-1k": "stands for weights of the user's own",
    'sphinx-x chat photo.jpg "What is this?" --model sphinx-tiny-1k': "stands for a model of the user's own",
    "sphinx-x import backbones --member tiny --llm TINYLLAMA --expert CONVNEXT --expert DINOV2 -o tiny": "as above",
    "sphinx-x export sphinx-tiny-1k --format accessory -o back": "as above",
    "sphinx-x eval nano": "has a test of its own",
}


def test_nano_comes_with_the_package():
    assert (BUILT_IN / "nano" / "model.safetensors").is_file()


def test_the_page_of_public_sets_is_what_the_package_says():
    assert (ROOT / "docs" / "sources.md").read_text(encoding="utf-8") == as_markdown()
    assert f"{len(SOURCES)} public sets" in README


def test_make_targets_are_there():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    wanted = [command.split()[1] for command in COMMANDS if command.startswith("make ")]
    assert {"demo", "test"} <= set(wanted) <= set(targets)


def test_what_is_left_out_is_in_the_readme():
    assert set(LEFT_OUT) <= set(COMMANDS)


@pytest.fixture
def in_project(tmp_path, monkeypatch):
    """A folder with the examples and the image that README speaks of."""
    from sphinx_x.images import open_image

    (tmp_path / "examples").symlink_to(ROOT / "examples")
    open_image(ROOT / "examples/ledger-introduction.pdf").crop((185, 362, 1092, 389)).save(tmp_path / "line.png")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "line.png").rename(tmp_path / "pictures" / "line.png")
    (tmp_path / "line.png").symlink_to(tmp_path / "pictures" / "line.png")
    said = [{"from": "human", "value": "<image>\nRead the text."}, {"from": "gpt", "value": "A line."}]
    (tmp_path / "mine.json").write_text(json.dumps([{"id": "1", "image": "line.png", "conversations": said}]))
    EXCERPTS["vqav2"](tmp_path / "VQA")
    coco(tmp_path, images=3).rename(tmp_path / "coco.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("sphinx-x") and c not in LEFT_OUT])
def test_commands_run(command, in_project, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with contextlib.suppress(SystemExit):
        cli.main()
    captured = capsys.readouterr()
    assert captured.out.endswith("\n") and "error:" not in captured.err


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python_runs(number, in_project):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(PYTHON[number], f"README block {number}", "exec"), {})
    assert "twinkling" in out.getvalue()


@pytest.mark.slow
def test_the_demo_runs_from_an_installed_wheel_far_from_here(tmp_path):
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


def test_make_demo_leaves_nothing_that_git_would_track():
    said = re.search(r"sphinx-x demo --out (\S+)", (ROOT / "Makefile").read_text())
    assert said and subprocess.run(["git", "check-ignore", "-q", said[1]], cwd=ROOT).returncode == 0


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
