"""A judge on this machine that answers by script: with a grade, with nonsense, with errors, late, or not."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from vision_endpoint import VisionHandler, served

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


class _Handler(VisionHandler):
    """Speaks as the vision endpoint does, and is asked without pictures."""

    def _serve(self, body: dict[str, Any]) -> None:
        endpoint = self.server.endpoint
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


@contextmanager
def serve_judge(script: Script) -> Iterator[JudgeEndpoint]:
    """Runs a judge that follows a script."""
    with served(_Handler, lambda url: JudgeEndpoint(url, script)) as endpoint:
        yield endpoint


def late(said: str, seconds: float) -> str:
    """What is said, after a while."""
    time.sleep(seconds)
    return said
