"""The writer that asks a vision endpoint."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sphinx_x.endpoints.settings import EndpointSettings, parameters_of
from sphinx_x.engines.som.checks import check_exchange
from sphinx_x.engines.som.endpoint import Result, write_all
from sphinx_x.engines.som.prompts import Request
from sphinx_x.engines.som.replies import Answer
from sphinx_x.engines.som.words import READY
from sphinx_x.engines.som.writing import Exchange, Failure, Page, Task, Written, ask, in_order
from sphinx_x.errors import DataError
from sphinx_x.sources.base import UnusedError
from sphinx_x.sources.dialogue import pick


@dataclass(frozen=True)
class EndpointWriter:
    """Asks for every kind of every page, with several calls at once, so that one worker is enough.

    Attributes:
        settings: The endpoint's settings.
        cache: The folder of answers.
    """

    settings: EndpointSettings
    cache: Path

    @property
    def name(self) -> str:
        """The model."""
        return self.settings.model

    def facts(self) -> dict:
        """The model, and how and where it is asked; its prices may change between runs."""
        return {"writer": self.settings.model, "url": self.settings.url, "parameters": parameters_of(self.settings)}

    def write_all(self, pages: Iterable[Page]) -> Iterator[Written]:
        """Yield what `writing.Writer.write_all` yields; raise `StopError` if no further request can be made."""
        asked: deque[tuple[Page, list[Task]]] = deque()
        by_id: dict[str, Page] = {}

        def requests() -> Iterator[Request]:
            for page in pages:
                kinds: list[Task] = [kind for kind in in_order(page) if kind != "relations" or len(page.known) > 1]
                asked.append((page, kinds))
                marks = tuple((one.mark.label, one.region.text or one.region.name) for one in page.known)
                for kind in kinds:
                    name = f"{page.name} {kind}"
                    by_id[name] = page
                    yield Request(name, page.picture, page.scene.domain, kind, marks)

        def check(request: Request, answer: Answer) -> list[str]:
            # checked before the exchange is made, so that failures are asked again
            page = by_id[request.id]
            return check_exchange(page, Exchange(request.kind, [("?", answer.whole)]))  # pyright: ignore[reportArgumentType]

        written: list[Exchange | Failure] = []
        for result in write_all(requests(), self.settings, check, self.cache):
            while not asked[0][1]:  # nothing could be asked about this page
                asked.popleft()
                yield UnusedError("nothing to ask about its marks")
            page, kinds = asked[0]
            written.append(_written(page, kinds[len(written)], result))
            del by_id[result.request.id]
            if len(written) == len(kinds):
                asked.popleft()
                yield written
                written = []
        while asked:
            asked.popleft()
            yield UnusedError("nothing to ask about its marks")


def _written(page: Page, kind: Task, result: Result) -> Exchange | Failure:
    answer: Answer | None = result.answer
    if answer is None:
        return Failure(kind, DataError(f"{result.reason} ({kind}): {result.detail}"))
    if kind == "questions":
        return Exchange(kind, [(ask(kind, page.key), pick(READY, page.key)), *answer.exchanges])
    return Exchange(kind, [(ask(kind, page.key), answer.whole)])
