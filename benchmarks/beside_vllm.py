"""Tokens a second of SPHINX-Nano in this package and in vLLM's CPU build, about the same lines of print, in one run.

    python benchmarks/beside_vllm.py VLLM_PYTHON           # a few minutes; prints a Markdown table
    python benchmarks/beside_vllm.py VLLM_PYTHON --eager   # without vLLM's compilation, which takes its time to start

VLLM_PYTHON is the Python that has vLLM (`.ci/vllm_cpu FOLDER` installs one: FOLDER/bin/python). Lines are asked one by
one, and then other lines all at once; starting and a warm-up are not counted, images are. Both compute in float32 and
greedily, so their answers are the same, which is checked.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WARM = 4
"""Lines that are asked before anything is timed."""
LONGEST = 100


def in_vllm(asked: Path) -> dict[str, Any]:
    """What vLLM needs for the questions in a file; in a process of its own."""
    from vllm import LLM, SamplingParams

    given = json.loads(asked.read_text())
    llm = LLM(given["model"], dtype="float32", max_model_len=2048, enforce_eager=given["eager"])
    sampling = SamplingParams(temperature=0, max_tokens=LONGEST)

    def ask(talks: list[Any]) -> list[Any]:
        return [one.outputs[0] for one in llm.chat(talks, sampling, use_tqdm=False)]

    ask(given["warm"])
    began = time.perf_counter()
    apart = [ask([talk])[0] for talk in given["apart"]]
    middle = time.perf_counter()
    together = ask(given["together"])
    seconds = (middle - began, time.perf_counter() - middle)
    return {"seconds": seconds, "texts": [[one.text.strip() for one in part] for part in (apart, together)]}


def here(images: dict[str, list[bytes]]) -> dict[str, Any]:
    """The same in this package: `chat` one by one, `chat_batch` for all at once."""
    from sphinx_x.inference import SphinxX
    from sphinx_x.reading import READ

    sphinx = SphinxX.load("nano", dtype="float32")
    many = len(images["together"])
    settings = {"max_new_tokens": LONGEST}
    sphinx.chat_batch([(READ, [image]) for image in images["warm"]], **settings)
    began = time.perf_counter()
    apart = [sphinx.chat(READ, image, **settings) for image in images["apart"]]
    middle = time.perf_counter()
    together = sphinx.chat_batch([(READ, [image]) for image in images["together"]], batch_size=many, **settings)
    return {"seconds": (middle - began, time.perf_counter() - middle), "texts": [apart, together]}


def rates(found: dict[str, Any]) -> list[float]:
    """Tokens a second: SPHINX-Nano's tokens are bytes, and one ends the answer."""
    tokens = [sum(len(text.encode()) + 1 for text in texts) for texts in found["texts"]]
    return [n / s for n, s in zip(tokens, found["seconds"], strict=True)]


def talk(image: bytes) -> list[dict[str, Any]]:
    from sphinx_x.reading import READ

    url = "data:image/png;base64," + base64.b64encode(image).decode()
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": READ}]
    return [{"role": "user", "content": parts}]


def lines(many: int) -> dict[str, list[bytes]]:
    """Lines of print as PNG, other ones for each use."""
    from sphinx_x.evaluation.lines import load_line_set

    chosen, contents = load_line_set().sample(WARM + 2 * many), []
    for image in chosen.images(chosen.lines):
        image.save(stream := io.BytesIO(), format="PNG")
        contents.append(stream.getvalue())
    return {"warm": contents[:WARM], "apart": contents[WARM : WARM + many], "together": contents[WARM + many :]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vllm", help="the Python that has vLLM")
    parser.add_argument("--lines", type=int, default=32)
    parser.add_argument("--eager", action="store_true")
    parser.add_argument("--asked", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.asked:
        answered = in_vllm(options.asked)
        options.asked.with_suffix(".answered").write_text(json.dumps(answered))
        return
    from sphinx_x.inference import BUILT_IN

    images = lines(options.lines)
    ours = here(images)
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "asked"
        talks = {use: [talk(image) for image in many] for use, many in images.items()}
        asked.write_text(json.dumps({"model": str(BUILT_IN / "nano"), "eager": options.eager, **talks}))
        environment = {**os.environ, "VLLM_LOGGING_LEVEL": "ERROR"}
        environment.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
        command = [options.vllm, __file__, options.vllm, "--asked", str(asked)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr[-2000:])
        theirs = json.loads(asked.with_suffix(".answered").read_text())
    pairs = zip(ours["texts"], theirs["texts"], strict=True)
    same = [sum(a == b for a, b in zip(*pair, strict=True)) for pair in pairs]
    print(f"| {options.lines} lines | this package, tokens/s | vLLM, tokens/s | vLLM / this package | same answers |")
    print("|---|---|---|---|---|")
    for name, one, other, equal in zip(("one by one", "at once"), rates(ours), rates(theirs), same, strict=True):
        print(f"| {name} | {one:.0f} | {other:.0f} | {other / one:.2f} | {equal} of {options.lines} |")


if __name__ == "__main__":
    main()
