"""Calibrations of a rig: numbers that turn what an instrument says into what it means."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ophyd_async.core import (
    DEFAULT_TIMEOUT,
    AsyncStatus,
    Device,
    DeviceMock,
    SignalRW,
    SoftSignalBackend,
    StandardReadable,
)

from rdaq_ophyd.errors import LimitError, ProfileError, RdaqError, UnknownName

from ._calibration_file import CalibrationEntry, CalibrationFile, in_force, now

__all__ = ["Calibration", "CalibrationEntry"]

SECONDS = 10.0
"""In which a value set from another thread must hold: one write to the disk."""
_REASON: ContextVar[tuple[str, str]] = ContextVar("who sets a calibration, and why", default=("", ""))


@dataclass
class _Number:
    """One calibration: the profile's value, and the signal."""

    value: float
    units: str
    backend: _KeptBackend


class _KeptBackend(SoftSignalBackend[float]):
    """A value in memory that is kept before it holds.

    :param keep: writes it down; given the value, returns it.
    """

    def __init__(self, keep: Callable[[float], Awaitable[float]], value: float, units: str, precision: int) -> None:
        super().__init__(float, value, units, precision)
        self._keep = keep

    async def put(self, value: Any) -> None:
        """Keep it, then let it hold.

        :raises RdaqError: it cannot be kept.
        """
        self.hold(await self._keep(self.initial_value if value is None else value))

    def hold(self, value: float) -> None:
        """Let it hold; a value that holds already keeps its time stamp."""
        if value != self.reading["value"]:
            self.set_value(value)
        self._setpoint = value


@dataclass(frozen=True)
class Reasoned:
    """A calibration as a plan sets it that can say why.

    :param name: of the calibration's signal.
    """

    name: str
    parent: None
    _put: Callable[[float], Coroutine[Any, Any, None]]

    def set(self, value: float) -> AsyncStatus[None]:
        """Set it and keep it, with the reason."""
        return AsyncStatus(self._put(value))


class Calibration(StandardReadable):
    """Named numbers with units, recorded in the baseline and the start document of every run.

    ``rig.calibration.add("pixel_size", 3.45, units="um")`` makes the signal ``rig.calibration.pixel_size``. However
    it is set, by :meth:`set`, :meth:`put` or a plan (``bps.mv``), the value is kept with its date, and holds in later
    sessions too.
    """

    def __init__(self, name: str = "") -> None:
        self._numbers: dict[str, _Number] = {}
        self._file = CalibrationFile(None, "")
        self._by = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        super().__init__(name=name)

    def add(self, name: str, value: float, *, units: str, precision: int = 6) -> SignalRW[float]:
        """Add a calibration.

        :param name: an identifier; the data key is ``calibration-<name>``.
        :param value: the one that holds until another is set, finite.
        :param units: of the value, e.g. ``"um"``; ``""`` for a pure number.
        :param precision: digits after the decimal point to show.
        :raises LimitError: when the value is not a finite number.
        :raises ProfileError: the name cannot be used, or is used already.
        """
        _finite(name, value)
        if not name.isidentifier() or name.startswith("_") or hasattr(self, name):
            raise ProfileError(f"calibration {name!r}: the name is taken or no identifier", hint="choose another")

        backend = _KeptBackend(partial(self._keep, name), value, units, precision)
        signal = SignalRW(backend)
        self._numbers[name] = _Number(value, units, backend)
        setattr(self, name, signal)
        self.add_readables([signal])
        return signal

    # -- what a session does with it ----------------------------------------------------------------------------

    def keep_in(self, path: Path, *, rig: str, by: str) -> None:
        """Keep the values in a file, and let those that it holds already hold from now on.

        :param rig: its name; the file of another rig is refused.
        :param by: who sets values in this session.
        :raises RdaqError: the file cannot be understood; nothing in it is changed.
        :raises ProfileError: it has a value in other units than the profile.
        """
        self._file, self._by = CalibrationFile(path, rig), by
        self._apply()

    def refresh(self) -> None:
        """Let values that another session has set meanwhile hold here too. In the event loop."""
        self._file.refresh()
        self._apply()

    def summary(self) -> dict[str, dict[str, Any]]:
        """The value of each, its units, and when, by whom and why it was set; for the start document."""
        found: dict[str, dict[str, Any]] = {}
        for name, number in self._numbers.items():
            said: dict[str, Any] = {"value": self.value(name), "units": number.units}
            if kept := in_force(self._file.entries, name):
                last = kept[-1]
                said |= {"time": last.time, "by": last.by, "why": last.why}
            else:
                said["by"] = "profile"
            found[name] = said
        return found

    async def connect(
        self, mock: bool | DeviceMock[Device] = False, timeout: float = DEFAULT_TIMEOUT, force_reconnect: bool = False
    ) -> None:
        """Remember the event loop; there is no hardware."""
        self._loop = asyncio.get_running_loop()
        await super().connect(mock, timeout, force_reconnect)

    # -- what people do with it ---------------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """All calibrations."""
        return list(self._numbers)

    def value(self, name: str) -> float:
        """The value that holds now. Any thread.

        :raises UnknownName: with the nearest names.
        """
        return float(self._number(name).backend.reading["value"])

    def units(self, name: str) -> str:
        """Of a calibration.

        :raises UnknownName: with the nearest names.
        """
        return self._number(name).units

    def set(self, name: str, value: float, *, why: str, by: str = "") -> None:
        """Set a value and keep it; for the prompt and for scripts. In async code: ``await calibration.put(...)``.

        :param why: the reason, recorded.
        :param by: who; the session's operator unless given.
        :raises UnknownName: with the nearest names.
        :raises LimitError: the value is not a finite number.
        :raises RdaqError: it cannot be kept; the old one holds on.
        """
        self._in_loop(self.put(name, value, why=why, by=by))

    async def put(self, name: str, value: float, *, why: str, by: str = "") -> None:
        """The same as :meth:`set`, in async code."""
        self._number(name)
        token = _REASON.set((by or self._by, why))
        try:
            signal: SignalRW[float] = getattr(self, name)
            await signal.set(value)
        finally:
            _REASON.reset(token)

    def because(self, signal: Any, why: str, by: str = "") -> Reasoned:
        """One of the calibrations, for a plan to set with a reason: ``bps.mv(calibration.because(signal, why), 3.46)``.

        :param signal: such as ``calibration.pixel_size``.
        :param by: who; the session's operator unless given.
        :raises UnknownName: it is none of these.
        """
        for name in self._numbers:
            if getattr(self, name) is signal:
                return Reasoned(signal.name, None, partial(self.put, name, why=why, by=by))
        raise UnknownName.among("calibration", getattr(signal, "name", repr(signal)), self._numbers)

    def undo(self, name: str, *, why: str, by: str = "") -> float:
        """Put back the value that held before the last one; again, the one before that, up to the profile's.

        :return: the value that holds now.
        :raises RdaqError: nothing was set.
        """
        return self._in_loop(self._undo(name, why, by or self._by))

    def history(self, name: str | None = None) -> list[CalibrationEntry]:
        """All that was set and taken back, oldest first; of one calibration, or of all."""
        if name is not None:
            self._number(name)
        self._file.refresh()
        return [entry for entry in self._file.entries if name in (None, entry.name)]

    # -- within -------------------------------------------------------------------------------------------------

    def _number(self, name: str) -> _Number:
        if name not in self._numbers:
            raise UnknownName.among("calibration", name, self._numbers)
        return self._numbers[name]

    async def _keep(self, name: str, value: float) -> float:
        _finite(name, value)
        by, why = _REASON.get()
        entry = CalibrationEntry(
            name=name, value=float(value), units=self._numbers[name].units, time=now(), by=by or self._by, why=why
        )
        await asyncio.to_thread(self._file.add, entry)
        return entry.value

    async def _undo(self, name: str, why: str, by: str) -> float:
        number = self._number(name)
        entry = await asyncio.to_thread(self._file.take_back, name, number.value, number.units, by, why)
        number.backend.hold(entry.value)
        return entry.value

    def _apply(self) -> None:
        entries = self._file.entries
        for name, number in self._numbers.items():
            kept = in_force(entries, name)
            if kept and kept[-1].units != number.units:
                what = f"calibration {name}: {number.units!r} in the profile, {kept[-1].units!r} in {self._file.path}"
                raise ProfileError(what, hint="give the profile the old units, or the calibration another name")
            number.backend.hold(kept[-1].value if kept else number.value)

    def _in_loop[T](self, work: Coroutine[Any, Any, T]) -> T:
        loop = self._loop
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not None and (loop is None or running is loop):
            work.close()
            raise RdaqError("a calibration is set from within the event loop", hint="await calibration.put(...) there")
        if loop is None or not loop.is_running():
            return asyncio.run(work)
        return asyncio.run_coroutine_threadsafe(work, loop).result(SECONDS)


def _finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise LimitError(f"calibration {name} = {value} is not a finite number", hint="give its measured value")
