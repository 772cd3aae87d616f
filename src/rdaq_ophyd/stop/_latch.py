"""The latch: one byte that every link looks at before it writes. Set without a lock, kept between processes."""

from __future__ import annotations

import contextlib
import json
import logging
import mmap
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rdaq_ophyd.errors import RdaqError, StopLatched

from ._identity import is_gone, owner
from ._verdict import StopReport, Verdict

logger = logging.getLogger(__name__)

if sys.platform != "win32":
    import fcntl

_HEADER = b"rdaqlatch 1\n"
"""What the file begins with: its kind and the version of its format."""
_TRIPS = len(_HEADER)
"""Where the count of trips stands, and behind it the count at the last reset: tripped while they differ (modulo 256).

A reset writes only what it has seen, so a trip that comes while a reset is decided, by whatever process, stays."""
_RESET = _TRIPS + 1
_SIZE = _TRIPS + 4
RECORD_VERSION = 1


@dataclass(frozen=True)
class Trip:
    """Why the latch is set."""

    reason: str
    by: str
    at: float

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.at).astimezone().strftime("%H:%M:%S")
        return f"everything was stopped at {when} by {self.by}: {self.reason}"


class Latch:
    """While it is tripped, links refuse what is not declared safe, and cameras do not start.

    It is two bytes of a memory-mapped file, so that any process of this user that knows the file can trip it, and
    every process that looks at it sees that at once, also when it was hanging. Beside it lies a record (JSON) of who,
    why and what came of it, and a log of every trip and reset.
    """

    def __init__(self) -> None:
        self._flag: bytearray | mmap.mmap = bytearray(_SIZE)
        self._path: Path | None = None
        self._trip: Trip | None = None
        self._lock = threading.RLock()
        self._gone: frozenset[str] = frozenset()
        self.verdicts: tuple[Verdict, ...] | None = None
        """What this stop came to; None while nobody has said."""

    @property
    def tripped(self) -> bool:
        """Whether everything was stopped, by this process or another."""
        return _is_set(self._flag)

    @property
    def foreign(self) -> Trip | None:
        """A trip by another process that this one has not heard of yet; None when there is none."""
        if not self.tripped:
            self._trip = self.verdicts = None  # another process reset it
            return None
        if self._trip is not None:
            return None
        return self._read() or Trip("another process said so", "another process", time.time())

    @property
    def path(self) -> Path | None:
        """The file that keeps it; None: it lives as long as this process."""
        return self._path

    def trip(self, reason: str, by: str) -> None:
        """Set it: first the count, then the reason. From any thread and any signal handler; waits for nothing."""
        _count_up(self._flag)
        self._trip, self.verdicts = Trip(reason, by, time.time()), None

    def hear(self, reason: str, by: str) -> None:
        """Another process tripped it, and this one knows: no trip of its own, which would outlive a reset."""
        self._trip, self.verdicts = Trip(reason, by, time.time()), None

    def check(self, what: str) -> None:
        """Refuse ``what`` while it is tripped.

        :raises StopLatched: says who stopped everything, when and why, and what to do.
        """
        if self.tripped:
            raise StopLatched(
                f"{what} was refused: {self.why}",
                hint="look at the bench; then `rdaq reset REASON`, in the shell `%reset_stop REASON`",
            )

    @property
    def why(self) -> str:
        """Who tripped it, when and why."""
        return str(self._trip or self._read() or "everything was stopped; the record does not say why")

    def attach(self, path: Path) -> None:
        """Keep it in a file from now on; what that file or this process says of a stop stays true.

        :raises RdaqError: the file cannot be made, or is none of ours.
        """
        with self._lock:
            self.detach()
            before, flag = self._flag, _map(path)
            self._flag, self._path = flag, path
            self._gone = _gone(path)
            if _is_set(before):  # looked at afterwards: a trip may have come meanwhile
                _count_up(flag)
                self.save()
            else:
                self._read()

    def detach(self) -> None:
        """Live in this process alone again, as tripped as before."""
        with self._lock:
            old, fresh = self._flag, bytearray(_SIZE)
            fresh[_TRIPS], fresh[_RESET] = old[_TRIPS], old[_RESET]
            self._flag, self._path = fresh, None
            if _is_set(old) and not _is_set(fresh):  # a trip in this very moment
                _count_up(fresh)
            if isinstance(old, mmap.mmap):
                old.close()

    def note(self, report: StopReport) -> None:
        """Keep what a stop came to, beside what other processes said of it; not if it was reset meanwhile."""
        with self._lock, _alone_with(self._path):
            if not self.tripped:
                return
            self._trip = self._trip or Trip(report.reason, report.by, report.at)
            record = read_record(self._path) if self._path else None
            if record and record["tripped"] and record["at"] > self._trip.at:
                self._trip = Trip(record["reason"], record["by"], record["at"])
            said = map(Verdict.from_json, record["verdicts"]) if record and record["tripped"] else ()
            self.verdicts = self.judged(said, report.verdicts)
            self.save()

    def judged(self, known: Iterable[Verdict], now: Iterable[Verdict]) -> tuple[Verdict, ...]:
        """What is known after ``now``: each process keeps its own verdict of a device.

        Those of a process that had ended before this one attached are replaced by ours: the device is ours now.
        """
        verdicts = {verdict.key: verdict for verdict in known}
        for verdict in (each.owned for each in now):
            for process in (*self._gone, ""):
                verdicts.pop((verdict.device, process), None)
            verdicts[verdict.key] = verdict
        return tuple(verdicts.values())

    def save(self) -> None:
        """Write the record and add to the log.

        :raises RdaqError: the disk does not take it; the flag is set nevertheless.
        """
        if self._path is None:
            return
        trip = self._trip
        record: dict[str, Any] = {"version": RECORD_VERSION, "tripped": self.tripped, "pid": os.getpid()}
        if trip is not None:
            record |= {"reason": trip.reason, "by": trip.by, "at": trip.at}
        record["verdicts"] = [verdict.as_json() for verdict in self.verdicts or ()]
        text = json.dumps(record)
        try:
            part = self._path.with_suffix(f".{os.getpid()}.part")
            part.write_text(text)
            part.replace(self._path.with_suffix(".json"))
            with self._path.with_suffix(".log").open("a") as log:
                log.write(text + "\n")
        except OSError as error:
            raise RdaqError(
                f"{self._path}: the record of the stop was not written: {error.strerror}",
                hint="make room on the disk; the latch itself is as it should be",
            ) from error

    def clear(self, reason: str, by: str, trips: int) -> bool:
        """Take it back; only ``reset`` decides whether that may be done.

        :param trips: ``trips`` when that was decided; a later trip, by whatever process, stays.
        :return: whether it is open now.
        """
        with self._lock, _alone_with(self._path):
            if self._flag[_TRIPS] != trips:
                return not self.tripped
            self._flag[_RESET] = trips
            if self.tripped:
                return False  # once more, in this very moment
            self._trip, self.verdicts = Trip(f"reset: {reason}", by, time.time()), None
            try:
                self.save()
            finally:
                self._trip = None
            return True

    @property
    def trips(self) -> int:
        """How often it was tripped, modulo 256, by all processes together."""
        return self._flag[_TRIPS]

    def refresh(self) -> None:
        """Learn what another process wrote about the stop."""
        with self._lock:
            self._read()

    def _read(self) -> Trip | None:
        """Take over what the record says of a stop that still holds."""
        record = read_record(self._path) if self._path else None
        if record is None or not record["tripped"] or not self.tripped:
            return None
        if self._trip is not None and record["at"] < self._trip.at:
            return self._trip  # of an earlier stop
        if self._trip is None or record["at"] > self._trip.at:
            self._trip = Trip(record["reason"], record["by"], record["at"])
        # The record is the later: what this process found was written there, unless the disk did not take it.
        known = {verdict.key: verdict for verdict in self.verdicts or () if verdict.process == owner()}
        known |= {verdict.key: verdict for verdict in map(Verdict.from_json, record["verdicts"])}
        self.verdicts = tuple(known.values())
        return self._trip


@contextlib.contextmanager
def _alone_with(path: Path | None) -> Iterator[None]:
    """Let no other process write the record meanwhile; one that hangs with it is not waited for longer than 1 s."""
    if path is None or sys.platform == "win32":
        yield
        return
    try:
        file = path.open("rb")
    except OSError as error:  # removed behind our back: what was found must be told all the same
        logger.error("%s: %s; the record is written without its lock", path, error.strerror)
        yield
        return
    with file:
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(0.005)
        yield


def read_record(path: Path) -> dict[str, Any] | None:
    """The record beside a latch file; None when there is none, or one that is no record of this version."""
    try:
        record = json.loads(path.with_suffix(".json").read_text())
    except (OSError, ValueError):
        return None
    needed: Sequence[str] = ("tripped", "reason", "by", "at", "verdicts")
    if not isinstance(record, dict) or record.get("version") != RECORD_VERSION or not all(k in record for k in needed):
        return None
    try:
        for verdict in record["verdicts"]:
            Verdict.from_json(verdict)
    except (TypeError, ValueError, KeyError):  # edited by hand, or of another version
        return None
    return record


def _gone(path: Path) -> frozenset[str]:
    """Processes that the record tells of and that have ended."""
    record = read_record(path)
    told = {Verdict.from_json(verdict).process for verdict in (record["verdicts"] if record else ())}
    return frozenset(process for process in told if is_gone(process))


def trip_file(path: Path) -> None:
    """Set the flag in a latch file, whoever uses it: what another process does before it says why.

    :raises RdaqError: there is no such file, or it is none of ours.
    """
    flag = _map(path)
    _count_up(flag)
    flag.close()


def _is_set(flag: bytearray | mmap.mmap) -> bool:
    return flag[_TRIPS] != flag[_RESET]


def _count_up(flag: bytearray | mmap.mmap) -> None:
    """One trip more. Again while it seems reset: another process may have counted, and been reset, in between."""
    while True:
        flag[_TRIPS] = (flag[_TRIPS] + 1) % 256
        if _is_set(flag):
            return


def _map(path: Path) -> mmap.mmap:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(fd, "r+b") as file:
            head = file.read(_SIZE)
            if not head:
                file.write(_HEADER.ljust(_SIZE, b"\0"))
                file.flush()
            elif not head.startswith(_HEADER) or len(head) < _SIZE:
                raise RdaqError(f"{path}: no latch file of this version", hint="move it away and start again")
            return mmap.mmap(file.fileno(), _SIZE)
    except OSError as error:
        raise RdaqError(
            f"{path}: the latch cannot be kept there: {error.strerror}", hint="set RDAQ_STATE to a directory of yours"
        ) from error


latch = Latch()
"""The latch of this process."""
