"""A command whose output nobody reads ends without a word; a broken pipe of something else is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rdaq_ophyd.cli import main
from rdaq_ophyd.stop import commands
from rdaq_ophyd.unheard import silenced

PROGRAM = """
import sys
from rdaq_ophyd.unheard import silenced
input()
code = 7 if silenced() else 8
print("out")
print("err", file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(("closed", "read", "said"), [("stdout", "stderr", "err\n"), ("stderr", "stdout", "out\n")])
def test_what_is_still_to_be_written_goes_nowhere(closed, read, said):
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:  # fmt: skip
        getattr(process, closed).close()
        process.stdin.write("\n")
        process.stdin.close()
        assert (getattr(process, read).read(), process.wait(60)) == (said, 7)


def test_outputs_that_somebody_reads_stay(capfd):
    assert silenced() is False
    sys.stdout.write("heard\n")
    assert capfd.readouterr().out == "heard\n"


def test_a_broken_pipe_of_something_else_is_told(monkeypatch, capfd):
    def status():
        raise BrokenPipeError("of a peer")

    monkeypatch.setattr(commands, "status", status)
    with pytest.raises(BrokenPipeError, match="of a peer"):
        main(["status"])
