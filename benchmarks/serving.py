"""How a server of SPHINX-Nano stands many clients at once, beside one client that asks one by one.

    python benchmarks/serving.py                    # about a minute; prints a Markdown table
    python benchmarks/serving.py --seconds 600      # ten minutes, to see whether memory stays flat

`sphinx-x serve` runs in a process of its own. First one client asks one question after another, then all clients ask at
once, each its next question as soon as it has an answer; both stream, and ask about the same lines of print in the same
order. Latency: from the request to the first piece of text, as the client sees it. Processor time: what the server
used for a token; unlike tokens a second, it says something on a machine that has other work as well. Memory: the
server's resident bytes, once all clients have asked for a while and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from sphinx_x.evaluation.lines import load_line_set


@dataclass
class Seen:
    """What clients saw.

    first: seconds to the first piece; done: answers; tokens: of them; wrong: errors, by name;
    seconds: of it all; processor: seconds that the server's threads used.
    """

    first: list[float] = field(default_factory=list)
    done: int = 0
    tokens: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    processor: float = 0.0

    @property
    def rate(self) -> float:
        """Answers in a second."""
        return self.done / self.seconds

    def latency(self, share: float) -> float:
        """Seconds until so many of the answers had begun."""
        return float(np.quantile(self.first, share))


def bodies(lines: int) -> list[dict]:
    """Requests about lines of print, streamed."""
    line_set = load_line_set().sample(lines)
    requests = []
    for image in line_set.images(line_set.lines):
        image.save(out := io.BytesIO(), "PNG")
        url = f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "Read the text."}]
        messages = [{"role": "user", "content": content}]
        options = {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 120}
        requests.append({"model": "nano", "messages": messages, **options})
    return requests


async def ask(client: httpx.AsyncClient, body: dict, seen: Seen) -> None:
    """One answer."""
    began, first = time.perf_counter(), None
    try:
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            if response.status_code != 200:
                seen.wrong.append(str(response.status_code))
                return
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                if first is None:
                    first = time.perf_counter() - began
                data = json.loads(line[6:])
                if "error" in data:
                    seen.wrong.append(data["error"]["message"])
                    return
                seen.tokens += (data.get("usage") or {}).get("completion_tokens", 0)
    except httpx.HTTPError as error:
        seen.wrong.append(type(error).__name__)
        return
    seen.done += 1
    seen.first.append(first or time.perf_counter() - began)


async def load(url: str, requests: Sequence[dict], clients: int, seconds: float) -> Seen:
    """Let clients ask until the time is over; answers that have begun are waited for, and count."""
    seen, end, asked = Seen(), time.perf_counter() + seconds, 0
    limits = httpx.Limits(max_connections=clients)

    async def one(client: httpx.AsyncClient) -> None:
        nonlocal asked
        while time.perf_counter() < end:
            asked += 1
            await ask(client, requests[asked % len(requests)], seen)

    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits, trust_env=False) as client:
        began = time.perf_counter()
        await asyncio.gather(*[one(client) for _ in range(clients)])
        seen.seconds = time.perf_counter() - began
    return seen


def resident(process: subprocess.Popen) -> float:
    """Resident memory of a process in MB (Linux)."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def used(process: subprocess.Popen) -> float:
    """Seconds of processor time that a process has used (Linux)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(url: str, process: subprocess.Popen, options: argparse.Namespace) -> str:
    """Both runs, as a table."""
    requests = bodies(options.lines)
    await load(url, requests, 1, 2)  # what is slow only once
    began = used(process)
    alone = await load(url, requests, 1, options.seconds / 3)
    alone.processor = used(process) - began
    await load(url, requests, options.clients, max(10, options.seconds / 10))
    before, began = resident(process), used(process)
    many = await load(url, requests, options.clients, options.seconds)
    many.processor = used(process) - began
    after = resident(process)
    each = [1000 * seen.processor / seen.tokens for seen in (alone, many)]
    speed = [seen.tokens / seen.seconds for seen in (alone, many)]
    rows = [
        ("tokens/s", f"{speed[0]:.0f}", f"{speed[1]:.0f}", f"{speed[1] / speed[0]:.1f}"),
        ("processor time of a token, ms", f"{each[0]:.2f}", f"{each[1]:.2f}", f"1/{each[0] / each[1]:.1f}"),
        ("answers/s", f"{alone.rate:.2f}", f"{many.rate:.2f}", f"{many.rate / alone.rate:.1f}"),
        *(
            (f"first token, p{100 * share:.0f}, s", f"{alone.latency(share):.3f}", f"{many.latency(share):.3f}", "")
            for share in (0.5, 0.95)
        ),
        ("answers", str(alone.done), str(many.done), ""),
        ("errors", str(len(alone.wrong)), f"{len(many.wrong)} {sorted(set(many.wrong))[:3] or ''}".strip(), ""),
        ("server's memory, MB", f"{before:.0f}", f"{after:.0f}", f"{after / before:.2f}"),
    ]
    head = f"| | one by one | {options.clients} clients | times |\n|---|---|---|---|"
    return "\n".join([head, *(f"| {' | '.join(row)} |" for row in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=30, help="of the run with all clients")
    parser.add_argument("--rows", type=int, default=64, help="answers that the server generates at once")
    parser.add_argument("--lines", type=int, default=200, help="different lines that are asked about")
    parser.add_argument("--model", default="nano")
    options = parser.parse_args()
    command = [sys.executable, "-m", "sphinx_x", "serve", options.model, "--name", "nano", "--port", "0"]
    command += ["--rows", str(options.rows), "--queue", str(options.clients)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            if " at http" not in said:
                raise SystemExit(said)
            print(asyncio.run(measure(said.split(" at ")[1].split()[0], process, options)))
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
