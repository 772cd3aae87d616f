"""How processes that own instruments are found: each keeps a file with its address, readable by its user alone."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rdaq_ophyd.errors import RdaqError

from ._identity import alive
from ._places import run_dir

VERSION = 1


@dataclass(frozen=True)
class RunFile:
    """The address of one process.

    :param pid: of the process.
    :param port: TCP port on 127.0.0.1 on which it takes requests.
    :param token: what a request must carry.
    :param what: the command line, for people.
    :param watches: pid of the process that this one watches; 0 for the owner of instruments itself.
    :param latch: file of its rig's latch; empty: it lives in that process alone.
    """

    pid: int
    port: int
    token: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    what: str = ""
    watches: int = 0
    latch: str = ""

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return run_dir() / f"{self.pid}.json"

    def write(self) -> None:
        """Make it known.

        :raises OSError: the directory cannot be written.
        """
        folder = run_dir()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _check_private(folder)
        part = folder / f".{self.pid}.part"
        part.unlink(missing_ok=True)
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump({"version": VERSION, **asdict(self)}, file)
        part.replace(self.path)

    def remove(self) -> None:
        """Forget it."""
        with contextlib.suppress(OSError):  # never written; or whoever looks next removes it
            self.path.unlink()


def running() -> list[RunFile]:
    """Every process of this user that can be reached; files of processes that are gone are removed.

    :raises RdaqError: others may write there, so nothing in it can be trusted.
    """
    found: list[RunFile] = []
    if not run_dir().is_dir():
        return found
    try:
        _check_private(run_dir())
    except PermissionError as error:
        raise RdaqError(f"{run_dir()}: {error.strerror}") from error
    for path in sorted(run_dir().glob("*.json")):
        try:
            content = json.loads(path.read_text())
            if content.pop("version") != VERSION:
                continue
            process = RunFile(**content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # being written or removed at this moment, or of another version
        if alive(process.pid):
            found.append(process)
        else:
            path.unlink(missing_ok=True)
    return found


def command_line() -> str:
    """This process, for people."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:120] if sys.argv and sys.argv[0] else "python"


def _check_private(folder: Path) -> None:
    """Somebody else's directory would let them read the token."""
    if sys.platform == "win32":
        return
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(errno.EPERM, "others may write there; set RDAQ_RUN to a directory of yours", str(folder))
