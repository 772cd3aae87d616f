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


def write_table(table: Any, path: Path, to: str, *, force: bool) -> list[Path]:
    """Write a table as ``parquet``, ``arrow`` or ``csv``; CSV has a JSON file with units and metadata beside it.

    :return: the files.
    """
    if to == "csv":
        beside = path.with_suffix(".json")
        with whole(path, force=force) as part, whole(beside, force=force) as about:
            _write_csv(table, part)
            about.write_text(json.dumps(_about(table), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return [path, beside]
    with whole(path, force=force) as part:
        if to == "parquet":
            import pyarrow.parquet

            pyarrow.parquet.write_table(table, part, compression="zstd")
        else:
            import pyarrow as pa

            with pa.OSFile(str(part), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
    return [path]


def write_batches(schema: Any, batches: Iterable[Any], path: Path, *, force: bool) -> list[Path]:
    """Write record batches into an Arrow file, one in memory at a time."""
    import pyarrow as pa

    with (
        whole(path, force=force) as part,
        pa.OSFile(str(part), "wb") as file,
        pa.ipc.new_file(file, schema) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)
    return [path]


def _write_csv(table: Any, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.csv

    columns = []
    for column in table.columns:
        if pa.types.is_nested(column.type) or isinstance(column.type, pa.BaseExtensionType):
            values = (None if value is None else json.dumps(value) for value in column.to_pylist())
            columns.append(pa.array(values, pa.string()))
        elif pa.types.is_dictionary(column.type):
            columns.append(column.cast(column.type.value_type))
        else:
            columns.append(column)
    pyarrow.csv.write_csv(pa.table(columns, names=table.column_names), path)


def _about(table: Any) -> dict[str, Any]:
    """Schema metadata as JSON: what is JSON already stays so."""
    metadata = {key.decode(): _value(value.decode()) for key, value in (table.schema.metadata or {}).items()}
    fields = {
        field.name: {"type": str(field.type), **{k.decode(): v.decode() for k, v in (field.metadata or {}).items()}}
        for field in table.schema
    }
    return {**metadata, "columns": fields}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
