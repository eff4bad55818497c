"""How the command line is used wrongly, and what it tells without a model: help, version, family, recipes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer
import yaml

import sphinx_x
from commands import one_line, run
from sphinx_x import cli
from sphinx_x.checkpoints.writer import dtype_named
from sphinx_x.family import FACTS, MEMBERS, describe, known_facts
from sphinx_x.recipe import load_recipe


def verbs(command: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every verb of the command line with the words that call it, but for one that passes its words on."""
    below = getattr(command, "commands", None)
    if command.context_settings.get("ignore_unknown_options"):
        return
    if below is None:
        yield names, command
        return
    for name, one in below.items():
        yield from verbs(one, (*names, name))


VERBS = dict(verbs(typer.main.get_command(cli.app)))
TAKES_NOTHING = (
    ("family",),
    ("demo",),
    ("chat",),
    ("eval", "run"),
    ("eval", "tasks"),
    ("recipes",),
    ("serve",),
    ("data", "sources"),
    ("study", "scaling"),
    ("study", "ablations"),
)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_tells_a_usage_error_in_one_line(verb, capsys):
    wrong = [["--no-such-option"], ["a", "b", "c", "d", "e", "--no-such-option"]]
    if verb not in TAKES_NOTHING:
        wrong.append([])
    for arguments in wrong:
        code, out, err = run(*verb, *arguments, capsys=capsys)
        assert (code, out) == (2, "") and one_line(err) and f"{' '.join(verb)} --help" in err, (arguments, err)


NUMBERS = [
    (verb, option.opts[0])
    for verb, command in VERBS.items()
    for option in command.params
    if re.search(r"\b(int|float)\b", str(get_type_hints(command.callback).get(option.name)))
]


@pytest.mark.parametrize(
    ("verb", "option"), NUMBERS, ids=lambda part: part if isinstance(part, str) else " ".join(part)
)
def test_a_word_for_a_number_is_told_in_one_line(verb, option, capsys):
    code, out, err = run(*verb, option, "several", capsys=capsys)
    assert (code, out) == (2, "") and one_line(err) and option in err, err


@pytest.mark.parametrize("format", ["official", "llm", "onnx"])
def test_an_option_of_another_format_is_refused_by_name(format, tmp_path, capsys):
    wrong = ("--shards", "2") if format == "onnx" else ("--int8",)
    code, out, err = run("export", "nano", "--format", format, *wrong, "-o", tmp_path / "out", capsys=capsys)
    assert (code, out) == (2, "") and one_line(err) and wrong[0] in err and format in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["nope"], ["data", "nope"], ["import", "nope"], ["--nope"], ["chat", *"abcd"]])
def test_what_is_no_command_is_told_in_one_line(arguments, capsys):
    code, out, err = run(*arguments, capsys=capsys)
    assert (code, out) == (2, "") and one_line(err), err


@pytest.mark.parametrize("group", [[], ["data"], ["import"]])
def test_without_a_command_there_is_help(group, capsys):
    code, out, err = run(*group, capsys=capsys)
    assert code == 2 and "Commands" in out and one_line(err) and "a command is missing" in err


@pytest.mark.parametrize("verb", [(), ("data",), *VERBS], ids=" ".join)
def test_help_has_a_short_name(verb, capsys):
    short, long = (run(*verb, flag, capsys=capsys) for flag in ("-h", "--help"))
    assert short == long and short[0] == 0 and "Usage" in short[1] and short[2] == ""


def test_the_version(capsys):
    assert run("--version", capsys=capsys) == (0, f"sphinx-x {sphinx_x.__version__}\n", "")


def test_the_family_fits_a_terminal(capsys):
    code, out, _ = run("family", capsys=capsys)
    assert code == 0 and max(map(len, out.splitlines())) <= 80
    assert all(re.search(rf"^{name} .*{re.escape(MEMBERS[name].llm_name)}", out, re.M) for name in MEMBERS)


def test_what_is_known_of_the_family_is_what_is_counted():
    """After a change: python -c 'from sphinx_x.family import write_facts; write_facts()'."""
    told = known_facts()
    assert list(told) == list(MEMBERS) == list(json.loads(FACTS.read_text()))
    for name, member in MEMBERS.items():
        counted = asdict(describe(member))
        assert told[name].typical == counted.pop("typical")
        assert {key: getattr(told[name], key) for key in counted} == pytest.approx(counted)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["family"], ["recipes"], ["recipes", "nano"]])
def test_what_needs_no_model_imports_nothing_heavy(arguments):
    script = (
        f"import sys\nfrom sphinx_x import cli\nsys.argv = ['sphinx-x', *{arguments}]\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "print([n for n in ('torch', 'transformers', 'numpy', 'PIL') if n in sys.modules])"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.strip().endswith("[]")


def test_a_printed_recipe_is_the_packaged_one(tmp_path, capsys):
    code, out, _ = run("recipes", capsys=capsys)
    packaged = {path.stem for path in (Path(sphinx_x.__file__).parent / "recipes").glob("*.yaml")}
    listed = {line.split()[0] for line in out.split("\n\n")[0].splitlines()}
    assert code == 0 and listed == packaged and max(map(len, out.splitlines())) <= 80
    for name in packaged:
        code, out, _ = run("recipes", name, capsys=capsys)
        (tmp_path / f"my-{name}.yaml").write_text(out)
        assert code == 0 and load_recipe(tmp_path / f"my-{name}.yaml") == load_recipe(name)
    assert run("recipes", "recipes/nano.yaml", capsys=capsys) == run("recipes", "nano", capsys=capsys)
    code, out, err = run("recipes", "mine/nano.yaml", capsys=capsys)
    assert (code, out) == (2, "") and one_line(err) and "finetune-nano" in err


def test_a_field_at_the_wrong_place_is_sent_to_the_right_one(tmp_path, capsys):
    recipe = yaml.safe_load(run("recipes", "nano", capsys=capsys)[1])
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe | {"pdf_folder": "pdfs"}))
    code, _, err = run("train", tmp_path / "mine.yaml", "--dry-run", capsys=capsys)
    assert code == 2 and one_line(err) and "pdf_folder" in err and "data: {pdf_folder: ...}" in err


def test_fixed_values_are_those_of_the_library():
    """The command line writes them out, so that its help needs no library."""
    from sphinx_x.data.sample import BOXES
    from sphinx_x.engines.som.marks import KINDS
    from sphinx_x.engines.som.readers import SCENES
    from sphinx_x.work.pool import ENGINES

    def values(option: str, *verb: str) -> set[Any]:
        """What an option of a verb takes."""
        hint = get_type_hints(VERBS[verb].callback)[option]
        return {value for part in (get_args(hint) or (hint,)) for value in get_args(part) or (part,)} - {type(None)}

    assert values("source", "data", "mark") == {*SCENES, "sam", "cutouts"}
    assert values("boxes", "data", "pack") == set(BOXES)
    assert values("kind", "mark") == set(KINDS)
    assert values("engine", "data", "convert") == set(ENGINES)
    assert values("bits", "chat") == values("bits", "serve") == values("bits", "eval", "run") == {4, 8}
    for verb in (("import", "backbones"), ("merge",)):
        assert all(str(dtype_named(name)) == f"torch.{name}" for name in values("dtype", *verb))


@pytest.mark.parametrize(
    "command",
    [
        "data mark x -o y --source nope",
        "data validate x --boxes inches",
        "data convert vqav2 x -o y --engine abacus",
        "mark x.png --kind star",
        "chat x.png hello --bits 5",
        "export x -o y --format zip",
        "merge x -o y --dtype int3",
        "import backbones -o y --member nobody",
    ],
)
def test_a_value_that_an_option_does_not_take_is_told_before_anything_is_looked_for(command, capsys):
    code, out, err = run(*command.split(), capsys=capsys)
    option, value = command.split()[-2:]
    assert (code, out) == (2, "") and one_line(err), err
    assert f"'{option}'" in err and f"'{value}' is not one of" in err and "Value error" not in err


OLD = {
    ("som",): ("mark",),
    ("data", "som"): ("data", "mark"),
    ("data", "shard"): ("data", "pack"),
    ("import", "accessory"): ("import", "official"),
}


@pytest.mark.parametrize("old", OLD, ids=" ".join)
def test_an_old_name_works_and_tells_the_new_one(old, capsys, tmp_path):
    new = OLD[old]
    assert VERBS[old].hidden and not VERBS[new].hidden
    assert [p.opts for p in VERBS[old].params] == [p.opts for p in VERBS[new].params]
    missing = tmp_path / "missing.json"
    after = run(*new, missing, "-o", tmp_path / "out.png", capsys=capsys)
    before = run(*old, missing, "-o", tmp_path / "out.png", capsys=capsys)
    told, rest = before[2].split("\n", 1)
    assert f"`sphinx-x {' '.join(new)}`" in told and (before[0], before[1], rest) == after and one_line(rest)


def test_old_names_are_not_listed(capsys):
    for group in ((), ("data",), ("import",)):
        words = set(re.findall(r"^[│ ]+(\w+)", run(*group, "--help", capsys=capsys)[1], flags=re.MULTILINE))
        assert not words & {"som", "shard", "accessory"} and words & {"mark", "pack", "official"}
