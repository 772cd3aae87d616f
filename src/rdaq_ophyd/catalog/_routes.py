"""Which run a document belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rdaq_ophyd.errors import CatalogError


class Routes:
    """Follows the references from document to document; several runs may be open at a time."""

    def __init__(self) -> None:
        self._run_of: dict[str, str] = {}
        self._open: dict[str, set[str]] = {}

    def run_of(self, name: str, document: Mapping[str, Any]) -> str:
        """The uid of the run that ``document`` belongs to; remembers it for those that will refer to it.

        :raises CatalogError: when it refers to nothing that was seen.
        """
        match name:
            case "start":
                uid = str(document["uid"])
                self._open[uid] = set()
                return uid
            case "stop":
                return str(document["run_start"])
            case "descriptor" | "resource" | "stream_resource":
                uid = str(document.get("run_start") or self._only_run(name))
                self._remember(str(document["uid"]), uid)
                return uid
            case "event" | "event_page":
                return self._look_up(name, str(document["descriptor"]))
            case "stream_datum":
                return self._look_up(name, str(document["stream_resource"]))
            case "datum" | "datum_page":
                return self._look_up(name, str(document["resource"]))
        raise CatalogError(
            f"documents of the kind {name!r} cannot be stored", hint="use event and event_page documents"
        )

    def forget(self, uid: str) -> None:
        """Drop what is known of a run that has ended."""
        for reference in self._open.pop(uid, ()):
            del self._run_of[reference]

    def _remember(self, reference: str, uid: str) -> None:
        if uid in self._open:
            self._run_of[reference] = uid
            self._open[uid].add(reference)

    def _only_run(self, name: str) -> str:
        if len(self._open) != 1:
            raise CatalogError(
                f"a {name} document names no run and {len(self._open)} runs are open",
                hint="give it a 'run_start'",
            )
        return next(iter(self._open))

    def _look_up(self, name: str, reference: str) -> str:
        try:
            return self._run_of[reference]
        except KeyError:
            raise CatalogError(
                f"a {name} document refers to {reference!r}, which no open run has",
                hint="look for an earlier error at the start of the run",
            ) from None
