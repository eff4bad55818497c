"""Importing an official checkpoint: time beside copying and hashing the same bytes, and memory.

    python benchmarks/imports.py [--gigabytes 2.4] [--repeats 3] [--work FOLDER]

Makes a two-shard checkpoint of SPHINX-Tiny's architecture (fewer layers) with random bfloat16 weights, then alternates
between importing it and the peer. Both end when their files have reached the disk; program start is not counted.
Memory is anonymous memory (mapped pages are the file's), sampled while the import runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]


def official_shapes(llm_layers: int, vit_layers: int, convnext_depths: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Names and whole shapes of a `llama_ens5_light` checkpoint of SPHINX-Tiny's widths."""
    from sphinx_x.checkpoints.accessory import ARCHITECTURES, Checkpoint
    from sphinx_x.checkpoints.parts import disk_outline
    from sphinx_x.checkpoints.rules import convert, inverse
    from sphinx_x.model.config import GroupConfig, SphinxXConfig
    from sphinx_x.model.experts.convnext import ConvNextConfig
    from sphinx_x.model.experts.dinov2 import DinoV2Config

    llm = {"hidden_size": 2048, "num_hidden_layers": llm_layers, "num_attention_heads": 32, "num_key_value_heads": 4}
    llm |= {"model_type": "llama", "intermediate_size": 5632, "vocab_size": 32004, "tie_word_embeddings": False}
    experts = (ConvNextConfig(depths=convnext_depths), DinoV2Config(depth=vit_layers))
    views = ARCHITECTURES["llama_ens5_light"].views  # pyright: ignore[reportOptionalMemberAccess]
    config = SphinxXConfig(llm, (GroupConfig(experts),), views, 32000, 32001, 32002, 32003)
    outline = disk_outline(config)
    rules = inverse(Checkpoint("llama_ens5_light", {}, config, 32000).rules())
    return {name: tuple(tensor.shape) for name, tensor in convert(rules, outline.__getitem__)}


def make_checkpoint(folder: Path, shapes: dict[str, tuple[int, ...]], shards: int, tokenizer: Path) -> None:
    """A checkpoint folder with random weights of a sane size."""
    from sphinx_x.checkpoints.accessory.shards import split

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    whole = {}
    for name, shape in shapes.items():
        scale = 0.5 if len(shape) < 2 or shape[0] == 1 else (torch.Size(shape[1:]).numel()) ** -0.5
        whole[name] = torch.empty(shape, dtype=torch.bfloat16).normal_(
            1.0 if name.endswith("norm.weight") else 0.0, scale
        )
    for number in range(shards):
        parts = {f"llma.{name}": split(name, tensor, number, shards) for name, tensor in whole.items()}
        state = {"model": {name: part.clone() for name, part in parts.items() if part is not None}}
        torch.save(state, folder / f"consolidated.{number:02d}-of-{shards:02d}.model.pth")
    settings = {"dim": 2048, "n_heads": 32, "n_kv_heads": 4, "norm_eps": 1e-5}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "meta.json").write_text('{"llama_type": "llama_ens5_light"}')
    shutil.copyfile(tokenizer, folder / "tokenizer.model")


class AnonymousMemory:
    """The highest anonymous memory of this process while the block runs, in bytes."""

    def __enter__(self) -> AnonymousMemory:
        self.start = self.peak = self._now()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.peak = max(self.peak, self._now())

    @staticmethod
    def _now() -> int:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split("RssAnon:")[1].split()[0])


def copy_and_hash(folder: Path, out: Path) -> None:
    """The peer: the plain way to bring a checkpoint into another folder and to know what it is."""
    out.mkdir()
    for file in folder.iterdir():
        shutil.copyfile(file, out / file.name)
        with (out / file.name).open("rb+") as copied:
            os.fsync(copied.fileno())
            hashlib.file_digest(copied, "sha256")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.4, help="whole tensors, without their copies in shards")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, default=None)
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(dir=args.work))
    try:
        report(work, args.gigabytes, args.repeats)
    finally:
        shutil.rmtree(work)


def report(work: Path, gigabytes: float, repeats: int) -> None:
    from sphinx_x.checkpoints.accessory import import_accessory

    layers = max(1, round((gigabytes - 1.1) / 0.088))
    tokenizer = ROOT / "tests" / "reference" / "tokenizer" / "tokenizer.model"
    make_checkpoint(work / "official", official_shapes(layers, 10, (1, 1, 4, 1)), 2, tokenizer)
    sizes = [file.stat().st_size for file in (work / "official").glob("*.pth")]
    print(f"checkpoint: {sum(sizes) / 1e9:.2f} GB in {len(sizes)} shards, the largest {max(sizes) / 1e9:.2f} GB")
    times: dict[str, list[float]] = {"import": [], "copy and hash": []}
    peak = 0
    for number in range(repeats):
        for what in times:
            out = work / f"{what.split()[0]}-{number}"
            os.sync()
            start = time.perf_counter()
            if what == "import":
                with AnonymousMemory() as memory:
                    import_accessory([work / "official"], out)
                peak = max(peak, memory.peak)
            else:
                copy_and_hash(work / "official", out)
            times[what].append(time.perf_counter() - start)
            shutil.rmtree(out)
    medians = {what: statistics.median(seconds) for what, seconds in times.items()}
    for what, seconds in times.items():
        print(f"{what}: {medians[what]:.2f} s ({', '.join(f'{s:.2f}' for s in seconds)})")
    print(f"import / copy and hash: {medians['import'] / medians['copy and hash']:.2f} (goal: at most 2)")
    share = peak / max(sizes)
    print(f"peak anonymous memory: {peak / 1e9:.2f} GB, {share:.2f} of the largest shard (goal: under 2)")


if __name__ == "__main__":
    sys.exit(main())
