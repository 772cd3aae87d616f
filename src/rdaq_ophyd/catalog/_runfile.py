"""Reading the file of one run, also while it grows and after its writer was killed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson

from rdaq_ophyd.document_lines import Document, decode
from rdaq_ophyd.errors import CatalogError

SUFFIX = ".jsonl"
VERSION = 1
# Some thousand events, a second or two of work for the worker.
_BLOCK = 2**20


@dataclass(frozen=True)
class RunHeader:
    """The first line of a run's file: format version, run, the process that writes, time of creation (s)."""

    version: int
    run: str
    owner: str
    created: float


class RunFileReader:
    """Reads whole lines from where it stopped the last time; a torn last line is left alone until it is whole.

    :param path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.documents = 0
        self._header: RunHeader | None = None
        self._line = 0

    @property
    def header(self) -> RunHeader | None:
        """The header, or None as long as the file has no whole first line.

        :raises CatalogError: when the file is of another format or of a later version of it.
        """
        if self._header is None:
            with self.path.open("rb") as file:
                line = file.readline(65_536)
            if line.endswith(b"\n"):
                self._header = self._parse_header(line)
                self.offset, self._line = len(line), 1
        return self._header

    def read(self, most_bytes: int = _BLOCK) -> list[tuple[str, Document]]:
        """The next documents: all whole lines in the next ``most_bytes`` (at least one line, if there is a whole one).

        :raises CatalogError: when a whole line is no document (named by file and line number).
        """
        if self.header is None:
            return []
        block = self._whole_lines(most_bytes)
        found = []
        for line in block.splitlines():
            self._line += 1
            try:
                found.append(decode(line))
            except ValueError as error:
                raise CatalogError(
                    f"{str(self.path)!r}, line {self._line}: {error}", hint="the file is damaged; keep it for a repair"
                ) from error
        self.offset += len(block)
        self.documents += len(found)
        return found

    def _whole_lines(self, most_bytes: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            block = file.read(most_bytes)
            while block and b"\n" not in block and (more := file.read(most_bytes)):
                block += more
        return block[: block.rfind(b"\n") + 1]

    def _parse_header(self, line: bytes) -> RunHeader:
        try:
            fields = orjson.loads(line)
            header = RunHeader(fields["rdaq_spool"], fields["run"], fields["owner"], fields["created"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise CatalogError(
                f"{str(self.path)!r} is no file of the spool", hint="move it out of the spool directory"
            ) from error
        if header.version > VERSION:
            raise CatalogError(
                f"{str(self.path)!r} has format version {header.version}, this program knows {VERSION}",
                hint="use the newer rdaq-ophyd that wrote it",
            )
        return header
