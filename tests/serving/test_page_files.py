"""The files of the page: all are packed, all belong to it, and nothing in them reaches elsewhere."""

import os
import re
import subprocess
import sys
import zipfile

import pytest

from paths import ROOT

PAGE = ROOT / "src" / "sphinx_x" / "serving" / "page"
SCRIPTS = sorted(PAGE.glob("*.js"))


def test_every_script_is_imported_and_every_import_is_there():
    imported = {name for file in SCRIPTS for name in re.findall(r'from "\./([\w.]+)"', file.read_text("utf-8"))}
    named = set(re.findall(r'(?:src|href)="([\w.]+)"', (PAGE / "index.html").read_text("utf-8")))
    assert imported | named == {file.name for file in PAGE.iterdir()} - {"index.html"}


def test_every_element_that_a_script_asks_for_is_there():
    asked = {name for file in SCRIPTS for name in re.findall(r'byId\("([\w-]+)"\)', file.read_text("utf-8"))}
    written = re.findall(r'\bid="([\w-]+)"', (PAGE / "index.html").read_text("utf-8"))
    assert asked and asked <= set(written) and len(written) == len(set(written))


@pytest.mark.parametrize("file", [*SCRIPTS, PAGE / "index.html", PAGE / "style.css"], ids=lambda file: file.name)
def test_nothing_is_fetched_from_elsewhere_or_read_as_html(file):
    text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in text and "https://" not in text
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Storage.", "new Function"):
        assert way not in text
    if file.suffix == ".html":
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", text)


def test_the_page_is_small():
    assert sum(file.stat().st_size for file in PAGE.iterdir()) < 100_000
    assert all(file.read_text("utf-8").count("\n") < 500 for file in PAGE.iterdir())


@pytest.mark.slow
def test_the_wheel_has_all_of_the_page(tmp_path):
    """Building fetches hatchling, so this needs the network or pip's cache."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "install", "hatchling", "--target", tmp_path / "tools"], check=True)
    script = "from hatchling.build import build_wheel; build_wheel(__import__('sys').argv[1])"
    env = os.environ | {"PYTHONPATH": str(tmp_path / "tools")}
    subprocess.run([sys.executable, "-c", script, tmp_path], cwd=ROOT, env=env, check=True)
    packed = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert {f"sphinx_x/serving/page/{file.name}" for file in PAGE.iterdir()} <= set(packed)
