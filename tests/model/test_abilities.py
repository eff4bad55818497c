"""What a member says that it can take: told by its config, kept to by `chat`, and doubt of improbable answers."""

import json
import os
import subprocess
import sys
from functools import partial

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig

from sphinx_x import SphinxX, cli
from sphinx_x.cli import early
from sphinx_x.errors import PromptError, RecipeError
from sphinx_x.evaluation.lines import load_line_set
from sphinx_x.inference import BUILT_IN
from sphinx_x.model.abilities import Abilities, PictureKind
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.recipe import load_recipe


@pytest.fixture(scope="module")
def nano():
    return SphinxX.load("nano")


@pytest.fixture(scope="module")
def line():
    """A held-out line, and what stands in it."""
    lines = load_line_set().sample(1)
    return lines.images(lines.lines)[0], lines.lines[0].text


def chat(*arguments, capsys, monkeypatch):
    """Exit code, output and error output of `sphinx-x chat`."""
    monkeypatch.setattr(sys, "argv", ["sphinx-x", "chat", *map(str, arguments)])
    code = 0
    try:
        cli.main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    return code, *capsys.readouterr()


def saved(folder, width, height):
    path = folder / "a.png"
    PIL.Image.linear_gradient("L").resize((width, height)).save(path)
    return path


def test_a_member_that_says_nothing_refuses_nothing(tiny):
    said = SphinxXConfig().ability()
    assert said == Abilities() and SphinxXConfig().abilities is None
    assert said.refusal([], 9, 1) is said.refusal([(5000, 5000)] * 7, 1, 1) is said.doubt(0.0) is None
    session = tiny.session()
    session.ask("Hello?", max_new_tokens=2)
    session.ask("Again?", PIL.Image.new("RGB", (900, 900)), max_new_tokens=2)
    assert session.probability is None


def test_what_is_said_survives_the_disk(tmp_path):
    said = Abilities((PictureKind("a face", 10, 20, 5),), 2, False, 3, ("names",), 0.5, "look closer")
    SphinxXConfig(abilities=said).save_pretrained(tmp_path)
    again = SphinxXConfig.from_pretrained(tmp_path)
    assert (
        again.ability() == said and again.abilities == json.loads((tmp_path / "config.json").read_text())["abilities"]
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": "red"},
        {"pictures": [{"what": "a", "width": 3}]},
        {"pictures": [{"what": "a", "width": 3, "height": 0}]},
        {"pictures": [{"what": "a", "width": "3", "height": 3}]},
        {"turns": -1},
        {"probable": 1.5},
        {"probable": "high"},
        {"tasks": 5},
        {"tasks": "reading"},
        {"text_alone": "no"},
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(wrong, tmp_path):
    with pytest.raises(ValueError, match=f"abilities: {next(iter(wrong))}"):
        SphinxXConfig(abilities=wrong)
    recipe = {"member": "nano", "folder": "a", "total_samples": 9, "sources": {"a": {}}, "abilities": wrong}
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    with pytest.raises(RecipeError, match=f"abilities: {next(iter(wrong))}"):
        load_recipe(tmp_path / "recipe.yaml")


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_a_picture_is_taken_by_its_scaled_height(width, height):
    kind = PictureKind("a line", 1536, 96, 48)
    wide = width > 1536 or height > 96
    assert kind.takes((width, height), 768) == (not wide and height * min(768, width) / width <= 48)


def test_nano_says_what_it_takes():
    said = Abilities.from_dict(json.loads((BUILT_IN / "nano" / "config.json").read_text())["abilities"])
    assert said == Abilities.from_dict(load_recipe("nano-engines").abilities)
    assert said.turns == said.most_pictures == 1 and said.text_alone is False
    assert all(said.refusal([image.size], 1, 768) is None for image in load_line_set().images(load_line_set().lines))


REFUSED = {
    "text alone": (None, "no text alone"),
    "a photo": ((640, 480), "sphinx-x read"),
    "a page": ((1240, 1754), "sphinx-x read"),
    "a receipt": ((463, 1013), "sphinx-x read"),
    "two lines": ((700, 60), "sphinx-x read"),
    "a line of a large scan": ((2400, 70), "sphinx-x read"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_nano_cannot_take_is_refused_in_one_line(kind, tmp_path, capsys, monkeypatch):
    size, says = REFUSED[kind]
    place = saved(tmp_path, *size) if size else "-"
    code, out, err = chat(place, "What is this?", capsys=capsys, monkeypatch=monkeypatch)
    assert (code, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1 and says in err


def test_a_refusal_does_not_wait_for_torch(tmp_path):
    script = (
        "import sys\nfrom sphinx_x import cli\nsys.argv = ['sphinx-x', 'chat', '-', 'Hello?']\n"
        "try:\n    cli.main()\nexcept SystemExit as stop:\n    print(stop.code, 'torch' in sys.modules)"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=True)
    assert done.stdout == "2 False\n" and "no text alone" in done.stderr


def test_what_is_refused_early_is_what_is_refused_late(nano, tmp_path):
    sizes = [(1, 1), (256, 256), (257, 256), (700, 48), (700, 49), (768, 48), (1500, 90), (1536, 96), (1537, 20)]
    for chosen in ([], *([size] for size in sizes), [(9, 9)] * 2):
        caught = []
        for check in (nano.check, partial(early.refuse, "nano"), partial(early.refuse, str(BUILT_IN / "nano"))):
            try:
                check(chosen)
                caught.append(None)
            except PromptError as error:
                caught.append(str(error))
        assert len(set(caught)) == 1, (chosen, caught)
    early.refuse("owner/name", [])
    (tmp_path / "config.json").write_text("[]")
    early.refuse(str(tmp_path), [])


def test_a_session_of_nano_has_one_turn(nano, line, tmp_path, capsys, monkeypatch):
    session = nano.session()
    session.ask("Read the text.", line[0])
    with pytest.raises(PromptError, match="one question"):
        session.ask("And what else?")
    assert len(session.messages) == 2
    with pytest.raises(PromptError, match="one picture"):
        nano.chat("Read the text.", [line[0], line[0]])
    line[0].save(tmp_path / "line.png")
    asked = iter(["Read the text.", "Again?"])
    monkeypatch.setattr("builtins.input", lambda _: next(asked))
    code, out, err = chat(tmp_path / "line.png", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2 and out == f"{session.messages[1].parts[0].text}\n" and "error: this model takes one" in err


def test_no_question_is_waited_for_that_would_be_refused(capsys, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("asked"))
    code, _, err = chat(capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2 and "no text alone" in err


def test_an_improbable_answer_is_marked_and_a_probable_one_is_not(nano, line, tmp_path, capsys, monkeypatch):
    line[0].save(tmp_path / "line.png")
    code, out, err = chat(tmp_path / "line.png", "Read the text.", capsys=capsys, monkeypatch=monkeypatch)
    assert (code, err) == (0, "")
    # a photo small enough to be taken for emoji: stripes are none
    noise = PIL.Image.effect_noise((250, 180), 90).convert("RGB")
    noise.save(tmp_path / "noise.png")
    code, out, err = chat(tmp_path / "noise.png", "What is this?", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0 and out and err.startswith("note: this answer is most likely wrong") and err.count("\n") == 1


def test_streamed_and_returned_answers_have_one_probability(nano, line):
    streamed, returned = nano.session(), nano.session()
    "".join(streamed.ask("Read the text.", line[0], stream=True))
    returned.ask("Read the text.", line[0])
    [(_, batched)] = nano.probable_answers([("Read the text.", line[0])])
    assert streamed.probability == returned.probability == pytest.approx(batched, abs=1e-5)


@pytest.mark.parametrize("options", [{"num_beams": 2}, {"num_beams": 2, "num_return_sequences": 2}])
def test_beams_have_no_probability(nano, line, options):
    for asked in (options, {"generation_config": GenerationConfig(**options)}):
        session = nano.session()
        session.ask("Read the text.", line[0], max_new_tokens=4, **asked)
        assert session.probability is None


def test_one_beam_has_a_probability(nano, line):
    session = nano.session()
    session.ask("Read the text.", line[0], generation_config=GenerationConfig(num_beams=1, max_new_tokens=4))
    assert session.probability is not None


def test_training_says_what_the_recipe_says_and_not_what_it_began_with():
    from sphinx_x.training.engine import begin

    recipe = load_recipe("finetune-nano")
    assert recipe.start == "nano" and begin(recipe)[0].config.abilities is None
    told = recipe.model_copy(update={"abilities": {"turns": 4}})
    assert begin(told)[0].config.abilities == {"turns": 4}


def test_adapters_do_not_say_what_the_model_below_them_says(nano, tmp_path):
    from sphinx_x.recipe import LoraRecipe
    from sphinx_x.training.lora import add_adapters, save_adapters

    model = SphinxX.load("nano").model
    add_adapters(model, LoraRecipe(rank=1), 0)
    save_adapters(model, tmp_path / "adapters", "nano", nano.processor)
    assert SphinxX.load(tmp_path / "adapters").model.config.abilities is None
