"""What importing the package does to the process, what it needs, and what it says of itself."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest

import sphinx_x
from paths import EXAMPLE, ROOT, TESTS

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")


def told(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a process of its own, with none of these variables but those given."""
    env = {name: value for name, value in os.environ.items() if name not in NAMES}
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=env | paths | variables, capture_output=True, text=True)


SHOW = (
    "import os, sys, sphinx_x; own = os.environ.get; "
    "print(own('OMP_WAIT_POLICY'), own('GOMP_SPINCOUNT'), sphinx_x.WAITING_KNOWN, 'torch' in sys.modules)"
)


def test_threads_soon_wait_asleep_whoever_imports_the_package():
    assert told(SHOW).stdout == "passive 20000 True False\n"


@pytest.mark.parametrize("name", NAMES)
def test_what_the_user_has_set_stays(name):
    own = ["7" if one == name else "None" for one in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")]
    assert told(SHOW, **{name: "7"}).stdout == f"{' '.join(own)} True False\n"


def test_it_is_known_where_pytorch_was_loaded_first():
    """Then it is told when training begins; what is started later learns it all the same."""
    assert told("import sys; sys.modules['torch'] = sys; " + SHOW).stdout == "passive 20000 False True\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks the OpenMP of PyTorch's builds for Linux")
def test_pytorchs_own_openmp_says_so():
    said = told("import sphinx_x, torch", OMP_DISPLAY_ENV="VERBOSE").stderr
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in said and "GOMP_SPINCOUNT = '20000'" in said


EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
HIDDEN = (
    "matplotlib",
    "sentencepiece",
    "zlib_ng",
    "py3langid",
    "pyarrow",
    "peft",
    "ray",
    "onnx",
    "onnxscript",
    "bitsandbytes",
    "av",
)
HIDE = f"import sys; sys.modules.update(dict.fromkeys({HIDDEN!r}))\n"


WANTS_AN_EXTRA = [
    ("from sphinx_x.training.metrics import draw_curves as f; f([], [], 'x.png')", "matplotlib", "train"),
    ("from sphinx_x.data.stats import draw_stats as f; f({}, 'x.png')", "matplotlib", "data"),
    ("from sphinx_x.sources.tables import _font as f; f(True)", "matplotlib", "data"),
    ("import sphinx_x.engines.ocr.engine", "zlib_ng", "data"),
    ("from sphinx_x.engines.pdf.languages import language as f; f('a word')", "py3langid", "data"),
    ("from sphinx_x.data.parquet import ParquetRows as f; f(Path('x'))", "pyarrow", "data"),
    ("from sphinx_x.model.tokenizer import sentencepiece_tokenizer as f; f('x')", "sentencepiece", "checkpoints"),
    ("from sphinx_x.work.pool import run; list(run(max, 1, [1], 1, 'ray'))", "ray", "cluster"),
    ("from sphinx_x.video import sample_frames as f; f(b'....ftypisom')", "av", "video"),
    ("from sphinx_x.checkpoints.onnx import export_onnx as f; f('x', 'y')", "onnx", "onnx"),
]
RECIPE = """
import json, sphinx_x.recipe
sphinx_x.recipe.load_recipe("nano")
print(json.dumps(sorted(sys.modules)))
"""
CHAT = f"""
from sphinx_x import SphinxX
from sphinx_x.images import open_image
page = open_image({str(EXAMPLE)!r})
print(SphinxX.load('nano').chat('Read the text.', page.crop((185, 362, 1092, 389)), max_new_tokens=8))
"""
TRY = """
from pathlib import Path
from sphinx_x.errors import MissingToolError
for code in json.loads(sys.argv[1]):
    try: exec(code, {"Path": Path})
    except MissingToolError as error: print(json.dumps(str(error)))
    else: print(json.dumps("nothing was missing"))
"""


@dataclass(frozen=True)
class WithoutExtras:
    """What a process without any extra says. modules: loaded once a recipe is read; wanted: to all that want one."""

    modules: list[str]
    answer: str
    wanted: list[str]


@pytest.fixture(scope="module")
def without_extras() -> WithoutExtras:
    """One process for all that is asked of it, since it takes seconds to start."""
    said = told(HIDE + RECIPE + CHAT + TRY, json.dumps([code for code, _, _ in WANTS_AN_EXTRA]))
    assert said.returncode == 0, said.stderr
    modules, *answer = said.stdout.splitlines()
    count = len(WANTS_AN_EXTRA)
    wanted = [json.loads(line) for line in answer[-count:]]
    return WithoutExtras(json.loads(modules), "\n".join(answer[:-count]), wanted)


def test_a_recipe_is_read_without_engines_and_sources(without_extras):
    modules = without_extras.modules
    assert "sphinx_x.recipe" in modules
    assert not [name for name in modules if name.startswith(("sphinx_x.engines", "sphinx_x.sources"))]


def test_who_only_chats_needs_no_extra(without_extras):
    """A package that is hidden is not imported by a chat, nor by reading a page of a PDF."""
    assert without_extras.answer.strip()


@pytest.mark.parametrize("case", range(len(WANTS_AN_EXTRA)), ids=[code for code, _, _ in WANTS_AN_EXTRA])
def test_what_an_extra_brings_is_asked_for_in_one_line(without_extras, case):
    _, package, extra = WANTS_AN_EXTRA[case]
    said = without_extras.wanted[case]
    assert "\n" not in said and f" needs {package}" in said
    assert f"pip install 'sphinx-x[{extra}]'" in said
    assert any(name.replace("-", "_").startswith(package) for name in EXTRAS[extra])


def test_every_extra_that_is_named_is_there():
    """And no extra is there that nothing speaks of, but those for who works on a clone."""
    named = set()
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        named |= set(re.findall(r"needs_extra\(\s*\"([\w-]+)\"", text)) | set(re.findall(r"sphinx-x\[([\w-]+)\]", text))
    assert named == set(EXTRAS) - {"dev", "docs"}


def test_everything_that_is_imported_is_declared():
    """Each package that the source imports is a need or in an extra, and each need is imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    used: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                used |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                used.add((node.module or "").split(".")[0])
    used -= {*sys.stdlib_module_names, "sphinx_x"}
    called = {"pillow": "PIL", "PyYAML": "yaml", "lmms-eval": "lmms_eval", "reasoning-gym": "reasoning_gym"}
    called |= {"zlib-ng": "zlib_ng", "opencv-python-headless": "cv2"}
    needs = {called.get(name, name) for name in (re.split(r"[<>=\[]", need)[0] for need in project["dependencies"])}
    optional = {re.split(r"[<>=\[]", need)[0] for name in EXTRAS.keys() - {"dev", "docs"} for need in EXTRAS[name]}
    extras = {called.get(name, name) for name in optional}
    others = {"trackio"}  # a tracker that whoever wants it installs
    assert needs <= used and used <= needs | extras | others


def test_the_version_stands_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"] and "version" not in project["project"]
    where = ROOT / project["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{sphinx_x.__version__}"' in where.read_text(encoding="utf-8")


def test_every_need_is_pinned():
    """`make setup` installs what this release was tested with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    # these have an environment of their own: lmms-eval keeps to an older PyAV and filelock, vLLM to older transformers
    pinned = {name: needs for name, needs in EXTRAS.items() if name not in ("lmms-eval", "vllm")}
    wanted = {re.split(r"[<>=\[]", need)[0] for need in [*project["dependencies"], *chain(*pinned.values())]}
    assert wanted - {"sphinx-x"} <= pins


@pytest.mark.slow
def test_type_checkers_know_what_an_answer_is():
    """A package with `py.typed`: a string, a list of several, or an iterator of pieces."""
    assert (Path(sphinx_x.__file__).parent / "py.typed").is_file()
    checker = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    said = subprocess.run([*checker, TESTS / "helpers" / "typed_answers.py"], cwd=ROOT, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout
