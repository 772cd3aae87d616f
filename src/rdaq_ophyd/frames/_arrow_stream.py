"""Reading a run of frames while it is written: a file that grows, a pipe, a socket."""

from __future__ import annotations

import contextlib
import io
import os
import select
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO, Self

from rdaq_ophyd.errors import FrameStreamError

from ._arrow import arrow, detector_record
from ._arrow_files import MAGIC
from ._records import DetectorRecord

# How often a growing file is looked at, s.
_LOOK = 0.005


class FrameStream:
    """The record batches of a live Arrow IPC stream, in order, as they arrive.

    Iterating ends at the writer's end mark.

    :param source: path of a file that another process writes, or a pipe or socket (or a file made from one, nothing
        read from it yet; on Windows no pipe).
    :param timeout: longest wait for the next frame, s.
    :raises FrameStreamError: nothing, or no Arrow stream, comes within ``timeout`` seconds.
    """

    def __init__(self, source: str | os.PathLike[str] | BinaryIO | Any, *, timeout: float = 10.0) -> None:
        self.timeout = timeout
        self.rows = 0
        self._source = _growing(source, timeout) if isinstance(source, str | os.PathLike) else _Pipe(source, timeout)
        with self._whole("the schema"):
            self._source.wait(timeout)
            start = self._source.read(len(MAGIC))
            # A file begins with a mark of its own; what follows is a stream.
            self._source.push_back(b"" if start == MAGIC else start)
            self._reader = arrow().ipc.open_stream(arrow().PythonFile(self._source, mode="r"))
        self.schema = self._reader.schema
        self._ended = False

    @property
    def record(self) -> DetectorRecord:
        """What the stream says about the camera.

        :raises CameraError: it is a stream of something else.
        """
        return detector_record(self.schema)

    def read(self, timeout: float | None = None) -> Any:
        """The next record batch with a row in it, None at the end.

        :raises FrameStreamError: none comes within ``timeout`` seconds (default: the stream's), which may be tried
            again; or the writer died within one, which may not.
        """
        wait = self.timeout if timeout is None else timeout
        while not self._ended:
            if (batch := self._next(wait)) is None:
                self.close()
            elif batch.num_rows:
                self.rows += batch.num_rows
                return batch
        return None

    def _next(self, wait: float) -> Any:
        try:
            self._source.wait(wait)
        except TimeoutError:
            raise FrameStreamError(
                f"{self._source.name}: no frame within {wait:g} s ({self.rows} came before)",
                hint="is the writer still running? Read again to wait longer",
            ) from None
        with self._whole(f"frame {self.rows}"):
            return next(self._reader, None)

    def __iter__(self) -> Iterator[Any]:
        while (batch := self.read()) is not None:
            yield batch

    @contextlib.contextmanager
    def _whole(self, what: str) -> Iterator[None]:
        try:
            yield
        except (arrow().ArrowException, OSError, EOFError) as error:
            self.close()
            raise FrameStreamError(
                f"{self._source.name}: the stream ends within {what}: {error or 'nothing came'}",
                hint="its writer died, or it is no Arrow stream; what was read before is good",
            ) from error

    def close(self) -> None:
        """Close the file, if it was opened here. Idempotent; done at the end of the stream."""
        self._ended = True
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Source:
    """What pyarrow reads from: gives as many bytes as asked for, waiting for them, and fewer only at the end."""

    closed = False
    name = "stream"

    def __init__(self, raw: Any, patience: float) -> None:
        self._raw = raw
        self._patience = patience
        self._pushed = b""

    def push_back(self, data: bytes) -> None:
        self._pushed = data

    def read(self, size: int) -> bytes:
        parts, self._pushed = self._pushed[:size], self._pushed[size:]
        if len(parts) == size:
            return parts
        data = bytearray(size)
        data[: len(parts)] = parts
        got, view = len(parts), memoryview(data)
        while got < size:
            self.wait(self._patience)
            more = self._raw.readinto(view[got:])
            if not more:
                break
            got += more
        return bytes(view[:got]) if got < size else data  # type: ignore[return-value]  # pyarrow takes any buffer

    def wait(self, timeout: float) -> None:
        """Wait until something can be read, or the end.

        :raises TimeoutError: neither came.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close what was opened here."""


class _File(_Source):
    def wait(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        while not self._pushed and os.fstat(self._raw.fileno()).st_size <= self._raw.tell():
            if time.monotonic() > end:
                raise TimeoutError(f"nothing for {timeout:g} s")
            time.sleep(_LOOK)

    def close(self) -> None:
        self._raw.close()


def _growing(path: str | os.PathLike[str], timeout: float) -> _Source:
    """The file at ``path``, once it is there."""
    end = time.monotonic() + timeout
    while True:
        try:
            source = _File(open(path, "rb", buffering=0), timeout)  # noqa: SIM115  closed with the stream
        except FileNotFoundError:
            if time.monotonic() > end:
                raise FrameStreamError(
                    f"{os.fspath(path)} was not there within {timeout:g} s", hint="start the writer, or check the path"
                ) from None
            time.sleep(_LOOK)
        else:
            source.name = os.fspath(path)
            return source


class _Pipe(_Source):
    def __init__(self, source: Any, patience: float) -> None:
        self._made_here = hasattr(source, "makefile")
        if self._made_here:
            source = source.makefile("rb", buffering=0)
        elif isinstance(source, io.BufferedReader):
            source = source.raw  # its buffer would hide what has come from select()
        super().__init__(source, patience)

    def wait(self, timeout: float) -> None:
        if not self._pushed and not select.select([self._raw], [], [], timeout)[0]:
            raise TimeoutError(f"nothing for {timeout:g} s")

    def close(self) -> None:
        if self._made_here:
            self._raw.close()
