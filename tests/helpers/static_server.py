"""A static server of a folder, as plain as they come, that notes what it is asked for."""

import contextlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class StaticServer(ThreadingHTTPServer):
    """The server.

    Attributes:
        asked: Paths it was asked for, in order.
    """

    def __init__(self, folder: Path):
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(SimpleHTTPRequestHandler):
    server: StaticServer

    def log_message(self, *_):
        self.server.asked.append(self.path)


@contextlib.contextmanager
def served_folder(folder: Path) -> Iterator[StaticServer]:
    """Serves a folder while the block runs."""
    with StaticServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
