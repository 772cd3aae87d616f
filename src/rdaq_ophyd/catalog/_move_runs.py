"""Runs of a rig's own catalog, written into the shared one and compared there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from rdaq_ophyd.document_lines import Document
from rdaq_ophyd.errors import CatalogError

from ._compare import Node, Reader, differences
from ._layout import DataLayout
from ._move_state import MoveState
from ._path_map import PathMap
from ._runfile import SUFFIX, RunFileReader
from ._told import Told, counted, one_line

_RUN = "BlueskyRun"


class Movers(NamedTuple):
    """What reads and what writes.

    :param old: the rig's own catalog; None where it has none (any more).
    :param new: the shared one.
    :param client: Tiled's client of it, with the rig's key.
    """

    old: Reader | None
    new: Reader
    client: Any


class Moving:
    """Moves what is not noted as moved.

    :param paths: where the server sees the files.
    """

    def __init__(
        self, layout: DataLayout, movers: Movers, paths: PathMap, state: MoveState, *, every_frame: bool
    ) -> None:
        self.layout, self.movers, self.paths, self.state = layout, movers, paths, state
        self.every_frame = every_frame

    def run(self, recorded: list[Path]) -> Iterator[Told]:
        """All of them; what could not be moved is told as ``left`` or ``failed``."""
        before = list(self.movers.old.children()) if self.movers.old else []
        known = {node.path for node in before}
        files = {path.stem: path for path in recorded}
        for uid, path in files.items():
            yield from self._moved(uid, _documents(path), known)
        for node in before:
            if node.path not in files:
                yield from self._unrecorded(node, known)
        yield from self._counted(known | files.keys())

    def _moved(self, uid: str, documents: Iterable[list[tuple[str, Document]]], known: set[str]) -> Iterator[Told]:
        if uid in self.state.moved:
            return
        about = f"run {uid}"
        try:
            self._deliver(uid, documents)
            if self.movers.old is not None and uid in known:
                self._carry_edits(uid)
                wrong = differences(self.movers.old, self.movers.new, uid, every_frame=self.every_frame)
            else:
                wrong = [] if self.movers.new.node(uid) else ["it is not there"]
        except (httpx.HTTPError, CatalogError, OSError) as error:
            yield Told(about, f"could not be moved: {one_line(error)}", "failed")
            return
        if wrong:
            yield Told(about, f"is not the same in both: {'; '.join(wrong)}", "failed")
            return
        self.state.note(uid)
        same = "moved, the same in both" if uid in known else "moved; the old catalog did not have it"
        yield Told(about, same, "changed")

    def _deliver(self, uid: str, documents: Iterable[list[tuple[str, Document]]]) -> None:
        from ._run_writer import RunDelivery

        delivery = RunDelivery(self.movers.client, uid, paths=self.paths)
        for block in documents:
            delivery.write(block)

    def _carry_edits(self, uid: str) -> None:
        """Metadata that people changed in the old catalog after the run; the record on disk does not have it."""
        old, new = self.movers.old, self.movers.new
        top = old.node(uid) if old else None
        if old is None or top is None:
            return
        for node in old.below(top):
            there = new.node(node.path)
            if there is not None and there.attributes["metadata"] != node.attributes["metadata"]:
                new.put_metadata(node)

    def _unrecorded(self, node: Node, known: set[str]) -> Iterator[Told]:
        """A run whose file is lost is told by the old catalog itself."""
        if not any(spec["name"] == _RUN for spec in node.attributes["specs"]):
            text = "is no run; it stays in the old catalog: copy it with tiled.client.sync, then delete it there"
            yield Told(node.path, text, "left")
        elif node.path not in self._waiting():  # else it goes from the spool, once the rig writes elsewhere
            yield from self._moved(node.path, self._told_by_the_old(node.path), known)

    def _told_by_the_old(self, uid: str) -> Iterator[list[tuple[str, Document]]]:
        if self.movers.old is not None:
            yield [(name, document) for name, document in self.movers.old.documents(uid)]

    def _waiting(self) -> set[str]:
        return {path.stem for path in self.layout.spool.glob(f"*{SUFFIX}")}

    def _counted(self, wanted: set[str]) -> Iterator[Told]:
        """Each run of both records is in the shared catalog now, or waits in the spool."""
        there = {uid for uid in wanted & self.state.moved if self.movers.new.node(uid) is not None}
        if lost := sorted((wanted & self.state.moved) - there):
            yield Told("runs", f"moved before and not there any more: {', '.join(lost)}", "failed")
            return
        waiting = len(wanted & self._waiting())
        text = f"{len(there)} of {counted(len(wanted), 'run')} are there"
        yield Told("runs", text + (f", {waiting} in the spool follow" if waiting else ""), "changed")


def _documents(path: Path) -> Iterator[list[tuple[str, Document]]]:
    """The documents of a run's file, a block at a time."""
    reader = RunFileReader(path)
    while block := reader.read():
        yield block
