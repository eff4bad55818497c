"""The screens engine: what a window shows of HTML manuals, with questions about it, in whole shards.

The output folder holds screens-00000.jsonl and .tar, ..., `report.html` and, written last, `report.json`. Screen k
depends on the seed, its number, the settings, the pages, and the browser with its fonts alone.
"""

from __future__ import annotations

import html
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sphinx_x.data.shards import write_part
from sphinx_x.engines.documents.asking import ask, check_weights
from sphinx_x.engines.documents.engine import Made, RunSettings, sampled, samples_of, write_run
from sphinx_x.engines.documents.look import encoded
from sphinx_x.engines.screens.chromium import Chromium, chromium_version
from sphinx_x.engines.screens.truth import LONGEST_HEADING, look
from sphinx_x.errors import DataError
from sphinx_x.sources.base import UnusedError
from sphinx_x.sources.dialogue import rng_of
from sphinx_x.work.files import content_key
from sphinx_x.work.runs import Parts
from sphinx_x.work.tally import Tally

NAME = "screens"
ENDINGS = (".html", ".htm", ".xhtml")
TRIES = 40
"""Places of pages that are tried for a screen."""
WEIGHTS = {
    "region": 5, "block": 2, "where_text": 4, "entry": 3, "order": 2, "count": 1, "listed": 1, "absent": 3, "read": 0.5,
}  # fmt: skip
"""How often each kind of question is drawn, relative to the others."""
HEADING = re.compile(r"<h[1-3]\b[^>]*>(.*?)</h[1-3]>", re.IGNORECASE | re.DOTALL)


class ScreenSettings(RunSettings):
    """How screens are made.

    Attributes:
        licence: Licence of the pages, as none states its own.
        weights: As of `RunSettings`.
    """

    licence: str = ""
    weights: dict[str, float] = WEIGHTS


@dataclass(frozen=True)
class Job:
    """What every worker needs."""

    out: Path
    settings: ScreenSettings
    pages: tuple[Path, ...]


def make_screens(
    folder: str | Path,
    out: str | Path,
    settings: ScreenSettings | None = None,
    workers: int | None = None,
    engine: str = "local",
    progress: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Write screens of the HTML pages of a folder with questions into a folder, continuing an interrupted run.

    Args:
        folder: The folder with pages; nothing is fetched from a network.
        out: The folder to write.
        settings: How screens are made.
        workers: Number of processes with a browser each, by default one per core.
        engine: See `pool.run`.
        progress: Called after every shard.

    Raises:
        DataError: There are no pages, the settings are wrong, or the folder holds something else.
        MissingToolError: There is no Chromium.
    """
    settings, folder = settings or ScreenSettings(), Path(folder)
    check_weights(settings.weights)
    pages = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not pages:
        raise DataError(f"{folder}: no HTML page there")
    styles = sorted(path for path in folder.rglob("*.css") if path.is_file())
    facts: dict[str, Any] = {"engine": NAME, "pages": content_key([*pages, *styles], folder)}
    facts["browser"] = chromium_version()
    facts["settings"] = settings.model_dump(mode="json")
    job = Job(Path(out), settings, tuple(pages))
    return write_run("Screens", job, make_shard, facts, {}, 0.2, workers, engine, progress)


def make_shard(job: Job, task: tuple[int, range]) -> Tally:
    """Write one shard of screens, what could not be shown and, last, its tally."""
    number, numbers = task
    tally, aside = Tally(), []
    with Chromium() as browser:
        make = partial(make_screen, settings=job.settings, pages=job.pages, browser=browser)
        licence = job.settings.licence
        samples = samples_of(lambda number: sampled(number, make(number), NAME, licence), numbers, tally, aside, NAME)
        return write_part(Parts(job.out, NAME), number, samples, tally, aside)


def make_screen(number: int, settings: ScreenSettings, pages: tuple[Path, ...], browser: Chromium) -> Made:
    """Return screen `number` of a run.

    Raises:
        DataError: None of `TRIES` places shows enough text without overlaps.
    """
    rng = rng_of(f"{settings.seed} {number} screen")
    problem = DataError("no screen")
    for _ in range(TRIES):
        page, other = rng.choice(pages), rng.choice(pages)
        try:
            drawing, image = look(browser, page, rng, headings_of(other, rng) if other != page else ())
            asked = ask(drawing, rng, settings.questions(rng), settings.weights, settings.shown)
        except UnusedError:
            continue
        except DataError as error:
            problem = error
            continue
        return Made("screen", drawing, encoded(image, rng.randint(80, 95)), asked)
    raise problem


def headings_of(page: Path, rng: random.Random, most: int = 4) -> list[str]:
    """Return some headings of a page by its source."""
    source = page.read_text(encoding="utf-8", errors="replace")
    texts = [" ".join(html.unescape(re.sub(r"<[^>]*>", "", part)).split()) for part in HEADING.findall(source)]
    texts = [text.rstrip("¶#").strip() for text in texts]
    texts = [text for text in dict.fromkeys(texts) if 2 < len(text) <= LONGEST_HEADING and '"' not in text]
    return rng.sample(texts, min(len(texts), most))
