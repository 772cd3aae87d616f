"""Files of an export: written beside their name and put there whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rdaq_ophyd.errors import DataDirectoryError

# Everything else in a stream's name could mean something to a file system.
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


def safe(name: str) -> str:
    """``name`` as a part of a file name."""
    return _UNSAFE.sub("_", name)


def make_folder(folder: Path) -> Path:
    """Make a folder where it is absent.

    :raises DataDirectoryError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise export_error(error, folder) from error
    return folder


def refuse_existing(paths: Iterable[Path], *, force: bool) -> None:
    """Make sure, before anything is written, that nothing would be lost.

    :raises DataDirectoryError: naming the files that exist.
    """
    existing = [path for path in paths if path.exists()]
    if existing and not force:
        names = ", ".join(path.name for path in existing)
        raise DataDirectoryError(
            f"{existing[0].parent} has {names} already", hint="export into another folder, or overwrite with --force"
        )


@contextlib.contextmanager
def whole(path: Path, *, force: bool) -> Iterator[Path]:
    """Where to write what will be ``path`` once it is whole; after an error nothing is left.

    :raises DataDirectoryError: the folder cannot be written, the disk is full, or ``path`` exists and not ``force``.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        refuse_existing([path], force=force)
        os.replace(part, path)
    except OSError as error:
        if isinstance(error, DataDirectoryError):
            raise
        raise export_error(error, path) from error
    finally:
        part.unlink(missing_ok=True)


def export_error(error: OSError, path: Path) -> DataDirectoryError:
    """What a failed write means for the person who exports."""
    code = error.errno
    if code is None and (found := re.search(r"errno (\d+)", str(error), re.IGNORECASE)):  # Arrow keeps it in its text
        code = int(found.group(1))
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DataDirectoryError(
            f"no room left for {path} ({os.strerror(code)})", hint="free space or export into another folder: -o DIR"
        )
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DataDirectoryError(f"no permission to write {path}", hint="export into another folder: -o DIR")
    return DataDirectoryError(f"writing {path} failed: {error}", hint="export into another folder: -o DIR")


def write_blocks(schema: Any, blocks: Iterable[Any], path: Path, to: str, *, force: bool) -> list[Path]:
    """Write tables or record batches as one ``parquet``, ``arrow`` or ``csv`` file, one of them in memory at a time.

    :return: the file; for CSV also the JSON file beside it, with units and metadata.
    """
    if to == "csv":
        beside = path.with_suffix(".json")
        with whole(path, force=force) as part, whole(beside, force=force) as about:
            _write(_text_schema(schema), map(_as_text, blocks), part, to)
            about.write_text(json.dumps(_about(schema), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return [path, beside]
    with whole(path, force=force) as part:
        _write(schema, blocks, part, to)
    return [path]


def _write(schema: Any, blocks: Iterable[Any], path: Path, to: str) -> None:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    with pa.OSFile(str(path), "wb") as file:
        if to == "parquet":
            writer: Any = pyarrow.parquet.ParquetWriter(file, schema, compression="zstd")
        elif to == "arrow":
            writer = pa.ipc.new_file(file, schema)
        else:
            writer = pyarrow.csv.CSVWriter(file, schema)
        with writer:
            for block in blocks:
                writer.write(block)


def _text_schema(schema: Any) -> Any:
    return _as_text(schema.empty_table()).schema


def _as_text(table: Any) -> Any:
    """What CSV cannot hold as JSON, and without metadata."""
    import pyarrow as pa

    columns = []
    for column in table.columns:
        if pa.types.is_nested(column.type) or isinstance(column.type, pa.BaseExtensionType):
            values = [None if value is None else json.dumps(value) for value in column.to_pylist()]
            columns.append(pa.chunked_array([pa.array(values, pa.string())]))
        elif pa.types.is_dictionary(column.type):
            columns.append(column.cast(column.type.value_type))
        else:
            columns.append(column)
    return pa.table(columns, names=table.column_names)


def _about(schema: Any) -> dict[str, Any]:
    """Schema metadata as JSON: what is JSON already stays so."""
    metadata = {key.decode(): _value(value.decode()) for key, value in (schema.metadata or {}).items()}
    fields = {
        field.name: {"type": str(field.type), **{k.decode(): v.decode() for k, v in (field.metadata or {}).items()}}
        for field in schema
    }
    return {**metadata, "columns": fields}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
