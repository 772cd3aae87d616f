"""The HDF5 file of one staged analog input: NeXus layout, everything created before SWMR goes on, nothing after.

Version 1 of the layout::

    /                        NXroot, rdaq_layout_version
    /entry                   NXentry: start_time, end_time, exit_status
    /entry/data              NXdata: one (blocks, samples) dataset a channel; sample_time (samples,);
                             timestamps, arrival_times, sample_index, arm, lost_samples, each (blocks,)
    /entry/instrument/CHANNEL    NXsensor: range, coupling, scales, offsets, value (link); mean, std, min, max (blocks,)
    /entry/instrument/card   NXcollection: vendor, model, serial_number, sample_rate, lost_samples, discarded_samples
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rdaq_ophyd.frames import Rows, close_file, create_file, discard_file, ensure_named

from ._records import (
    COLUMN_CHUNK,
    COLUMNS,
    LAYOUT_VERSION,
    STATISTICS_LONG,
    CardRecord,
    ChannelRecord,
    chunk_blocks,
    samples_path,
)
from ._ring import STATISTICS, Block


def now_iso() -> str:
    """The time now in UTC, ISO 8601, 32 characters: fits the fixed-length fields."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds")


class SampleFile:
    """The open file. Only the writer thread touches it."""

    def __init__(self, path: Path, record: CardRecord) -> None:
        """Create ``path`` and switch SWMR on.

        :raises OSError: as HDF5 meets it; the file must not exist.
        """
        self.rows = 0
        self._last_lost = 0
        self._file = create_file(path)
        try:
            self._create(record)
            self._file.swmr_mode = True
        except BaseException:
            discard_file(self._file, path)
            raise

    def _create(self, record: CardRecord) -> None:
        file, form = self._file, record.form
        file.attrs.update(NX_class="NXroot", default="entry", rdaq_layout_version=LAYOUT_VERSION)
        entry = _group(file, "entry", "NXentry", default="data")
        _text(entry, "start_time", now_iso())
        self._end_time = _text(entry, "end_time", "", 32)
        self._exit_status = _text(entry, "exit_status", "writing", 16)
        data = _group(entry, "data", "NXdata", signal=form.channels[0], axes=["timestamps", "sample_time"])
        if form.channels[1:]:
            data.attrs["auxiliary_signals"] = list(form.channels[1:])
        data["sample_time"] = np.arange(form.samples) / record.rate
        data["sample_time"].attrs.update(units="s", long_name="time since the block's first sample")
        instrument = _group(entry, "instrument", "NXinstrument")
        per_chunk = chunk_blocks(form)
        self._samples = []
        self._statistics: list[list[Rows]] = [[] for _ in STATISTICS]
        for each in record.channels:
            name = each.channel.name
            attributes = {"units": each.units, "long_name": f"{record.name} {name}"}
            rows = Rows(data, name, (form.samples,), form.dtype_numpy, per_chunk, **attributes)
            self._samples.append(rows)
            self._sensor(_group(instrument, name, "NXsensor"), each)
        self._columns = {
            name: Rows(data, name, (), dtype, COLUMN_CHUNK, units=units, long_name=long_name)
            for name, (dtype, units, long_name) in COLUMNS.items()
        }
        self._card(_group(instrument, "card", "NXcollection"), record)

    def _sensor(self, group: h5py.Group, record: ChannelRecord) -> None:
        channel = record.channel
        _text(group, "name", channel.name)
        _text(group, "card_units", channel.units)
        if channel.coupling is not None:
            _text(group, "coupling", channel.coupling.value)
        if (limits := channel.input_range) is not None:
            group["range"] = np.array([limits.low, limits.high])
            group["range"].attrs.update(units=channel.units, long_name="lowest and highest input of the card")
        for name, value, units, meaning in (
            ("count_scale", record.scale, record.units, "units for one count of the card"),
            ("count_offset", record.offset, record.units, "units at 0 counts of the card"),
            (
                "calibration_scale",
                record.calibration.scale,
                f"{record.units}/{channel.units}",
                "units for one of the card's",
            ),
            ("calibration_offset", record.calibration.offset, record.units, "added after calibration_scale"),
        ):
            group[name] = value
            group[name].attrs.update(units=units, long_name=meaning)
        group["value"] = h5py.SoftLink(samples_path(channel.name))
        for name, kept in zip(STATISTICS, self._statistics, strict=True):
            meaning = STATISTICS_LONG[name]
            kept.append(Rows(group, name, (), "<f8", COLUMN_CHUNK, units=record.units, long_name=meaning))

    def _card(self, group: h5py.Group, record: CardRecord) -> None:
        _text(group, "local_name", record.name)
        _text(group, "vendor", record.identity.vendor)
        _text(group, "model", record.identity.model)
        _text(group, "serial_number", record.identity.serial)
        group["sample_rate"] = record.rate
        group["sample_rate"].attrs["units"] = "Hz"
        self._lost = group.create_dataset("lost_samples", (), "<u8")
        self._discarded = group.create_dataset("discarded_samples", (), "<u8")

    def append(self, blocks: Sequence[Block], lost: int) -> None:
        """Write blocks with what is known of each, and flush: readable by others on return."""
        ensure_named(self._file)
        for block in blocks:
            for rows, values in zip(self._samples, block.values, strict=True):
                rows.append(values)
            for kept, numbers in zip(self._statistics, block.statistics, strict=True):
                for rows, number in zip(kept, numbers, strict=True):
                    rows.append(number)
            values_of = (block.start, block.arrival, block.index, block.arm, block.lost)
            for name, value in zip(COLUMNS, values_of, strict=True):
                self._columns[name].append(value)
        for rows in self._all():
            rows.commit()
        self._count(lost, None)
        self._flush()
        self.rows += len(blocks)

    def truncate(self, rows: int, discarded: int) -> None:
        """Take blocks back: the next ones are written over them."""
        if rows < self.rows:
            for each in self._all():
                each.truncate(rows)
            self.rows = rows
        self._count(None, discarded)
        self._flush()

    def recover(self) -> None:
        """After a failed write: cut every dataset back to the blocks that were flushed."""
        for each in self._all():
            each.cut(self.rows)

    def _all(self) -> list[Rows]:
        return [*self._samples, *(rows for kept in self._statistics for rows in kept), *self._columns.values()]

    def _count(self, lost: int | None, discarded: int | None) -> None:
        if lost is not None and lost != self._last_lost:
            self._lost[()] = self._last_lost = lost
        if discarded is not None:
            self._discarded[()] = discarded

    def _flush(self) -> None:
        h5py.h5f.flush(self._file.id, h5py.h5f.SCOPE_LOCAL)

    def finish(self, exit_status: str, lost: int, discarded: int) -> None:
        """Write what is only known at the end; the file stays open."""
        self._count(lost, discarded)
        self._exit_status[()] = exit_status.encode()
        self._end_time[()] = now_iso().encode()

    def close(self) -> None:
        """Close the file; idempotent.

        :raises DataDirectoryError: see ``close_file``.
        """
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
