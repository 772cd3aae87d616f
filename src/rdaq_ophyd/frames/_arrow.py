"""Frames as Arrow tensors over the camera's own memory, and Arrow's memory as frames."""

from __future__ import annotations

import importlib
import json
from typing import Any

import numpy as np

from rdaq_ophyd.errors import CameraError

from ._compression import Compression
from ._format import CameraIdentity, FrameFormat, PixelFormat, Roi
from ._lease import FrameRef
from ._records import COLUMNS, DetectorRecord, FrameRecord
from ._statistics import Statistics

ARROW_VERSION = 1
# The column of pixels; the others are called as in the HDF5 file.
PIXELS = "data"
_VERSION_KEY = b"rdaq_arrow_version"
_DETECTOR_KEY = b"rdaq_detector"


def arrow() -> Any:
    """pyarrow, imported where it is used: it takes 0.1 s."""
    return importlib.import_module("pyarrow")


def frame_tensor(ref: FrameRef) -> Any:
    """One frame as a ``FixedShapeTensorArray`` of length 1, shape ``(height, width)``, over the lease's own memory.

    Nothing is copied. The array, whatever is sliced from it and any batch or table that holds it keep the camera's
    buffer after :meth:`FrameRef.release`, as a NumPy array does; the camera has it back when the last of them is gone.

    :raises FrameReleased: the frame was released before.
    """
    pa, pixels = arrow(), ref.array
    return _tensors(pa, pa.py_buffer(pixels), pixels.dtype, pixels.shape, 1)


def _tensors(pa: Any, buffer: Any, dtype: np.dtype[Any], shape: tuple[int, ...], count: int) -> Any:
    kind = pa.from_numpy_dtype(dtype)
    size = int(np.prod(shape))
    values = pa.Array.from_buffers(kind, count * size, [None, buffer])
    storage = pa.FixedSizeListArray.from_arrays(values, size)
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(kind, shape), storage)


def numbers(values: Any, dtype: str) -> Any:
    """A column of numbers over NumPy's memory. ``pyarrow.array`` would load pandas for it, which takes seconds."""
    pa = arrow()
    array = np.ascontiguousarray(values, np.dtype(dtype))
    return pa.Array.from_buffers(pa.from_numpy_dtype(array.dtype), array.size, [None, pa.py_buffer(array)])


def tensor_buffers(tensors: Any) -> list[Any]:
    """The memory of each tensor of an array, as one ``pyarrow.Buffer`` a tensor; nothing is copied.

    :param tensors: a ``FixedShapeTensorArray`` without nulls; slices are fine.
    """
    if tensors.null_count:
        raise CameraError(f"{tensors.null_count} of {len(tensors)} frames are null", hint="drop these rows first")
    itemsize = tensors.type.value_type.bit_width // 8
    size = int(np.prod(tensors.type.shape)) * itemsize
    values = tensors.storage.flatten()  # leaves out what lies before a slice
    buffer, first = values.buffers()[1], values.offset * itemsize
    return [buffer.slice(first + i * size, size) for i in range(len(tensors))]


def frame_schema(record: DetectorRecord) -> Any:
    """Schema of a run of frames: ``data`` (tensor), a column for each scalar with units, the camera in the metadata.

    :param record: what a file says about the camera; :func:`detector_record` gives it back.
    """
    pa = arrow()
    pixels = pa.fixed_shape_tensor(pa.from_numpy_dtype(np.dtype(record.frame.dtype_numpy)), record.frame.shape)
    fields = [pa.field(PIXELS, pixels, nullable=False, metadata={"units": "counts", "long_name": record.name})]
    for name, (dtype, units, long_name) in COLUMNS.items():
        kind = pa.from_numpy_dtype(np.dtype(dtype))
        fields.append(pa.field(name, kind, nullable=False, metadata={"units": units, "long_name": long_name}))
    detector = {
        "name": record.name,
        "vendor": record.identity.vendor,
        "description": record.identity.model,
        "serial_number": record.identity.serial,
        "pixel_format": record.pixel_format.value,
        "region": [record.roi.x, record.roi.y, record.roi.width, record.roi.height],
    }
    return pa.schema(fields, metadata={_VERSION_KEY: str(ARROW_VERSION), _DETECTOR_KEY: json.dumps(detector)})


def detector_record(schema: Any, compression: Compression = Compression.NONE) -> DetectorRecord:
    """What the schema of a run of frames says about the camera.

    :param compression: how an HDF5 file made from it compresses.
    :raises CameraError: the schema is not one of :func:`frame_schema`, or of a later version.
    """
    metadata = schema.metadata or {}
    version = int(metadata.get(_VERSION_KEY, b"0"))
    if not 1 <= version <= ARROW_VERSION or PIXELS not in schema.names:
        raise CameraError(
            f"this Arrow data has version {version or 'none'} of our layout of frames, not 1 to {ARROW_VERSION}",
            hint=f"it needs a column {PIXELS!r} of tensors and the metadata that rdaq-ophyd writes",
        )
    detector, tensor = json.loads(metadata[_DETECTOR_KEY]), schema.field(PIXELS).type
    height, width = tensor.shape
    dtype = np.dtype(tensor.value_type.to_pandas_dtype()).newbyteorder("<").str
    return DetectorRecord(
        detector["name"],
        CameraIdentity(detector["vendor"], detector["description"], detector["serial_number"]),
        PixelFormat(detector["pixel_format"]),
        Roi(*detector["region"]),
        FrameFormat(height, width, dtype),
        compression,
    )


def frame_batch(record: FrameRecord, schema: Any) -> Any:
    """One frame with its scalars as a ``RecordBatch`` of one row, the pixels over the lease's own memory.

    :param schema: from :func:`frame_schema`.
    :raises FrameReleased: the frame was released before.
    """
    pa = arrow()
    scalars = record.columns()
    columns = [frame_tensor(record.ref), *(numbers([scalars[name]], kind) for name, (kind, _, _) in COLUMNS.items())]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def frame_records(batch: Any) -> list[FrameRecord]:
    """The frames of a ``RecordBatch``, each a lease on Arrow's own memory: what a file sink takes.

    :param batch: with the schema of :func:`frame_schema`; any number of rows.
    """
    record = detector_record(batch.schema)
    scalars = {name: batch.column(name).to_pylist() for name in COLUMNS if name in batch.schema.names}
    lost = scalars.get("lost_frames", [0] * batch.num_rows)  # what was made before it existed has none
    found = []
    for row, buffer in enumerate(tensor_buffers(batch.column(PIXELS))):
        pixels = np.frombuffer(buffer, record.frame.dtype_numpy).reshape(record.frame.shape)
        ref = FrameRef(
            pixels,
            sequence=scalars["sequence_numbers"][row],
            host_time=scalars["timestamps"][row],
            hardware_time=scalars["hardware_timestamps"][row],
            camera=record.name,
        )
        statistics = Statistics(*(scalars[name][row] for name in Statistics._fields))
        found.append(FrameRecord(ref, statistics, ref.sequence, scalars["count_time"][row], lost=lost[row]))
    return found
