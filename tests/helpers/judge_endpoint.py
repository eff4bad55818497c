"""A judge on this machine that answers by script: with a grade, with nonsense, with errors, late, or not."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

VERSION = "judge-2024-05-13 fp_1"


@dataclass
class Asked:
    """One call. text: the last user's words of the first turn; again: it is asked because words were not readable."""

    number: int
    text: str
    again: bool
    body: dict[str, Any]
    key: str


Script = Callable[[Asked], str]
"""What the judge says; or a status in angle brackets (`<503>`, `<429 0.1>` with seconds to wait), `<drop>`, `<cut>`."""


@dataclass
class JudgeEndpoint:
    """url: what `--judge` needs; calls: all that came."""

    url: str
    script: Script
    calls: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    endpoint: JudgeEndpoint

    def handle_error(self, *_: object) -> None:
        """The other side may be killed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        endpoint = self.server.endpoint
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        turns = [turn for turn in body["messages"] if turn["role"] != "system"]
        with endpoint.lock:
            key = self.headers.get("Authorization", "")
            asked = Asked(len(endpoint.calls), turns[0]["content"], len(turns) > 1, body, key)
            endpoint.calls.append(asked)
        said = endpoint.script(asked)
        if said == "<drop>":
            self.close_connection = True
        elif said.startswith("<") and said.strip("<>").split()[0].isdigit():
            code, *wait = said.strip("<>").split()
            text = {"error": {"message": f"not now: {key}"}}
            self._send(int(code), text, {"Retry-After": wait[0]} if wait else {})
        else:
            finish = "length" if said == "<cut>" else "content_filter" if said == "<filter>" else "stop"
            message = {"role": "assistant", "content": said}
            choice = {"index": 0, "finish_reason": finish, "message": message}
            name, print_of = VERSION.split()
            tokens = {"prompt_tokens": len(json.dumps(body)) // 4, "completion_tokens": len(said) // 4 + 1}
            answer = {"model": name, "system_fingerprint": print_of, "choices": [choice], "usage": tokens}
            self._send(200, answer, {})

    def _send(self, code: int, content: Any, headers: dict[str, str]) -> None:
        data = json.dumps(content).encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True


@contextmanager
def serve_judge(script: Script) -> Iterator[JudgeEndpoint]:
    """Runs a judge that follows a script."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.endpoint = JudgeEndpoint(f"http://127.0.0.1:{server.server_port}/v1", script)
    thread = threading.Thread(target=server.serve_forever, args=(0.003,), daemon=True)
    thread.start()
    try:
        yield server.endpoint
    finally:
        server.shutdown()
        server.server_close()


def late(said: str, seconds: float) -> str:
    """What is said, after a while."""
    time.sleep(seconds)
    return said
