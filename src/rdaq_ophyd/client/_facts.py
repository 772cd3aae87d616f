"""What a server tells, as Python has it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from rdaq_ophyd.progress import Progress
from rdaq_ophyd.wire import from_value, messages


@dataclass(frozen=True)
class Location:
    """Where an axis is.

    :ivar setpoint: where it was sent.
    :ivar readback: where it is.
    :ivar limits: lowest and highest position, None where none are known.
    """

    setpoint: float
    readback: float
    units: str = ""
    limits: tuple[float, float] | None = None

    @classmethod
    def of(cls, message: messages.Location) -> Location:
        """As a message tells it."""
        return cls(message.setpoint, message.readback, message.units, limits(message))


@dataclass(frozen=True)
class Calibrated:
    """One value that a calibration was set to.

    :ivar timestamp: when, seconds since 1970.
    :ivar by: who, and ``why``.
    :ivar undone: it put back what was before.
    """

    name: str
    value: float
    units: str
    timestamp: float
    by: str
    why: str
    undone: bool


@dataclass(frozen=True)
class Suspender:
    """A condition that plans wait for.

    :ivar id: to remove it by.
    :ivar suspended: plans wait now, and ``why``.
    """

    id: str
    signal: str
    suspended: bool
    why: str


@dataclass(frozen=True)
class Session:
    """What a session keeps besides its devices.

    :ivar metadata: of every start document.
    :ivar positions: named positions, each axis in its own units.
    :ivar calibrations: what was set, oldest first.
    :ivar catalog_uri: address of Tiled on the server's machine; empty while there is none.
    :ivar follows: signals that follow others.
    """

    rig: str
    operator: str
    data_directory: str
    metadata: dict[str, Any] = field(repr=False)
    positions: dict[str, dict[str, float]]
    suspenders: list[Suspender]
    calibrations: list[Calibrated] = field(repr=False)
    catalog_uri: str
    follows: dict[str, str]

    @classmethod
    def of(cls, message: messages.SessionFacts) -> Session:
        """As a message tells it."""
        return cls(
            message.rig,
            message.operator,
            message.data_directory,
            json.loads(message.metadata),
            {name: dict(position.axes) for name, position in message.positions.items()},
            [Suspender(each.id, each.signal, each.suspended, each.why) for each in message.suspenders],
            [
                Calibrated(each.name, each.value, each.units, each.timestamp, each.by, each.why, each.undone)
                for each in message.calibrations
            ],
            message.catalog_uri,
            dict(message.follows),
        )


def limits(message: Any) -> tuple[float, float] | None:
    """Lowest and highest value, where they are told."""
    return (message.limits.low, message.limits.high) if message.HasField("limits") else None


def progress(message: messages.Progress) -> Progress:
    """How far something is."""
    return Progress(
        message.name,
        message.current,
        message.initial,
        message.target,
        message.units,
        message.elapsed,
        message.done,
    )


def readings(reply: messages.ReadReply) -> dict[str, Any]:
    """Readings as bluesky has them."""
    return {
        key: {"value": from_value(r.value), "timestamp": r.timestamp, "alarm_severity": r.severity}
        for key, r in reply.readings.items()
    }
