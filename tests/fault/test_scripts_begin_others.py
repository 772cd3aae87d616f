"""Programs that a script begins end with it, wherever they hide."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest
from planthread import wait
from scripted import a_lab, none_left


@pytest.fixture(scope="module")
def lab(nothing_left_by_module):
    with a_lab() as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_stays(lab):
    yield
    none_left()
    assert lab.RE.state == "idle"


def test_what_it_begins_ends_with_it(lab):
    lab.run("""
        import subprocess
        def plan(x: Movable[float]):
            subprocess.Popen(["sleep", "1000"])
            subprocess.Popen(["sleep", "1000"], start_new_session=True)
            if os.fork() == 0:
                time.sleep(1000)
            yield from bps.mv(x, 1)
    """)
    none_left()


HIDES = """
    import subprocess
    HIDDEN = ("import os, time; os.chdir('/'); pid = os.fork(); pid and (print(pid, flush=True), os._exit(0));"
              "os.close(1); time.sleep(1000)")
    def plan():
        bare = {"env": {}, "start_new_session": True}
        plain = subprocess.Popen(["sleep", "1000"], **bare)
        begun = subprocess.run([sys.executable, "-c", HIDDEN], stdout=subprocess.PIPE, **bare)
        yield from bps.null()
        return [plain.pid, int(begun.stdout)]
"""


def test_what_it_hides_ends_with_it_too(lab):
    """Another environment, session and folder, and no parent that is left."""
    for pid in eval(lab.run(HIDES)):
        wait(lambda pid=pid: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


LOWERS = """
    import resource, subprocess
    LOWER = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6));"
    SLEEPS = LOWER + "import os, time; os.close(1); time.sleep(1000)"
    FORKS = LOWER + ("import os, time; pid = os.fork(); pid and print(pid, os.getpid(), flush=True);"
                     "pid or os.setsid(); os.close(1); time.sleep(1000)")
    LEAVES = LOWER + ("import os, time; pid = os.fork(); pid and (print(pid, flush=True), os._exit(0));"
                      "os.setsid(); os.close(1); time.sleep(1000)")
    def plan():
        bare = {"env": {}, "start_new_session": True, "cwd": "/"}
        left = [subprocess.Popen([sys.executable, "-c", SLEEPS], **bare).pid]
        with subprocess.Popen([sys.executable, "-c", LEAVES], stdout=subprocess.PIPE, **bare) as begun:
            left += map(int, begun.stdout.readline().split())
        begun = subprocess.Popen([sys.executable, "-c", FORKS], stdout=subprocess.PIPE, **bare)
        left += map(int, begun.stdout.readline().split())
        yield from bps.null()
        return left
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process adopts others")
def test_what_takes_off_its_tag_ends_with_it_too(lab):
    """A lower limit, another environment, session and folder; with a parent that lives, and with none."""
    mine = subprocess.Popen(["prlimit", "--fsize=100000", "sleep", "1000"])
    try:
        left = eval(lab.run(LOWERS))
        assert len(left) == 4
        for pid in left:
            wait(lambda pid=pid: not psutil.pid_exists(pid))
        assert mine.poll() is None, "it is not the script's"
    finally:
        mine.kill()
        mine.wait(10)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process adopts others")
def test_what_ended_meanwhile_leaves_no_zombie(lab):
    before = {child.pid for child in psutil.Process().children()}
    lab.run("""
        import subprocess
        def plan():
            if os.fork() == 0:
                if os.fork() == 0:
                    time.sleep(0.05)
                os._exit(0)
            os.wait()
            time.sleep(0.2)
            yield from bps.null()
    """)
    wait(lambda: {child.pid for child in psutil.Process().children()} <= before)
