"""Processes of their own that begin with everything imported: imports take longer than most of what is tested in them.

They are forked from one server that has done nothing but import, and have nothing in common with the process of the
tests: other memory, a session of their own, output in files. What a start from nothing does is tested where the command
itself is started.
"""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import Any


def ready_server() -> None:
    """Sees to it that the server runs and has imported `warm`."""
    multiprocessing.set_forkserver_preload(["warm"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    try:
        forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


class Begun:
    """A process that has begun, with the methods of `subprocess.Popen`."""

    def __init__(self, work: Callable, arguments: Sequence[Any], env: Mapping[str, str]) -> None:
        ready_server()
        self._said = Path(tempfile.mkdtemp(prefix="said-"))
        weakref.finalize(self, shutil.rmtree, self._said, ignore_errors=True)
        child = multiprocessing.get_context("forkserver").Process(
            target=_run, args=(str(self._said), dict(env), work, *arguments)
        )
        child.start()
        self._child, self.pid = child, child.pid or 0

    @property
    def returncode(self) -> int | None:
        """As a shell has it; -9 after a kill."""
        return self._child.exitcode

    def poll(self) -> int | None:
        return self._child.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._child.join(timeout)
        if self._child.exitcode is None:
            raise subprocess.TimeoutExpired(str(self._child), timeout or 0)
        return self._child.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it has said when it is done."""
        self.wait(timeout)
        files = [self._said / name for name in ("out", "err")]
        said = [file.read_text("utf-8", "replace") if file.exists() else "" for file in files]
        return said[0], said[1]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def begin(work: Callable, *arguments: Any, env: Mapping[str, str] | None = None) -> Begun:
    """Begins `work(*arguments)`, a function that can be imported, with more variables in its environment."""
    return Begun(work, arguments, env or {})


def begin_command(*words: Any, env: Mapping[str, str] | None = None, change: str = "") -> Begun:
    """Begins `sphinx-x WORDS`. change: code that is run before."""
    return begin(_command, [str(word) for word in words], change, env=env)


def _command(words: list[str], change: str) -> None:
    from sphinx_x import cli

    exec(change)
    sys.argv = ["sphinx-x", *words]
    cli.main()


def _run(said: str, env: dict[str, str], work: Callable, *arguments: Any) -> None:
    os.setsid()
    os.environ.update(env)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(Path(said) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # whatever these tests run under
        signal.signal(stop, signal.default_int_handler if stop == signal.SIGINT else signal.SIG_DFL)
    work(*arguments)
