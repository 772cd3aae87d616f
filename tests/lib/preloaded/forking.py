"""``forking.py SOCKET``: import Tiled and us, fork a process for each that asks; ends when standard input closes."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import types
import warnings
from pathlib import Path
from typing import Any, NoReturn

# What the catalog's own processes set before these imports, which read it.
os.environ |= {"TILED_RETRY_ATTEMPTS": "2", "TILED_RETRY_TIMEOUT": "3", "OPENBLAS_NUM_THREADS": "1"}
#: Tells a forked process that the one that stands for it hands signals on from now on.
READY = signal.SIGUSR1
#: All that the server, the worker and Tiled's command line import, and a session.
MODULES = (
    "rdaq_ophyd.cli",
    "rdaq_ophyd.server",
    "rdaq_ophyd.startup",
    "tiled.client",
    "tiled.commandline.main",
    "tiled.server.app",
    "uvicorn.main",
    "rdaq_ophyd.catalog.__main__",
    "rdaq_ophyd.catalog._run_writer",
    "rdaq_ophyd.catalog._worker",
)


class Forking:
    """The processes that it forked, and the connections of those that stand for them."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._forked: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        # A child that ends wakes the loop.
        self._ended, self._wake = socket.socketpair()
        for end in (self._ended, self._wake):
            end.setblocking(False)
        signal.pthread_sigmask(signal.SIG_BLOCK, {READY})
        signal.set_wakeup_fd(self._wake.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for source in (sys.stdin, self._ended, listening):
            self._selector.register(source, selectors.EVENT_READ)

    def run(self) -> None:
        """Until standard input closes."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is sys.stdin:
                    return
                if key.fileobj is self._ended:
                    self._ended.recv(4096)
                elif key.fileobj is self._listening:
                    self._fork(self._listening.accept()[0])
                elif not key.fileobj.recv(1):  # who stands for it was killed
                    self._kill(key.fileobj)
            self._reap()

    def _fork(self, asking: socket.socket) -> None:
        head, files, _, _ = socket.recv_fds(asking, 4, 3)
        with asking.makefile("rb") as reading:
            text = reading.read(int.from_bytes(head))
        if not text:  # it was killed before it had asked
            asking.close()
            return
        if (pid := _forked()) == 0:
            self._become(json.loads(text), files, asking)
        for file in files:
            os.close(file)
        self._forked[pid] = asking
        self._selector.register(asking, selectors.EVENT_READ)
        _tell(asking, pid)

    def _become(self, asked: dict[str, Any], files: list[int], asking: socket.socket) -> NoReturn:
        """In the forked process: be what was asked for."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        self._selector.close()
        for each in (*self._forked.values(), self._ended, self._wake, self._listening, asking):
            each.close()
        signal.sigwait({READY})
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {READY})
        os.setsid()
        for standard, file in enumerate(files):
            os.dup2(file, standard)
            os.close(file)
        os.environ.clear()
        os.environ.update(asked["environ"])
        os.chdir(asked["folder"])
        os.umask(asked["mask"])
        if asked["program"][0]:
            # Who started it knows the one that stands for it.
            os.getpid = lambda: asked["pid"]
        else:
            # One that its own children know: a watchdog is told of its parent.
            _as_without_preset()
        run(*asked["program"])

    def _reap(self) -> None:
        while self._forked:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            asking = self._forked.pop(pid)
            self._selector.unregister(asking)
            with asking:
                _tell(asking, os.waitstatus_to_exitcode(status))

    def _kill(self, asking: socket.socket) -> None:
        for pid, each in self._forked.items():
            if each is asking:
                os.kill(pid, signal.SIGKILL)


def _tell(asking: socket.socket, number: int) -> None:
    with contextlib.suppress(ConnectionError):  # it was killed
        asking.sendall(f"{number}\n".encode())


def _forked() -> int:
    """What ``fork`` says; the other threads are those that libraries keep waiting, and know how to begin again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _as_without_preset() -> None:
    """What Tiled's client has read from the environment, from that of this process."""
    client = sys.modules["tiled.client.utils"]
    client.TILED_RETRY_ATTEMPTS = int(os.environ.get("TILED_RETRY_ATTEMPTS", "10"))
    client.TILED_RETRY_TIMEOUT = float(os.environ.get("TILED_RETRY_TIMEOUT", "45.0"))


def run(option: str, program: str, *words: str) -> NoReturn:
    """As ``python -m``, ``python -c`` and, with no option, ``python FILE`` do; the process ends with it."""
    sys.argv = [option or program, *words]
    if option == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    elif option == "-c":
        sys.path.insert(0, "")
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    else:
        file = Path(program)
        sys.path.insert(0, str(file.resolve().parent))
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        main.__file__ = program
        exec(compile(file.read_bytes(), program, "exec"), vars(main))
    sys.exit()


def main() -> None:
    """Listen at once: who asks while Tiled is imported waits."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(sys.argv[1])
        listening.listen(128)
        sys.stdout.write("\n")
        sys.stdout.flush()
        gc.disable()
        for name in MODULES:
            importlib.import_module(name)
        gc.freeze()
        gc.enable()
        Forking(listening).run()


if __name__ == "__main__":
    main()
