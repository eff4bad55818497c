"""The routes: OpenAI's chat completions and models, health, metrics, and the web page."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sphinx_x import __version__
from sphinx_x.errors import SphinxXError
from sphinx_x.inference import SphinxX
from sphinx_x.serving import answers
from sphinx_x.serving.bodies import check_query, read_body
from sphinx_x.serving.engine import ClosedError, Engine
from sphinx_x.serving.formats import FormatError, Formats
from sphinx_x.serving.guards import Guard, respond
from sphinx_x.serving.jobs import Event, Job
from sphinx_x.serving.limits import Places, RefusedError
from sphinx_x.serving.masks import MaskRoute
from sphinx_x.serving.metrics import Metrics
from sphinx_x.serving.pages import FILES, PageFiles, PageRoutes
from sphinx_x.serving.preparing import Prepared, prepare
from sphinx_x.serving.sampling import Chosen
from sphinx_x.serving.settings import Settings
from sphinx_x.serving.streams import Bell, EventStream, GoneError, Mailbox, until_gone

log = logging.getLogger(__name__)

PREPARING = 32
"""Number of threads that prepare requests; most of them wait for a remote host, or for their turn to open images."""


class Service:
    """A model behind the API.

    Attributes:
        engine: What answers.
        metrics: What is measured.
        places: Places for requests.
        masks: The route of masks.
        page: The routes of the web page.
    """

    def __init__(self, sphinx: SphinxX, settings: Settings) -> None:
        self._sphinx, self._settings = sphinx, settings
        self.metrics = Metrics()
        self.engine = Engine(sphinx, settings, self.metrics)
        self.places = Places(settings.rows + settings.queue, settings.rows)
        self.masks = MaskRoute(settings, sphinx.model.device)
        self.page = PageRoutes(sphinx, settings)
        self._formats = Formats(sphinx)
        self._created = int(time.time())
        self._preparing: anyio.CapacityLimiter | None = None
        self._bell: Bell | None = None

    async def chat(self, request: Request) -> Response:
        """Answer a request for a chat completion."""
        self.places.take()
        began, handed_on = time.monotonic(), False
        try:
            body = await read_body(request, self._settings)
            prepared = await until_gone(self._prepare(body), request.receive)
            self._bell = self._bell or Bell()
            box = Mailbox(prepared.asked.stream, self._bell)
            job = self._job(prepared, box, began)
            answer = answers.Answer(self._sphinx, self._settings.name, prepared, job)
            self.engine.submit(job)
            if prepared.asked.stream:

                def close() -> None:
                    job.cancel()
                    self.places.leave(time.monotonic() - began)

                handed_on = True
                return EventStream(self._events(answer, prepared, box), self._settings.stalled_seconds, close)
            try:
                tokens, reason = await until_gone(self._collect(box), request.receive)
            finally:
                job.cancel()
            # in a thread, as looking for what an answer is based on can take long
            return JSONResponse(await anyio.to_thread.run_sync(answer.whole, tokens, reason))
        except ClosedError as error:
            raise RefusedError("the server is stopping", 503, headers={"Retry-After": "10"}) from error
        except GoneError:
            return Response(status_code=499)  # nobody reads it
        finally:
            if not handed_on:
                self.places.leave(time.monotonic() - began)

    async def models(self, request: Request) -> Response:
        """List the model."""
        return JSONResponse({"object": "list", "data": [self._model()]})

    async def model(self, request: Request) -> Response:
        """Describe the model."""
        name = request.path_params["name"]
        if name != self._settings.name:
            raise RefusedError(f"there is no model {name[:80]!r}", 404, "model", "model_not_found")
        return JSONResponse(self._model())

    async def health(self, request: Request) -> Response:
        """Tell whether requests are answered."""
        alive = self.engine.alive
        said = {"status": "ok" if alive else "stopped", "failures": self.engine.failures, "version": __version__}
        return JSONResponse(said, 200 if alive else 503)

    async def measured(self, request: Request) -> Response:
        """Return the metrics."""
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    def _model(self) -> dict[str, Any]:
        ability = self._sphinx.model.config.ability().to_dict()
        head = {"id": self._settings.name, "object": "model", "created": self._created, "owned_by": "sphinx-x"}
        return {**head, "abilities": ability}

    def _job(self, prepared: Prepared, box: Mailbox, began: float) -> Job:
        deadline = began + self._settings.seconds
        prompt = prepared.prompt
        skipped = sum(layout.skipped for layout in prompt.layouts)
        told: dict[str, Any] = {"image_tokens": prompt.visual_tokens, "skipped": skipped, "begun": began}
        told["line_boxes"] = prompt.line_boxes
        return Job(prompt.ids, prepared.tokens, prepared.looks, prepared.sampling, box.emit, deadline, **told)

    async def _prepare(self, body: bytes) -> Prepared:
        if self._preparing is None:  # it belongs to a loop
            self._preparing = anyio.CapacityLimiter(PREPARING)
        return await anyio.to_thread.run_sync(self._prepared, body, limiter=self._preparing)

    def _prepared(self, body: bytes) -> Prepared:
        prepared = prepare(self._sphinx, self.engine.features, body, self._settings)
        if prepared.asked.schema is None:
            return prepared
        form = self._formats.form(prepared.asked.schema)
        return replace(prepared, sampling=replace(prepared.sampling, form=form))

    async def _collect(self, box: Mailbox) -> tuple[list[Chosen], str]:
        """Wait for a whole answer; return its tokens, if asked for, and why it ended."""
        event = await box.take()
        return list(event.tokens), _reason(event, self._settings)

    async def _events(self, answer: answers.Answer, prepared: Prepared, box: Mailbox) -> AsyncGenerator[bytes, None]:
        """Yield the events of a streamed answer."""
        event = Event()
        while not event.last:
            event = await box.take()
            if not event.last and (event.piece or event.tokens):
                yield answers.event(answer.chunk(event.piece, event.tokens, None))
        try:
            reason = _reason(event, self._settings)
        except RefusedError as error:
            if event.piece or event.tokens:  # what came at the same time as the end
                yield answers.event(answer.chunk(event.piece, event.tokens, None))
            yield answers.event(error.body())
            return
        last = await anyio.to_thread.run_sync(answer.chunk, event.piece, event.tokens, reason)
        yield answers.event(last)
        if prepared.asked.usage:
            yield answers.event(answer.usage_chunk())
        yield answers.DONE


def _reason(event: Event, settings: Settings) -> str:
    """Return why an answer ended; raise `RefusedError` if it is not an answer."""
    if event.reason in ("stop", "length"):
        return event.reason
    if event.reason == "timeout":
        raise RefusedError(f"the answer took longer than {settings.seconds:g} seconds", 504, code="timeout")
    if event.reason == "cancelled" or isinstance(event.error, ClosedError):
        raise RefusedError("the server is stopping", 503, headers={"Retry-After": "10"})
    if isinstance(event.error, FormatError):
        raise RefusedError(str(event.error), 400, "response_format", "invalid_schema")
    raise RefusedError("the model failed on this request", 500)


def build_app(sphinx: SphinxX, settings: Settings) -> FastAPI:
    """Return the application that serves a model; its lifespan starts and ends the engine."""
    service = Service(sphinx, settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.engine.start()
        yield
        await anyio.to_thread.run_sync(service.engine.close)

    app = FastAPI(
        title="SPHINX-X", version=__version__, lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None
    )
    app.state.service = service
    for path, method, route, keys in (
        ("/v1/chat/completions", "POST", service.chat, ()),
        ("/v1/models", "GET", service.models, ()),
        ("/v1/models/{name:path}", "GET", service.model, ()),
        ("/v1/masks", "POST", service.masks.answer, ()),
        ("/health", "GET", service.health, ()),
        ("/metrics", "GET", service.measured, ()),
        *service.page.routes(),
    ):
        app.add_route(path, _counted(route, path, keys, service.metrics), [method])
        app.router.routes.append(Route(path, _OtherMethods(method)))
    app.mount("/", PageFiles(directory=FILES))
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(Guard, settings=settings)
    return app


class _OtherMethods:
    """Refuses every method but the one of a route, which comes before; the files of the page would be next."""

    def __init__(self, method: str) -> None:
        self._allowed = "GET, HEAD" if method == "GET" else method

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        what = f"{scope['method'][:20]} is not answered here, only {self._allowed}"
        await respond(RefusedError(what, 405, headers={"Allow": self._allowed}))(scope, receive, send)


def _counted(route: Any, path: str, keys: tuple[str, ...], metrics: Metrics) -> Any:
    """Return a route that turns a user's errors into responses, and counts its requests."""

    async def counted(request: Request) -> Response:
        try:
            check_query(request, keys)
            response = await route(request)
        except RefusedError as error:
            response = respond(error)
        except SphinxXError as error:
            response = respond(RefusedError(str(error)))
        except ClientDisconnect:
            response = Response(status_code=499)  # nobody reads it
        except Exception:
            log.exception("a request failed")
            response = respond(RefusedError("the server failed on this request", 500))
        metrics.request(path, response.status_code)
        return response

    return counted


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    told, code = str(error.detail), None
    if error.status_code == 404:
        told, code = f"nothing is at {request.method[:20]} {request.url.path[:200]}", "unknown_url"
    return respond(RefusedError(told, error.status_code, None, code, dict(error.headers or {})))
