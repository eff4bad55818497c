"""What importing the package does to the process."""

import os
import subprocess
import sys

import pytest

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")


def told(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a process of its own, with none of these variables but those given."""
    env = {name: value for name, value in os.environ.items() if name not in NAMES}
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", code], env=env | paths | variables, capture_output=True, text=True)


SHOW = (
    "import os, sys, sphinx_x; print(os.environ.get('OMP_WAIT_POLICY'), sphinx_x.WAITING_KNOWN, 'torch' in sys.modules)"
)


def test_threads_wait_asleep_whoever_imports_the_package():
    assert told(SHOW).stdout == "passive True False\n"


@pytest.mark.parametrize("name", NAMES)
def test_what_the_user_has_set_stays(name):
    own = "active" if name == "OMP_WAIT_POLICY" else None
    assert told(SHOW, **{name: "active"}).stdout == f"{own} True False\n"


def test_it_is_known_where_pytorch_was_loaded_first():
    """Then it is told when training begins; what is started later learns it all the same."""
    assert told("import sys; sys.modules['torch'] = sys; " + SHOW).stdout == "passive False True\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks the OpenMP of PyTorch's builds for Linux")
def test_pytorchs_own_openmp_says_so():
    said = told("import sphinx_x, torch", OMP_DISPLAY_ENV="TRUE").stderr
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in said
