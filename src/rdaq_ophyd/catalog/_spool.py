"""The spool: every document on disk before anything else is done with it."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from rdaq_ophyd.document_lines import encode
from rdaq_ophyd.errors import CatalogError, DataDirectoryError

from ._layout import DataLayout
from ._lock import ProcessLock
from ._reserve import Reserve
from ._routes import Routes
from ._runfile import SUFFIX, VERSION

logger = logging.getLogger(__name__)

# Room for the documents of a long step scan; frames are forecast elsewhere, by those who write them.
MINIMUM_FREE_BYTES = 16 * 2**20
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Spool:
    """A subscriber that appends each document to one file a run: ``RE.subscribe(spool)``.

    A call costs some ten microseconds (one ``write`` into the system's page cache), needs no server, and what it
    returned from survives ``kill -9`` of this process. Several runs may be open at a time. A file is never overwritten.

    :param layout: the data directory; its folders are made when absent.
    :param minimum_free_bytes: a run is refused when the disk has less room than this.
    :raises DataDirectoryError: when the spool cannot be written; also at the start of a run.
    """

    def __init__(self, layout: DataLayout, *, minimum_free_bytes: int = MINIMUM_FREE_BYTES) -> None:
        self.layout = layout.prepare()
        self.minimum_free_bytes = minimum_free_bytes
        self._files: dict[str, int] = {}
        self._reserve = Reserve(layout.spool / ".reserve")
        self._late: dict[str, bytes] = {}
        self._routes = Routes()
        self._guard = threading.Lock()
        self._owner = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._alive = ProcessLock(layout.owners / self._owner)
        self._alive.acquire()

    def __repr__(self) -> str:
        return f"Spool({str(self.layout.spool)!r})"

    @property
    def open_runs(self) -> tuple[str, ...]:
        """Runs that have begun here and not yet ended."""
        return tuple(self._files)

    def path(self, uid: str) -> Path:
        """The file of a run while it is not delivered."""
        return self.layout.spool / f"{uid}{SUFFIX}"

    def __call__(self, name: str, document: Mapping[str, Any]) -> None:
        """Append ``document`` to the file of its run.

        :raises DataDirectoryError: when it cannot be written; nothing of it is left in the file then.
        :raises CatalogError: when its run is unknown or it holds something that cannot be stored.
        """
        line = encode(name, document)
        with self._guard:
            uid = self._routes.run_of(name, document)
            if name == "stop":
                self._end(uid, line)
                return
            if name == "start":
                self._write_late()
                self._open(uid)
                line = self._header(uid) + line
            self._append(uid, line)

    def close(self) -> None:
        """Close the files and tell the delivery that no more documents come from here. Harmless when repeated."""
        with self._guard:
            self._write_late()
            self._late.clear()
            for uid in list(self._files):
                logger.warning("run %s has no stop document: this process closed its spool first", uid)
                os.close(self._files.pop(uid))
            self._alive.release()
            self._alive.path.unlink(missing_ok=True)

    def _end(self, uid: str, line: bytes) -> None:
        """Write the stop document, if need be into the room that was kept for it, or when the disk lets us again."""
        try:
            self._append(uid, line)
        except DataDirectoryError as error:
            if not self._reserve.give_way() or not self._appended(uid, line):
                self._late[uid] = line
                logger.error("%s: the end of run %s is kept in memory and written with the next run", error, uid)
                raise
            logger.warning("%s: the end of run %s took the room that was kept for it", error, uid)
        self._close_run(uid)

    def _write_late(self) -> None:
        for uid, line in list(self._late.items()):
            if self._appended(uid, line):
                logger.info("the end of run %s is written now", uid)
                del self._late[uid]
                self._close_run(uid)

    def _appended(self, uid: str, line: bytes) -> bool:
        try:
            self._append(uid, line)
        except DataDirectoryError:
            return False
        return True

    def _close_run(self, uid: str) -> None:
        os.close(self._files.pop(uid))
        self._routes.forget(uid)

    def _header(self, uid: str) -> bytes:
        header = {"rdaq_spool": VERSION, "run": uid, "owner": self._owner, "created": time.time()}
        return orjson.dumps(header, option=orjson.OPT_APPEND_NEWLINE)

    def _open(self, uid: str) -> None:
        if not _FILE_NAME.fullmatch(uid):
            raise CatalogError(
                f"run uid {uid!r} cannot name a file",
                hint="leave the uid to the RunEngine, or use letters, digits, '-', '_' and '.', at most 128",
            )
        try:
            free = shutil.disk_usage(self.layout.spool).free
        except OSError as error:
            raise self._unwritable(self.layout.spool, error) from error
        if free < self.minimum_free_bytes:
            raise DataDirectoryError(
                f"data directory {str(self.layout.root)!r}: {free / 2**20:.1f} MiB free, "
                f"a run needs at least {self.minimum_free_bytes / 2**20:.1f} MiB for its documents",
                hint="free some room on that disk or choose another data directory",
            )
        try:
            self._reserve.keep()
        except OSError as error:
            raise self._unwritable(self._reserve.path, error) from error
        path = self.path(uid)
        for other in (self.layout.delivered / path.name, self.layout.interrupted / path.name):
            if other.exists():
                raise CatalogError(f"run {uid} is already recorded in {str(other)!r}", hint="give each run its own uid")
        try:
            self._files[uid] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        except FileExistsError as error:
            raise CatalogError(
                f"run {uid} is already recorded in {str(path)!r}", hint="give each run its own uid"
            ) from error
        except OSError as error:
            raise self._unwritable(path, error) from error

    def _append(self, uid: str, line: bytes) -> None:
        descriptor = self._files.get(uid)
        if descriptor is None:
            raise CatalogError(f"run {uid} is not open in the spool", hint="look for an earlier error at its start")
        before = os.fstat(descriptor).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(descriptor, line[written:])
        except OSError as error:
            if os.fstat(descriptor).st_size != before:  # else the next line would be glued to half of this one
                os.ftruncate(descriptor, before)
            raise self._unwritable(self.path(uid), error) from error

    def _unwritable(self, path: Path, error: OSError) -> DataDirectoryError:
        return DataDirectoryError(
            f"data directory {str(self.layout.root)!r}: cannot write {str(path)!r} ({error.strerror or error})",
            hint="free some room, make the folder writable, or choose another data directory",
        )
