"""Running work that other people's files may hang, crash or fill in a separate process, with limits of time and memory.

As little as possible depends on the clock, so a busy machine gives the same results as an idle one.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

MEMORY = 6 << 30
"""Bytes that a task of `run_apart` may use."""


def run_apart(
    work: Callable[..., Any], tasks: Sequence[tuple], workers: int, cpu_seconds: int, first: int = 0
) -> Generator[tuple[int, Any], None, None]:
    """Run each task in its own process and yield (number, result) in order, numbers from `first`.

    A task that raises, crashes or exceeds its CPU time gives a text that says so instead of a result.
    """
    context: Any = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
    running: dict[Connection, tuple[int, Any, float]] = {}
    done: dict[int, Any] = {}
    started = 0
    try:
        for number in range(len(tasks)):
            while number not in done:
                while len(running) < workers and started < min(len(tasks), number + 4 * workers):
                    receiver, sender = context.Pipe(duplex=False)
                    ends = [*running, receiver]
                    arguments = (sender, ends, work, tasks[started], cpu_seconds)
                    process = context.Process(target=_apart, args=arguments, daemon=True)
                    process.start()
                    sender.close()
                    running[receiver] = (started, process, time.monotonic() + 10 * cpu_seconds)
                    started += 1
                for receiver in wait(list(running), timeout=5):
                    task, process, _ = running.pop(receiver)  # type: ignore[index]
                    done[task] = _collect(receiver, process, cpu_seconds)  # type: ignore[arg-type]
                for receiver, (task, process, deadline) in list(running.items()):
                    if time.monotonic() > deadline:
                        process.kill()
                        running.pop(receiver)
                        done[task] = f"hung for more than {10 * cpu_seconds} seconds"
                        process.join()
            yield first + number, done.pop(number)
    finally:
        for _, process, _ in running.values():
            process.kill()
            process.join()


def _collect(receiver: Connection, process: Any, cpu_seconds: int) -> Any:
    try:
        result = receiver.recv()
    except EOFError:
        process.join()
        over = process.exitcode is not None and process.exitcode in (-24, -9)
        result = f"took more than {cpu_seconds} s of CPU time" if over else f"crashed (exit code {process.exitcode})"
    receiver.close()
    process.join()
    return result


def _apart(sender: Connection, ends: list[Connection], work: Callable[..., Any], task: tuple, cpu_seconds: int) -> None:
    """Body of a worker process; without copies of the parent's `ends`, it stops when the parent is gone."""
    for end in ends:
        end.close()
    end_with_parent()
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))
    bound_memory(MEMORY)
    try:
        result = work(*task)
    except Exception as error:  # any error that a broken document causes is named, not passed on
        result = f"{type(error).__name__}: {error}"
    with contextlib.suppress(BrokenPipeError):
        sender.send(result)
    sender.close()


def end_with_parent() -> None:
    """Let this process end when its parent does, for whatever reason."""
    if sys.platform == "win32":
        return
    import resource

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets the signal as well, and ends this process
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    kill_with_parent()


def kill_with_parent() -> None:
    """Have the system kill this process when its parent ends, however that ends; only Linux does it."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid != os.getppid():
        os._exit(1)  # killed before the request: this process would wait for work, and hold its locks, for ever


def memory_used() -> int:
    """Return this process's bytes of address space; 0 if the system does not tell."""
    if sys.platform != "linux":
        return 0
    import resource

    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def bound_memory(more: int) -> None:
    """Limit this process's memory to so many bytes more than it has."""
    if sys.platform != "linux":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = memory_used() + more
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
