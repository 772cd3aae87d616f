"""Run by Python at its start: a process of Tiled's is handed over to the one that has it loaded, and stands for it.

So is one of a command of ours, where the environment says that a test starts many of them.
"""

import os
import sys


def _wanted() -> bool:
    """Whether this is one: ``-m rdaq_ophyd.catalog``, ``-m tiled``, uvicorn with Tiled in it, or ``-X preloaded``."""
    if "RDAQ_TEST_PRELOADED" not in os.environ or "COVERAGE_PROCESS_CONFIG" in os.environ:
        return False
    if "preloaded" in sys._xoptions:
        return True
    option, module, *rest = _program() or ["-"] * 2
    if option == "":
        return _shown(module)
    if option != "-m":
        return False
    if module == "uvicorn":
        return "tiled.server.app:app_factory" in rest and " --workers 1 " in " ".join(rest)
    return module in ("rdaq_ophyd.catalog", "tiled")


def _shown(file: str) -> bool:
    """Whether it is a command of ours, or a plan, where a test runs many."""
    if "RDAQ_TEST_PRELOADED_COMMANDS" not in os.environ:
        return False
    folder, name = os.path.split(file)
    return name == "rdaq" or (os.path.basename(folder) == "plans" and name.endswith(".py"))


def _program() -> list[str]:
    """``-m`` or ``-c``, and all that follows; a file that is run follows nothing, which is the first word then."""
    words = sys.orig_argv
    if len(words) > 1 and not words[1].startswith("-"):
        return ["", *words[1:]]
    return words[min((words.index(option) for option in ("-m", "-c") if option in words), default=len(words)) :]


def _hand_over(address: str) -> None:
    """Have it forked, with the files of this process; return only where nobody forks."""
    import contextlib
    import json
    import signal
    import socket

    with socket.socket(socket.AF_UNIX) as there:
        try:
            there.connect(address)
        except OSError:
            return
        asked = {
            "program": _program(),
            "environ": dict(os.environ),
            "folder": os.getcwd(),
            "mask": os.umask(0o077),
            "pid": os.getpid(),
        }
        os.umask(asked["mask"])
        text = json.dumps(asked).encode()
        socket.send_fds(there, [len(text).to_bytes(4)], [0, 1, 2])
        there.sendall(text)
        said = there.makefile("r")
        if not (line := said.readline()):
            return
        pid = int(line)
        told = f"{address}.{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):  # of one that had the same number
            os.unlink(told)
        os.symlink(str(pid), told)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGABRT):
            signal.signal(number, lambda number, _frame: os.kill(pid, number))
        os.kill(pid, signal.SIGUSR1)  # it may begin
        code = int(said.readline() or -signal.SIGKILL)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if _wanted():
    _hand_over(os.environ["RDAQ_TEST_PRELOADED"])
