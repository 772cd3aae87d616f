"""The process of a script: nothing of ours in it but one pipe, and an end that takes with it all that it began."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rdaq_ophyd.errors import ScriptFailed

from ._adopt import adopting
from ._folder import MARK, Folder
from ._limits import ScriptLimits
from ._output import Lines
from ._source import Source
from ._tag import end_tagged, tagged

logger = logging.getLogger(__name__)
INTERRUPT = signal.SIGUSR1
"""Tells the process that something waits on its pipe which is not to wait for the plan's next message."""
KEPT = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "TZ", "USER")
"""Of the rig's environment; tokens and the like stay there."""
FIXED = {
    "PYTHONHASHSEED": "0",  # a set of texts has the same order each time
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",  # else each of its threads takes of the address space
    "MPLBACKEND": "Agg",
}
BLINK = 0.05
"""Seconds between two looks at whether it has ended, where its output does not tell."""
PACE = 0.01
"""Seconds of rest after each 64 KiB of output, so that a script that prints without end costs little."""
SPAWNED = 20.0
"""Seconds that the operating system gets to start it."""


class Process:
    """A script's process, kept by a thread of its own that outlives it.

    :param source: the script.
    :param limits: what it may have.
    :param output: called with each line that it prints, in the keeper's thread.
    :raises ScriptFailed: it cannot be started.
    :ivar socket: our end of its pipe.
    """

    def __init__(self, source: Source, limits: ScriptLimits, output: Callable[[str], object]) -> None:
        self._source, self._limits = source, limits
        self._lines = Lines(output)
        self._begun, self._over = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._deadline = float("inf")
        self._error: OSError | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._code: int | None = None
        self._killed = False
        self._tag: str | None = None
        self._listeners: list[Callable[[], object]] = []
        self.socket, self._theirs = socket.socketpair()
        self._keeper = threading.Thread(target=self._keep, name=f"script-{source.name}", daemon=True)
        self._keeper.start()
        if not self._begun.wait(SPAWNED) or self._error is not None:
            self.end()
            self.socket.close()
            raise ScriptFailed(f"{source.name}: no process for it: {self._error or 'the machine is too slow'}")

    # -- from any thread --------------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether it and all that it began have ended, and all its output was told."""
        return self._over.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for that."""
        return self._over.wait(seconds)

    def when_over(self, call: Callable[[], object]) -> None:
        """Call it then, in the keeper's thread; at once where it is over already."""
        with self._lock:
            if not self._over.is_set():
                self._listeners.append(call)
                return
        call()

    @property
    def fate(self) -> str:
        """How it ended by itself, in words; empty where it did not."""
        if self._code is None or self._killed:
            return ""
        if self._code < 0:
            return f"was ended by {signal.Signals(-self._code).name}"
        return f"ended with exit code {self._code}"

    @property
    def tail(self) -> str:
        """The last lines that it printed."""
        return self._lines.tail

    def interrupt(self) -> None:
        """Have it look at its pipe."""
        with self._lock:
            if self._process is not None and self._code is None:
                os.kill(self._process.pid, INTERRUPT)  # not reaped yet: the number is its own

    def end(self, grace: float = 0.0) -> None:
        """End it and all that it began, after ``grace`` seconds. Waits for nothing; idempotent."""
        self._deadline = min(self._deadline, time.monotonic() + grace)

    # -- the keeper -------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        with adopting():
            self._keep_it()

    def _keep_it(self) -> None:
        folder = None
        try:
            folder = Folder()
            (Path(folder.path) / self._source.name).write_bytes(self._source.text)
            self._process = self._spawn(folder)
        except OSError as error:
            self._error = error
        finally:
            self._theirs.close()
            self._begun.set()
        try:
            if self._process is not None and folder is not None:
                self._watch(self._process, folder)
        finally:
            if folder is not None:
                folder.remove()
            with self._lock:
                self._over.set()
            for call in self._listeners:
                call()

    def _spawn(self, folder: Folder) -> subprocess.Popen[bytes]:
        environment = {key: os.environ[key] for key in KEPT if key in os.environ}
        package = str(Path(__file__).parents[2])
        environment |= {**FIXED, "PYTHONPATH": package, "TMPDIR": folder.path, MARK: folder.mark}
        fd = self._theirs.fileno()
        words = map(str, (fd, int(self._limits.memory), os.getpid()))
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "rdaq_ophyd.scripts.child", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # in the order in which it was printed
            cwd=folder.path,
            env=environment,
            pass_fds=[fd],
            start_new_session=True,
        )
        self._tag = tagged(process.pid)  # long before it gets to know the script
        return process

    def _watch(self, process: subprocess.Popen[bytes], folder: Folder) -> None:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        with process.stdout, selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not _has_ended(process) and time.monotonic() < self._deadline:
                if not self._lines.is_open:
                    time.sleep(PACE)
                elif selector.select(min(BLINK, max(0.0, self._deadline - time.monotonic()))):
                    self._lines.read(process.stdout)
                    time.sleep(PACE)
            self._killed = not _has_ended(process)
            _end_group(process.pid)
            with self._lock:
                self._code = process.wait()  # killed: it cannot refuse
            end_tagged(self._tag, f"{MARK}={folder.mark}")
            for _ in range(64):  # what is left in the pipe
                if not self._lines.read(process.stdout):
                    break
            self._lines.close()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Without reaping it where that can be, so that its process group keeps its number."""
    if not hasattr(os, "waitid"):  # macOS
        return process.poll() is not None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses for a group of zombies
        os.killpg(leader, signal.SIGKILL)
