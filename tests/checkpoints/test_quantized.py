"""Large models on small machines: quantisation with its experts, offloading, maps instead of copies."""

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import PIL.Image
import pytest
import torch
import transformers

from lively import noise
from sphinx_x.errors import CheckpointError
from sphinx_x.evaluation.answers import model_digest
from sphinx_x.family import new_model
from sphinx_x.inference import SphinxX
from sphinx_x.model.modeling import NEVER

NEEDS_BITS = pytest.mark.skipif(not find_spec("bitsandbytes"), reason="needs bitsandbytes")
MIXTRAL = {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}
WIDE = {"hidden_size": 128, "intermediate_size": 192, "num_attention_heads": 4, "num_key_value_heads": 2}

PICTURE = noise(100, 30, 0)


@pytest.fixture(scope="module", params=["llama", "mixtral"])
def folder(request, tiny_member, tmp_path_factory):
    """A model folder with float32 weights, of a dense model and of a mixture of experts."""
    extra = MIXTRAL if request.param == "mixtral" else {}
    untied = {"tie_word_embeddings": False, "initializer_range": 0.2}
    model, processor = new_model(replace(tiny_member, llm={**tiny_member.llm, **WIDE, **extra, **untied}), seed=1)
    out = tmp_path_factory.mktemp("quantized") / request.param
    model.save_pretrained(out)
    processor.save_pretrained(out)
    return out


def logits(sphinx: SphinxX) -> torch.Tensor:
    prompt = sphinx.prompt_for("Read.", PICTURE)
    pixels = prompt.views.to(torch.float32) / 255
    with torch.no_grad():
        out = sphinx.model(input_ids=torch.tensor([prompt.ids]), pixel_values=pixels).logits[0].float()
    return out[:, (out > NEVER).all(0)]


@pytest.mark.parametrize("bits", [4, 8])
def test_bits_on_a_cpu(folder, bits):
    """By PyTorch alone: nothing else is asked for."""
    plain, few = SphinxX.load(folder, device="cpu"), SphinxX.load(folder, device="cpu", bits=bits)
    kinds = {name: type(module).__name__ for name, module in few.model.named_modules()}
    wanted = f"Int{bits}Linear"
    inside = [k for name, k in kinds.items() if "language_model.layers" in name and "Linear" in k]
    assert set(inside) - {"LinearExpert", "LinearExperts"} == {wanted}
    assert inside.count(wanted) == 2 * (4 + (3 * 4 if "mixtral" in str(folder) else 3))
    assert not any(k.startswith("Int") for name, k in kinds.items() if "vision" in name)
    assert kinds["lm_head"] == "Int8Linear"
    # the same picture of the same numbers, coarser; random weights suffer more than trained ones (one picture of six
    # gives 0.78 and 0.97 with random experts, so it is always the same one here)
    pair = torch.stack([logits(plain).flatten(), logits(few).flatten()])
    assert torch.corrcoef(pair)[0, 1] > (0.8 if bits == 4 else 0.98)
    assert isinstance(few.chat("Read.", PIL.Image.new("RGB", (90, 20)), max_new_tokens=3), str)


@pytest.mark.parametrize("bits", [4, 8])
def test_bits_on_a_cpu_are_refused_where_they_would_be_lost(folder, bits, tmp_path):
    few = SphinxX.load(folder, device="cpu", bits=bits)
    with pytest.raises(ValueError, match="sphinx_x_cpu and is not serializable"):
        few.model.save_pretrained(tmp_path / "few")
    prompt = few.prompt_for("Read.")
    with pytest.raises(RuntimeError, match="no gradients"):
        few.model(inputs_embeds=few.model.get_input_embeddings()(torch.tensor([prompt.ids])))
    with pytest.raises(RuntimeError, match="stay there"):
        few.model.to("meta")
    with pytest.raises(CheckpointError, match="all there, not on disk"):
        SphinxX.load(folder, device="cpu", bits=bits, device_map={"": "cpu", "lm_head": "disk"})
    assert SphinxX.load(folder, device="cpu", bits=bits, device_map="auto")  # there is but one place


def test_adapters_on_bits_are_refused(folder):
    peft = pytest.importorskip("peft")
    few = SphinxX.load(folder, device="cpu", bits=8)
    with pytest.raises(ValueError, match="Int8Linear"):
        peft.get_peft_model(few.model, peft.LoraConfig(r=2, target_modules=["q_proj"]))


def test_a_table_that_is_the_output_layer_stays_whole(tiny_folder):
    few = SphinxX.load(tiny_folder, device="cpu", bits=4).model
    assert few.lm_head.weight is few.get_input_embeddings().weight


def test_other_weights_have_another_digest(folder, tmp_path):
    """Kept answers belong to a digest: only matrices that are integers now are others here."""
    model = SphinxX.load(folder, device="cpu").model
    with torch.no_grad():
        layer = model.model.language_model.layers[1].self_attn.q_proj
        layer.weight[3, 3] += 1
    model.save_pretrained(tmp_path)
    SphinxX.load(folder, device="cpu").processor.save_pretrained(tmp_path)
    for bits in (4, 8):
        one, other, again = (model_digest(SphinxX.load(f, device="cpu", bits=bits)) for f in (folder, tmp_path, folder))
        assert one == again != other


def test_a_config_that_says_it_is_stored_so_is_refused(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    shutil.copytree(folder, tmp_path / "said")
    said = config | {"quantization_config": {"quant_method": "sphinx_x_cpu", "bits": 8}}
    (tmp_path / "said" / "config.json").write_text(json.dumps(said))
    with pytest.raises(CheckpointError, match="quantised while loading"):
        SphinxX.load(tmp_path / "said", device="cpu")


@NEEDS_BITS
@pytest.mark.parametrize("bits", [4, 8])
def test_bitsandbytes(folder, bits):
    asked = transformers.BitsAndBytesConfig(**{f"load_in_{bits}bit": True}, bnb_4bit_quant_type="nf4")
    plain, few = SphinxX.load(folder), SphinxX.load(folder, quantization_config=asked)
    kinds = {name: type(module).__name__ for name, module in few.model.named_modules()}
    wanted = "Linear4bit" if bits == 4 else "Linear8bitLt"
    inside = [k for name, k in kinds.items() if "language_model.layers" in name and k.startswith("Linear")]
    assert set(inside) - {"LinearExpert", "LinearExperts"} == {wanted}
    assert len([k for k in inside if k == wanted]) == 2 * (4 + (3 * 4 if "mixtral" in str(folder) else 3))
    assert not any(k == wanted for name, k in kinds.items() if "vision" in name)
    # the same picture of the same numbers, coarser; random weights suffer more than trained ones (one picture of six
    # gives 0.78 and 0.97 with random experts, so it is always the same one here)
    pair = torch.stack([logits(plain).flatten(), logits(few).flatten()])
    assert torch.corrcoef(pair)[0, 1] > (0.7 if bits == 4 else 0.98)
    assert isinstance(few.chat("Read.", PIL.Image.new("RGB", (90, 20)), max_new_tokens=3), str)


def test_experts_one_by_one_give_what_joined_ones_give(folder):
    """The form that can be quantised computes the same before it is."""
    if "mixtral" not in str(folder):
        pytest.skip("a dense model has no experts")
    from transformers.models.mixtral.modeling_mixtral import MixtralExperts

    from sphinx_x.model.quantized import LinearExperts

    plain = SphinxX.load(folder)
    text = plain.model.config.text_config
    for layer in plain.model.model.language_model.layers:
        joined = layer.mlp.experts
        assert isinstance(joined, MixtralExperts)
        apart = LinearExperts(text)
        for number, expert in enumerate(apart):
            gate, up = joined.gate_up_proj[number].chunk(2)
            for layer_of, matrix in ((expert.w1, gate), (expert.w3, up), (expert.w2, joined.down_proj[number])):
                layer_of.weight.data = matrix.detach().clone()
        x = torch.randn(9, text.hidden_size)
        ways = torch.stack([torch.randperm(4)[:2] for _ in range(9)])
        weights = torch.rand(9, 2)
        assert torch.allclose(apart(x, ways, weights), joined(x, ways, weights), atol=1e-4)


@NEEDS_BITS
@pytest.mark.parametrize("form", ["object", "dictionary", "own skips"])
def test_the_visual_experts_stay_as_they_are(folder, form):
    fields = {"load_in_4bit": True}
    if form == "own skips":
        fields["llm_int8_skip_modules"] = ["lm_head"]
    asked = fields if form == "dictionary" else transformers.BitsAndBytesConfig(**fields)
    few = SphinxX.load(folder, quantization_config=asked)
    assert not any(type(module).__name__ == "Linear4bit" for module in few.model.model.vision.modules())
    assert (type(few.model.lm_head).__name__ == "Linear4bit") == (form != "own skips")
    if form == "object":
        assert asked.llm_int8_skip_modules is None  # the caller's own is not changed


@NEEDS_BITS
@pytest.mark.parametrize(
    "fields", [{"load_in_4bit": True}, {"load_in_8bit": True}, {"llm_int8_skip_modules": ["lm_head"]}]
)
@pytest.mark.parametrize("auto", ["AutoModelForImageTextToText", "AutoModelForCausalLM", "AutoModel"])
def test_the_class_itself_says_what_stays_whole(folder, fields, auto):
    """Through the library alone, as its documentation has it."""
    asked = transformers.BitsAndBytesConfig(**{"load_in_4bit": "load_in_8bit" not in fields, **fields})
    few = getattr(transformers, auto).from_pretrained(folder, quantization_config=asked)
    trunk = few if auto == "AutoModel" else few.model
    wanted = "Linear8bitLt" if "load_in_8bit" in fields else "Linear4bit"
    assert not any(type(module).__name__ == wanted for module in trunk.vision.modules())
    inside = [type(module).__name__ for module in trunk.language_model.layers.modules()]
    assert inside.count(wanted) == 2 * (4 + (3 * 4 if "mixtral" in str(folder) else 3))
    prompt = SphinxX.load(folder).prompt_for("Read.", PICTURE)
    out = few(input_ids=torch.tensor([prompt.ids]), pixel_values=prompt.views.float() / 255)[
        0 if auto == "AutoModel" else "logits"
    ]
    assert out.shape[1] == len(prompt.ids)


@NEEDS_BITS
def test_in_8_bits_nothing_is_said_for_every_layer(folder, caplog):
    few = SphinxX.load(folder, quantization_config={"load_in_8bit": True})
    few.chat("Read.", PICTURE, max_new_tokens=3)
    assert not [record.getMessage() for record in caplog.records if record.name.startswith("bitsandbytes")]


@NEEDS_BITS
def test_a_mixture_that_is_not_reached_is_named(tiny_member, tmp_path):
    kind = {"model_type": "qwen3_moe", "num_experts": 4, "moe_intermediate_size": 16, "head_dim": 8}
    model, _ = new_model(replace(tiny_member, llm={**tiny_member.llm, **kind}), seed=1)
    model.save_pretrained(tmp_path)
    asked = transformers.BitsAndBytesConfig(load_in_4bit=True)
    with pytest.raises(ValueError, match="experts of a qwen3_moe are not reached"):
        transformers.AutoModelForImageTextToText.from_pretrained(tmp_path, quantization_config=asked)


@NEEDS_BITS
def test_a_quantised_model_saves_and_loads(folder, tmp_path):
    few = SphinxX.load(folder, quantization_config={"load_in_4bit": True})
    few.model.save_pretrained(tmp_path / "few")
    few.processor.save_pretrained(tmp_path / "few")
    assert torch.equal(logits(SphinxX.load(tmp_path / "few")), logits(few))


def test_wrong_bits(folder):
    with pytest.raises(CheckpointError, match="bits is 4 or 8"):
        SphinxX.load(folder, bits=3)


@pytest.mark.parametrize("vision", ["cpu", "disk"])
def test_offloaded_to_the_disk(folder, tmp_path, vision):
    plain = SphinxX.load(folder)
    places = {"model.vision": vision, "model.language_model.embed_tokens": "cpu", "lm_head": "cpu"}
    places |= {"model.language_model.norm": "cpu", "model.language_model.rotary_emb": "cpu"}
    places |= {"model.language_model.layers.0": "cpu", "model.language_model.layers.1": "disk"}
    spread = SphinxX.load(folder, device_map=places, offload_folder=str(tmp_path / "off"))
    layer = spread.model.model.language_model.layers[1]
    assert all(parameter.is_meta for parameter in layer.parameters())
    assert torch.allclose(logits(plain), logits(spread), atol=1e-5)
    picture = PIL.Image.new("RGB", (90, 20))
    assert spread.chat("Read.", picture, max_new_tokens=4) == plain.chat("Read.", picture, max_new_tokens=4)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's account of memory")
def test_loading_maps_the_file(tiny_folder):
    """Weights in the type they are stored in are pages of the file, not copies, but for what each token reads."""
    sphinx = SphinxX.load(tiny_folder, dtype="auto")
    address = next(sphinx.model.model.vision.parameters()).untyped_storage().data_ptr()
    owner = ""
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head = line.split()
        if "-" in head[0] and not head[0].endswith(":"):
            start, end = (int(part, 16) for part in head[0].split("-"))
            if start <= address < end:
                owner = head[-1]
    assert owner.endswith("model.safetensors"), owner
