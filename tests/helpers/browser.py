"""A headless Chromium, driven through its pipe: no package is needed for it, and no port is open."""

import contextlib
import json
import os
import selectors
import shutil
import subprocess
import time
from base64 import b64decode
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check", "--disable-gpu"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--disable-quic", "--mute-audio", "--hide-scrollbars", "--force-color-profile=srgb", "--password-store=basic"),
)


class BrowserError(Exception):
    """The page or the browser failed."""


def find_chromium() -> str:
    """The browser's program; without one, the test is skipped, and says so."""
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("needs Chromium or Chrome (in PATH, or named by CHROMIUM), which is not installed here")
    return found


class Browser:
    """One browser with one page.

    Attributes:
        challenges: How often the browser asked for a password.
        workers: Sessions of the page's workers, once they are watched.
        problems: Errors of the console, exceptions, and requests that failed or went elsewhere than to `home`.
    """

    def __init__(self, folder: Path, home: str, size=(1360, 860)):
        self.problems: list[str] = []
        self.workers: list[str] = []
        self.challenges, self.password = 0, None
        self._home, self._last, self._events = home, 0, []
        self._rest = b""
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        program = find_chromium()
        # a root user, as in most containers, has no sandbox
        own = ["--no-sandbox"] if os.geteuid() == 0 else []
        arguments = [program, *ARGUMENTS, *own, f"--user-data-dir={folder}", f"--window-size={size[0]},{size[1]}"]
        # the browser expects its pipe as file descriptors 3 and 4
        command = ["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "bash", *arguments, "about:blank"]
        self._log = (folder.parent / "chromium.log").open("wb")
        self._process = subprocess.Popen(
            command, pass_fds=(to_read, to_write), stdout=self._log, stderr=self._log, start_new_session=True
        )
        os.close(to_read)
        os.close(to_write)
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(self._read, selectors.EVENT_READ)
        self._session = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(*size)

    def close(self):
        with contextlib.suppress(BrowserError, OSError):
            self._session = None
            self.call("Browser.close", seconds=5)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._waiting.close()
        for pipe in (self._write, self._read):
            os.close(pipe)
        self._log.close()

    def call(self, method, seconds=30, session=None, **arguments):
        """Asks the browser for something, and returns its answer; `session` is a worker's, by default the page's."""
        number = self._post(method, session, **arguments)
        end = time.monotonic() + seconds
        while True:
            answer = self._receive(end, method)
            if answer.get("id") == number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def watch_workers(self):
        """From now on what goes wrong in the page's workers, and what they request, is noticed as well."""
        self.call("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=True, flatten=True)

    def _watch(self, session):
        self.workers.append(session)
        for method in ("Runtime.enable", "Network.enable", "Log.enable", "Runtime.runIfWaitingForDebugger"):
            self._post(method, session)

    def _post(self, method, session=None, **arguments):
        self._last += 1
        message = {"id": self._last, "method": method, "params": arguments}
        if session := session or self._session:
            message["sessionId"] = session
        rest = json.dumps(message).encode() + b"\0"
        while rest:
            rest = rest[os.write(self._write, rest) :]
        return self._last

    def _receive(self, end, what):
        while b"\0" not in self._rest:
            # not select(), which cannot wait for a descriptor above 1023
            if not self._waiting.select(max(0, end - time.monotonic())):
                raise BrowserError(f"{what}: the browser does not answer")
            piece = os.read(self._read, 1 << 20)
            if not piece:
                raise BrowserError(f"{what}: the browser has ended")
            self._rest += piece
        first, self._rest = self._rest.split(b"\0", 1)
        message = json.loads(first)
        self._notice(message)
        return message

    def _notice(self, message):
        method, told = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.problems.append(" ".join(str(one.get("value", one)) for one in told["args"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            url = told["request"]["url"]
            if not url.startswith((self._home, "data:", "blob:", "about:")):
                self.problems.append(f"request to {url}")
        elif method == "Target.attachedToTarget" and told["targetInfo"]["type"] == "worker":
            self._watch(told["sessionId"])
        elif method == "Fetch.requestPaused":
            self._post("Fetch.continueRequest", requestId=told["requestId"])
        elif method == "Fetch.authRequired":
            self.challenges += 1
            given = {"response": "ProvideCredentials", "username": "any", "password": self.password}
            answer = given if self.password else {"response": "CancelAuth"}
            self._post("Fetch.continueWithAuth", requestId=told["requestId"], authChallengeResponse=answer)

    def answer_challenges(self, password):
        """From now on the browser's own question for a password is answered, or cancelled (None)."""
        self.password = password
        self.call("Fetch.enable", handleAuthRequests=True)

    def go(self, url, ready="document.readyState === 'complete'"):
        self.call("Page.navigate", url=url)
        self.wait(ready)

    def forget(self, home):
        """Leaves the page, and deletes all that it has kept."""
        self.go("about:blank")
        self.call("Storage.clearDataForOrigin", origin=home, storageTypes="all")

    def run(self, script, seconds=30, session=None):
        """The value of a JavaScript expression, awaited; in a worker by its session."""
        how = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        answer = self.call("Runtime.evaluate", seconds, session, expression=script, **how)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait(self, script, seconds=20):
        """Waits until an expression is true, and returns its value."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(BrowserError):  # the page is being replaced
                if value := self.run(f"(found => found instanceof Node ? true : found)({script})"):
                    return value
            time.sleep(0.03)
        raise BrowserError(f"never true: {script}\n{self.run('document.body.innerText')}\n{self.problems}")

    def middle(self, selector):
        """Where the middle of an element is on the screen."""
        return self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'nearest'}); const r = e.getBoundingClientRect(); "
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )

    def mouse(self, kind, x, y, buttons=0):
        button = "left" if kind != "mouseMoved" else "none"
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=buttons, clickCount=1)

    def click(self, selector):
        self.click_at(*self.middle(selector))

    def click_at(self, x, y):
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, 1)
        self.mouse("mouseReleased", x, y)

    def drag(self, start, end):
        self.mouse("mouseMoved", *start)
        self.mouse("mousePressed", *start, 1)
        self.mouse("mouseMoved", (start[0] + end[0]) / 2, (start[1] + end[1]) / 2, 1)
        self.mouse("mouseMoved", *end, 1)
        self.mouse("mouseReleased", *end)

    def hover(self, selector):
        self.mouse("mouseMoved", *self.middle(selector))

    def type(self, text):
        self.call("Input.insertText", text=text)

    def press(self, key, shift=False):
        codes = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowRight": 39, "ArrowDown": 40, "ArrowLeft": 37, "ArrowUp": 38}
        more = {"text": "\r"} if key == "Enter" else {}
        code = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key], "modifiers": 8 * shift}
        self.call("Input.dispatchKeyEvent", type="keyDown", **code, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def choose(self, selector, *files):
        """Puts files into an input."""
        document = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def resize(self, width, height, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def screenshot(self, file: Path):
        file.write_bytes(b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
