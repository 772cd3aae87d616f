"""Frames out of HDF5 files, ours and others', as Arrow record batches of bounded size."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from rdaq_ophyd.errors import CameraError

from ._arrow import PIXELS, arrow, frame_schema, numbers
from ._format import CameraIdentity, FrameFormat, PixelFormat, Roi
from ._records import COLUMNS, DATA, DETECTOR, DetectorRecord, column_path

# Pixels in one batch, bytes, and at least one frame.
_BLOCK = 8 << 20


def frame_blocks(
    path: str | os.PathLike[str], dataset: str = DATA, *, frames: int | None = None
) -> tuple[Any, Iterator[Any]]:
    """Schema and record batches of the frames in an HDF5 file, some 8 MiB at a time, also while it is written.

    A file of ours gives the schema of :func:`frame_schema`; from any other there is the column ``data`` alone.

    :param dataset: shape ``(n, height, width)`` or with more dimensions.
    :param frames: take the first so many; default all.
    :raises CameraError: the file is gone or cannot be opened, has no such dataset, or fewer frames in it.
    """
    importlib.import_module("hdf5plugin")  # makes its filters known to HDF5
    h5py = importlib.import_module("h5py")
    try:
        file = h5py.File(path, "r", swmr=True)
    except OSError as error:
        why = "is gone" if isinstance(error, FileNotFoundError) else f"cannot be opened: {' '.join(str(error).split())}"
        raise CameraError(
            f"{os.fspath(path)}, a file of frames, {why}", hint="put it back; after a crash `h5clear -s -i=0` on a copy"
        ) from error
    try:
        if dataset not in file:
            raise CameraError(f"{os.fspath(path)} has no dataset {dataset}", hint="was it moved or replaced?")
        pixels = file[dataset]
        count = pixels.shape[0] if frames is None else frames
        if count > pixels.shape[0]:
            raise CameraError(
                f"{os.fspath(path)} has {pixels.shape[0]} of {count} frames",
                hint="is the file whole? `h5ls -r` shows it",
            )
        ours = dataset == DATA and "rdaq_layout_version" in file.attrs
        schema = frame_schema(_record(file)) if ours else _plain(pixels)
    except BaseException:
        file.close()
        raise
    return schema, _blocks(file, pixels, schema, count)


def _blocks(file: Any, pixels: Any, schema: Any, count: int) -> Iterator[Any]:
    pa = arrow()
    step = max(1, _BLOCK // max(1, int(np.prod(pixels.shape[1:])) * pixels.dtype.itemsize))
    names = schema.names[1:]
    with file:
        for start in range(0, count, step):
            rows = slice(start, min(start + step, count))
            block = np.ascontiguousarray(pixels[rows], pixels.dtype.newbyteorder("="))
            pixels_in = numbers(block.reshape(-1), block.dtype.str)
            storage = pa.FixedSizeListArray.from_arrays(pixels_in, int(np.prod(block.shape[1:])))
            tensors = pa.ExtensionArray.from_storage(schema.field(PIXELS).type, storage)
            columns = [numbers(_column(file, name, rows), COLUMNS[name][0]) for name in names]
            yield pa.RecordBatch.from_arrays([tensors, *columns], schema=schema)


def _column(file: Any, name: str, rows: slice) -> Any:
    """What a file has that was made before there was such a column: zeros."""
    path = column_path(name)
    return file[path][rows] if path in file else np.zeros(rows.stop - rows.start)


def _plain(pixels: Any) -> Any:
    pa = arrow()
    if pixels.dtype.kind not in "uif" or len(pixels.shape) < 2:
        raise CameraError(
            f"{pixels.name}: {pixels.dtype} of shape {pixels.shape} are no frames", hint="read the file with h5py"
        )
    kind = pa.fixed_shape_tensor(pa.from_numpy_dtype(pixels.dtype.newbyteorder("=")), pixels.shape[1:])
    return pa.schema([pa.field(PIXELS, kind, nullable=False)])


def _record(file: Any) -> DetectorRecord:
    detector = file[DETECTOR]
    texts = {name: detector[name].asstr()[()] for name in ("local_name", "vendor", "description", "serial_number")}
    frame = file[DATA]
    return DetectorRecord(
        texts["local_name"],
        CameraIdentity(texts["vendor"], texts["description"], texts["serial_number"]),
        PixelFormat(detector["pixel_format"].asstr()[()]),
        Roi(*(int(n) for n in detector["region"][()])),
        FrameFormat(frame.shape[1], frame.shape[2], frame.dtype.str),
    )
