"""Our folders in the hands of the Transformers library alone: with and without this package."""

import builtins
import json
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint

import pytest
import torch

from paths import ROOT
from sphinx_x.model.auto import CODE, CODE_FILE, library_objects
from sphinx_x.model.modeling import SphinxXForConditionalGeneration


def test_every_name_in_a_folder_is_a_class_of_this_package(tiny_folder, tmp_path, monkeypatch):
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    named = {}
    for file in ("config.json", "processor_config.json"):
        fields = json.loads((tiny_folder / file).read_text())
        named |= fields["auto_map"] | fields.get("image_processor", {}).get("auto_map", {})
    assert set(named) == {
        *("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoModelForImageTextToText"),
        *("AutoProcessor", "AutoImageProcessor"),
    }
    for auto, name in named.items():
        found = get_class_from_dynamic_module(name, tiny_folder)
        assert found.__name__ == name.split(".")[1] and found.__module__.startswith("sphinx_x."), auto


def test_what_is_saved_after_that_is_the_same(tiny, tiny_folder, tmp_path):
    """The library asks a class that it found through a folder to copy its source from then on."""
    for kind in (type(tiny.model), type(tiny.model.config), type(tiny.processor), type(tiny.processor.image_processor)):
        kind.register_for_auto_class()
    tiny.model.save_pretrained(tmp_path)
    tiny.processor.save_pretrained(tmp_path)
    names = {path.name for path in tiny_folder.iterdir()} - {"manifest.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    for name in (CODE_FILE, "processor_config.json"):
        assert (tmp_path / name).read_text() == (tiny_folder / name).read_text()


def test_without_the_package_it_says_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def missing(name, *rest, **more):
        if name.split(".")[0] == "sphinx_x":
            raise ModuleNotFoundError(f"No module named {name!r}", name="sphinx_x")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match="SPHINX-X model, and its package is missing: pip install sphinx-x"):
        exec(CODE, {})


ABSENT = """
import sys
class Absent:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] == "sphinx_x":
            raise ModuleNotFoundError(f"No module named {name!r}", name="sphinx_x")
sys.meta_path.insert(0, Absent)
"""
LOAD = """
import json, sys
import transformers
said = {}
for name in ("AutoConfig", "AutoProcessor", "AutoImageProcessor", "AutoTokenizer", "AutoModelForImageTextToText"):
    try:
        said[name] = type(getattr(transformers, name).from_pretrained(sys.argv[1], trust_remote_code=TRUST)).__name__
    except Exception as error:
        said[name] = " ".join(str(error).split())
print(json.dumps(said))
"""


@pytest.mark.slow
@pytest.mark.parametrize("trust", [None, False, True])
@pytest.mark.parametrize("there", [True, False])
def test_the_library_alone(tiny_folder, tmp_path, there, trust):
    code = ("" if there else ABSENT) + LOAD.replace("TRUST", str(trust))
    environment = {"HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", code, str(tiny_folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    said = json.loads(last[last.index("{") :])  # behind the library's questions
    tokenizer = said.pop("AutoTokenizer")
    if trust and there:
        assert said["AutoProcessor"] == "SphinxXProcessor" and tokenizer == "TokenizersBackend"
        assert said["AutoModelForImageTextToText"] == "SphinxXForConditionalGeneration"
    elif trust:
        assert all("pip install sphinx-x" in words for words in [*said.values(), tokenizer])
    else:  # a tokenizer needs nothing of ours; what does is never a bare one in silence
        assert tokenizer == "TokenizersBackend"
        assert all("contains custom code" in w and "trust_remote_code=True" in w for w in said.values()), said


def test_servers_find_the_architecture_by_its_name():
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    name = "SphinxXForConditionalGeneration"
    assert MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES["sphinx_x"] == name
    assert transformers in library_objects()
    assert all(getattr(library, name) is SphinxXForConditionalGeneration for library in library_objects())


def test_vllms_plug_in(monkeypatch):
    """Its contract: an entry point that may be called again, in every process; a CPU's matrix unit is asked for."""
    from sphinx_x.serving.vllm_plugin import registering

    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["vllm.general_plugins"]
    asked = []
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_init_amx", lambda: asked.append("matrix unit"))
    monkeypatch.setattr(registering, "register_in_vllm", lambda: asked.append("model"))
    for name, value in points.items():
        plugin = EntryPoint(name, value, "vllm.general_plugins").load()
        plugin()
        plugin()
    assert asked == ["model", "matrix unit"] * 2 and len(points) == 1


def test_the_librarys_own_command_line(capsys, monkeypatch):
    from transformers.cli import transformers as library

    from sphinx_x import cli
    from sphinx_x.inference import BUILT_IN

    seen = []
    monkeypatch.setattr(library, "app", lambda arguments, prog_name: seen.append(arguments))
    monkeypatch.setattr(sys, "argv", ["sphinx-x", "transformers", "serve", "nano", "--port", "8001", "--help"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert not left.value.code and seen == [["serve", str(BUILT_IN / "nano"), "--port", "8001", "--help"]]

    def lacking(*_: object, **__: object) -> None:
        raise ImportError("Missing dependencies for serving.\nInstall with `pip install transformers[serving]`")

    monkeypatch.setattr(library, "app", lacking)
    with pytest.raises(SystemExit) as left:
        cli.main()
    said = capsys.readouterr().err
    assert left.value.code == 2 and said.count("\n") == 1 and "pip install transformers[serving]" in said
