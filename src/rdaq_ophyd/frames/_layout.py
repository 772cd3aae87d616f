"""The HDF5 file of one staged camera: NeXus layout, everything created before SWMR goes on, nothing after.

Version 1 of the layout::

    /                        NXroot, rdaq_layout_version
    /entry                   NXentry: start_time, end_time, exit_status
    /entry/data              NXdata: data (n, h, w); mean, max, sum, timestamps, hardware_timestamps,
                             sequence_numbers, count_time, lost_frames, each (n,)
    /entry/instrument/detector   NXdetector: description, vendor, serial_number, pixel_format, bit_depth_readout,
                             region, compression, lost_frames, discarded_frames, count_time and data (links)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ._chunks import write_chunk
from ._compression import filter_options
from ._gone import close_file, ensure_named
from ._new_file import create_file, discard_file
from ._records import COLUMN_CHUNK, COLUMNS, DATA, LAYOUT_VERSION, DetectorRecord, FrameRecord, column_path
from ._room import RoomAhead
from ._rows import Rows

# Frames of this size and more begin on a page of the disk cache: the kernel then copies whole pages.
_ALIGN_FROM = 1 << 16
_PAGE = 4096


def now_iso() -> str:
    """The time now in UTC, ISO 8601, 32 characters: fits the fixed-length fields."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds")


class FrameFile:
    """The open file. Only the writer thread touches it."""

    def __init__(self, path: Path, record: DetectorRecord) -> None:
        """Create ``path`` and switch SWMR on.

        :raises OSError: as HDF5 meets it; the file must not exist.
        """
        self.rows = 0
        self._last_lost = 0
        self._file = create_file(path, alignment_threshold=_ALIGN_FROM, alignment_interval=_PAGE)
        try:
            self._create(record)
            self._file.swmr_mode = True
        except BaseException:
            discard_file(self._file, path)
            raise
        self._room = RoomAhead(self._file)

    def _create(self, record: DetectorRecord) -> None:
        file, shape = self._file, record.frame.shape
        self._format = record.frame
        file.attrs.update(NX_class="NXroot", default="entry", rdaq_layout_version=LAYOUT_VERSION)
        entry = _group(file, "entry", "NXentry", default="data")
        _text(entry, "start_time", now_iso())
        self._end_time = _text(entry, "end_time", "", 32)
        self._exit_status = _text(entry, "exit_status", "writing", 16)
        data = _group(entry, "data", "NXdata", signal="data", axes=["timestamps", ".", "."])
        self._frames = data.create_dataset(
            "data",
            (0, *shape),
            record.frame.dtype_numpy,
            maxshape=(None, *shape),
            chunks=(1, *shape),
            **filter_options(record.compression),
        )
        self._frames.attrs.update(units="counts", long_name=record.name)
        self._columns = {
            name: Rows(data, name, (), dtype, COLUMN_CHUNK, units=units, long_name=long_name)
            for name, (dtype, units, long_name) in COLUMNS.items()
        }
        instrument = _group(entry, "instrument", "NXinstrument")
        detector = _group(instrument, "detector", "NXdetector")
        _text(detector, "local_name", record.name)
        _text(detector, "vendor", record.identity.vendor)
        _text(detector, "description", record.identity.model)
        _text(detector, "serial_number", record.identity.serial)
        _text(detector, "pixel_format", record.pixel_format.value)
        _text(detector, "compression", record.compression.value)
        detector["bit_depth_readout"] = record.pixel_format.bits
        roi = record.roi
        region = detector.create_dataset("region", data=[roi.x, roi.y, roi.width, roi.height], dtype="<i8")
        region.attrs.update(units="pixels", long_name="x, y, width, height on the sensor")
        self._lost = detector.create_dataset("lost_frames", (), "<u8")
        self._discarded = detector.create_dataset("discarded_frames", (), "<u8")
        detector["data"] = h5py.SoftLink(DATA)
        detector["count_time"] = h5py.SoftLink(column_path("count_time"))

    def append(self, records: Sequence[FrameRecord], lost: int) -> None:
        """Write frames straight from their buffers, or compressed, with their scalars, and flush: then all can read."""
        ensure_named(self._file)
        for record in records:  # before the first row that readers could see
            record.finish()
            if record.chunk is None:
                self._format.check(record.ref.array)
        frames, rows = self._frames.id, self.rows
        self._room.ensure(sum(record.nbytes for record in records))
        frames.set_extent((rows + len(records), *self._frames.shape[1:]))
        for offset, record in enumerate(records):
            write_chunk(frames, (rows + offset, 0, 0), record.pixels())
        scalars = [record.columns() for record in records]
        for name, column in self._columns.items():
            column.extend([row[name] for row in scalars])
            column.commit()
        self._count(lost, None)
        h5py.h5f.flush(self._file.id, h5py.h5f.SCOPE_LOCAL)
        self.rows = rows + len(records)

    def truncate(self, rows: int, discarded: int) -> None:
        """Take rows back: the next frames are written over them."""
        if rows < self.rows:
            self._frames.id.set_extent((rows, *self._frames.shape[1:]))
            for column in self._columns.values():
                column.truncate(rows)
            self.rows = rows
        self._count(None, discarded)
        h5py.h5f.flush(self._file.id, h5py.h5f.SCOPE_LOCAL)

    def recover(self) -> None:
        """After a failed write: cut every dataset back to the rows that were flushed."""
        self._frames.id.set_extent((self.rows, *self._frames.shape[1:]))
        for column in self._columns.values():
            column.cut(self.rows)

    def _count(self, lost: int | None, discarded: int | None) -> None:
        if lost is not None and lost != self._last_lost:
            self._lost[()] = self._last_lost = lost
        if discarded is not None:
            self._discarded[()] = discarded

    def finish(self, exit_status: str, lost: int, discarded: int) -> None:
        """Write what is only known at the end; the file stays open."""
        self._count(lost, discarded)
        self._exit_status[()] = exit_status.encode()
        self._end_time[()] = now_iso().encode()

    def close(self) -> None:
        """Close the file; idempotent.

        :raises DataDirectoryError: see ``close_file``.
        """
        self._room.give_back()
        close_file(self._file, keep=self.rows > 0)


def _group(parent: h5py.Group, name: str, nx_class: str, **attributes: Any) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs.update(NX_class=nx_class, **attributes)
    return group


def _text(group: h5py.Group, name: str, value: str, length: int = 0) -> h5py.Dataset:
    """A fixed-length UTF-8 string: variable-length ones may not change under SWMR."""
    data = value.encode()
    kind = h5py.string_dtype("utf-8", max(length, len(data), 1))
    return group.create_dataset(name, (), kind, data=np.array(data, dtype=kind))
