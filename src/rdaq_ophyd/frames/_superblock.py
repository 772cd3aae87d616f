"""The mark that a writer leaves in the first bytes of an HDF5 file, and how it is cleared once the writer is gone.

HDF5 File Format Specification 3.0, section II.A, "Format Signature and Superblock", version 3::

    0   8  signature
    8   1  version of the superblock
    9   2  size of offsets and of lengths, bytes
    11  1  consistency flags: bit 0, open for writing; bit 2, single writer and multiple readers
    12  8  base address
    20  8  address of the extension
    28  8  end of file: first address past the data
    36  8  address of the root group
    44  4  checksum of the bytes before it
"""

from __future__ import annotations

import logging
import os
import struct
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)
_FORMAT = struct.Struct("<8s4B4QI")
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_VERSION = 3
_WRITING, _SWMR = 1, 4
_WORD = 0xFFFFFFFF


@dataclass(frozen=True)
class WriterMark:
    """What the superblock says about a writer.

    :param marked: the file is open for writing, or its writer died.
    :param missing: bytes that the file should have and does not: it was cut off.
    """

    marked: bool
    missing: int


def writer_mark(path: Path) -> WriterMark | None:
    """The mark in the file ``path``; None for a file that is no HDF5, or of a format that knows no such mark."""
    with path.open("rb") as file:
        fields = _fields(file.read(_FORMAT.size))
        size = os.fstat(file.fileno()).st_size
    if fields is None:
        return None
    return WriterMark(bool(fields[4] & (_WRITING | _SWMR)), max(0, fields[5] + fields[7] - size))


def clear_mark(path: Path) -> None:
    """Let programs that know no SWMR open the file again, as ``h5clear -s -i=0`` does, by changing 48 bytes of it.

    The end of file is moved to where the data really ends; else the next writer would write over the last frames.
    Only for a file whose writer is gone.

    :raises ValueError: the file bears no mark that could be cleared, or it was cut off.
    """
    with path.open("r+b") as file:
        fields = _fields(file.read(_FORMAT.size))
        size = os.fstat(file.fileno()).st_size
        if fields is None or fields[5] + fields[7] > size:
            raise ValueError(f"{path}: no whole HDF5 file of superblock version {_VERSION}")
        block = _FORMAT.pack(*fields[:4], 0, fields[5], fields[6], size - fields[5], fields[8], 0)
        file.seek(0)
        file.write(block[:-4] + struct.pack("<I", lookup3(block[:-4])))
        file.flush()
        os.fsync(file.fileno())
        try:  # give back what room its writer had taken behind the end
            os.ftruncate(file.fileno(), os.fstat(file.fileno()).st_size)
        except OSError as error:
            logger.warning("%s: room behind its end stays taken on the disk: %s", path, error)


def _fields(block: bytes) -> tuple[int, ...] | None:
    if len(block) < _FORMAT.size:
        return None
    fields = _FORMAT.unpack(block)
    known = fields[0] == _SIGNATURE and fields[1:4] == (_VERSION, 8, 8) and fields[9] == lookup3(block[:-4])
    return fields if known else None


def lookup3(data: bytes) -> int:
    """Bob Jenkins' hash lookup3 of 2006 (``hashlittle``, beginning with 0): HDF5's checksum of its own structures."""
    a = b = c = (0xDEADBEEF + len(data)) & _WORD
    while len(data) > 12:
        x, y, z = struct.unpack_from("<3I", data)
        a, b, c = _mixed((a + x) & _WORD, (b + y) & _WORD, (c + z) & _WORD)
        data = data[12:]
    if not data:
        return c
    x, y, z = struct.unpack("<3I", data.ljust(12, b"\0"))
    return _final((a + x) & _WORD, (b + y) & _WORD, (c + z) & _WORD)


def _turned(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _WORD


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (4, 6, 8, 16, 19, 4):
        a, c = ((a - c) & _WORD) ^ _turned(c, bits), (c + b) & _WORD
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _turned(b, bits)) & _WORD
        a, b, c = b, c, a
    return b
