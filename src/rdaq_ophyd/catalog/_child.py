"""A process of the catalog, kept running by the session for as long as the session lives."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

from rdaq_ophyd.errors import CatalogError

from ._credentials import ServerAddress, server_address
from ._files import tail
from ._layout import DataLayout
from ._lock import is_held

logger = logging.getLogger(__name__)

# What the child ends with when another process holds the lock of its role.
ALREADY_HELD = 75
_LARGEST_LOG = 5 * 2**20
_LONGEST_PAUSE = 30.0


class Child:
    """One of the catalog's processes, or the knowledge that another session already runs it.

    :param layout: the data directory.
    :param role: ``serve`` or ``worker``.
    :param lock: the file whose lock says that some process fills the role.
    :param log: where the process's output goes.
    """

    awaited = "Tiled is still starting; waiting for it (some 10 s)"

    def __init__(self, layout: DataLayout, role: str, lock: Path, log: Path) -> None:
        self.layout = layout
        self.role = role
        self.lock = lock
        self.log = log
        self.failures = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        self._attached = False

    @property
    def pid(self) -> int | None:
        """Process id while a process of ours fills the role."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def attached(self) -> bool:
        """Whether the role is filled by a process that another session started."""
        return self.pid is None and is_held(self.lock)

    @property
    def address(self) -> ServerAddress | None:
        """Where the process serves, once it does; None for one that serves nothing."""
        found = server_address(self.layout)
        return found if found is not None and (self.pid == found.pid or self.attached) else None

    def keep(self) -> None:
        """Start the process unless the role is filled (after a failure, a little later). Call it every now and then."""
        if self.pid is not None:
            return
        self._note_end()
        if is_held(self.lock):
            if not self._attached:
                logger.info("%s: another session runs the %s process, using that", self.layout.root, self.role)
            self._attached = True
        elif time.monotonic() >= self._not_before:
            self._attached = False
            self._start()

    def stop(self, timeout: float) -> None:
        """End the process if it is ours: ask by closing its input, then by signals; returns when it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        for harder in (process.terminate, process.kill):
            try:
                process.wait(timeout)
                return
            except subprocess.TimeoutExpired:
                logger.warning("the %s process %d did not end within %g s", self.role, process.pid, timeout)
                harder()
        process.wait()

    def _start(self) -> None:
        if self.log.exists() and self.log.stat().st_size > _LARGEST_LOG:
            os.replace(self.log, self.log.with_suffix(".log.1"))
        # -P: a file named like one of our imports in the current folder must not be imported instead.
        command = [sys.executable, "-P", "-m", "rdaq_ophyd.catalog", self.role, str(self.layout.root)]
        # The user's own TILED_ settings are for clients; Tiled would let them override its configuration.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TILED_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the session, not for its servers
            )

    def _note_end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode == ALREADY_HELD:
            return
        self.failures += 1
        pause = min(0.5 * 2 ** (self.failures - 1), _LONGEST_PAUSE)
        self._not_before = time.monotonic() + pause
        logger.warning("the %s process ended with %s; starting it again", self.role, process.returncode)

    def last_words(self) -> str:
        """The end of the process's log."""
        return tail(self.log)

    def not_up(self) -> CatalogError:
        """What is said when the server is needed and is not there."""
        return CatalogError(
            f"Tiled did not start for {str(self.layout.root)!r}:\n{self.last_words()}",
            hint=f"see {str(self.log)!r}; runs are recorded all the same and delivered once it works",
        )
