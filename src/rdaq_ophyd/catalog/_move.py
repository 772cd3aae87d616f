"""``rdaq catalog move``: a rig's own catalog taken over into the shared one, every run compared at both ends.

Nothing of the old catalog is changed before all runs are there. What was moved and compared is noted run by run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rdaq_ophyd.errors import CatalogError

from ._alone import alone
from ._check import check
from ._compare import Reader
from ._credentials import api_key, server_address
from ._layout import DataLayout
from ._lock import is_held
from ._move_runs import Movers, Moving
from ._move_state import MoveState
from ._rebuild import put_aside, serving, waiting
from ._runfile import SUFFIX, RunFileReader
from ._shared import FILE, SharedCatalog, place
from ._told import Told, counted
from ._worker import Worker

_STALLED = 120.0
_LOOK_EVERY = 0.05


def move(layout: DataLayout, shared: SharedCatalog, *, every_frame: bool = False) -> Iterator[Told]:
    """Bring every recorded run into the shared catalog and compare it there; then let the rig write there.

    :param every_frame: compare all frames; else the first, middle and last of each array that lies in files.
    :raises CatalogError: a session works in the data directory, or the shared catalog is not fit.
    :raises DataDirectoryError: there is no such data directory.
    """
    with ExitStack() as stack:
        worker_lives = stack.enter_context(alone(layout))
        _refuse_sessions(layout, worker_lives=worker_lives)
        state = MoveState(layout, shared.uri)
        yield from _fit(layout, shared)
        old = stack.enter_context(_old(layout)) if (layout.catalog / "catalog.db").exists() else None
        new = Reader(shared.uri, shared.writer.read())
        stack.callback(new.close)
        client = shared.connect()
        stack.callback(client.context.close)
        moving = Moving(layout, Movers(old, new, client), shared.paths, state, every_frame=every_frame)
        left = 0
        for line in moving.run(_recorded(layout)):
            left += line.kind != "changed"
            yield line
        if left:
            text = f"{counted(left, 'thing')} above to be seen to; until then the rig keeps its own catalog"
            yield Told(shared.uri, text, "failed")
            return
    yield from _change_over(layout, shared, state)


def _refuse_sessions(layout: DataLayout, *, worker_lives: bool) -> None:
    if worker_lives or is_held(layout.catalog / "server.lock") or any(map(is_held, layout.owners.glob("*"))):
        raise CatalogError(
            f"a session works in the data directory {str(layout.root)!r}",
            hint="close it, then move; what was moved already is noted and not moved again",
        )


def _fit(layout: DataLayout, shared: SharedCatalog) -> Iterator[Told]:
    wrong = [finding for finding in check(layout, shared) if finding.kind == "failed"]
    if wrong:
        raise CatalogError(
            "the shared catalog is not fit: " + "; ".join(f"{one.about}: {one.text}" for one in wrong),
            hint="mend that first: rdaq catalog check says how",
        )
    yield Told(shared.uri, "is fit for this rig", "changed")


def _recorded(layout: DataLayout) -> list[Path]:
    """Files of all runs that the old catalog was given, in the order in which they began."""
    found = [path for folder in (layout.delivered, layout.interrupted) for path in folder.glob(f"*{SUFFIX}")]

    def began(path: Path) -> float:
        header = RunFileReader(path).header
        return header.created if header else 0.0

    return sorted(found, key=began)


@contextmanager
def _old(layout: DataLayout) -> Iterator[Reader]:
    """The rig's own catalog, served while the block lasts."""
    with serving(layout):
        address = server_address(layout)
        if address is None:
            raise CatalogError("Tiled says not where it serves", hint=f"see {str(layout.catalog / 'server.log')!r}")
        reader = Reader(address.uri, api_key(layout))
        try:
            yield reader
        finally:
            reader.close()


def _change_over(layout: DataLayout, shared: SharedCatalog, state: MoveState) -> Iterator[Told]:
    """From here on the rig writes into the shared catalog; what waits in the spool goes there too."""
    with alone(layout) as worker_lives:
        _refuse_sessions(layout, worker_lives=worker_lives)
        place(shared, layout.root / FILE)
        yield Told(str(layout.root / FILE), "says that this rig writes into the shared catalog", "changed")
        yield from _drain(layout, shared)
        stamp = time.strftime("%Y%m%d-%H%M%S")
        state.finish(layout.catalog / f"moved-{stamp}.json")
        if (kept := put_aside(layout)) is not None:
            yield Told(str(kept.relative_to(layout.root)), "the old catalog; delete it when you are sure", "changed")


def _drain(layout: DataLayout, shared: SharedCatalog) -> Iterator[Told]:
    pending = {path.stem for path in layout.spool.glob(f"*{SUFFIX}")}
    worker = Worker(layout, shared.connect)
    stalled, before = time.monotonic(), -1
    try:
        while worker.deliver() or waiting(layout):
            left = sum(path.stat().st_size for path in layout.spool.glob(f"*{SUFFIX}"))
            if left != before:
                stalled, before = time.monotonic(), left
            if time.monotonic() - stalled > _STALLED:
                break
            time.sleep(_LOOK_EVERY)
    finally:
        worker.close()
    left_over = {path.stem for path in layout.spool.glob(f"*{SUFFIX}")}
    for uid in sorted(pending - left_over):
        yield Told(f"run {uid}", "waited in the spool, is in the shared catalog", "changed")
    for uid in sorted(left_over):
        yield Told(f"run {uid}", "waits in the spool; the next session goes on with it", "left")
