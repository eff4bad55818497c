"""Members that the tests of the server serve."""

import pytest


@pytest.fixture(scope="session")
def talker(tiny_member):
    from talkers import talking

    return talking(tiny_member, 2)


@pytest.fixture(scope="session")
def mumbler(tiny_member):
    """Writes bytes that are no characters."""
    from talkers import talking

    return talking(tiny_member, 1, letters=False)
