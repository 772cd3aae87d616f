"""Frame files whose writer died: made readable for every program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ._held_files import HeldFiles
from ._layout import DataLayout
from ._told import Told, counted, one_line


def mend_files(layout: DataLayout, held: HeldFiles, *, act: bool) -> Iterator[Told]:
    """Clear the mark of dead writers in every HDF5 file below ``frames/``; say what was found.

    :param held: files that are left alone.
    :param act: False only tells what would be done.
    """
    from rdaq_ophyd.frames import writer_mark  # HDF5 is loaded where there is something to do

    for path in sorted(layout.frames.rglob("*.h5")):
        name = str(path.relative_to(layout.root))
        try:
            mark = writer_mark(path)
            if mark is None or not mark.marked:
                continue
            if held.holds(path):
                yield Told(name, "is being written, left alone", "left")
            elif mark.missing:
                missing = f"cut off: {counted(mark.missing, 'byte')} are missing at its end"
                yield Told(name, f"{missing}; what is there opens with swmr=True", "failed")
            else:
                yield Told(name, _mend(path, act), "changed")
        except (OSError, ValueError) as error:
            yield Told(name, f"cannot be mended: {one_line(error)}", "failed")


def _mend(path: Path, act: bool) -> str:
    from rdaq_ophyd.frames import clear_mark, note_end, read_readable

    readable = read_readable(path)
    what = counted(readable.frame_count, "frame") + " readable" if readable.is_frames else "readable"
    if act:
        clear_mark(path)
        note_end(path, readable)
    cut = {name: readable.declared[name] - rows for name, rows in readable.rows.items()}
    lost = max(cut.values(), default=0)
    done = "its writer's mark is cleared" if act else "its writer died; the mark would be cleared"
    return f"{what}, {done}" + (f"; {counted(lost, 'row')} without data cut off" if lost else "")
