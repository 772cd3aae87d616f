"""Runs of frames in Arrow IPC files and streams, and from there into HDF5 by Arrow's own pointers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from rdaq_ophyd.errors import CameraError, FrameStreamError, RdaqError

from ._arrow import arrow, detector_record, frame_batch, frame_records, frame_schema, numbers, tensor_buffers
from ._compression import Compression
from ._files import data_directory_error
from ._records import COLUMNS, DetectorRecord, FrameRecord
from ._sink import FrameSink

# What an IPC file begins with; after it comes the same as in a stream.
MAGIC = b"ARROW1\0\0"
type Target = str | os.PathLike[str] | BinaryIO
# Longest wait for the disk at the end of a conversion, s.
_CLOSE_TIMEOUT = 300.0


class ArrowSink:
    """Frames into an Arrow IPC file or stream, one record batch a frame, straight from their leases.

    Each batch is handed to the operating system before :meth:`write` returns, so that a live reader has it; a reader
    of a pipe or socket that does not read makes it wait. One thread at a time.

    :param target: path of a file that does not exist, or anything open for writing in binary: a pipe, a socket's
        ``makefile("wb")``. What was opened elsewhere is not closed.
    :param record: what the file says about the camera.
    :param stream: the streaming format, which is readable while it grows and after its writer died. Otherwise the
        file format, which can be read in any order once it is closed. What is no path is always a stream.
    :raises DataDirectoryError: the file exists or cannot be made.
    """

    def __init__(self, target: Target, record: DetectorRecord, *, stream: bool = False) -> None:
        self.rows = 0
        self.schema = frame_schema(record)
        self._path = Path(target) if isinstance(target, str | os.PathLike) else None
        try:
            self._raw = _opened(target)
        except OSError as error:
            raise self._error(error) from error
        try:
            self._file = arrow().PythonFile(_Whole(self._raw), mode="w")
            ipc = arrow().ipc
            if stream or self._path is None:
                self._writer = ipc.new_stream(self._file, self.schema)
                # Arrow sends the schema with the first batch: an empty one, so that readers have it before a frame.
                self._writer.write_batch(_empty(self.schema))
            else:
                self._writer = ipc.new_file(self._file, self.schema)
            self._raw.flush()
        except OSError as error:
            if self._path is not None:
                self._raw.close()
                self._path.unlink(missing_ok=True)
            raise self._error(error) from error

    def write(self, record: FrameRecord) -> None:
        """Write one frame and release it.

        :raises DataDirectoryError: the disk is full, or failed; what was written before is readable.
        :raises FrameStreamError: the reader of a pipe or socket is gone.
        :raises FrameReleased: the frame was released before.
        """
        try:
            self._writer.write_batch(frame_batch(record, self.schema))
            self._raw.flush()
        except OSError as error:
            raise self._error(error) from error
        finally:
            record.ref.release()
        self.rows += 1

    def close(self) -> None:
        """Write the end mark, and close the file if it was opened here. Idempotent.

        :raises DataDirectoryError: the disk is full, or failed.
        """
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        try:
            writer.close()
            self._raw.flush()
        except OSError as error:
            raise self._error(error) from error
        finally:
            if self._path is not None:
                self._raw.close()

    def _error(self, error: OSError) -> RdaqError:
        if self._path is not None:
            return data_directory_error(error, self._path)
        return FrameStreamError(
            f"frame {self.rows} cannot be sent: {error.strerror or error}",
            hint="the reader went away; open a new stream",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or self._path is not None:
            self.close()


def _opened(target: Target) -> Any:
    return open(target, "xb", buffering=0) if isinstance(target, str | os.PathLike) else target


def _empty(schema: Any) -> Any:
    pa = arrow()
    pixels = schema.field(0).type
    values = pa.Array.from_buffers(pixels.value_type, 0, [None, None])
    storage = pa.FixedSizeListArray.from_arrays(values, pixels.storage_type.list_size)
    columns = [numbers([], kind) for kind, _, _ in COLUMNS.values()]
    return pa.RecordBatch.from_arrays([pa.ExtensionArray.from_storage(pixels, storage), *columns], schema=schema)


class _Whole:
    """A file that writes all or raises: pipes and sockets may take less at a time."""

    closed = False

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        left = view
        while left:
            left = left[self._raw.write(left) or 0 :]
        return len(view)

    def flush(self) -> None:
        self._raw.flush()


def read_frames(path: str | os.PathLike[str]) -> Iterator[Any]:
    """The record batches of an IPC file or stream on disk, over its memory-mapped pages: nothing is copied.

    Batches without a row are left out.

    :raises FrameStreamError: it is no Arrow file, or ends within a frame; the batches before were given.
    """
    pa = arrow()
    try:
        with pa.memory_map(os.fspath(path)) as file:
            if file.read(len(MAGIC)) != MAGIC:
                file.seek(0)
            # As a stream also where it is a file: one whose writer died has no table of contents.
            yield from (batch for batch in pa.ipc.open_stream(file) if batch.num_rows)
    except (pa.ArrowInvalid, pa.ArrowIOError) as error:
        raise FrameStreamError(
            f"{os.fspath(path)} cannot be read: {error}", hint="is it an Arrow file, and whole?"
        ) from error


def hdf5_from_arrow(
    source: str | os.PathLike[str], path: str | os.PathLike[str], compression: Compression = Compression.NONE
) -> int:
    """Write the frames of an IPC file or stream into an HDF5 file of our layout, each from Arrow's own pages.

    Unless all of them are written, there is no file.

    :return: the number of frames.
    :raises CameraError: ``source`` has no frames of ours.
    :raises FrameStreamError: it is no Arrow file, or ends within a frame.
    :raises DataDirectoryError: ``path`` exists or cannot be written.
    """
    batches = read_frames(source)
    if (first := next(batches, None)) is None:
        raise CameraError(f"{os.fspath(source)} has no frames", hint="nothing was written")
    sink = FrameSink(Path(path), detector_record(first.schema, compression))
    sink.open().result()
    try:
        return _fill(sink, chain([first], batches))
    except BaseException:
        sink.path.unlink(missing_ok=True)
        raise


def _fill(sink: FrameSink, batches: Iterable[Any]) -> int:
    status, count = "aborted", 0
    try:
        for record in chain.from_iterable(map(frame_records, batches)):
            if not sink.put(record, 0):
                raise sink.failure or CameraError(f"{sink.path}: the file was closed")
            count += 1
        status = "complete"
    finally:
        sink.close(status).result(_CLOSE_TIMEOUT)
    if sink.failure is not None:
        raise sink.failure
    return count


def write_tensors(dataset: Any, tensors: Any, row: int) -> None:
    """Write Arrow tensors into any ``h5py.Dataset``, each as one chunk from Arrow's own memory.

    :param dataset: shape ``(n, height, width)``, one frame a chunk, no filters, the dtype of the tensors.
    :param tensors: a ``FixedShapeTensorArray``.
    :param row: where the first one goes; the dataset grows when it must.
    :raises CameraError: the dataset is of another kind.
    """
    shape = (1, *tensors.type.shape)
    kind = dataset.dtype
    filters = dataset.id.get_create_plist().get_nfilters()
    if dataset.chunks != shape or kind != tensors.type.value_type.to_pandas_dtype() or filters:
        raise CameraError(
            f"{dataset.name}: chunks {dataset.chunks} of {kind} with {filters} filters cannot take these tensors",
            hint=f"make it with chunks={shape}, dtype {tensors.type.value_type}, and no compression",
        )
    if row + len(tensors) > dataset.shape[0]:
        dataset.resize(row + len(tensors), axis=0)
    for offset, buffer in enumerate(tensor_buffers(tensors)):
        dataset.id.write_direct_chunk((row + offset, 0, 0), memoryview(buffer))
