"""Where a session keeps its data, and who works with it: one place for both."""

from __future__ import annotations

import getpass
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from rdaq_ophyd.errors import DataDirectoryError

__all__ = ["LOW_SPACE", "Settings", "check_directory"]

#: Below this many free bytes a session refuses to start: documents and the catalog must always fit.
LOW_SPACE = 200 * 2**20


def _default_directory() -> Path:
    return Path(os.environ.get("RDAQ_DATA") or Path.home() / "rdaq-data")


def _default_operator() -> str:
    try:
        return os.environ.get("RDAQ_OPERATOR") or getpass.getuser()
    except OSError:  # a user id without a name (containers)
        return f"uid-{os.getuid()}"


@dataclass(frozen=True)
class Settings:
    """What a session is told from outside.

    :param data_dir: everything the session writes lies below it (``$RDAQ_DATA``, else ``~/rdaq-data``).
    :param operator: recorded in every run (``$RDAQ_OPERATOR``, else the login name).
    :param sample: recorded in every run; None keeps the one of the last session.
    :param person: somebody sits before it: live table, progress bars, and a pause waits for an answer.
    """

    data_dir: Path = field(default_factory=_default_directory)
    operator: str = field(default_factory=_default_operator)
    sample: str | None = None
    person: bool = False


def check_directory(path: Path, needed: int = LOW_SPACE) -> int:
    """Make the directory, prove that it can be written, and return its free bytes.

    :raises DataDirectoryError: when it cannot be made or written, or has fewer than ``needed`` bytes free.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path, prefix=".rdaq-check-"):
            free = shutil.disk_usage(path).free
    except OSError as error:
        raise DataDirectoryError(
            f"data directory {path}: {error.strerror or error}", hint="choose another: --data DIR or RDAQ_DATA=DIR"
        ) from error
    if free < needed:
        raise DataDirectoryError(
            f"data directory {path}: {free / 2**20:.0f} MiB free, {needed / 2**20:.0f} MiB needed",
            hint="free some space, or choose another: --data DIR or RDAQ_DATA=DIR",
        )
    return free
