"""Pictures of the web page: SPHINX-Nano behind the server, in a headless Chromium.

    python docs/screenshots.py [FOLDER]

writes `page.png` (the one of README), `page-dark.png` and `page-phone.png` into a folder, by default `runs`.
All in them is real: from run to run they are the same but for the times of the stages.
"""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from PIL import Image  # noqa: E402

from browser import Browser  # noqa: E402
from on_page import READY, ask, on_screen, upload  # noqa: E402
from served import Served  # noqa: E402
from sphinx_x.inference import SphinxX  # noqa: E402

LINES = ((184, 287), (545, 325)), ((185, 448), (1092, 475))
"""Two corners of each line of the page that is read."""


def picture(served: Served, file: Path, size: tuple[int, int], dark: bool = False) -> None:
    """Cuts two lines out of a page, reads them, and takes a picture of what the browser shows."""
    with tempfile.TemporaryDirectory() as folder:
        browser = Browser(Path(folder) / "profile", served.url, size)
        try:
            browser.resize(*size, mobile=size[0] < 500)
            browser.go(f"{served.url}/", READY)
            if dark:
                browser.click("#theme")
            upload(browser, ROOT / "examples" / "ledger-introduction.pdf")
            for number, line in enumerate(LINES):
                browser.click(".thumb-box:nth-child(1) .thumb")
                browser.click('[data-tool="cut"]')
                browser.drag(*(on_screen(browser, *corner) for corner in line))
                browser.wait(f"document.querySelectorAll('.thumb').length === {number + 2}")
                ask(browser, "Read the text.")
            browser.run("document.querySelector('#seen').open = true; document.activeElement.blur()")
            browser.hover("h1")
            browser.run("new Promise(done => setTimeout(done, 500))")
            browser.screenshot(file)
            assert not browser.problems, browser.problems
        finally:
            browser.close()
    Image.open(file).convert("RGB").save(file, optimize=True)


def main(folder: Path = ROOT / "runs") -> None:
    """Takes all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with Served(SphinxX.load("nano", device="cpu"), name="nano") as served:
        picture(served, folder / "page.png", (1280, 800))
        picture(served, folder / "page-dark.png", (1280, 800), dark=True)
        picture(served, folder / "page-phone.png", (390, 780))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
