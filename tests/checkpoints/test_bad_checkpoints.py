"""Official checkpoints that are broken, hostile or far away: one line, nothing is run, and OUT is absent."""

import contextlib
import io
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hub_server import serve_hub
from official import ROWS, WIDTH, llama_state, same, weights, write
from processes import begin_command
from sphinx_x.checkpoints.accessory import export_accessory, import_accessory
from sphinx_x.errors import CheckpointError, MissingToolError
from sphinx_x.inference import SphinxX


class Evil:
    """Its pickle would make a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def evil_zip(path: Path, trace: Path) -> None:
    torch.save({"model": {"llma.norm.weight": torch.zeros(2), "x": Evil(trace)}}, path)


def evil_pickle(path: Path, trace: Path) -> None:
    path.write_bytes(pickle.dumps({"model": Evil(trace)}))


def swap_pickle(path: Path, trace: Path) -> None:
    """A good archive whose table of contents is exchanged for another."""
    changed = path.with_suffix(".new")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for item in old.infolist():
            new.writestr(item, pickle.dumps(Evil(trace)) if item.filename.endswith("data.pkl") else old.read(item))
    changed.replace(path)


@pytest.mark.parametrize("attack", [evil_zip, evil_pickle, swap_pickle])
def test_a_malicious_file_is_refused_before_it_runs(tmp_path, attack):
    folder = write(tmp_path / "official", llama_state())
    attack(folder / "consolidated.00-of-01.model.pth", tmp_path / "trace")
    with pytest.raises(CheckpointError, match=r"refused|no checkpoint"):
        import_accessory([folder], tmp_path / "model")
    assert not (tmp_path / "trace").exists() and not (tmp_path / "model").exists()


def _other_model(folder: Path) -> None:
    shutil.copyfile(write(folder.parent / "other", llama_state(seed=9), 2) / SECOND, folder / SECOND)


def _other_width(folder: Path) -> None:
    state = torch.load(folder / SECOND, weights_only=True)
    state["model"]["llma.output.weight"] = torch.zeros(3, WIDTH)
    torch.save(state, folder / SECOND)


def _other_names(folder: Path) -> None:
    state = torch.load(folder / SECOND, weights_only=True)
    state["model"]["llma.layers.9.ffn_norm.weight"] = torch.zeros(WIDTH)
    torch.save(state, folder / SECOND)


def _same_twice(folder: Path) -> None:
    shutil.copyfile(folder / "consolidated.00-of-02.model.pth", folder / SECOND)


def _rewrite(folder: Path, change: Callable[[zipfile.ZipInfo, bytes], bytes], packed: bool = False) -> None:
    """Rewrites the second shard's archive, record by record."""
    path, kind = folder / SECOND, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(path.with_suffix(".new"), "w", kind) as new:
        for item in old.infolist():
            new.writestr(item.filename, change(item, old.read(item)))
    path.with_suffix(".new").replace(path)


def _short_record(folder: Path) -> None:
    _rewrite(folder, lambda item, data: data[:16] if item.filename.endswith("/data/1") else data)


def _stretched(folder: Path) -> None:
    state = torch.load(folder / SECOND, weights_only=True)
    state["model"]["llma.output.weight"] = torch.zeros(1, 1, dtype=torch.bfloat16).expand(ROWS // 2, WIDTH)
    torch.save(state, folder / SECOND)


def _settings(**changed: object) -> Callable[[Path], object]:
    return lambda folder: (folder / "config.json").write_text(json.dumps({"dim": WIDTH, "n_heads": 4, **changed}))


SECOND = "consolidated.01-of-02.model.pth"


def _each_shard(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    for path in folder.glob("*.pth"):
        torch.save({"model": change(torch.load(path, weights_only=True)["model"])}, path)


def _layer_five(folder: Path) -> None:
    _each_shard(folder, lambda state: {**state, "llma.layers.5.ffn_norm.weight": torch.zeros(WIDTH)})


def _whole_numbers(folder: Path) -> None:
    _each_shard(folder, lambda state: {**state, "llma.norm.weight": torch.zeros(WIDTH, dtype=torch.int32)})


BROKEN = {
    "shard 01 of 2 is missing": lambda f: (f / SECOND).unlink(),
    "cut off or no checkpoint": lambda f: cut(f / SECOND),
    "not of the same model": _other_model,
    "the shards are not of one model": _other_width,
    "they differ in layers.9.ffn_norm": _other_names,
    "shards of different checkpoints": lambda f: shutil.copyfile(f / SECOND, f / "consolidated.00-of-03.model.pth"),
    "no consolidated": lambda f: [file.unlink() for file in f.glob("*.pth")],
    "no tokenizer.model": lambda f: (f / "tokenizer.model").unlink(),
    "not a sentencepiece model": lambda f: (f / "tokenizer.model").write_bytes(b"nonsense"),
    "no config.json": lambda f: (f / "config.json").unlink(),
    "config.json: not JSON": lambda f: (f / "config.json").write_text("{"),
    "None attention heads": lambda f: (f / "config.json").write_text('{"dim": 32}'),
    "unknown architecture {}": lambda f: (f / "meta.json").write_text('{"llama_type": {}}'),
    "unknown architecture 'gpt'": lambda f: (f / "meta.json").write_text('{"llama_type": "gpt"}'),
    "holds no tensors only": lambda f: torch.save({"model": {"a": 3}}, f / SECOND),
    "a copy of consolidated.00": _same_twice,
    "its records are not its tensors": _short_record,
    "cut off or damaged": lambda f: _rewrite(f, lambda _, data: data, packed=True),
    "output.weight is not a plain tensor": _stretched,
    "the settings give dim 64, the tensors 32": _settings(dim=64),
    "the settings give n_layers 7, the tensors 2": _settings(n_layers=7),
    "norm_eps 'small', not a number": _settings(norm_eps="small"),
    "rope_scaling -1, not a number": _settings(rope_scaling=-1),
    "4 attention heads for 3 of keys": _settings(n_kv_heads=3),
    "layers.2 is missing, though there is layers.5": _layer_five,
    "has torch.int32 numbers": _whole_numbers,
    "holds no named tensors": lambda f: torch.save([torch.zeros(2)], f / SECOND),
}


@pytest.mark.parametrize("says", BROKEN)
def test_what_is_wrong_is_told_in_one_line(tmp_path, says, monkeypatch, capsys):
    from sphinx_x import cli

    folder = write(tmp_path / "official", llama_state(), 2)
    BROKEN[says](folder)
    monkeypatch.setattr(sys, "argv", ["sphinx-x", "import", "official", str(folder), "-o", str(tmp_path / "model")])
    with pytest.raises(SystemExit) as left:
        cli.main()
    said = capsys.readouterr().err
    assert left.value.code == 2 and said.count("\n") == 1 and says in said
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "other") == ["official"]


def test_an_existing_folder_is_left_alone(plain, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "precious").write_text("x")
    with pytest.raises(CheckpointError, match="is there already"):
        import_accessory([plain / "official"], tmp_path / "model")
    assert (tmp_path / "model" / "precious").read_text() == "x"


@pytest.mark.parametrize(
    "verb",
    [
        ["import", "official", "hf://nobody/nothing/folder"],
        ["import", "backbones", "--member", "tiny", "--llm", "nobody/nothing"],
        ["import", "packages"],
        ["export", "nobody/nothing", "--format", "onnx"],
        ["merge", "adapters"],
    ],
)
def test_an_existing_folder_is_refused_before_anything_is_fetched(tmp_path, monkeypatch, capsys, verb):
    from sphinx_x import cli

    monkeypatch.setattr(sys, "argv", ["sphinx-x", *verb, "-o", str(tmp_path)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    assert capsys.readouterr().err == f"error: {tmp_path}: is there already; give another name or remove it\n"


def test_a_disk_that_is_too_full_is_seen_before(plain, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(CheckpointError, match="GB are free"):
        import_accessory([plain / "official"], tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["import", "export"])
def test_a_disk_that_fills_up_leaves_nothing(plain, tmp_path, verb):
    """A real failure of `write`: the process may not make files of more than 50 kB."""
    limit = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))"
    )
    arguments = ["official", plain / "official"] if verb == "import" else [plain / "model"]
    arguments += ["-o", tmp_path / "out", *(["--format", "official"] if verb == "export" else [])]
    done = begin_command(verb, *arguments, change=limit)
    _, said = done.communicate(timeout=120)
    assert done.returncode == 2 and re.fullmatch(r"error: .*cannot be written .*\n", said), said
    assert not list(tmp_path.iterdir())


def importing(plain, out, number):
    """An import that sends itself a signal when all is written but its end."""
    change = (
        "import os, sphinx_x.checkpoints.accessory.importing as a\n"
        f"a.finish = lambda *_: os.kill(os.getpid(), {int(number)})"
    )
    return begin_command("import", "official", plain / "official", "-o", out, change=change)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_to_end_leaves_nothing(plain, tmp_path, number):
    done = importing(plain, tmp_path / "p/q", number)
    _, said = done.communicate(timeout=120)
    assert done.returncode == 128 + number and not said
    assert not list(tmp_path.iterdir())


def test_two_at_once_do_not_mix(plain, tmp_path):
    """Both write beside each other; the first to end has the name."""
    from sphinx_x.checkpoints.writer import new_folder

    with new_folder(tmp_path / "out") as first:
        (first / "mine").write_text("1")
        with new_folder(tmp_path / "out") as second:
            assert first != second
            (second / "mine").write_text("2")
        with pytest.raises(CheckpointError, match="cannot be written"), new_folder(tmp_path / "other") as third:
            (tmp_path / "other").mkdir()
            (tmp_path / "other" / "x").write_text("3")
            assert third.is_dir()
        shutil.rmtree(tmp_path / "out")
    assert (tmp_path / "out" / "mine").read_text() == "1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out"]


def test_a_changed_bit_is_seen_on_the_way_back(plain, tmp_path):
    shutil.copytree(plain / "model", tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    for use in (SphinxX.load, lambda folder: export_accessory(folder, tmp_path / "out")):
        with pytest.raises(CheckpointError, match="altered"):
            use(tmp_path / "model")


def test_ids_that_contradict_each_other_are_refused(plain, tmp_path):
    shutil.copytree(plain / "model", tmp_path / "model")
    (tmp_path / "model" / "manifest.json").unlink()
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps({**config, "skip_token_id": 3}))
    with pytest.raises(CheckpointError, match="other image tokens"):
        SphinxX.load(tmp_path / "model")
    with pytest.raises(CheckpointError, match="nothing to go back to"):
        export_accessory(tmp_path / "model", tmp_path / "out")


def test_a_device_that_is_not_there(plain):
    with pytest.raises(MissingToolError, match="device nowhere"):
        SphinxX.load(plain / "model", device="nowhere")


def test_out_may_not_lie_in_what_is_read(plain, tmp_path):
    with pytest.raises(CheckpointError, match="which is read"):
        import_accessory([plain / "official"], plain / "official" / "deep" / "model")
    assert not (plain / "official" / "deep").exists()


def test_weights_that_are_not_the_configs_are_refused(plain, tmp_path):
    from safetensors.torch import save_file

    shutil.copytree(plain / "model", tmp_path / "model")
    (tmp_path / "model" / "manifest.json").unlink()
    state = weights(plain / "model")
    missing = "model.language_model.layers.1.self_attn.v_proj.weight"
    save_file(
        {k: v for k, v in state.items() if k != missing}, tmp_path / "model" / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(CheckpointError, match=f"missing: {missing}"):
        SphinxX.load(tmp_path / "model")
    with pytest.raises(CheckpointError, match=missing):
        export_accessory(tmp_path / "model", tmp_path / "out")
    from sphinx_x.inference import BUILT_IN

    with pytest.raises(CheckpointError, match="nothing to go back to"):
        export_accessory(BUILT_IN / "nano", tmp_path / "out")


@pytest.mark.parametrize("where", ["model", "processor", "tokenizer"])
def test_code_in_a_model_folder_is_never_run(plain, tmp_path, monkeypatch, where):
    """Not even if whoever is asked says yes."""
    folder = tmp_path / "model"
    shutil.copytree(plain / "model", folder)
    (folder / "manifest.json").unlink()
    (folder / "evil.py").write_text(f"from pathlib import Path; Path({str(tmp_path / 'trace')!r}).touch()")
    name = {"model": "config.json", "processor": "processor_config.json", "tokenizer": "tokenizer_config.json"}[where]
    key = {"model": "AutoConfig", "processor": "AutoProcessor", "tokenizer": "AutoTokenizer"}[where]
    fields = json.loads((folder / name).read_text())
    kind = {"model_type": "unheard_of"} if where == "model" else {f"{where}_class": "Evil"}
    (folder / name).write_text(json.dumps({**fields, **kind, "auto_map": {key: "evil.Evil"}}))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 9))
    with contextlib.suppress(CheckpointError):
        SphinxX.load(folder)
    assert not (tmp_path / "trace").exists()


def test_a_kill_in_the_middle_leaves_no_half_folder(plain, tmp_path):
    assert importing(plain, tmp_path / "model", signal.SIGKILL).wait(120) == -signal.SIGKILL
    assert not (tmp_path / "model").exists()
    import_accessory([plain / "official"], tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


# ---- the hub


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    """The hub's cache is not the user's."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.mark.slow
def test_an_address_of_the_hub(plain, tmp_path, monkeypatch):
    with serve_hub({"Org/Release": {"finetune/mm/tiny": plain / "official"}}) as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "cache")}
        command = [sys.executable, "-c", "from sphinx_x.cli import main; main()", "import", "official"]
        command += ["hf://Org/Release/finetune/mm/tiny", "-o", str(tmp_path / "model")]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        assert same(weights(tmp_path / "model"), weights(plain / "model"))


def test_what_is_fetched_from_the_hub(plain, no_cache, tmp_path, monkeypatch):
    from sphinx_x.checkpoints.hub import fetch

    (tmp_path / "weights").mkdir()
    for name in ("model.safetensors", "pytorch_model.bin", "config.json", "run.py"):
        (tmp_path / "weights" / name).write_bytes(b"x")
    with serve_hub({"Org/Release": {"a/b": plain / "official", "": tmp_path / "weights"}}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        for address in ("Org/Release", "hf://Org/Release", "hf://Org/Release@main"):
            assert sorted(path.name for path in fetch(address).iterdir() if path.is_file()) == [
                "config.json",
                "model.safetensors",
            ]
        both = fetch("hf://Org/Release", subfolders=("a/b", "missing"))
        assert (both / "a" / "b" / "meta.json").is_file() and (both / "model.safetensors").is_file()
        assert (fetch("hf://Org/Release/a/b") / "config.json").is_file()
        assert fetch("hf://Org/Release/run.py").name == "run.py"  # asked for by its name
        assert set(hub.sent) >= {"a/b/meta.json"} and not {"README.md", "pytorch_model.bin"} & set(hub.sent)
        with pytest.raises(CheckpointError, match="has nothing at elsewhere"):
            fetch("hf://Org/Release/elsewhere")
        with pytest.raises(CheckpointError, match="the hub has no Org/Other"):
            fetch("hf://Org/Other")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match="not fetched"):
        fetch("hf://Org/Unseen")


def test_addresses_that_are_none():
    from sphinx_x.checkpoints.hub import fetch

    with pytest.raises(CheckpointError, match="an address is"):
        fetch("hf://only-a-name")
    assert fetch("some/folder/deep") == Path("some/folder/deep")
