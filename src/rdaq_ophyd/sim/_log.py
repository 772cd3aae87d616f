"""The log of every byte on a simulated port with the time at which it passed."""

from __future__ import annotations

import json
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from typing import Literal, NamedTuple, Self

Direction = Literal["rx", "tx"]
#: Records kept in memory, some four minutes of a busy 19 200 baud line; the file keeps all.
KEPT = 500_000


class Record(NamedTuple):
    """Bytes that passed at ``t_ns`` (``time.monotonic_ns``); rx: into the instrument, tx: out of it."""

    t_ns: int
    direction: Direction
    data: bytes

    def to_json(self) -> str:
        """One JSON object; the bytes as Latin-1 text."""
        return json.dumps({"t_ns": self.t_ns, "dir": self.direction, "bytes": self.data.decode("latin-1")})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of ``to_json``."""
        item = json.loads(text)
        return cls(item["t_ns"], item["dir"], item["bytes"].encode("latin-1"))


class ByteLog:
    """Records in the order in which the bytes passed; written by one thread, readable from all.

    :param path: file that also gets each record, one JSON object a line, as it happens.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self._records: deque[Record] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        self._file = open(path, "a", encoding="ascii") if path else None  # noqa: SIM115 (closed by close)

    def write(self, records: Iterable[Record]) -> None:
        """Append ``records`` and hand them to the file at once."""
        records = list(records)
        with self._lock:
            self._records.extend(records)
            if self._file and records:
                self._file.write("".join(f"{r.to_json()}\n" for r in records))
                self._file.flush()

    @property
    def records(self) -> list[Record]:
        """A copy of what is kept in memory."""
        with self._lock:
            return list(self._records)

    def arrivals(self, pattern: bytes, direction: Direction = "rx") -> list[int]:
        """When each occurrence of ``pattern`` was complete, in ns of ``time.monotonic_ns``."""
        return arrivals(self.records, pattern, direction)

    def bytes(self, direction: Direction = "rx") -> bytes:
        """All kept bytes of one direction."""
        return b"".join(r.data for r in self.records if r.direction == direction)

    def close(self) -> None:
        """Close the file; the records in memory stay readable."""
        if self._file:
            self._file.close()


class LogReader:
    """The records in a log file, also while another process writes it; each look reads what is new.

    :param path: the file.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._records: list[Record] = []
        self._read = 0
        self._lock = threading.Lock()

    def records(self) -> list[Record]:
        """All of them until now."""
        with self._lock:
            with self._path.open("rb") as file:
                file.seek(self._read)
                whole, end, _ = file.read().rpartition(b"\n")
            self._read += len(whole) + len(end)
            self._records += map(Record.from_json, whole.decode("ascii").splitlines())
            return self._records.copy()


def read_log(path: Path | str) -> list[Record]:
    """The records in a log file, also while another process writes it."""
    return LogReader(path).records()


def arrivals(records: Iterable[Record], pattern: bytes, direction: Direction = "rx") -> list[int]:
    """When the last byte of each occurrence of ``pattern`` passed, in ns of ``time.monotonic_ns``."""
    passed = [record for record in records if record.direction == direction]
    data = b"".join(record.data for record in passed)
    ends: list[int] = []
    found, place = [], data.find(pattern)
    while place >= 0:
        ends = ends or list(accumulate(len(record.data) for record in passed))
        place += len(pattern)
        found.append(passed[bisect_left(ends, place)].t_ns)
        place = data.find(pattern, place)
    return found
