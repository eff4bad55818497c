"""Official checkpoints: exact mapping at full size, shards, and sources over each other."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from official import HIDDEN, ROWS, TOKENIZER, WIDTH, llama_state, same, weights, write
from sphinx_x.checkpoints.accessory import (
    ARCHITECTURES,
    UNUSED,
    Checkpoint,
    export_accessory,
    import_accessory,
    understand,
)
from sphinx_x.checkpoints.accessory.shards import merge, split
from sphinx_x.checkpoints.parts import Part, disk_outline, plan_parts
from sphinx_x.checkpoints.pth import PREFIX
from sphinx_x.checkpoints.rules import convert, inverse
from sphinx_x.errors import CheckpointError
from sphinx_x.inference import SphinxX
from sphinx_x.model.config import GroupConfig, SphinxXConfig
from sphinx_x.model.experts.convnext import ConvNextConfig
from sphinx_x.model.experts.dinov2 import DinoV2Config
from sphinx_x.model.modeling import NEVER
from sphinx_x.work.files import check_manifest

# ---- mapping at full size


class Outline:
    """A checkpoint of which only names and shapes are there."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self.name, self._tensors = "outline", tensors

    def tensors(self):
        return self._tensors

    def read(self, name):
        raise AssertionError("nothing is read")


REAL = ["SPHINX", "SPHINX-MoE", "SPHINX-Tiny", "SPHINX-Tiny-1k"]


def real(shared_dir: Path, name: str) -> tuple[Outline, Checkpoint]:
    facts = json.loads((shared_dir / "golden" / "real_state_dicts" / f"{name}.json").read_text())
    tensors = {n.removeprefix(PREFIX): torch.empty(s, device="meta") for n, s, _ in facts["tensors"]}
    source = Outline(tensors)
    return source, understand(source, facts["llama_type"], facts["config"])


def plan_of(source: Outline, checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return plan_parts([Part(source, checkpoint.rules(), lambda n: bool(UNUSED.fullmatch(n)))], checkpoint.config)


@pytest.mark.parametrize("name", REAL)
def test_full_size_maps_one_to_one(shared_dir, name):
    source, checkpoint = real(shared_dir, name)
    outline = plan_of(source, checkpoint)
    used = sum(t.numel() for n, t in source.tensors().items() if not UNUSED.fullmatch(n))
    added = 2 * 4 * checkpoint.config.text_config.hidden_size  # rows of the image tokens; start and end are among them
    ends = 2 * checkpoint.config.text_config.hidden_size
    assert sum(t.numel() for t in outline.values()) == used + added - ends


@pytest.mark.parametrize("name", REAL)
def test_full_size_members_are_the_family_s(shared_dir, name):
    _, checkpoint = real(shared_dir, name)
    experts = {e.kind: e for group in checkpoint.config.group_configs() for e in group.experts}
    for kind, whole in (("convnext", ConvNextConfig()), ("dinov2", DinoV2Config())):
        found = experts[kind]
        for field in (
            "channels",
            "depth",
            "depths",
            "heads",
            "hidden",
            "swiglu",
            "positions",
            "eps",
            "kernel",
            "strides",
        ):
            assert getattr(found, field, None) == getattr(whole, field, None)


def test_a_wrong_extra_or_missing_tensor_is_named(shared_dir):
    source, checkpoint = real(shared_dir, "SPHINX-Tiny")
    name = "dinov2_vitg14.blocks.7.attn.qkv.bias"
    for change, says in (
        ({name: torch.empty(17, device="meta")}, r"blocks.7.attn.qkv.bias .here .*is \(17,\)"),
        ({"dinov2_vitg14.blocks.7.attn.surprise": torch.empty(3, device="meta")}, "surprise not part of this model"),
        ({name: None}, f"tensor {name} missing"),
    ):
        tensors = {**source.tensors(), **change}
        with pytest.raises(CheckpointError, match=says):
            plan_of(Outline({n: t for n, t in tensors.items() if t is not None}), checkpoint)


# ---- shards and overlays


@pytest.mark.parametrize("shards", [2, 4])
def test_shards_give_what_one_file_gives(plain, tmp_path, shards):
    import_accessory([write(tmp_path / "official", llama_state(), shards)], tmp_path / "model")
    assert same(weights(tmp_path / "model"), weights(plain / "model"))
    export_accessory(tmp_path / "model", tmp_path / "one", shards=1)
    state = torch.load(tmp_path / "one" / "consolidated.00-of-01.model.pth", weights_only=True)["model"]
    assert same({n.removeprefix(PREFIX): t for n, t in state.items()}, llama_state())


@pytest.mark.parametrize("name", ["layers.0.feed_forward.w1", "layers.3.feed_forward.w2"])
def test_stacked_experts_split_and_merge(name):
    whole = torch.arange(4 * 6 * 5).reshape(24, 5)
    parts = [split(name, whole, number, 3, experts=4) for number in range(3)]
    assert torch.equal(parts[1], whole.reshape(4, 6, 5)[:, 2:4].reshape(8, 5))
    assert torch.equal(merge(name, parts, experts=4), whole)
    assert torch.equal(merge(name, [p.reshape(4, 2, 5) for p in parts], experts=4), whole)


def test_a_split_that_does_not_come_out_even_is_refused():
    with pytest.raises(CheckpointError, match="no multiple of 3"):
        split("output.weight", torch.zeros(8, 2), 0, 3)


def test_differences_are_added_to_a_base(tmp_path):
    base, difference = llama_state(), llama_state(seed=5)
    changed = {name: difference[name] for name in ("output.weight", "layers.1.attention.wq.weight")}
    folders = [write(tmp_path / "base", base, 2), write(tmp_path / "diff", changed, ending="model-diff")]
    import_accessory(folders, tmp_path / "model")
    summed = {name: (base[name].float() + changed[name].float()).bfloat16() for name in changed}
    import_accessory([write(tmp_path / "sum", base | summed)], tmp_path / "wanted")
    assert same(weights(tmp_path / "model"), weights(tmp_path / "wanted"))
    with pytest.raises(CheckpointError, match="has to be given before it"):
        import_accessory(folders[1:], tmp_path / "none")


def test_a_difference_may_be_nothing(plain, tmp_path):
    nothing = {name: torch.zeros_like(tensor) for name, tensor in llama_state().items()}
    folders = [plain / "official", write(tmp_path / "diff", nothing, 2, ending="model-diff")]
    import_accessory(folders, tmp_path / "model")
    assert same(weights(tmp_path / "model"), weights(plain / "model"))


def test_a_difference_may_bring_tensors_of_its_own(tmp_path):
    """A base language model of Meta's, and what makes SPHINX of it; type and settings are those of the last folder."""
    base = write(tmp_path / "base", llama_state())
    (base / "config.json").write_text(json.dumps({"dim": WIDTH, "n_heads": 8, "rope_scaling": 0.5}))
    more = {name: tensor for name, tensor in light_state().items() if name not in llama_state()}
    difference = write(tmp_path / "diff", more, ending="model-diff")
    (difference / "meta.json").write_text('{"llama_type": "llama_ens_light"}')
    import_accessory([base, difference], tmp_path / "model")
    import_accessory([_light(tmp_path / "whole")], tmp_path / "wanted")
    assert same(weights(tmp_path / "model"), weights(tmp_path / "wanted"))
    config = json.loads((tmp_path / "model" / "config.json").read_text())["text_config"]
    assert config["num_attention_heads"] == 4 and config["rope_parameters"]["rope_type"] == "default"


def light_state() -> dict[str, torch.Tensor]:
    """A tiny `llama_ens_light`: one block in each encoder."""
    fields = {"channels": (4, 8), "depths": (1, 1), "strides": ((4, 4), (8, 8))}
    groups = GroupConfig((ConvNextConfig(**fields), DinoV2Config(channels=64, depth=1, heads=1, hidden=32)))
    views = ARCHITECTURES["llama_ens_light"].views  # pyright: ignore[reportOptionalMemberAccess]
    text = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4}
    text |= {"model_type": "llama", "intermediate_size": HIDDEN, "vocab_size": ROWS + 4, "tie_word_embeddings": False}
    config = SphinxXConfig(text, (groups,), views, *range(ROWS, ROWS + 4))
    rules = inverse(Checkpoint("llama_ens_light", {}, config, ROWS).rules())
    outline = disk_outline(config)
    generator = torch.Generator().manual_seed(2)
    made = {
        name: torch.randn(t.shape, generator=generator).bfloat16() for name, t in convert(rules, outline.__getitem__)
    }
    return made | llama_state()


def _light(folder: Path) -> Path:
    write(folder, light_state())
    (folder / "meta.json").write_text('{"llama_type": "llama_ens_light"}')
    return folder


def test_later_checkpoints_lie_over_earlier_ones(tmp_path):
    over = {"output.weight": llama_state(seed=5)["output.weight"]}
    import_accessory([write(tmp_path / "a", llama_state()), write(tmp_path / "b", over)], tmp_path / "model")
    assert torch.equal(weights(tmp_path / "model")["lm_head.weight"][:ROWS], over["output.weight"])
    with pytest.raises(CheckpointError, match="in the checkpoint before it"):
        wrong = write(tmp_path / "c", {"output.weight": torch.zeros(7, WIDTH)})
        import_accessory([tmp_path / "a", wrong], tmp_path / "none")


def test_meta_files_and_their_buffers_come_back(tmp_path):
    folder = tmp_path / "official"
    folder.mkdir()
    state = {**llama_state(), "rope.freqs": torch.arange(4.0)}
    torch.save(state, folder / "consolidated.00.pth")
    (folder / "params.json").write_text(json.dumps({"dim": WIDTH, "n_heads": 4, "vocab_size": -1}))
    shutil.copyfile(TOKENIZER, folder / "tokenizer.model")
    import_accessory([folder], tmp_path / "model")
    import_accessory([write(tmp_path / "other", llama_state())], tmp_path / "wanted")
    assert same(weights(tmp_path / "model"), weights(tmp_path / "wanted"))
    export_accessory(tmp_path / "model", tmp_path / "back")
    assert same(torch.load(tmp_path / "back" / "consolidated.00.pth", weights_only=True), state)


def test_settings_come_back_from_the_folder_that_they_were_read_from(tmp_path):
    """A diff's own lie over those of Meta's base; were both kept, the base's would be read again."""
    base = tmp_path / "base"
    base.mkdir()
    torch.save(llama_state(), base / "consolidated.00.pth")
    (base / "params.json").write_text(json.dumps({"dim": WIDTH, "n_heads": 4, "vocab_size": -1, "norm_eps": 1e-5}))
    shutil.copyfile(TOKENIZER, base / "tokenizer.model")
    diff = write(tmp_path / "diff", {"output.weight": llama_state(seed=5)["output.weight"]})
    settings = json.loads((diff / "config.json").read_text())
    (diff / "config.json").write_text(json.dumps(settings | {"norm_eps": 1e-6}))
    import_accessory([base, diff], tmp_path / "model")
    export_accessory(tmp_path / "model", tmp_path / "back")
    import_accessory([tmp_path / "back"], tmp_path / "again")
    found = [SphinxXConfig.from_pretrained(tmp_path / name).text_config.rms_norm_eps for name in ("model", "again")]
    assert found == [1e-6, 1e-6]


def test_heads_are_not_cut_by_shards(plain, tmp_path):
    with pytest.raises(CheckpointError, match="4 heads cannot be shared by 8 shards"):
        export_accessory(plain / "model", tmp_path / "back", shards=8)
    assert not (tmp_path / "back").exists()


def test_large_models_are_spread_over_several_files(plain, tmp_path, monkeypatch):
    monkeypatch.setattr("sphinx_x.checkpoints.writer.FILE_BYTES", 20_000)
    import_accessory([plain / "official"], tmp_path / "model")
    files = sorted((tmp_path / "model").glob("model-*.safetensors"))
    assert len(files) > 2 and not (tmp_path / "model" / "model.safetensors").exists()
    # a tensor that is larger than a file may be has one of its own; all others fit
    assert sum(file.stat().st_size > 23_000 for file in files) == 2
    check_manifest(tmp_path / "model", full=True)
    first, spread = (SphinxX.load(folder / "model").model.state_dict() for folder in (plain, tmp_path))
    assert same(first, spread)
    export_accessory(tmp_path / "model", tmp_path / "back")
    state = torch.load(tmp_path / "back" / "consolidated.00-of-01.model.pth", weights_only=True)["model"]
    assert same({n.removeprefix(PREFIX): t for n, t in state.items()}, llama_state())


def test_a_small_drift_between_copies_is_told(tmp_path):
    folder = write(tmp_path / "official", llama_state(), 2)
    path = folder / "consolidated.01-of-02.model.pth"
    state = torch.load(path, weights_only=True)
    state["model"]["llma.norm.weight"][3] *= 1.01
    torch.save(state, path)
    notes = import_accessory([folder], tmp_path / "model")
    assert len(notes) == 1 and "norm.weight differs between shards" in notes[0]
    assert torch.equal(weights(tmp_path / "model")["model.language_model.norm.weight"], llama_state()["norm.weight"])


# ---- old ids


def test_every_old_id_keeps_its_logits(plain):
    sphinx = SphinxX.load(plain / "model")
    logits = sphinx.model(input_ids=torch.tensor([[1, 5, 9, 500]])).logits
    assert logits.shape[-1] == ROWS + 4 and logits[..., :ROWS].isfinite().all()
    assert (logits[..., ROWS:] == NEVER).all()
    assert len(sphinx.processor.tokenizer) == ROWS + 4
    assert sphinx.processor.prompt_builder().image_tokens.all() == tuple(range(ROWS, ROWS + 4))


def test_a_model_without_eyes_says_so(plain):
    import PIL.Image

    from sphinx_x.errors import PromptError

    sphinx = SphinxX.load(plain / "model")
    assert isinstance(sphinx.chat("Hello?", max_new_tokens=2), str)
    with pytest.raises(PromptError, match="no visual experts"):
        sphinx.chat("What is this?", PIL.Image.new("RGB", (9, 9)))


def test_an_imported_folder_is_complete(plain):
    check_manifest(plain / "model", full=True)
    from transformers import AutoModelForCausalLM

    assert AutoModelForCausalLM.from_pretrained(plain / "model").config.model_type == "sphinx_x"
