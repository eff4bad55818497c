"""A small server on this machine that speaks as much of the model hub's protocol as downloads need."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Hub:
    """address: what HF_ENDPOINT is set to; sent: paths of files that were downloaded."""

    address: str
    sent: list[str] = field(default_factory=list)


@contextmanager
def serve_hub(repositories: Mapping[str, Mapping[str, Path]]) -> Iterator[Hub]:
    """Repositories by name; each has folders of this machine under paths of its own, and code nobody should fetch."""
    files: dict[str, dict[str, bytes]] = {}
    for name, folders in repositories.items():
        held = files.setdefault(name, {"README.md": b"# readme", "modeling.py": b"raise SystemExit", "a.png": b"x"})
        for place, folder in folders.items():
            for path in folder.rglob("*"):
                if path.is_file():
                    held[f"{place}/{path.relative_to(folder).as_posix()}".lstrip("/")] = path.read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    server.files, server.hub = files, hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        parts = unquote(urlparse(self.path).path).strip("/").split("/")
        files: dict[str, dict[str, bytes]] = self.server.files  # type: ignore[attr-defined]
        if parts[:2] == ["api", "models"]:
            name = "/".join(parts[2:4])
            if name in files:
                return self._listing(name, parts[4:], body)
        elif len(parts) > 4 and parts[2] == "resolve":
            name, path = "/".join(parts[:2]), "/".join(parts[4:])
            if name in files and path in files[name]:
                return self._file(path, files[name][path], body)
            if name in files:
                return self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, body)
        self._send(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"}, body)

    def _listing(self, name: str, rest: list[str], body: bool) -> None:
        held = self.server.files[name]  # type: ignore[attr-defined]
        if rest[:1] == ["tree"]:
            listed = [
                {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for path, data in held.items()
            ]
            return self._send(200, json.dumps(listed).encode(), {}, body)
        siblings = [{"rfilename": path} for path in held]
        info = {"id": name, "modelId": name, "sha": COMMIT, "private": False, "tags": [], "siblings": siblings}
        self._send(200, json.dumps(info).encode(), {}, body)

    def _file(self, path: str, data: bytes, body: bool) -> None:
        if body:
            self.server.hub.sent.append(path)  # type: ignore[attr-defined]
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        self._send(200, data, {**headers, "Content-Type": "application/octet-stream"}, body)

    def _send(self, code: int, data: bytes, headers: dict[str, str], body: bool) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)
