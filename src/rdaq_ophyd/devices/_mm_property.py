"""Properties of Micro-Manager's devices as signals: limits and allowed values are the adapter's own."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from event_model import Limits, LimitsRange
from ophyd_async.core import Device, SignalRW, SoftSignalBackend

from rdaq_ophyd.errors import LimitError, MicroManagerError, UnknownName

from ._mm_core import MicroManager


@dataclass(frozen=True)
class Property:
    """One property of a device of Micro-Manager.

    :param name: in Micro-Manager, such as ``"Gain"``.
    :param datatype: str (also for a choice of allowed values), int or float.
    :param units: of the number.
    :param harmless: of a camera: it changes neither its images nor their number, and may be set while a file is open.
    """

    name: str
    datatype: type[str] | type[int] | type[float] = str
    units: str | None = None
    harmless: bool = False


class PropertySignals(Device):
    """Chosen properties of one device, each a signal of the name given to it.

    :param mm: the core.
    :param label: of the device in the configuration.
    :param properties: name of the signal -> property.
    :param guard: refuses changes of properties that are not ``harmless`` when they are not possible now.
    :ivar mock: there is no Micro-Manager; signals keep what is put into them.
    """

    def __init__(
        self,
        mm: MicroManager,
        label: str,
        properties: Mapping[str, Property],
        guard: Callable[[], None] = lambda: None,
        name: str = "",
    ) -> None:
        self._mm, self._label, self._guard = mm, label, guard
        self.mock = False
        self._backends = {attribute: self._backend(given) for attribute, given in properties.items()}
        self._properties = dict(properties)
        for attribute, backend in self._backends.items():
            setattr(self, attribute, SignalRW(backend))
        super().__init__(name=name)

    def signals(self) -> list[SignalRW[Any]]:
        """All of them, for the configuration."""
        return [getattr(self, attribute) for attribute in self._backends]

    async def learn(self) -> None:
        """Ask for limits and allowed values.

        :raises UnknownName: the device has no such property.
        """
        for attribute, backend in self._backends.items():
            given = self._properties[attribute]
            facts = await self._mm.ask(self._label, f"{self._label}: {given.name}", _Facts.of(self._label, given.name))
            if given.datatype is str and facts.allowed:
                backend.metadata["choices"] = list(facts.allowed)
            if given.datatype is not str and facts.limits is not None:
                backend.metadata["limits"] = Limits(control=LimitsRange(low=facts.limits[0], high=facts.limits[1]))

    def _backend(self, given: Property) -> SoftSignalBackend[Any]:
        async def get() -> Any:
            if self.mock:
                return backend.reading["value"]
            what = f"{self._label}: {given.name} cannot be read"
            text = await self._mm.ask(self._label, what, lambda core: core.getProperty(self._label, given.name))
            return _parse(self._label, given, text)

        async def put(value: Any) -> Any:
            if self.mock:
                return value
            facts = await self._mm.ask(self._label, f"{self._label}: {given.name}", _Facts.of(self._label, given.name))
            text = facts.check(f"{self._label}: {given.name}", given.datatype, value)
            if not given.harmless:
                await asyncio.to_thread(self._guard)
            what = f"{self._label}: {given.name} cannot be set to {text}"
            await self._mm.ask(self._label, what, lambda core: core.setProperty(self._label, given.name, text))
            return await get()

        backend: SoftSignalBackend[Any] = SoftSignalBackend(
            given.datatype, None, given.units, None, getter=get, setter=put
        )
        return backend


@dataclass(frozen=True)
class _Facts:
    allowed: tuple[str, ...]
    limits: tuple[float, float] | None
    read_only: bool

    @classmethod
    def of(cls, label: str, name: str) -> Callable[[Any], _Facts]:
        def ask(core: Any) -> _Facts:
            if not core.hasProperty(label, name):
                raise UnknownName.among(f"property of {label}", name, core.getDevicePropertyNames(label))
            limits = None
            if core.hasPropertyLimits(label, name):
                limits = (core.getPropertyLowerLimit(label, name), core.getPropertyUpperLimit(label, name))
            allowed = tuple(core.getAllowedPropertyValues(label, name))
            return cls(allowed, limits, bool(core.isPropertyReadOnly(label, name)))

        return ask

    def check(self, what: str, datatype: type, value: Any) -> str:
        """The text for a value that is allowed.

        :raises LimitError: it is not; names what is.
        """
        if self.read_only:
            raise MicroManagerError(f"{what} is read-only", hint="read it")
        if datatype is not str and not math.isfinite(value):
            raise LimitError(f"{what}: {value} is not a finite number", hint="give a number")
        text = str(value)
        if self.allowed:
            for known in self.allowed:
                if known == text or (datatype is not str and float(known) == value):
                    return known
            raise LimitError(f"{what} cannot be {text!r}", hint=f"choose from {', '.join(self.allowed)}")
        if self.limits is not None and not self.limits[0] <= float(value) <= self.limits[1]:
            raise LimitError(f"{what} cannot be {text}", hint=f"choose from {self.limits[0]:g} to {self.limits[1]:g}")
        return text


def _parse(label: str, given: Property, text: str) -> Any:
    if given.datatype is str:
        return text
    try:
        number = float(text)
        return int(number) if given.datatype is int and number.is_integer() else given.datatype(text)
    except ValueError as error:
        raise MicroManagerError(
            f"{label}: {given.name} is {text!r}, no {given.datatype.__name__}",
            hint=f"declare it as Property({given.name!r}, str)",
        ) from error
