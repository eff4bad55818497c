"""A server in this process, on a free port of the loopback, and clients for it."""

import contextlib
import threading
import time
from base64 import b64encode
from io import BytesIO

import httpx
import openai
import PIL.Image

from sphinx_x.serving.server import bind, build_server
from sphinx_x.serving.settings import Settings


class Served:
    """A server that runs; `settings` of it are what a test asks for."""

    def __init__(self, sphinx, **settings):
        self.settings = Settings(**{"port": 0, "name": "tiny", **settings})
        self._socket = bind(self.settings)
        self.server = build_server(sphinx, self.settings)
        self.service = self.server.config.app.state.service
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self):
        self._thread.start()
        while not self.server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self._thread.join(60)
        self._socket.close()
        assert not self._thread.is_alive()

    def client(self, **options) -> openai.OpenAI:
        options = {"api_key": self.settings.token or "none", "max_retries": 0, "timeout": 60, **options}
        return openai.OpenAI(base_url=f"{self.url}/v1", **options)

    def http(self, **options) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)

    def post(self, body, **options) -> httpx.Response:
        with self.http() as client:
            return client.post("/v1/chat/completions", json=body, **options)

    def idle(self, seconds=20) -> bool:
        """Whether nothing is in progress any more, within some time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.service.engine.load == (0, 0) and self.service.places.taken == 0:
                return True
            time.sleep(0.02)
        return False


def data_url(image: PIL.Image.Image | bytes, kind="png") -> str:
    if not isinstance(image, bytes):
        image.save(out := BytesIO(), kind)
        image = out.getvalue()
    return f"data:image/{kind};base64,{b64encode(image).decode()}"


def message(question, *images) -> list[dict]:
    urls = [image if isinstance(image, str) else data_url(image) for image in images]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": question}]}]


def body(question="Hi", *images, **keys) -> dict:
    return {"model": "tiny", "messages": message(question, *images), **keys}


def json_places(value, path=()):
    """All places within a JSON value."""
    yield path
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from json_places(one, (*path, key))


@contextlib.contextmanager
def slowed(served, seconds):
    """Every step of the engine takes at least so long."""
    engine = served.service.engine
    step = engine._step
    engine._step = lambda: (time.sleep(seconds), step())[1]
    try:
        yield
    finally:
        engine._step = step
