"""Every command and every Python block of README and the docs is run, or says in a comment above it why not.

The comment above a block says how it is run: nothing, in the fast set; `slow`; `run by: FILE`, which is there and has a
test of it; `illustration: REASON`, not at all, but its commands must have the options that it gives them. `needs: NAME`
says that a name stands for something of the user's own, for which a test's is taken.
"""

import contextlib
import io
import json
import re
import runpy
import shlex
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import PIL.Image
import pytest
import typer
from typer.exceptions import TyperException

from excerpts import EXCERPTS
from paths import ROOT
from pdf_pages import PageOf, Pdf, paragraph
from som_files import coco
from sphinx_x import cli, recipe
from sphinx_x.cli.evaluation import RUN, RunByDefault
from sphinx_x.images import open_image
from sphinx_x.training import trial
from videos import make_video

PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"(?:<!-- (?P<how>[^>]*) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)```", re.DOTALL)
INLINE = re.compile(r"`(sphinx-x [^`]+)`")
PROGRAMS = ("sphinx-x", "python", "torchrun", "make", "pip", "cp")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page. how: the comment above it."""

    page: str
    number: int
    kind: str
    how: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Its commands, without what is said about them."""
        lines = (re.sub(r"\s+#.*", "", line).removeprefix("$ ").strip() for line in self.text.splitlines())
        return [line for line in lines if line.startswith(PROGRAMS)]


BLOCKS = [
    Block(page.relative_to(ROOT).as_posix(), number, found["kind"], (found["how"] or "").strip(), found["text"])
    for page in PAGES
    for number, found in enumerate(FENCE.finditer(page.read_text(encoding="utf-8")), 1)
]
SHELL = [block for block in BLOCKS if block.commands]
PYTHON = [block for block in BLOCKS if block.kind == "python" and not block.how.startswith("illustration")]


def chosen(how: str) -> list[str]:
    """The pages that have commands which are run so."""
    return list(dict.fromkeys(block.page for block in SHELL if block.how == how))


@pytest.fixture
def project(tmp_path, tiny_folder, monkeypatch):
    """A folder with all that the docs speak of, small."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "FOLDER_OR_HUB_ID").symlink_to(tiny_folder)
    page = open_image(ROOT / "examples/ledger-introduction.pdf")
    (tmp_path / "pictures").mkdir()
    page.crop((185, 362, 1092, 389)).save(tmp_path / "pictures" / "line.png")
    (tmp_path / "line.png").symlink_to(tmp_path / "pictures" / "line.png")
    small = page.resize((300, 400))
    small.save(tmp_path / "page.pdf", save_all=True, append_images=[small])
    for name in ("photo.jpg", "other.jpg"):
        PIL.Image.effect_noise((64, 48), 60).convert("RGB").save(tmp_path / name)
    said = [{"from": "human", "value": "<image>\nRead the text."}, {"from": "gpt", "value": "A line."}]
    (tmp_path / "mine.json").write_text(json.dumps([{"id": "1", "image": "line.png", "conversations": said}]))
    EXCERPTS["vqav2"](tmp_path / "VQA")
    EXCERPTS["totaltext"](tmp_path / "TOTALTEXT")
    (tmp_path / "COCO").mkdir()
    coco(tmp_path, images=3).rename(tmp_path / "coco.json")
    entries = json.loads((tmp_path / "coco.json").read_text())
    (tmp_path / "train2017").mkdir()
    for entry in entries["images"]:  # names of their own: a picture that is there twice is refused
        shutil.copy(tmp_path / "images" / entry["file_name"], tmp_path / "train2017" / f"t{entry['file_name']}")
        entry["file_name"] = f"t{entry['file_name']}"
    (tmp_path / "instances_train2017.json").write_text(json.dumps(entries))
    for number, word in enumerate(("plum", "walnut", "lentil")):
        lines = [f"The {word} of row {row} weighs {17 * row + number} grams" for row in range(24)]
        Pdf([PageOf(paragraph(lines, 60, 740))]).write(tmp_path / "PDFS" / f"{word}.pdf")
    (tmp_path / "TABLES").mkdir()
    (tmp_path / "TABLES" / "towns.csv").write_text("Town,Residents\nAlm,120\nBerk,450\nCorve,300\nDorn,275\n")
    (tmp_path / "BENCHMARK_PICTURES").mkdir()
    shutil.copy(tmp_path / "photo.jpg", tmp_path / "BENCHMARK_PICTURES" / "benchmark.jpg")
    make_video(tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    asked = iter(["Read the text.", "And now?", ""])
    monkeypatch.setattr("builtins.input", lambda _: next(asked))
    monkeypatch.setattr(
        trial, "try_steps", partial(trial.try_steps, seconds=0.05)
    )  # before a run: few tokens, not long
    return tmp_path


def run_commands(block: Block, monkeypatch, capsys) -> str:
    """Runs the commands of a block, in their order and in this process; what they print."""
    printed = ""
    for command in block.commands:
        words = shlex.split(command)
        assert words[0] == "sphinx-x", f"{block.page}: {command}: only commands of our own are run here"
        words, target = (words[:-2], words[-1]) if words[-2:-1] == [">"] else (words, None)
        monkeypatch.setattr(sys, "argv", words)
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        assert code == 0 and captured.out and "error:" not in captured.err, f"{block.page}: {command}: {captured.err}"
        if target is not None:
            Path(target).write_text(captured.out)
        printed += captured.out
    return printed


def few_lines(folder: Path) -> None:
    """A page of few lines for the long one in `examples`, which README's slow Python block and the demo read."""
    (folder / "examples").unlink()
    lines = ["Oat Bread 4.20, two of them", "Bran Muffin 2.35, with raisins", "Paid in full on the spot by Ada"]
    more = ["Each of the goods is weighed, packed and entered twice"] * 3
    page = PageOf([*paragraph(lines, 92, 535, 11, lead=15), *paragraph(more, 92, 300, 11, lead=40)])
    Pdf([page]).write(folder / "examples" / "ledger-introduction.pdf")


@pytest.mark.parametrize("page", chosen(""))
def test_commands_run(page, project, monkeypatch, capsys):
    few_lines(project)
    for block in SHELL:
        if (block.page, block.how) == (page, ""):
            run_commands(block, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("page", chosen("slow"))
def test_dear_commands_run(page, project, monkeypatch, capsys):
    load = recipe.load_recipe
    if page == "docs/finetune.md":  # tests/training/test_lora.py trains the same recipe to its end, on all labels
        runpy.run_path(str(ROOT / "examples" / "finetune.py"))["make_samples"](train=20, held_out=5)
        monkeypatch.setattr(recipe, "load_recipe", lambda name: load(name).model_copy(update={"total_samples": 40}))
    printed = "".join(
        run_commands(block, monkeypatch, capsys) for block in SHELL if (block.page, block.how) == (page, "slow")
    )
    if page == "README.md":  # the figure that README gives for `eval nano`
        assert "1.51 %" in printed and "SPHINX-Nano | 1.51 %" in (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=f"{block.page} {block.number}", marks=[pytest.mark.slow] if block.how == "slow" else [])
        for block in PYTHON
    ],
)
def test_python_runs(block, project):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block.text, f"{block.page} block {block.number}", "exec"), {})
    assert out.getvalue()  # the member that a test takes for a user's own has nothing to say
    if block.how in ("", "slow"):
        assert "twinkling" in out.getvalue()


def test_every_comment_says_how_and_is_true():
    for block in BLOCKS:
        how, _, what = block.how.partition(": ")
        assert how in ("", "slow", "illustration", "run by", "needs"), block
        assert bool(what) == (how in ("illustration", "run by", "needs")), block
        if how == "run by":
            said = (ROOT / what).read_text(encoding="utf-8")
            words = re.findall(r"\w+\.py|make \w+|--check", "\n".join(block.commands))
            assert words and all(word in said or word == "make demo" for word in words), (block.page, what)


def parse(command: str) -> None:
    """Reads a command as the command line would, up to where it would be run; raises `TyperException`."""
    words = shlex.split(command)
    words = words[1:] if words[0] == "sphinx-x" else words[words.index("sphinx_x") + 1 :]
    words = words[: words.index(">")] if ">" in words else words
    verb, name = typer.main.get_command(cli.app), "sphinx-x"
    while hasattr(verb, "commands"):
        if isinstance(verb, RunByDefault) and words[:1] and words[0] not in verb.commands:
            words = [RUN, *words]
        context = verb.make_context(name, list(words[:1]))
        name, verb, rest = verb.resolve_command(context, list(words))
        words = rest
    verb.make_context(name, list(words))


SHOWN = [
    (block.page, command)
    for block in SHELL
    if block.how.startswith("illustration")
    for command in block.commands
    if "sphinx" in command.split()[0] or "sphinx_x" in command
] + [
    (page.relative_to(ROOT).as_posix(), found[1])
    for page in PAGES
    for found in INLINE.finditer(FENCE.sub("", page.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize(("page", "command"), list(dict.fromkeys(SHOWN)))
def test_what_is_only_shown_could_be_written_so(page, command):
    command = re.sub(r"[\[\]]", "", command)  # what may be left out
    try:
        parse(command)
    except TyperException as error:
        # a verb that is spoken of without its arguments
        said = error.format_message()
        assert re.match("Missing|.*requires an argument|$", said) and len(command.split()) <= 4, f"{page}: {said}"
    except typer.Exit:
        pass  # --help and --version


def test_every_make_target_that_is_spoken_of_is_there():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    texts = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    wanted = set(re.findall(r"^make (\w+)|`make (\w+)", texts, flags=re.MULTILINE))
    wanted = {name for pair in wanted for name in pair if name}
    assert {"demo", "test"} <= wanted <= set(targets)


def test_no_page_speaks_of_files_that_a_user_has_not():
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            assert "cp recipes/" not in line and "train recipes/" not in line, (page, line)
