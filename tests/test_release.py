"""What a release holds: metadata, an sdist with all that its tests need, and what the files around the package say."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib

import pytest
import yaml

import sphinx_x
from paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LEFT_OUT = re.compile(r"site/|dist/|runs/")


def test_metadata_names_the_readme_and_what_is_true():
    project = PROJECT["project"]
    assert (ROOT / project["readme"]).is_file() and "Typing :: Typed" in project["classifiers"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert project["urls"] and all(url in readme for url in project["urls"].values())


def test_all_that_is_tracked_is_in_the_sdist(repository):
    """By the patterns of pyproject.toml; the slow test below builds one."""
    listed = subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=True).stdout
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    patterns = [pattern.removeprefix("/") for pattern in included]
    for name in listed.splitlines():
        if name != "pyproject.toml":
            assert any(name == pattern or name.startswith(f"{pattern}/") for pattern in patterns), name


def test_ci_runs_the_whole_check():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    steps = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    assert any(".ci/run" in step for step in steps) and (ROOT / ".ci" / "run").is_file()


def test_hooks_run_the_tools_of_the_set_up():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"]
    programs = [hook["entry"].split()[0] for hook in hooks[0]["hooks"]]
    assert all(program.startswith(".venv/bin/") for program in programs)
    assert all((ROOT / program).is_file() for program in programs) or not (ROOT / ".venv").exists()


def test_changes_are_told_of_this_version():
    assert f"## {sphinx_x.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_an_unpacked_sdist_collects_and_passes_its_own_tests(tmp_path):
    """Far from here and without git; building fetches hatchling, so this needs the network or pip's cache."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    script = "from hatchling.build import build_sdist; print(build_sdist(__import__('sys').argv[1]))"
    subprocess.run([*pip, "install", "hatchling", "--target", tmp_path / "tools"], check=True)
    env = os.environ | {"PYTHONPATH": str(tmp_path / "tools")}
    (tmp_path / "dist").mkdir()
    subprocess.run([sys.executable, "-c", script, tmp_path / "dist"], cwd=ROOT, env=env, check=True)
    with tarfile.open(next((tmp_path / "dist").glob("*.tar.gz"))) as archive:
        names = archive.getnames()
        archive.extractall(tmp_path, filter="data")
    assert not [name for name in names if LEFT_OUT.match(name.partition("/")[2])]
    folder = next(tmp_path.glob("sphinx_x-*"))
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CI")}
    env |= {"PYTHONPATH": str(folder / "src"), "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    # all are collected; those run that speak of files around the package, and the command line's, but for arithmetic
    files = " or ".join(f"test_{name}.py" for name in ("readme", "contributing", "release", "benchmarks"))
    chosen = f"{files} or test_cli and not test_bits"
    done = subprocess.run([*pytest_, "-k", chosen], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[-1]) > 80
    assert int(re.findall(r"(\d+) deselected", done.stdout)[-1]) > 4000


@pytest.mark.slow
def test_the_docs_are_built_without_a_warning(tmp_path):
    pytest.importorskip("mkdocstrings", reason="needs the extra `docs`")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-d", tmp_path / "site"]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for page, said in (("index", "SPHINX-Nano"), ("architecture", "An image"), ("reference/inference", "num_return")):
        assert said in (tmp_path / "site" / f"{page}.html").read_text(encoding="utf-8"), page
    pages = {path.stem for path in (tmp_path / "site" / "reference").glob("*.html")}
    assert pages >= {"model", "engines", "data", "training", "checkpoints"}
    fetched = re.compile(r'(?:src|<link[^>]*href)="https?://')
    assert not [path for path in (tmp_path / "site").rglob("*.html") if fetched.search(path.read_text("utf-8"))]
