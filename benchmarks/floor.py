"""How far a member is from what the machine can do: encoding, prefill, decoding and a training step over their floors.

    python benchmarks/floor.py tiny                   # its true shape, made-up weights in bfloat16; 8 GB, ten minutes
    python benchmarks/floor.py tiny --device cuda
    python benchmarks/floor.py nano --turns 9 --parts encode,prefill
    python benchmarks/floor.py tiny --parts decode --llama-cpp VENV/bin/python --profile

The floor of a part is the larger of two times: its matrix products at the machine's matrix rate (a large product),
and the weights that it has to read at the machine's rate of reading. Both rates are measured here, before and after.
Beside it stand the Transformers library's own modules in the same shapes and the same type, in turns: ConvNeXt,
DINOv2 and the language model under its default attention, cache and `generate`. `--llama-cpp` names a Python that has
xllamacpp, whose wheels have llama.cpp: the language model's shape is written as a GGUF file of made-up weights for it.
vLLM's CPU build is measured beside a whole member by `beside_vllm.py`. `--profile` names the kernels that take most
of a part.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sphinx_x.planning.machine import product_rate

READ = 1 << 30
PARTS = ("encode", "prefill", "decode", "step")
GENERATED = 16
SHOWN = 8
"""Kernels of a profile."""


@dataclass(frozen=True)
class Case:
    """Something to be timed.

    Attributes:
        name: What it is.
        ours: Does it once.
        theirs: Does it through the library once; None where there is nothing alike.
        read: Bytes of weights that have to be read.
        times: How often `ours` and `theirs` do it at a time; the time of one is told.
        units: Views or tokens in it, for the rate.
    """

    name: str
    ours: Callable[[], object]
    theirs: Callable[[], object] | None = None
    read: int = 0
    times: int = 1
    units: int = 1


@dataclass(frozen=True)
class Machine:
    """What a device can do.

    Attributes:
        flops: Operations per second of a large matrix product.
        reading: Bytes per second that are read once.
    """

    flops: float
    reading: float


class Clock:
    """Times work on a device, whose queue is waited for."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def seconds(self, work: Callable[[], object]) -> float:
        self._wait()
        began = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - began

    def _wait(self) -> None:
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)


def machine(clock: Clock, dtype: torch.dtype) -> Machine:
    """Measure a device, the best of some turns: products as a run is planned by, and the reading of a gigabyte."""
    numbers = torch.ones(READ // 4, device=clock.device)
    read = min(clock.seconds(numbers.sum) for _ in range(6))
    return Machine(product_rate(clock.device, dtype), READ / read)


def weights_of(modules: Sequence[nn.Module]) -> int:
    """Bytes of the matrices that one pass reads."""
    return sum(p.nbytes for module in modules for p in module.parameters() if p.dim() > 1)


def library_experts(model: Any, device: torch.device, dtype: torch.dtype) -> nn.ModuleList | None:
    """The library's modules in the shapes of a member's experts; None where the library has none of such shapes."""
    from transformers import ConvNextConfig, ConvNextModel, Dinov2Config, Dinov2Model

    made = nn.ModuleList()
    with torch.device("meta"):
        for group in model.config.group_configs():
            for expert in group.experts:
                if expert.height != expert.width:
                    return None
                if expert.kind == "convnext" and expert.strides[0] == (4, 4):
                    sizes = {"hidden_sizes": list(expert.channels), "depths": list(expert.depths)}
                    made.append(ConvNextModel(ConvNextConfig(**sizes, image_size=expert.height)))
                elif expert.kind == "dinov2":
                    shape = {"hidden_size": expert.channels, "num_hidden_layers": expert.depth}
                    shape |= {"num_attention_heads": expert.heads, "use_swiglu_ffn": expert.swiglu}
                    shape |= {"image_size": expert.height, "patch_size": expert.patch}
                    made.append(Dinov2Model(Dinov2Config(**shape)))
                else:
                    return None
    made = made.to(dtype).to_empty(device=device)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.02)
    return made.eval()


def encoding(model: Any, counts: Sequence[int]) -> list[Case]:
    """Encoding so many views, beside the library's modules at the experts' own sizes."""
    grid, cases = model.config.view_grid(), []
    theirs = library_experts(model, model.device, model.dtype)
    experts = [expert for group in model.config.group_configs() for expert in group.experts]
    for count in counts:
        views = torch.rand(count, 3, grid.view_height, grid.view_width, device=model.device)
        shapes = [(count, 3, expert.height, expert.width) for expert in experts]
        pixels = [torch.rand(shape, device=model.device, dtype=model.dtype) for shape in shapes]

        def ours(views: Tensor = views) -> object:
            return model.model.features(views)

        def library(pixels: Sequence[Tensor] = tuple(pixels)) -> object:
            return [one(pixel).last_hidden_state for one, pixel in zip(theirs or (), pixels, strict=True)]

        read = weights_of([model.model.vision])
        cases.append(Case(f"encode {count} views", ours, None if theirs is None else library, read, units=count))
    return cases


def prefilling(model: Any, counts: Sequence[int]) -> list[Case]:
    """The language model over so many embeddings with a fresh cache, beside the library's own class of it."""
    from transformers import AutoModelForCausalLM, DynamicCache

    llm, text = model.model.language_model, model.config.text_config
    library = AutoModelForCausalLM.from_config(copy.deepcopy(text), dtype=model.dtype, attn_implementation="sdpa")
    library = library.to(model.device).eval()
    library.model.load_state_dict(llm.state_dict())
    cases = []
    for count in counts:
        embeddings = torch.randn(1, count, text.hidden_size, device=model.device, dtype=model.dtype) * 0.02

        def once(module: Any, embeddings: Tensor = embeddings) -> object:
            cache = DynamicCache(config=text)
            return module(inputs_embeds=embeddings, past_key_values=cache, use_cache=True).last_hidden_state

        read = weights_of([llm.layers])
        name = f"prefill of {count:,} tokens"
        cases.append(Case(name, lambda f=once: f(llm), lambda f=once: f(library.model), read, units=count))
    return [*cases, _decoding(model, library, counts[0])]


def _decoding(model: Any, library: Any, behind: int) -> Case:
    """One token after another, behind a prompt: ours as `SphinxX` takes its steps, theirs by `generate`."""
    from small_machines import read_bytes
    from transformers import DynamicCache

    from sphinx_x.inference.growing import growing_cache

    text = model.config.text_config
    prompt = torch.full((1, behind), 5, device=model.device)
    cache = growing_cache(text)
    model.model.language_model(input_ids=prompt, past_key_values=cache, use_cache=True)
    theirs = DynamicCache(config=text)
    library.model(input_ids=prompt, past_key_values=theirs, use_cache=True)

    def steps() -> None:
        ids = prompt[:, :1]
        for _ in range(GENERATED):
            hidden = model.model.language_model(input_ids=ids, past_key_values=cache, use_cache=True).last_hidden_state
            ids = model.lm_head(hidden[:, -1:]).argmax(-1)
        cache.crop(-GENERATED)

    def generate() -> None:
        ids = torch.full((1, behind + 1), 5, device=model.device)
        more = {"min_new_tokens": GENERATED, "max_new_tokens": GENERATED, "do_sample": False, "pad_token_id": 0}
        library.generate(ids, attention_mask=torch.ones_like(ids), past_key_values=theirs, **more)
        theirs.crop(-GENERATED)

    return Case(f"decode a token behind {behind:,}", steps, generate, read_bytes(model, behind), GENERATED)


def training(model: Any, tokens: int) -> list[Case]:
    """A training step with adapters of the language model; the frozen experts see the sample's views."""
    from true_shape import example

    from sphinx_x.recipe import Recipe
    from sphinx_x.training.distributed import World
    from sphinx_x.training.engine import Engine
    from sphinx_x.training.lora import add_adapters
    from sphinx_x.training.metrics import Sums

    limits = {"pack": {"tokens": tokens, "views": 64}, "max_tokens": tokens, "total_samples": 1}
    recipe = Recipe(member="nano", start="made up", lora={}, folder=".", sources={"a": {}}, **limits)
    add_adapters(model, recipe.lora)
    engine = Engine(model, recipe, World(model.device))
    sample = example(model, tokens)
    whole = Case(
        f"step of {tokens:,} tokens, adapters", lambda: engine.step([[sample]], 1, 1e-6, Sums(), ["a"]), units=tokens
    )
    return [whole]


def _attention(
    query: Sequence[int], key: Sequence[int], _: Any, dropout: float = 0.0, is_causal: bool = False, **__: Any
) -> int:
    """Operations of attention; of a causal one the half that is needed."""
    return 4 * math.prod(query) * key[-2] // (2 if is_causal else 1)


def _attention_backward(
    _: Any, query: Sequence[int], key: Sequence[int], value: Any, out: Any, sums: Any, dropout: float, is_causal: bool,
    **__: Any,
) -> int:  # fmt: skip
    """Five products in place of two."""
    return 10 * math.prod(query) * key[-2] // (2 if is_causal else 1)


def _vector(matrix: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * math.prod(matrix)


def _packed(rows: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any) -> int:
    return 2 * math.prod(rows) * out_shape[-1]


# what PyTorch's counter does not know
COUNTED: dict[Any, Any] = {
    torch.ops.aten.mv: _vector,
    torch.ops.mkldnn._linear_pointwise: _packed,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}


def counted(work: Callable[[], object]) -> float:
    """Operations of the matrix products, convolutions and attention of some work."""
    with FlopCounterMode(display=False, custom_mapping=COUNTED) as counter:
        work()
    return counter.get_total_flops()


def measured(case: Case, clock: Clock, rates: Machine, turns: int) -> dict[str, Any]:
    """Times of both in turns, after one of each that is not counted."""
    flops = counted(case.ours) / case.times
    ours, theirs = [], []
    for turn in range(turns + 1):
        ours.append(clock.seconds(case.ours) / case.times)
        if case.theirs is not None:
            theirs.append(clock.seconds(case.theirs) / case.times)
        if turn == 0:
            ours.clear()
            theirs.clear()
    floor = max(flops / rates.flops, case.read / rates.reading)
    return {
        "what": case.name,
        "units": case.units,
        "tflop": flops / 1e12,
        "gb": case.read / 1e9,
        "floor": floor,
        "ours": statistics.median(ours),
        "spread": (max(ours) - min(ours)) / statistics.median(ours),
        "theirs": statistics.median(theirs) if theirs else None,
    }


def row(found: dict[str, Any]) -> str:
    """A line of the table."""
    ours, theirs = found["ours"], found["theirs"]
    cells = [found["what"], f"{found['tflop']:.3f}", f"{found['gb']:.2f}", f"{found['floor'] * 1e3:,.1f}"]
    cells += [f"{ours * 1e3:,.1f} ({100 * found['spread']:.0f} %)", f"{ours / found['floor']:.2f}"]
    cells += [f"{found['units'] / ours:,.1f}"]
    cells += ["", ""] if theirs is None else [f"{theirs * 1e3:,.1f}", f"{ours / theirs:.2f}"]
    return "| " + " | ".join(cells) + " |"


HEAD = (
    "| part | TFLOP | GB read | floor, ms | ours, ms (spread) | over the floor | views, tokens a s | library, ms | "
    "ours / library |\n" + "|" + "---|" * 9
)


def profile(case: Case) -> str:
    """The kernels that take most of a part's time."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as recorded

    cuda = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
    with recorded(activities=[ProfilerActivity.CPU, *cuda]) as profiler:
        case.ours()
    events = [event for event in profiler.key_averages() if not cuda or event.device_type == DeviceType.CUDA]
    times = {event.key: event.self_device_time_total if cuda else event.self_cpu_time_total for event in events}
    whole = sum(times.values())
    most = sorted(times.items(), key=lambda pair: -pair[1])[:SHOWN]
    return f"{case.name}: " + ", ".join(f"`{name}` {100 * spent / whole:.0f} %" for name, spent in most)


LLAMA_CPP = """
import json, sys
import xllamacpp
path, behind, count, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel = path, behind + 2 * count + 64, 1
params.n_batch = params.n_ubatch = 2048
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
params.verbosity = -1
server = xllamacpp.Server(params)
asked = {"prompt": [5] * behind, "n_predict": count + 1, "ignore_eos": True, "cache_prompt": False, "temperature": 0}
found = {"prefill": [], "token": []}
for _ in range(4):
    told = server.handle_completions(asked)
    times = (told if isinstance(told, dict) else json.loads(told))["timings"]
    found["prefill"].append(times["prompt_ms"] / 1e3)
    found["token"].append(times["predicted_per_token_ms"] / 1e3)
print(json.dumps({name: sorted(times[1:])[1] for name, times in found.items()}))
"""
"""Its first turn warms up; of the other three the median is told."""


def write_gguf(model: Any, path: Path) -> None:
    """Write the language model's shape and weights as a GGUF file in its own type, with a vocabulary of numbers."""
    import gguf

    text, llm = model.config.text_config, model.model.language_model
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(text.max_position_embeddings)
    writer.add_embedding_length(text.hidden_size)
    writer.add_block_count(text.num_hidden_layers)
    writer.add_feed_forward_length(text.intermediate_size)
    writer.add_head_count(text.num_attention_heads)
    writer.add_head_count_kv(text.num_key_value_heads)
    writer.add_layer_norm_rms_eps(text.rms_norm_eps)
    writer.add_vocab_size(text.vocab_size)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"{number}".encode() for number in range(text.vocab_size)])
    writer.add_token_scores([0.0] * text.vocab_size)
    writer.add_token_types([1] * text.vocab_size)
    names = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q"}
    names |= {"self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output"}
    names |= {"mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
    tensors = {"token_embd": llm.embed_tokens.weight, "output_norm": llm.norm.weight, "output": model.lm_head.weight}
    for number, layer in enumerate(llm.layers):
        tensors |= {f"blk.{number}.{short}": layer.get_submodule(name).weight for name, short in names.items()}
    for name, tensor in tensors.items():
        if tensor.dim() == 1:  # norms are float32 there
            writer.add_tensor(f"{name}.weight", tensor.detach().float().cpu().numpy())
        else:
            kind = gguf.GGMLQuantizationType.BF16
            writer.add_tensor(f"{name}.weight", tensor.detach().view(torch.uint8).cpu().numpy(), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_cpp(model: Any, python: str, behind: int) -> dict[str, float]:
    """What llama.cpp needs for the same language model: seconds of prefill and of a token."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        write_gguf(model, path)
        command = [python, "-c", LLAMA_CPP, str(path), str(behind), str(GENERATED), str(torch.get_num_threads())]
        # with its own way of waiting for work, not with this package's
        env = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=env)
    return json.loads(done.stdout.splitlines()[-1])


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("member", nargs="?", default="tiny")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--views", default="3,5")
    parser.add_argument("--tokens", default="856,1372", help="of prefill; decoding is measured behind the first")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--llama-cpp", help="a Python that has xllamacpp")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args(arguments)
    options.parts = options.parts.split(",")
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"--parts: {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    options.views, options.tokens = ([int(n) for n in text.split(",")] for text in (options.views, options.tokens))
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    options = options_of(arguments)
    from true_shape import made_up

    from sphinx_x.model.attention import attend_in_groups
    from sphinx_x.model.cpu_bfloat16 import PackedLinear, speed_up

    device = torch.device(options.device)
    clock = Clock(device)
    model: Any = made_up(options.member).to(device).eval()
    rates = machine(clock, model.dtype)
    print(f"{options.member}, {device}, {torch.get_num_threads()} thread(s), torch {torch.__version__}, {model.dtype}")
    print(f"matrix products {rates.flops / 1e9:,.0f} GFLOP/s, reading {rates.reading / 1e9:.1f} GB/s\n")
    print(HEAD, flush=True)
    notes: list[str] = []
    packed = speed_up([model.model.language_model, model.lm_head], untouched=True)  # as a model that is loaded
    attend_in_groups(model.model.language_model)

    def tell(case: Case) -> None:
        print(row(measured(case, clock, rates, options.turns)), flush=True)
        if options.profile:
            notes.append(profile(case))

    with torch.inference_mode():
        for case in encoding(model, options.views) if "encode" in options.parts else []:
            tell(case)
        if {"prefill", "decode"} & set(options.parts):
            for case in prefilling(model, options.tokens):
                if case.name.partition(" ")[0] in options.parts:
                    tell(case)
        if options.llama_cpp:
            found = llama_cpp(model, options.llama_cpp, options.tokens[0])
            notes.append(
                f"llama.cpp: prefill of {options.tokens[0]:,} tokens {found['prefill'] * 1e3:,.1f} ms, a token "
                f"{found['token'] * 1e3:,.1f} ms"
            )
    for layer in packed:
        if isinstance(layer, PackedLinear):
            layer.unpack()
    if "step" in options.parts:
        for case in training(model.train(), max(options.tokens)):
            tell(case)
    again = machine(clock, model.dtype)
    print(f"\nafter it: {again.flops / 1e9:,.0f} GFLOP/s, {again.reading / 1e9:.1f} GB/s")
    for note in notes:
        print(f"\n{note}")


if __name__ == "__main__":
    main()
