"""A vision endpoint on this machine that answers by script: well, badly, late, with errors, with nonsense, or not.

It reads the marks out of the prompt as a model would, and keeps a bill of its own: what every answer truly cost, also
where it tells other numbers, or breaks off after the work was done.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PRICES = (2.0, 8.0)
"""Of a million tokens in and out."""


@dataclass
class Call:
    """One call.

    number: from 0 among all calls; attempt: from 0 among those of its question; question: names its image and kind, the
    same for all calls about them; marks: labels with their hints; again: it is asked because an answer was not used.
    """

    number: int
    attempt: int
    question: str
    kind: str
    marks: dict[str, str]
    again: bool
    body: dict[str, Any]
    headers: dict[str, str]
    at: float
    behaviour: str = ""
    answered: bool = False


Script = Callable[[Call], str]
"""Names what becomes of a call: `good`, a status (`503`, `429 0.2` with seconds to wait), or one of `_act`."""


@dataclass
class Endpoint:
    """url: what the settings need; calls: all that came; bill: money for all the work done; most: calls at once."""

    url: str
    script: Script
    calls: list[Call] = field(default_factory=list)
    bill: float = 0.0
    most: int = 0
    busy: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, question: str) -> list[Call]:
        """The calls of a question."""
        return [call for call in self.calls if call.question == question]

    def answered(self) -> list[str]:
        """The question of every answer that went out whole, usable or not."""
        return [call.question for call in self.calls if call.answered]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    endpoint: Any

    def handle_error(self, *_: object) -> None:
        """The other side may be killed."""


@contextmanager
def served(handler: type[BaseHTTPRequestHandler], make: Callable[[str], Any]) -> Iterator[Any]:
    """Runs an endpoint on this machine: what `make` makes of its address."""
    server = _Server(("127.0.0.1", 0), handler)
    server.endpoint = make(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, args=(0.003,), daemon=True)
    thread.start()
    try:
        yield server.endpoint
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def serve_vision(script: Script = lambda _: "good") -> Iterator[Endpoint]:
    """Runs an endpoint that follows a script."""
    with served(VisionHandler, lambda url: Endpoint(url, script)) as endpoint:
        yield endpoint


def question_of(image: bytes, kind: str) -> str:
    """What `Call.question` says of an image and a kind."""
    return f"{kind} {hashlib.sha256(image).hexdigest()[:12]}"


def good_answer(kind: str, marks: Mapping[str, str] | Sequence[str]) -> dict[str, Any]:
    """An answer in the form of a kind that cites all marks, and names them as their hints do."""
    hints, marks = (marks if isinstance(marks, Mapping) else {}), list(marks)
    names = {k: hints.get(k) or "thing" for k in marks}
    captions = [{"mark": k, "text": f"A red {names[k]} that leans on its neighbour."} for k in marks]
    if kind == "detailed":
        return {"picture": "A table with several things.", "marks": captions}
    if kind == "short":
        return {"marks": captions}
    if kind == "relations":
        pairs = zip(marks, marks[1:] + marks[:1], strict=True)
        return {"relations": [{"marks": [a, b], "text": f"<Mark {a}> stands left of <Mark {b}>."} for a, b in pairs]}
    asked = [{"question": f"What colour is <Mark {k}>?", "answer": f"<Mark {k}> is red."} for k in marks * 2]
    return {"exchanges": asked}


def _kind(prompt: str) -> str:
    shape = prompt.rsplit("\n", 1)[1]
    kinds = {"picture": "detailed", "relations": "relations", "exchanges": "questions"}
    return next((kind for word, kind in kinds.items() if f'"{word}"' in shape), "short")


class VisionHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        self._serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _serve(self, body: dict[str, Any]) -> None:
        endpoint = self.server.endpoint
        with endpoint.lock:
            call = self._read(body)
            endpoint.calls.append(call)
            endpoint.busy += 1
            endpoint.most = max(endpoint.most, endpoint.busy)
        try:
            call.behaviour = endpoint.script(call)
            self._act(call)
        finally:
            with endpoint.lock:
                endpoint.busy -= 1

    def _read(self, body: dict[str, Any]) -> Call:
        """What a call asks; raises where the body is not as the protocol says."""
        assert self.path == "/v1/chat/completions"
        messages = body["messages"]
        assert [m["role"] for m in messages] in (["system", "user"], ["system", "user", "assistant", "user"])
        text, picture = messages[1]["content"]
        assert (text["type"], picture["type"]) == ("text", "image_url")
        image = base64.b64decode(re.fullmatch(r"data:image/(?:png|jpeg);base64,(.+)", picture["image_url"]["url"])[1])
        prompt, calls = text["text"], self.server.endpoint.calls
        question = question_of(image, _kind(prompt))
        attempt = sum(call.question == question for call in calls)
        listed = re.findall(r"^- Mark (\S+)(?: \(hint: (.*)\))?$", prompt, re.MULTILINE)
        marks = {label: json.loads(hint or '""') for label, hint in listed}
        headers = {name.lower(): value for name, value in self.headers.items()}
        again = len(messages) == 4
        return Call(len(calls), attempt, question, _kind(prompt), marks, again, body, headers, time.monotonic())

    def _act(self, call: Call) -> None:
        words = call.behaviour.split(" ")
        name, rest = words[0], words[1:]
        if name.isdigit():
            headers = {"Retry-After": rest[0]} if rest else {}
            self._send(int(name), {"error": {"message": "it cannot be done now", "type": "server_error"}}, headers)
        elif name in ("late", "silent", "drip"):
            self._slow(call, name, float(rest[0]))
        elif name == "drop":  # the work is done, the answer is lost
            self._charge(call, "x" * 300)
        elif name == "html":
            self._charge(call, "x" * 300)
            self._write(200, b"<html><body>Bad gateway</body></html>")
        elif name == "text":
            self._write(413, rest[0].encode())
        elif name == "torn":
            content = self._completion(call, json.dumps(good_answer(call.kind, call.marks)))
            self._write(200, content[: len(content) // 2], length=len(content))
        elif name == "envelope":
            self._charge(call, "x" * 300)
            self._send(200, {"choices": [], "usage": "many"})
        elif name == "redirect":
            self._write(307, b"", {"Location": rest[0]})
        elif name == "no-schema" and "response_format" in call.body:
            self._send(400, {"error": {"message": "response_format is not supported by this model"}})
        elif name == "quota":
            self._send(429, {"error": {"message": "You have no credit left", "code": "insufficient_quota"}})
        elif name == "echo":  # tells the key to whoever listens
            self._send(int(rest[0]), {"error": {"message": f"wrong key {call.headers.get('authorization')}"}})
        else:
            self._answer(call, name, rest)

    def _slow(self, call: Call, name: str, seconds: float) -> None:
        if name == "late":
            time.sleep(seconds)
            self._answer(call, "good", [])
            return
        self._charge(call, "x" * 300)
        if name == "silent":
            time.sleep(seconds)
            return
        self.send_response(200)
        self.send_header("Content-Length", "10000")
        self.send_header("Connection", "close")
        self.end_headers()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.wfile.write(b" ")
            time.sleep(0.02)

    def _answer(self, call: Call, name: str, rest: list[str]) -> None:
        """Answers that arrive whole: usable (`good`, `fenced`, `usage ...`), or wrong in what they say."""
        answer = good_answer(call.kind, call.marks)
        message: dict[str, Any] = {"role": "assistant", "content": _spoilt(name, rest, call, answer)}
        if name == "refusal":
            message |= {"content": None, "refusal": "I cannot help with that image."}
        finish = "length" if name == "cut" else "content_filter" if name == "filtered" else "stop"
        usage = " ".join(rest) if name == "usage" else ""
        content = self._completion(call, message["content"] or "no", message, finish, usage)
        call.answered = True
        self._write(200, content)

    def _completion(
        self, call: Call, text: str, message: dict[str, Any] | None = None, finish: str = "stop", usage: str = ""
    ) -> bytes:
        tokens = self._charge(call, text)
        told: Any = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
        if usage:
            told = json.loads(usage)
        message = message or {"role": "assistant", "content": text}
        choice = {"index": 0, "finish_reason": finish, "message": message}
        return json.dumps({"object": "chat.completion", "choices": [choice], "usage": told}).encode()

    def _charge(self, call: Call, text: str) -> tuple[int, int]:
        """Puts the work on the bill: four bytes a token, 765 for the image, never more tokens out than asked for."""
        words = len(json.dumps([m["content"] for m in call.body["messages"] if isinstance(m["content"], str)]))
        words += len(call.body["messages"][1]["content"][0]["text"])
        limit = call.body.get("max_tokens") or call.body["max_completion_tokens"]
        tokens = (765 + words // 4, min(len(text) // 4 + 1, limit))
        with self.server.endpoint.lock:
            self.server.endpoint.bill += (tokens[0] * PRICES[0] + tokens[1] * PRICES[1]) / 1e6
        return tokens

    def _send(self, code: int, content: Any, headers: dict[str, str] | None = None) -> None:
        self._write(code, json.dumps(content).encode(), headers)

    def _write(self, code: int, data: bytes, headers: dict[str, str] | None = None, length: int | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True


def _spoilt(name: str, rest: list[str], call: Call, answer: dict[str, Any]) -> str:
    """The text of an answer: as it should be, or wrong in the way that the script names."""
    good = json.dumps(answer)
    kept = dict(list(call.marks.items())[:-1])
    first = next(iter(call.marks))
    texts = {
        "no-text": "",
        "fenced": f"<think>Let me see {{}}.</think>\n```json\n{good}\n```",
        "not-json": good[1:],
        "trailing": good + " I hope this helps!",
        "nonsense": json.dumps({"colourless": ["green", 3, None]}),
        "list": json.dumps([answer]),
        "deep": "[" * 100_000,
        "cut": good[: len(good) // 2],
        "short-cut": good[: len(good) // 2],
        "unknown-mark": json.dumps(good_answer(call.kind, [*call.marks, "99"])),
        "missing-mark": json.dumps(good_answer(call.kind, kept)),
        "twice": json.dumps(good_answer(call.kind, [*call.marks, first])),
        "mentions": good.replace(" red", " red beside <Mark 42>").replace("stands", "stands by <Mark 42>"),
        "extra-field": json.dumps(answer | {"confidence": 1}),
        "empty": re.sub(r"\"(text|answer)\": \"[^\"]*\"", r'"\1": "  "', good),
        "image-tag": good.replace("red", "<image>").replace("stands", "<image>"),
        "control": good.replace("red", "r\\u0000d").replace("stands", "st\\u0000nds"),
        "surrogate": good.replace("red", "r\\ud800d").replace("stands", "st\\ud800nds"),
        "wrong": good.replace("red", "WRONG").replace("stands", "WRONG"),
        "wrong-names": json.dumps(good_answer(call.kind, dict.fromkeys(call.marks, "purple wombat"))),
        "says": good.replace("red", " ".join(rest)).replace("stands", " ".join(rest)),
    }
    return texts.get(name, good)
