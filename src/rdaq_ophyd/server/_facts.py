"""What a session keeps besides its devices, for clients: metadata, positions, calibrations, suspenders, the catalog."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable
from typing import Any

from ophyd_async.core import SignalR

from rdaq_ophyd.devices.calibration import CalibrationEntry
from rdaq_ophyd.document_lines import plain
from rdaq_ophyd.errors import LimitError, RdaqError, UnknownName
from rdaq_ophyd.startup import Session, check_metadata, check_not_the_sessions
from rdaq_ophyd.suspenders import link_lost, power_below, temperature_outside
from rdaq_ophyd.wire import messages, this_host

SUSPENDERS: dict[str, tuple[Callable[..., Any], tuple[str, ...], tuple[str, ...]]] = {
    "power_below": (power_below, ("floor",), ("resume", "settle")),
    "temperature_outside": (temperature_outside, ("low", "high"), ("settle",)),
    "link_lost": (link_lost, (), ("settle",)),
}
"""By kind: who makes it, the numbers that it must have, and those that it may have."""


class Facts:
    """The session's keepings; its methods wait, and belong into a thread."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # -- looking --------------------------------------------------------------------------------------------

    def now(self) -> messages.SessionFacts:
        """All of it, as it is now."""
        session = self._session
        catalog = session.catalog
        return messages.SessionFacts(
            rig=session.rig.name,
            operator=session.settings.operator,
            data_directory=str(session.settings.data_dir),
            metadata=json.dumps(dict(session.RE.md), default=plain),
            positions={name: messages.Position(axes=session.positions[name]) for name in list(session.positions)},
            suspenders=[_suspender(each) for each in session.RE.suspenders],
            calibrations=[_calibration(entry) for entry in session.rig.calibration.history()],
            catalog_uri=catalog.uri if catalog.serving else "",
            follows=dict(session.rig.follows),
        )

    def catalog(self) -> messages.Catalog:
        """Its address and its key; waits until it is there.

        :raises CatalogError: it does not come up.
        """
        catalog = self._session.catalog
        everywhere = catalog.shared is not None and not catalog.shared.on_loopback
        return messages.Catalog(uri=catalog.ready(), key=str(catalog.api_key), host="" if everywhere else this_host())

    # -- changing -------------------------------------------------------------------------------------------

    def change(self, request: messages.SessionChange, who: str) -> None:
        """Change one thing.

        :param who: asks for it; recorded where the shell records the operator.
        :raises LimitError: it is none of those that can be changed so.
        """
        match request.WhichOneof("change"):
            case "metadata":
                self._metadata(request.metadata.key, request.metadata.json)
            case "position":
                self._position(request.position.name, dict(request.position.axes))
            case "undo_calibration":
                undo = request.undo_calibration
                self._session.rig.calibration.undo(undo.name, why=_reason(undo.name, undo.why), by=who)
            case "suspend":
                self._suspend(request.suspend)
            case "remove_suspender":
                self._remove_suspender(request.remove_suspender)
            case _:
                raise LimitError("nothing is to be changed", hint="give metadata, a position, a suspender, …")

    def _metadata(self, key: str, text: str) -> None:
        md = self._session.RE.md
        if not text:
            check_not_the_sessions(key)
            if key not in md:
                raise UnknownName.among("metadata", key, md)
            del md[key]
            return
        value = _value(key, text)
        check_metadata({key: value})
        try:
            md[key] = value
        except TypeError as error:  # orjson: an integer beyond 64 bit, nested too deeply
            raise LimitError(
                f"metadata {key} cannot be kept: {error}", hint="give whole text, smaller numbers, nest less"
            ) from error

    def _position(self, name: str, axes: dict[str, float]) -> None:
        if not name.strip():
            raise LimitError("a position without a name", hint="give one")
        if not axes:
            self._session.positions.remove(name)
            return
        for axis, value in axes.items():
            self._session.rig[axis]  # there must be one
            if not math.isfinite(value):
                raise LimitError(f"{name}: {axis} = {value} is not a finite position", hint="give a number")
        self._session.positions.put(name, axes)

    def _suspend(self, wanted: messages.SessionChange.NewSuspender) -> None:
        if wanted.kind not in SUSPENDERS:
            raise UnknownName.among("suspender", wanted.kind, SUSPENDERS)
        make, needs, takes = SUSPENDERS[wanted.kind]
        signal = self._session.rig[wanted.signal]
        if not isinstance(signal, SignalR):
            raise LimitError(f"{wanted.signal} is no signal that can be watched", hint="name one: power_meter.power")
        numbers = dict(wanted.numbers)
        hint = f"its numbers: {', '.join((*needs, *(f'{each} if need be' for each in takes)))}"
        if missing := [need for need in needs if need not in numbers]:
            raise LimitError(f"{wanted.kind} without {', '.join(missing)}", hint=hint)
        if others := sorted(numbers.keys() - {*needs, *takes}):
            raise LimitError(f"{wanted.kind} has no {', '.join(others)[:100]}", hint=hint)
        required = [numbers.pop(need) for need in needs]
        self._session.RE.install_suspender(make(signal, *required, **numbers))

    def _remove_suspender(self, wanted: str) -> None:
        known = {_id(each): each for each in self._session.RE.suspenders}
        if wanted not in known:
            raise UnknownName.among("suspender", wanted, known)
        self._session.RE.remove_suspender(known[wanted])


def _suspender(suspender: Any) -> messages.Suspender:
    tripped = bool(suspender.tripped)
    why = str(suspender.get_futures()[1]) if tripped else ""
    return messages.Suspender(id=_id(suspender), signal=_signal_of(suspender), suspended=tripped, why=why)


def _id(suspender: Any) -> str:
    return f"{type(suspender).__name__}-{id(suspender):x}"


def _signal_of(suspender: Any) -> str:
    return str(getattr(suspender._sig, "name", ""))  # bluesky's suspenders have no public way to tell it


def _calibration(entry: CalibrationEntry) -> messages.CalibrationChange:
    return messages.CalibrationChange(
        name=entry.name,
        value=entry.value,
        units=entry.units,
        timestamp=datetime.datetime.fromisoformat(entry.time).timestamp(),
        by=entry.by,
        why=entry.why,
        undone=entry.kind == "undo",
    )


def _reason(name: str, why: str) -> str:
    if not why.strip():
        raise RdaqError(f"{name}: no reason", hint="say why it is taken back, for whoever looks back")
    return why.strip()


def _value(key: str, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_not_finite)
    except (ValueError, RecursionError) as error:
        raise LimitError(f"metadata {key}: {text[:80]!r} is no JSON: {error}", hint="give JSON") from error


def _not_finite(word: str) -> float:
    raise ValueError(f"{word} is no JSON")
