"""SPHINX-Tiny and SPHINX-Nano on a CPU in bfloat16, 8 and 4 bits, beside plain `generate` of the Transformers library.

    python benchmarks/small_machines.py                      # both; about eight minutes on two quiet cores
    python benchmarks/small_machines.py nano --turns 1
    python benchmarks/small_machines.py tiny --formats int4  # only one format, plain `generate` left out

SPHINX-Tiny has its true shape and made-up weights (6.2 GB in a temporary folder, or in --folder, where it stays and is
used again). Each format is loaded from the files by a process of its own. The floor of decoding is the time to read
what a token needs, the matrices of the language model as they are stored and the cache: the rate of reading is measured
before and after each answer, on as many bytes, by summing them up. Ratios hold elsewhere, seconds do not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

FORMATS = {"bf16": None, "int8": 8, "int4": 4}
PLAIN = "generate"
TURNS = ("What is in this picture?", "And what is left of it?")
TOKENS = 24


def photo(member: str) -> Image.Image:
    width, height = (500, 24) if member == "nano" else (1000, 500)
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


def write_made_up(folder: Path, member: str) -> None:
    """Write a member of made-up weights as a model folder."""
    from second_turn import made_up_member

    sphinx = made_up_member(member)
    sphinx.model.generation_config.suppress_tokens = None  # no part of a folder: it is set again after loading
    sphinx.model.save_pretrained(folder)
    sphinx.processor.save_pretrained(folder)


def never_end(model: Any, tokenizer: Any) -> None:
    """Let an answer take all of its tokens, and only those that the tokenizer can say."""
    beyond = range(len(tokenizer), model.config.text_config.vocab_size)
    model.generation_config.suppress_tokens = [*beyond, tokenizer.eos_token_id]


def read_bytes(model: Any, tokens: int) -> int:
    """The bytes of matrices and cache that one more token needs behind `tokens` others."""
    text = model.config.get_text_config()
    matrices = [model.lm_head, *model.model.language_model.layers.modules()]
    held = 0
    for layer in (m for m in matrices if hasattr(m, "in_features")):
        sizes = [p.nbytes for p in layer.parameters(recurse=False) if p.dim() > 1]  # `weight` would unpack it
        held += layer.nbytes() if hasattr(layer, "nbytes") else sum(sizes)
    width = text.hidden_size // text.num_attention_heads * text.num_key_value_heads
    return held + 2 * text.num_hidden_layers * width * tokens * model.dtype.itemsize


def reading_seconds(size: int) -> float:
    """The time to read so many bytes once: they are summed up."""
    numbers = torch.ones(size // 4, dtype=torch.float32)
    taken = []
    for _ in range(4):
        began = time.perf_counter()
        numbers.sum()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def memory() -> dict[str, float]:
    """GB of this process: its own, pages of files, and the most that it ever had of both."""
    path = Path("/proc/self/status")
    said = path.read_text().splitlines() if path.exists() else []
    found = dict(line.split(":", 1) for line in said if ":" in line)
    names = {"own": "RssAnon", "mapped": "RssFile", "peak": "VmHWM"}
    return {name: int(found[key].split()[0]) * 1024 / 1e9 for name, key in names.items() if key in found}


def ours(folder: str, member: str, name: str, turns: int) -> dict[str, Any]:
    """The turns of a conversation by `SphinxX` in one format."""
    from sphinx_x import SphinxX

    began = time.perf_counter()
    sphinx = SphinxX.load(folder, dtype=torch.bfloat16, device="cpu", bits=FORMATS[name])
    found: dict[str, Any] = {"load": time.perf_counter() - began, "loaded": memory()}
    sphinx.model.config.abilities = None  # Nano takes one question; here it is asked on
    never_end(sphinx.model, sphinx.processor.tokenizer)
    sphinx.chat(TURNS[0], max_new_tokens=2)  # what is only done once
    sphinx.prefixes.kept.clear()
    session, pictures = sphinx.session(), [photo(member)]
    for turn in range(turns):
        # a first turn only gives its first token, which is all that it is measured by
        count = TOKENS if turn == turns - 1 else 2
        reading = [] if count == 2 else [reading_seconds(read_bytes(sphinx.model, 0))]
        answer = session.answer(TURNS[turn % len(TURNS)], pictures, max_new_tokens=count)
        pictures = []
        first = answer.encode_seconds + answer.prefill_seconds
        found[f"first token {turn + 1}"] = first
        found[f"prefill {turn + 1}"] = answer.prefill_seconds
        if reading:
            size = read_bytes(sphinx.model, answer.prompt_tokens)
            reading.append(reading_seconds(read_bytes(sphinx.model, 0)))
            found["token"] = answer.decode_seconds / (answer.generated_tokens - 1)
            found["floor"] = min(reading) / read_bytes(sphinx.model, 0) * size
            found["read"] = size / 1e9
    return found | {"memory": memory()}


def plain(folder: str, member: str, turns: int) -> dict[str, Any]:
    """The same conversation by the library alone: all of it again at each turn."""
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from transformers.generation.streamers import BaseStreamer

    import sphinx_x.model.modeling
    import sphinx_x.model.processing  # noqa: F401  (both register the family)

    class Clock(BaseStreamer):
        def __init__(self) -> None:
            self.times: list[float] = []

        def put(self, value: Any) -> None:
            self.times.append(time.perf_counter())

        def end(self) -> None:
            pass

    began = time.perf_counter()
    model: Any = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.bfloat16, trust_remote_code=False
    ).eval()
    processor: Any = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    found: dict[str, Any] = {"load": time.perf_counter() - began, "loaded": memory()}
    never_end(model, processor.tokenizer)
    with torch.inference_mode():  # what is only done once
        model.generate(**processor(text=TURNS[0], return_tensors="pt"), max_new_tokens=2)
    text, picture = "", photo(member)
    for turn in range(turns):
        text += ("" if turn else "<image>\n") + TURNS[turn % len(TURNS)] + "\n"
        began, clock, count = time.perf_counter(), Clock(), TOKENS if turn == turns - 1 else 2
        inputs = processor(images=[picture], text=text, return_tensors="pt")
        with torch.inference_mode():
            ids = model.generate(**inputs, max_new_tokens=count, do_sample=False, streamer=clock)
        text += processor.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True) + "\n"
        shown = clock.times[1:]  # the first is the prompt's
        found[f"first token {turn + 1}"] = shown[0] - began
        if count > 2:
            found["token"] = (shown[-1] - shown[0]) / (len(shown) - 1)
    return found | {"memory": memory()}


def apart(folder: str, member: str, name: str, turns: int) -> dict[str, Any]:
    """What a process of its own finds."""
    command = [sys.executable, __file__, member, "--one", name, "--folder", folder, "--turns", str(turns)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def row(name: str, found: dict[str, Any], base: dict[str, Any], turns: int) -> str:
    """A line of the table. base: what bfloat16 found, for ratios."""
    first, later = found["first token 1"], found[f"first token {turns}"]
    floor = f"{found['token'] / found['floor']:.2f}" if "floor" in found else ""
    own, mapped = (found["memory"].get(kind, 0.0) for kind in ("own", "mapped"))
    cells = [name, f"{found['load']:.1f}", f"{first:.2f}", f"{later:.2f}", f"{first / later:.1f}"]
    cells += [f"{1 / found['token']:.2f}", f"{base['token'] / found['token']:.2f}", floor, f"{own:.2f} + {mapped:.2f}"]
    return "| " + " | ".join([*cells, f"{found['memory'].get('peak', 0.0):.2f}"]) + " |"


def measure(member: str, folder: str, names: list[str], turns: int) -> None:
    print(f"\n{member}, {torch.get_num_threads()} thread(s), torch {torch.__version__}\n")
    print(
        "| format | load, s | first token, s | of the last turn | times as fast | tokens/s | against the first row",
        end="",
    )
    print(" | times the floor | memory, GB: own + mapped | peak |")
    print("|" + "---|" * 10, flush=True)
    base: dict[str, Any] | None = None
    for name in names:
        found = apart(folder, member, name, turns)
        base = base or found
        print(row(name, found, base, turns), flush=True)
        print(f"  {json.dumps(found)}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("member", nargs="*", default=["tiny", "nano"])
    parser.add_argument("--formats", help="with commas between: bf16, int8, int4, generate; by default all")
    parser.add_argument("--folder", help="where the made-up member lies or is put; by default it does not stay")
    parser.add_argument("--turns", type=int, default=2, help="of the conversation")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.formats.split(",") if options.formats else [*FORMATS, PLAIN]
    unknown = set(names) - {*FORMATS, PLAIN}
    if unknown:
        parser.error(f"--formats: {', '.join(sorted(unknown))}")
    if options.one:
        member, folder = options.member[0], options.folder
        if options.one == "write":
            write_made_up(Path(folder), member)
        elif options.one == PLAIN:
            print(json.dumps(plain(folder, member, options.turns)))
        else:
            print(json.dumps(ours(folder, member, options.one, options.turns)))
        return
    for member in options.member:
        if member == "nano":
            from sphinx_x.inference import find_model

            measure(member, str(find_model("nano")), names, options.turns)
            continue
        with tempfile.TemporaryDirectory() as made:
            folder = Path(options.folder or made) / member
            if not (folder / "config.json").exists():
                # apart as well: what it takes is no part of what the others have
                command = [sys.executable, __file__, member, "--one", "write", "--folder", str(folder)]
                subprocess.run(command, check=True)
            measure(member, str(folder), names, options.turns)


if __name__ == "__main__":
    main()
