"""Memory of frames that were read is used for the next ones, and not asked of the system page by page."""

import platform
import subprocess
import sys

import pytest

from rdaq_ophyd.client import _memory
from rdaq_ophyd.client._memory import FROM_SYSTEM, KEPT
from rdaq_ophyd.client._window import MOST_BYTES

PROGRAM = """
import resource, sys
from rdaq_ophyd.client._memory import keep_freed
print(keep_freed() if "keep" in sys.argv else None)
def frames():
    return [b"x" * (2 << 20) for _ in range(8)]
for _ in range(3):
    frames()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    frames()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 10 * 8 * (2 << 20) // 4096


def faults(*arguments):
    """What it says, and how often a page was asked of the system."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    kept, count = done.stdout.split()
    return kept, int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc's memory")
def test_frames_come_into_the_memory_of_those_before():
    kept, few = faults("keep")
    assert kept == "True"
    assert few < PAGES / 20
    _, many = faults()
    assert few < many / 5


def test_what_is_kept_is_what_a_reader_may_have_on_its_way():
    assert KEPT == MOST_BYTES
    assert FROM_SYSTEM <= KEPT


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr(_memory.sys, "platform", "darwin")
    assert _memory.keep_freed.__wrapped__() is False


@pytest.mark.parametrize("missing", ["ctypes", "the program's own symbols"])
def test_where_the_library_cannot_be_asked_nothing_is_done(monkeypatch, missing):
    def refuse(_name):
        raise OSError("no handle")

    if missing == "ctypes":
        monkeypatch.setitem(sys.modules, "ctypes", None)
    else:
        monkeypatch.setattr("ctypes.CDLL", refuse)
    monkeypatch.setattr(_memory.sys, "platform", "linux")
    assert _memory.keep_freed.__wrapped__() is False


def test_without_ctypes_a_client_is_one_all_the_same():
    program = "import sys; sys.modules['_ctypes'] = None; import rdaq_ophyd.client._memory as m; print(m.keep_freed())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n", done.stderr
