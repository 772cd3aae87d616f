"""Runs out of the catalog into files that any program reads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rdaq_ophyd.errors import CatalogError, UnknownName

from ._export_files import make_folder, refuse_existing, safe, write_blocks
from ._export_table import FrameFiles, run_metadata, stream_table

FORMATS = ("parquet", "arrow", "csv")
MOST_RUNS = 1 << 53


def export(
    run: Any,
    folder: str | os.PathLike[str] = ".",
    *,
    to: str = "parquet",
    streams: Iterable[str] = (),
    frames: bool = False,
    force: bool = False,
) -> list[Path]:
    """Write a run's streams, one file each, with units and the run's metadata.

    Frames stay in their HDF5 files, whose paths are in the table; nothing is left of a file that could not be
    written whole.

    :param run: out of the catalog: ``c[-1]``.
    :param folder: made when absent.
    :param to: ``parquet``, ``arrow`` (IPC file), or ``csv`` with a JSON file beside it.
    :param streams: names; none for all.
    :param frames: also write the frames, as tensors into an Arrow file for each data key, some 8 MiB at a time.
    :param force: overwrite.
    :return: the files.
    :raises UnknownName: no such stream or format.
    :raises DataDirectoryError: a file exists, the folder cannot be written, the disk is full.
    :raises CatalogError: the catalog does not give the data.
    """
    if to not in FORMATS:
        raise UnknownName.among("format", to, FORMATS)
    with _answering():
        known, chosen = list(run), list(streams)
    for name in chosen:
        if name not in known:
            raise UnknownName.among("stream", name, known)
    target = make_folder(Path(folder).expanduser())
    with _answering():
        return list(_files(run, target, to, chosen or known, frames=frames, force=force))


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    import httpx  # loaded anyway to talk to Tiled

    try:
        yield
    except httpx.HTTPError as error:
        raise CatalogError(f"Tiled does not give the data: {error}", hint="is its server still running?") from error


def _files(run: Any, target: Path, to: str, streams: list[str], *, frames: bool, force: bool) -> Iterator[Path]:
    start = run.metadata["start"]
    number = f"{start['scan_id']:05d}-" if isinstance(start.get("scan_id"), int) else ""
    paths = {name: target / f"{number}{start['uid'][:8]}-{safe(name)}.{to}" for name in streams}
    beside = [path.with_suffix(".json") for path in paths.values()] if to == "csv" else []
    refuse_existing([*paths.values(), *beside], force=force)
    for name, path in paths.items():
        table = stream_table(run, name)
        yield from write_blocks(table.schema, table.blocks(), path, to, force=force)
        for each in table.frames if frames else ():
            yield from _frames(
                run, name, each, path.with_name(f"{path.stem}-{safe(each.key)}.frames.arrow"), force=force
            )


def _frames(run: Any, stream: str, frames: FrameFiles, path: Path, *, force: bool) -> list[Path]:
    from rdaq_ophyd.frames import frame_blocks  # loads the cameras' part: only where frames are wanted

    if not frames.files:
        raise CatalogError(f"{frames.key}: its frames are no HDF5 file", hint="export without --frames")
    counts: Sequence[int | None] = frames.counts() or [None] * len(frames.files)
    parts = [frame_blocks(file, frames.dataset, frames=n) for file, n in zip(frames.files, counts, strict=True)]
    schema = parts[0][0]
    if any(not other.equals(schema) for other, _ in parts):
        raise CatalogError(
            f"{frames.key}: its files hold frames of different kinds", hint="export without --frames and read each file"
        )
    metadata = {**(schema.metadata or {}), **run_metadata(run, stream)}
    described = schema.with_metadata(metadata)
    batches = (batch.replace_schema_metadata(metadata) for _, part in parts for batch in part)
    return write_blocks(described, batches, path, "arrow", force=force)


def find_run(catalog: Any, key: int | str) -> Any:
    """The run that a person means: by uid or its beginning, by scan number, or counted from the last (``-1``).

    :param catalog: the session's ``c``, or Tiled's client of it.
    :raises UnknownName: there is none.
    :raises CatalogError: the catalog does not answer.
    """
    with _answering():
        return _find(catalog, key)


def _find(catalog: Any, key: int | str) -> Any:
    try:
        number = int(key)
    except ValueError:
        number = None
    hint = "-1 is the last run; else its scan number, or its uid or the first 5 characters or more"
    if number is not None and abs(number) > MOST_RUNS:  # which Tiled's database has no numbers for
        raise UnknownName(f"unknown run {str(key)!r}", hint=hint)
    try:
        return catalog[number if number is not None else key]
    except (LookupError, ValueError) as error:
        if number is not None and number > 0:
            try:
                return catalog[str(key)]  # a uid may begin with digits alone
            except (LookupError, ValueError):
                pass
        raise UnknownName(f"unknown run {str(key)!r} ({' '.join(str(error).split())})", hint=hint) from error
