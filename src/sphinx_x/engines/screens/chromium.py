"""A headless Chromium, driven through its pipe: no package is needed for it, and no port is open."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import selectors
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError, MissingToolError, SphinxXError, one_line

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check", "--disable-gpu"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--mute-audio", "--hide-scrollbars", "--force-color-profile=srgb", "--password-store=basic"),
    "--host-resolver-rules=MAP * ~NOTFOUND",  # pages of a folder need no network
)
ENDED = "the browser has ended"
PATIENCE = 20.0
"""Seconds in which it has to answer."""


def find_chromium() -> str:
    """Return the browser's program: the one that CHROMIUM names, or one in PATH.

    Raises:
        MissingToolError: There is none, or CHROMIUM names no program.
    """
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise MissingToolError("showing pages needs Chromium or Chrome, in PATH or named by CHROMIUM")
    if shutil.which(found) is None:
        raise MissingToolError(f"CHROMIUM: {found}: no such program")
    return found


def chromium_version() -> str:
    """Return what the browser says that it is, on which what it draws depends.

    Raises:
        MissingToolError: There is none, or it does not start.
    """
    program = find_chromium()
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingToolError(f"{program} does not start: {one_line(error)}") from error
    return " ".join(said.stdout.split())


class Chromium:
    """One browser with one page; use it as a context.

    Raises:
        MissingToolError: There is no Chromium, or it does not start.
    """

    def __init__(self) -> None:
        program = find_chromium()
        self._folder = tempfile.TemporaryDirectory(prefix="sphinx-x-chromium-", ignore_cleanup_errors=True)
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        own = ["--no-sandbox"] if os.geteuid() == 0 else []  # a root user, as in most containers, has no sandbox
        arguments = [program, *ARGUMENTS, *own, f"--user-data-dir={self._folder.name}", "about:blank"]
        # the browser expects its pipe as file descriptors 3 and 4
        command = ["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "bash", *arguments]
        nowhere = subprocess.DEVNULL
        self._process = subprocess.Popen(command, pass_fds=(to_read, to_write), stdout=nowhere, stderr=nowhere)
        os.close(to_read)
        os.close(to_write)
        self._waiting = selectors.DefaultSelector()  # select() cannot wait for a descriptor above 1023
        self._waiting.register(self._read, selectors.EVENT_READ)
        self._last, self._rest = 0, b""
        self._session: str | None = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        self.call("Page.enable")

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(SphinxXError, OSError):
            self._session = None
            self.call("Browser.close")
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._waiting.close()
        os.close(self._write)
        os.close(self._read)
        self._folder.cleanup()

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Ask the browser for something and return its answer.

        Raises:
            DataError: It says that it cannot, or does not answer in time.
            MissingToolError: It has ended.
        """
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": arguments}
        if self._session:
            message["sessionId"] = self._session
        rest = json.dumps(message).encode() + b"\0"
        while rest:
            try:
                rest = rest[os.write(self._write, rest) :]
            except BrokenPipeError as error:
                raise MissingToolError(f"{ENDED} ({method})") from error
        end = time.monotonic() + PATIENCE
        while True:
            answer = self._receive(end, method)
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise DataError(f"the browser refuses {method}: {answer['error']['message']}")
                return answer["result"]

    def _receive(self, end: float, what: str) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready = self._waiting.select(max(0, end - time.monotonic()))
            piece = os.read(self._read, 1 << 20) if ready else b""
            if not ready:
                raise DataError(f"the browser does not answer ({what})")
            if not piece:
                raise MissingToolError(f"{ENDED} ({what})")
            self._rest += piece
        first, self._rest = self._rest.split(b"\0", 1)
        return json.loads(first)

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression in the page.

        Raises:
            DataError: It fails there.
        """
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise DataError("a script failed in the page")
        return answer["result"].get("value")

    def show(self, page: Path, size: tuple[int, int]) -> None:
        """Show a file in a window of a size and wait until it is there.

        Raises:
            DataError: It is not there in time.
        """
        self.call(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False
        )
        answer = self.call("Page.navigate", url=page.resolve().as_uri())
        if "errorText" in answer:
            raise DataError(f"the browser cannot open the page: {answer['errorText']}")
        end = time.monotonic() + PATIENCE
        while not self.run("document.readyState === 'complete' && document.fonts.status === 'loaded'"):
            if time.monotonic() > end:
                raise DataError("the page does not end to load")
            time.sleep(0.02)

    def picture(self) -> bytes:
        """Return a PNG of what is shown."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
