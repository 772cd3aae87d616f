"""Where calibrations are kept: every value that was ever set, with date, person and reason, in one JSON file."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from rdaq_ophyd.errors import RdaqError

FORMAT = 1


class CalibrationEntry(BaseModel):
    """One value that was set, or taken back.

    :ivar name: of the calibration.
    :ivar value: that holds from then on.
    :ivar units: of the value.
    :ivar time: when, ISO 8601 with time zone.
    :ivar by: who.
    :ivar why: the reason given.
    :ivar kind: ``set``, or ``undo`` for one that put back what was before.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    value: FiniteFloat
    units: str
    time: str
    by: str = ""
    why: str = ""
    kind: Literal["set", "undo"] = "set"

    def __str__(self) -> str:
        value = f"{self.value:g} {self.units}".rstrip()
        return (
            f"{self.time}  {self.kind:<4}  {self.name} = {value}  by {self.by or 'nobody'}: {self.why or 'no reason'}"
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: Literal[1] = 1
    rig: str
    entries: list[CalibrationEntry] = []


def now() -> str:
    """The time as it is kept."""
    return datetime.now(UTC).astimezone().isoformat(timespec="seconds")


def in_force(entries: list[CalibrationEntry], name: str) -> list[CalibrationEntry]:
    """The values of ``name`` that hold or held and were not taken back, oldest first; the last one holds."""
    kept: list[CalibrationEntry] = []
    for entry in entries:
        if entry.name != name:
            continue
        if entry.kind == "set":
            kept.append(entry)
        elif kept:
            kept.pop()
    return kept


class CalibrationFile:
    """The history of a rig's calibrations.

    Several sessions may share it: each change is made to what the file holds then, under a lock, and is on disk in one
    piece before it holds.

    :param path: of the file; None keeps the history in memory only.
    :param rig: whose calibrations they are.
    :raises RdaqError: the file cannot be understood, or belongs to another rig. Nothing in it is changed then.
    """

    def __init__(self, path: Path | None, rig: str) -> None:
        self.path = path
        self._rig = rig
        self._stamp: tuple[int, int, int] | None = None
        self._entries: list[CalibrationEntry] = []
        self.refresh()

    @property
    def entries(self) -> list[CalibrationEntry]:
        """All of them, oldest first."""
        return list(self._entries)

    def refresh(self) -> bool:
        """Read the file again if another session has changed it; True if so."""
        stamp = self._look()
        if stamp is None or stamp == self._stamp:
            return False
        self._entries = self._load()
        self._stamp = stamp
        return True

    def add(self, entry: CalibrationEntry) -> None:
        """Add an entry; it is on disk when this returns.

        :raises RdaqError: it cannot be written; nothing is changed then.
        """
        with self._locked():
            self._save([*(self._load() if self.path else self._entries), entry])

    def take_back(self, name: str, otherwise: float, units: str, by: str, why: str) -> CalibrationEntry:
        """Put back the value that held before the last one.

        :param otherwise: the value that holds where there is no earlier one.
        :raises RdaqError: nothing was set that could be taken back.
        """
        with self._locked():
            entries = self._load() if self.path else self._entries
            kept = in_force(entries, name)
            if not kept:
                raise RdaqError(f"calibration {name}: nothing to take back; it is that of the profile")
            value = kept[-2].value if len(kept) > 1 else otherwise
            entry = CalibrationEntry(name=name, value=value, units=units, time=now(), by=by, why=why, kind="undo")
            self._save([*entries, entry])
        return entry

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat() if self.path is not None else None
        except FileNotFoundError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size) if found is not None else None

    def _load(self) -> list[CalibrationEntry]:
        if self.path is None:
            return self._entries
        try:
            file = _File.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return []
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            what = f"{self.path}: {place + ': ' if place else ''}{first['msg'][:1].lower()}{first['msg'][1:]}"
            hint = f"this program knows version {FORMAT}; mend the file, or move it away (nothing was changed in it)"
            raise RdaqError(what, hint=hint) from error
        if file.rig != self._rig:
            what = f"{self.path}: calibrations of rig {file.rig!r}, not of {self._rig!r}"
            raise RdaqError(what, hint="was the file copied? move it away, or change the rig's name in it")
        return file.entries

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if self.path is None:
            yield
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = self.path.with_suffix(".lock").open("w")
        except OSError as error:
            raise RdaqError(
                f"{self.path}: {error.strerror or error}", hint="can the data directory be written?"
            ) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _save(self, entries: list[CalibrationEntry]) -> None:
        if self.path is not None:
            text = _File(rig=self._rig, entries=entries).model_dump_json(indent=1)
            fresh = self.path.with_suffix(f".{os.getpid()}.new")
            try:
                with fresh.open("w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(fresh, self.path)  # never half a file
            except OSError as error:
                fresh.unlink(missing_ok=True)
                raise RdaqError(f"{self.path}: {error.strerror or error}", hint="is the disk full?") from error
            self._stamp = self._look()
        self._entries = entries
