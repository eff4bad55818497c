"""Models by their hub id: fetched once, found again without a network, and a failure that is told at once."""

import time

import PIL.Image
import pytest

from hub_server import serve_hub
from sphinx_x.checkpoints.hub import fetch
from sphinx_x.errors import CheckpointError
from sphinx_x.inference import SphinxX, find_model, load_processor
from sphinx_x.training.lora import merge_folder

PICTURE = PIL.Image.effect_noise((90, 20), 60).convert("RGB")


@pytest.fixture
def hub(tiny_folder, tmp_path, monkeypatch):
    """A hub with the tiny member; the cache is not the user's."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "adapter_config.json").write_text('{"peft_type": "LORA", "lora_alpha": 1}')
    with serve_hub({"Org/Tiny": {"": tiny_folder}, "Org/Adapters": {"": tmp_path / "adapters"}}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server


def unplug(monkeypatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


def test_a_hub_id_gives_what_its_folder_gives(hub, tiny):
    loaded = SphinxX.load("Org/Tiny")
    assert loaded.chat("Read.", PICTURE, max_new_tokens=5) == tiny.chat("Read.", PICTURE, max_new_tokens=5)
    assert not [name for name in hub.sent if name.endswith((".py", ".md", ".png"))]
    assert len(hub.sent) == len(set(hub.sent))
    assert load_processor("hf://Org/Tiny@main").tokens_per_view == tiny.processor.tokens_per_view


def test_without_a_network_the_cache_is_taken_and_that_is_said(hub, tiny, monkeypatch, caplog):
    SphinxX.load("Org/Tiny")
    fetched = len(hub.sent)
    SphinxX.load("Org/Tiny", local_files_only=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    SphinxX.load("Org/Tiny")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert len(hub.sent) == fetched and not caplog.records
    unplug(monkeypatch)
    loaded = SphinxX.load("Org/Tiny")
    assert [record.getMessage() for record in caplog.records if "copy in its cache is taken" in record.getMessage()]
    assert loaded.chat("Read.", PICTURE, max_new_tokens=5) == tiny.chat("Read.", PICTURE, max_new_tokens=5)


@pytest.mark.parametrize("name", ["runs/exp--1", "models/a..b", "modelle/gr\u00f6\u00dfe", "a/" + "b" * 100])
def test_a_wrong_path_that_cannot_be_an_address_is_told(name):
    with pytest.raises(CheckpointError, match="no such file or folder, and no address of the hub"):
        fetch(name)


@pytest.mark.parametrize("use", [SphinxX.load, load_processor, find_model])
def test_what_is_not_there_is_told_at_once(hub, monkeypatch, use, tmp_path):
    with pytest.raises(CheckpointError, match=r"Org/Other: the hub has no Org/Other.*nor is there such a folder"):
        use("Org/Other")
    with pytest.raises(CheckpointError, match=r"not to be asked \(local_files_only\)"):
        use("Org/Tiny", local_files_only=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=r"not to be asked \(HF_HUB_OFFLINE\)"):
        use("Org/Tiny")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    unplug(monkeypatch)
    started = time.monotonic()
    with pytest.raises(CheckpointError, match=r"Org/Tiny: not fetched from the hub .* nor in its cache") as caught:
        use("Org/Tiny")
    assert time.monotonic() - started < 5 and "\n" not in str(caught.value)


def test_a_copy_that_is_not_whole_is_none(hub, monkeypatch, tmp_path):
    SphinxX.load("Org/Tiny")
    unplug(monkeypatch)
    for path in (tmp_path / "cache").glob("*Tiny/snapshots/*/model.safetensors"):
        path.unlink()
    with pytest.raises(CheckpointError, match=r"no file named model.safetensors|no weights"):
        SphinxX.load("Org/Tiny")


def test_a_revision_is_of_the_hub(hub, tiny_folder):
    SphinxX.load("Org/Tiny", revision="main")
    with pytest.raises(CheckpointError, match="a folder has no revision v2"):
        SphinxX.load(tiny_folder, revision="v2")


def test_adapters_by_their_hub_id(hub, tmp_path):
    with pytest.raises(CheckpointError, match="base_model_name_or_path does not name the model"):
        SphinxX.load("Org/Adapters")
    with pytest.raises(CheckpointError, match="not a folder of adapters: is a model folder"):
        merge_folder(find_model("Org/Tiny"), tmp_path / "out")
