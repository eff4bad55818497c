"""A process that works for another ends when that is killed, whenever that happens."""

import signal
import subprocess
import sys

import pytest

from sphinx_x.work.sandbox import kill_with_parent

WORKER = """
import multiprocessing, os, time
from sphinx_x.work.sandbox import kill_with_parent

def work(parent):
    if {already_killed}:
        print("begun", flush=True)
        while os.getppid() == parent:
            time.sleep(0.01)
        kill_with_parent()
    else:
        kill_with_parent()
        print("begun", flush=True)
    time.sleep(600)

worker = multiprocessing.get_context("fork").Process(target=work, args=(os.getpid(),))
worker.start()
worker.join()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.parametrize("already_killed", [False, True])
def test_no_worker_outlives_its_parent(already_killed):
    """Its output ends with the last process that has it."""
    code = WORKER.format(already_killed=already_killed)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == "begun\n"
        parent.send_signal(signal.SIGKILL)
        assert parent.communicate(timeout=60)[0] == ""


def test_a_process_without_a_parent_of_ours_goes_on():
    code = f"from {kill_with_parent.__module__} import kill_with_parent; kill_with_parent(); print('on')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "on\n"
