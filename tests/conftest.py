"""What every test runs under: one quiet OpenMP thread, denormals flushed, shared test material by a fixture."""

import os
import sys
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("busy", deadline=None)  # a machine may have other work
hypothesis.settings.load_profile("busy")

# Before anything imports torch, and inherited by the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Lets each process begin with files that have slow tests, so that what is left at the end is shared out finely.

    The processes of pytest-xdist take up the tests in runs of equal length, and later from each other's ends.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    long = [tests for path, tests in files.items() if path in slow]
    short = [item for path, tests in files.items() if path not in slow for item in tests]
    count, ordered = getattr(config, "workerinput", {}).get("workercount", 1), []
    for number in range(count):
        ordered += [item for tests in long[number::count] for item in tests]
        room = max(0, len(items) * (number + 1) // count - len(ordered))
        ordered, short = ordered + short[:room], short[room:]
    items[:] = ordered


@pytest.fixture(autouse=True)
def _quiet_torch() -> None:
    """Flushes denormals, which slow a backward pass thirtyfold; torch is not imported for it."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_flush_denormal(True)


@pytest.fixture
def repository() -> Path:
    """The folder of the repository, for tests that ask git; an unpacked sdist is none."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        pytest.skip(f"{root} is no git repository")
    return root


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder `shared` beside the repository: golden numbers and evaluation data too large for it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{folder} is missing, though CI lays it beside the repository")
        pytest.skip(f"needs {folder}, which is not part of the repository")
    return folder


@pytest.fixture(scope="session")
def tiny_member():
    """A member of Nano's kind, small enough for tests: canvas 128, 8 x 2 bands of 16 x 64 pixels, 9 tokens a view."""
    from dataclasses import replace

    from sphinx_x.family import get_member
    from sphinx_x.model.views import ViewGrid

    size = {"height": 16, "width": 64}
    convnext = {
        "kind": "convnext",
        **size,
        "channels": (8, 16),
        "depths": (1, 1),
        "strides": ((4, 4), (4, 2)),
        "kernel": 3,
    }
    dinov2 = {
        **{"kind": "dinov2", **size, "patch": (16, 8), "channels": 16, "depth": 1, "heads": 2, "hidden": 32},
        **{"swiglu": False, "positions": (1, 8)},
    }
    nano = get_member("nano")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    return replace(
        nano,
        llm={**nano.llm, **sizes, "intermediate_size": 48},
        views=ViewGrid(8, 2, 16, 64, global_view=False, max_upscale=1.0),
        groups=({"experts": (convnext, dinov2), "tokens": (1, 8)},),
    )


@pytest.fixture(scope="session")
def tiny_mixture(tiny_member):
    """The same with a mixture of four experts in every layer, two for each token."""
    from dataclasses import replace

    experts = {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}
    return replace(tiny_member, llm={**tiny_member.llm, **experts, "router_aux_loss_coef": 0.02})


@pytest.fixture(scope="session")
def tiny_folder(tiny_member, tmp_path_factory):
    """A model folder of the tiny member with random weights and a manifest."""
    from sphinx_x.family import new_model
    from sphinx_x.work.files import write_manifest

    folder = tmp_path_factory.mktemp("model") / "tiny"
    model, processor = new_model(tiny_member, seed=1)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    write_manifest(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder):
    """The tiny member, loaded."""
    from sphinx_x.inference import SphinxX

    return SphinxX.load(tiny_folder)


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """A tiny official language model in one shard, and what it is imported as."""
    from official import llama_state, write
    from sphinx_x.checkpoints.accessory import import_accessory

    work = tmp_path_factory.mktemp("plain")
    import_accessory([write(work / "official", llama_state())], work / "model")
    return work


@pytest.fixture(scope="session")
def nano_onnx(tmp_path_factory):
    """SPHINX-Nano exported to ONNX: a folder for all tests, none of which writes to it."""
    return _exported_nano(tmp_path_factory, int8=False)


@pytest.fixture(scope="session")
def nano_int8(tmp_path_factory):
    """The same with int8."""
    return _exported_nano(tmp_path_factory, int8=True)


def _exported_nano(factory, int8):
    pytest.importorskip("onnxscript")
    from made_once import made_once
    from onnx_exports import export_nano

    name = "onnx-int8" if int8 else "onnx"
    return made_once(factory, name, lambda folder: export_nano(folder, int8)) / "nano"
