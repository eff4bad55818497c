"""Members that the tests of the server serve; and the web page in a browser, of the server `served` of each module."""

import PIL.Image
import pytest

from browser import Browser
from on_page import READY
from scripted import Script


@pytest.fixture(scope="session")
def talker(tiny_member):
    from talkers import talking

    return talking(tiny_member, 2)


@pytest.fixture(scope="session")
def mumbler(tiny_member):
    """Writes bytes that are no characters."""
    from talkers import talking

    return talking(tiny_member, 1, letters=False)


@pytest.fixture(scope="module")
def browser(served, tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("browser") / "profile", served.url)
    yield opened
    opened.close()


@pytest.fixture
def script(served):
    return Script(served)


@pytest.fixture
def page(served, browser, script):
    """The page, fresh; afterwards nothing may have gone wrong in it, and nothing have been asked of anybody else."""
    browser.resize(1360, 860)
    browser.forget(served.url)
    browser.problems.clear()
    browser.go(f"{served.url}/", READY)
    yield browser
    assert browser.problems == []


@pytest.fixture
def picture(tmp_path):
    PIL.Image.new("RGB", (200, 100), "seagreen").save(file := tmp_path / "meadow.png")
    return file
