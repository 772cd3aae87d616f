"""A block of samples (time, value, channel) as bytes: packed rows, protobuf, FlatBuffers, Arrow; and back to arrays."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import pyarrow as pa
from flatbuffers import encode, number_types, packer, table
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SAMPLES = 1000
"""In a block: 100 ms at 10 kHz."""
ROW = np.dtype([("time", "<u8"), ("value", "<f8"), ("channel", "<u4")])
COLUMNS = tuple(ROW.names or ())
SCHEMA = pa.schema([(name, pa.from_numpy_dtype(ROW[name])) for name in COLUMNS])
FLAGS = {"time": number_types.Uint64Flags, "value": number_types.Float64Flags, "channel": number_types.Uint32Flags}


@dataclass(frozen=True)
class Codec:
    """One way; both sides deal in columns, an array each."""

    name: str
    encode: Callable[[Sequence[Any]], bytes]
    decode: Callable[[bytes], Sequence[Any]]


def block() -> list[Any]:
    """The columns of a block."""
    random = np.random.default_rng(1)
    numbers = np.arange(SAMPLES, dtype="<u8")
    return [numbers * 100_000 + 1_700_000_000_000_000_000, random.normal(size=SAMPLES), (numbers % 8).astype("<u4")]


def _pack(columns: Sequence[Any]) -> bytes:
    rows = np.empty(len(columns[0]), ROW)
    for name, column in zip(COLUMNS, columns, strict=True):
        rows[name] = column
    return rows.tobytes()


def _unpack(data: bytes) -> Sequence[Any]:
    rows = np.frombuffer(data, ROW)
    return [rows[name] for name in COLUMNS]


def _message() -> Any:
    """The class of a message with a repeated, packed field for each column."""
    field = descriptor_pb2.FieldDescriptorProto
    kinds = {"time": field.TYPE_FIXED64, "value": field.TYPE_DOUBLE, "channel": field.TYPE_UINT32}
    file = descriptor_pb2.FileDescriptorProto(name="columns.proto", package="benchmarks", syntax="proto3")
    message = file.message_type.add(name="Columns")
    for number, name in enumerate(COLUMNS, 1):
        message.field.add(name=name, number=number, type=kinds[name], label=field.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("benchmarks.Columns"))


_COLUMNS_MESSAGE = _message()


def _to_protobuf(columns: Sequence[Any]) -> bytes:
    fields = dict(zip(COLUMNS, (column.tolist() for column in columns), strict=True))
    data: bytes = _COLUMNS_MESSAGE(**fields).SerializeToString()
    return data


def _from_protobuf(data: bytes) -> Sequence[Any]:
    message = _COLUMNS_MESSAGE.FromString(data)
    return [np.array(getattr(message, name), ROW[name]) for name in COLUMNS]


def _to_flatbuffer(columns: Sequence[Any]) -> bytes:
    builder = flatbuffers.Builder(64 + ROW.itemsize * len(columns[0]))
    vectors = [builder.CreateNumpyVector(column) for column in columns]
    builder.StartObject(len(columns))
    for slot, vector in enumerate(vectors):
        builder.PrependUOffsetTRelativeSlot(slot, vector, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def _from_flatbuffer(data: bytes) -> Sequence[Any]:
    root = table.Table(data, encode.Get(packer.uoffset, data, 0))
    # A table's fields stand 2 bytes each behind the 4 of its vtable's head.
    return [root.GetVectorAsNumpy(FLAGS[name], root.Offset(4 + 2 * slot)) for slot, name in enumerate(COLUMNS)]


def _to_arrow(columns: Sequence[Any]) -> bytes:
    batch = pa.RecordBatch.from_arrays(
        [pa.Array.from_buffers(t, len(c), [None, pa.py_buffer(c)]) for t, c in zip(SCHEMA.types, columns, strict=True)],
        schema=SCHEMA,
    )
    return bytes(batch.serialize())


def _from_arrow(data: bytes) -> Sequence[Any]:
    batch = pa.ipc.read_record_batch(data, SCHEMA)
    return [column.to_numpy() for column in batch.columns]


CODECS = (
    Codec("packed rows", _pack, _unpack),
    Codec("protobuf, a repeated field a column", _to_protobuf, _from_protobuf),
    Codec("FlatBuffers, a vector a column", _to_flatbuffer, _from_flatbuffer),
    Codec("Arrow record batch", _to_arrow, _from_arrow),
)


def cpu(call: Callable[[Any], Any], argument: Any, seconds: float) -> float:
    """Seconds of CPU that one call takes."""
    number, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        for _ in range(20):
            call(argument)
        number += 20
    return spent / number
