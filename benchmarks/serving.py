"""How a server of SPHINX-Nano stands many clients at once, beside one client that asks one by one.

    python benchmarks/serving.py                    # about a minute; prints a Markdown table
    python benchmarks/serving.py --minutes 10       # ten minutes, to see whether memory stays flat
    python benchmarks/serving.py --again            # the same images again and again, so that the server remembers them

`sphinx-x serve` runs in a process of its own. First one client asks one question after another, then all clients ask at
once, each its next question as soon as it has an answer; both stream, and ask about the same lines of print in the same
order. Each image has one pixel that no other has, so that the server has never seen it before. The clients are one
process on plain sockets, as it shares the processor with the server; its own processor time is told as well.

Latency: from the request to the first piece of text, as the client sees it. Processor time: what the server used for a
token; unlike tokens a second, it says something on a machine that has other work as well. Memory: the server's resident
bytes when all clients begin (they have asked for a while before), every minute, and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from sphinx_x.evaluation.lines import load_line_set

USAGE = re.compile(rb'"completion_tokens": (\d+)')
SILENT = 120
"""Seconds without a byte after which an answer counts as an error."""


@dataclass
class Seen:
    """What clients saw.

    first: seconds to the first piece; done: answers; tokens: of them; wrong: errors, by name; seconds: of it all;
    server, clients: seconds of processor time that each of them used; memory: the server's, in MB, as time went by.
    """

    first: list[float] = field(default_factory=list)
    done: int = 0
    tokens: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    server: float = 0.0
    clients: float = 0.0
    memory: list[float] = field(default_factory=list)

    def latency(self, share: float) -> float:
        """Seconds until so many of the answers had begun."""
        return float(np.quantile(self.first, share)) if self.first else float("nan")


def requests(lines: int, again: bool) -> Iterator[bytes]:
    """Bodies of requests about lines of print, streamed, without end."""
    line_set = load_line_set().sample(lines)
    images = line_set.images(line_set.lines)
    number = 0
    while True:
        for image in images:
            if not again:
                number += 1
                image.putpixel((0, 0), (number % 256, number // 256 % 256, 255 - number // 65536 % 256))
            image.save(out := io.BytesIO(), "PNG", compress_level=1)
            url = f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
            content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "Read the text."}]
            options = {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 120}
            yield json.dumps({"model": "nano", "messages": [{"role": "user", "content": content}], **options}).encode()


class Client:
    """One connection, which is kept for one answer after another."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._pipes: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, body: bytes, seen: Seen) -> None:
        """One answer."""
        try:
            async with asyncio.timeout(SILENT):
                await self._ask(body, seen)
        except (OSError, EOFError, TimeoutError) as error:
            seen.wrong[type(error).__name__] += 1
            self.close()

    async def _ask(self, body: bytes, seen: Seen) -> None:
        if self._pipes is None:
            self._pipes = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._pipes
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        began, first = time.perf_counter(), None
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        status = (await reader.readuntil(b"\r\n\r\n")).split(None, 2)[1].decode()
        if status != "200":
            seen.wrong[status] += 1
            self.close()  # what follows is of no interest
            return
        said = b""
        while not said.endswith(b"\r\n0\r\n\r\n"):
            piece = await reader.read(65536)
            if not piece:
                raise EOFError
            first = first or time.perf_counter() - began
            said += piece
        usage = USAGE.findall(said)
        if b"data: [DONE]" not in said or not usage:
            seen.wrong["no end"] += 1
            return
        seen.done, seen.tokens = seen.done + 1, seen.tokens + int(usage[-1])
        seen.first.append(first or 0.0)

    def close(self) -> None:
        """End the connection."""
        if self._pipes is not None:
            self._pipes[1].close()
            self._pipes = None


async def load(server: Server, bodies: Iterator[bytes], clients: int, seconds: float) -> Seen:
    """Let clients ask until the time is over; answers that have begun are waited for, and count."""
    seen, end = Seen(), time.perf_counter() + seconds

    async def one() -> None:
        client = Client(server.host, server.port)
        while time.perf_counter() < end:
            await client.ask(next(bodies), seen)
        client.close()

    async def watch() -> None:
        while True:
            seen.memory.append(server.resident())
            await asyncio.sleep(60)

    before, mine, began = server.used(), time.process_time(), time.perf_counter()
    watching = asyncio.create_task(watch())
    await asyncio.gather(*[one() for _ in range(clients)])
    seen.seconds, seen.server = time.perf_counter() - began, server.used() - before
    seen.clients = time.process_time() - mine
    watching.cancel()
    seen.memory.append(server.resident())
    return seen


class Server:
    """A running server (Linux, for its figures)."""

    def __init__(self, process: subprocess.Popen, url: str) -> None:
        self._process, parts = process, urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80

    def resident(self) -> float:
        """Resident memory in MB."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * 4096 / 1e6

    def used(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(server: Server, options: argparse.Namespace) -> str:
    """Both runs, as a table."""
    bodies = requests(options.lines, options.again)
    seconds = 60 * options.minutes if options.minutes else options.seconds
    await load(server, bodies, 1, 2)  # what is slow only once
    alone = await load(server, bodies, 1, min(60, seconds / 3))
    await load(server, bodies, options.clients, max(10, min(120, seconds / 5)))
    return table(alone, await load(server, bodies, options.clients, seconds), options.clients)


def table(alone: Seen, many: Seen, clients: int) -> str:
    """What was seen, in Markdown."""
    both = (alone, many)

    def row(name: str, value: Callable[[Seen], float], form: str, inverse: bool = False) -> tuple[str, ...]:
        one, other = (value(seen) for seen in both)
        ratio = f"1/{one / other:.1f}" if inverse else f"{other / one:.1f}"
        return name, format(one, form), format(other, form), ratio

    errors = [", ".join(f"{number} {name}" for name, number in seen.wrong.items()) or "0" for seen in both]
    memory = ", ".join(f"{value:.0f}" for value in many.memory)
    rows = [
        row("tokens/s", lambda seen: seen.tokens / seen.seconds, ".0f"),
        row("answers/s", lambda seen: seen.done / seen.seconds, ".2f"),
        row("server's processor time of a token, ms", lambda seen: 1000 * seen.server / seen.tokens, ".2f", True),
        row("clients' processor time of a token, ms", lambda seen: 1000 * seen.clients / seen.tokens, ".2f", True),
        row("first piece, p50, s", lambda seen: seen.latency(0.5), ".3f"),
        row("first piece, p95, s", lambda seen: seen.latency(0.95), ".3f"),
        ("answers", str(alone.done), str(many.done), ""),
        ("errors", *errors, ""),
        ("server's memory, MB: start, every minute, end", "", memory, f"{many.memory[-1] / many.memory[0]:.2f}"),
    ]
    head = f"| | one by one | {clients} clients | times |\n|---|---|---|---|"
    return "\n".join([head, *(f"| {' | '.join(cells)} |" for cells in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=30, help="of the run with all clients")
    parser.add_argument("--minutes", type=float, help="the same in minutes")
    parser.add_argument("--rows", type=int, default=64, help="answers that the server generates at once")
    parser.add_argument("--lines", type=int, default=200, help="different lines that are asked about")
    parser.add_argument("--again", action="store_true", help="ask about images that the server has seen before, too")
    parser.add_argument("--threads", type=int, help="threads that the server computes with (OMP_NUM_THREADS)")
    parser.add_argument("--model", default="nano")
    options, more = parser.parse_known_args()  # the others are options of the server
    command = [sys.executable, "-m", "sphinx_x", "serve", options.model, "--name", "nano", "--port", "0"]
    command += ["--rows", str(options.rows), "--queue", str(options.clients), *more]
    threads = {"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | threads) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            if " at http" not in said:
                raise SystemExit(said)
            print(asyncio.run(measure(Server(process, said.split(" at ")[1].split()[0]), options)))
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
