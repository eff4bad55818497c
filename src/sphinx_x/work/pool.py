"""Running many independent pieces of work: on the cores of this machine, or on a cluster.

`work` is a function of a module, `common` is what every piece needs (sent once to each process), `tasks` are the
pieces.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from sphinx_x.errors import DataError, needs_extra
from sphinx_x.work.sandbox import kill_with_parent

ENGINES = ("local", "ray")
AHEAD = 3
"""Number of tasks that may wait for each worker; more would only take memory."""

_common: Any = None


def run(
    work: Callable[[Any, Any], Any],
    common: Any,
    tasks: Iterable[Any],
    workers: int | None = None,
    engine: str = "local",
) -> Iterator[Any]:
    """Yield work(common, task) of every task as they finish, in no fixed order.

    An error in a piece of work is raised here.

    Args:
        work: A function of a module.
        common: What every piece needs.
        tasks: The pieces.
        workers: Number of processes, by default one per core.
        engine: `local`, or `ray` for the cluster that `ray.init` finds, with its own errors; files must be where all
            its machines see them.

    Raises:
        DataError: A local process died (killed, out of memory).
    """
    workers = workers or os.cpu_count() or 1
    if isinstance(tasks, Sized):
        workers = max(min(workers, len(tasks)), 1)
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
    if engine == "ray":
        yield from _ray(work, common, tasks, workers)
    elif workers == 1:
        yield from (work(common, task) for task in tasks)
    else:
        yield from _local(work, common, tasks, workers)


def _local(work: Callable[[Any, Any], Any], common: Any, tasks: Iterable[Any], workers: int) -> Iterator[Any]:
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
    with ProcessPoolExecutor(workers, context, _begin, (common,)) as pool:
        waiting: set[Future[Any]] = set()
        try:
            for task in tasks:
                waiting.add(pool.submit(_call, work, task))
                while len(waiting) >= AHEAD * workers:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BrokenProcessPool as error:
            raise DataError("a worker process died (killed, or out of memory); what is done is kept") from error
        finally:
            for future in waiting:
                future.cancel()


def _begin(common: Any) -> None:
    global _common
    _common = common
    kill_with_parent()


def _call(work: Callable[[Any, Any], Any], task: Any) -> Any:
    return work(_common, task)


def _ray(work: Callable[[Any, Any], Any], common: Any, tasks: Iterable[Any], workers: int) -> Iterator[Any]:
    with needs_extra("cluster", "the engine `ray`"):
        import ray  # pyright: ignore[reportMissingImports]
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    shared = ray.put(common)
    remote = ray.remote(work)
    waiting: list[Any] = []
    for task in tasks:
        waiting.append(remote.remote(shared, task))
        while len(waiting) >= AHEAD * max(workers, int(ray.cluster_resources().get("CPU", 1))):
            done, waiting = ray.wait(waiting)
            yield from ray.get(done)
    while waiting:
        done, waiting = ray.wait(waiting)
        yield from ray.get(done)
