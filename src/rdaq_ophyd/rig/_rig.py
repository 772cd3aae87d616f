"""Devices from the factories of a profile: made in the order of their needs, connected, closed."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import keyword
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bluesky.utils import maybe_await
from ophyd_async.core import DEFAULT_TIMEOUT, Device

from rdaq_ophyd.devices.calibration import Calibration
from rdaq_ophyd.errors import ProfileError, RdaqError, UnknownName
from rdaq_ophyd.stop import register, unregister

from . import _live
from ._follow import Follow
from ._loop_target import LoopTarget, foreign

if TYPE_CHECKING:
    from rdaq_ophyd.publish import Target

logger = logging.getLogger(__name__)

RESERVED = frozenset({"RE", "bp", "bpp", "bps", "c", "calibration", "paths", "positions", "rig", "session", "settings"})
"""Names that a session gives to other things: in its shell, to factories, and to the rig's calibration."""

__all__ = ["Rig", "where"]


def where(function: Callable[..., Any]) -> str:
    """``file:line`` of a function, for messages about it."""
    code = inspect.unwrap(function).__code__
    return f"{code.co_filename}:{code.co_firstlineno}"


@dataclass(frozen=True)
class _Entry:
    """One factory of a rig, in the order of the profile."""

    name: str
    make: Callable[..., Any]
    kind: str  # "device" or "resource"
    needs: tuple[str, ...]
    place: str  # file:line

    @classmethod
    def of(cls, factory: Callable[..., Any], kind: str) -> _Entry:
        needs = tuple(inspect.signature(factory).parameters)
        return cls(factory.__name__, factory, kind, needs, where(factory))


@dataclass
class Rig:
    """The devices of one bench and what they need.

    :param name: of the rig; recorded in every run as ``rig``.
    :param md: facts about the bench that every run should carry (location, laser class, …).
    """

    name: str
    md: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._values: dict[str, Any] = {}
        self._stack = contextlib.ExitStack()
        self._targets: dict[int, LoopTarget] = {}
        self._follows: dict[str, Follow] = {}
        self.follows: dict[str, str] = {}
        self.publishes: list[Target] = []
        self.devices: dict[str, Device] = {}
        self.failures: dict[str, Exception] = {}
        self.calibration = Calibration(name="calibration")
        _live.note(self)

    # -- what a profile calls -------------------------------------------------------------------------------

    def device[**P, D: Device](self, factory: Callable[P, D]) -> Callable[P, D]:
        """Register a factory: its name is the device's name, its parameters are what it needs."""
        self._add(_Entry.of(factory, "device"))
        return factory

    def resource[**P, T](self, factory: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
        """Register a generator function that yields something devices need and tidies up after its ``yield``."""
        self._add(_Entry.of(factory, "resource"))
        return factory

    def add(self, name: str, make: Callable[..., Device], *, needs: Iterable[str] = (), place: str) -> None:
        """Register a device that is described by data instead of a function.

        :param name: of the device.
        :param make: makes it; called with what it needs, by name.
        :param needs: names of other devices, resources and services.
        :param place: ``file:line`` of the description, for messages.
        """
        self._add(_Entry(name, make, "device", tuple(needs), place))

    def follow(self, signal: str, source: str) -> None:
        """After each set of ``source``, set ``signal`` to the same; ``"power_meter.wavelength", "laser.wavelength"``.

        Also before each run, and before each triggered reading of the device that ``signal`` belongs to.

        :param signal: name of what is set, dots reach into its device.
        :param source: name of what is followed.
        :raises ProfileError: ``signal`` follows something already.
        """
        if signal in self.follows:
            raise ProfileError(f"{signal} follows {self.follows[signal]} already", hint="it can follow one thing only")
        self.follows[signal] = source

    def publish(self, address: str) -> None:
        """Publish the documents of each run too: ``"zmq://127.0.0.1:5567?prefix=laser_lab"``.

        :param address: see :func:`rdaq_ophyd.publish.target_of`.
        :raises PublishError: it is none.
        :raises NotAllowed: another machine without keys, or without TLS.
        """
        from rdaq_ophyd.publish import target_of  # most rigs publish to nobody

        self.publishes.append(target_of(address))

    def _add(self, entry: _Entry) -> None:
        if entry.name in self._entries:
            first = self._entries[entry.name].place
            raise ProfileError(
                f"{entry.place}: {entry.name!r} is defined twice", hint=f"rename one; the first is at {first}"
            )
        if not entry.name.isidentifier() or entry.name.startswith("_"):
            raise ProfileError(f"{entry.place}: {entry.name!r} cannot be a device name", hint="rename it")
        if keyword.iskeyword(entry.name):
            raise ProfileError(f"{entry.place}: {entry.name!r} is a word of Python", hint="rename it")
        if entry.name in RESERVED:
            raise ProfileError(
                f"{entry.place}: {entry.name!r} is the name of something that each session has", hint="rename it"
            )
        self._entries[entry.name] = entry

    # -- what a session calls ---------------------------------------------------------------------------------

    def build(self, services: Mapping[str, Any] | None = None) -> None:
        """Make all resources and devices, in dependency order.

        :param services: what the session offers to factories by name (``paths``: a PathProvider, …).
        :raises ProfileError: when a factory needs a name that nobody provides, or factories need each other.
        """
        self._values = dict(services or {})
        if taken := next((entry for entry in self._entries.values() if entry.name in self._values), None):
            raise ProfileError(f"{taken.place}: {taken.name!r} is what the session offers itself", hint="rename it")
        self._check_names()
        for name in self._entries:
            self._make(name, ())

    def _check_names(self) -> None:
        for entry in self._entries.values():
            for need in entry.needs:
                if need not in self._entries and need not in self._values:
                    known = [*self._entries, *self._values]
                    what = f"{entry.place}: {entry.name}() needs {need!r}, which nothing here provides"
                    raise ProfileError(what, hint=UnknownName.among("name", need, known).hint)

    def _make(self, name: str, path: tuple[str, ...]) -> None:
        if name in self._values or name in self.failures:
            return
        entry = self._entries[name]
        if name in path:
            circle = " → ".join((*path[path.index(name) :], name))
            raise ProfileError(f"{entry.place}: factories need each other: {circle}", hint="break the circle")
        for need in entry.needs:
            if need in self._entries:
                self._make(need, (*path, name))
        try:
            failed = next((n for n in entry.needs if n in self.failures), None)
            if failed is not None:
                raise RdaqError(f"{name} needs {failed}, which failed: {self.failures[failed]}")
            made = entry.make(**{need: self._values[need] for need in entry.needs})
            self._values[name] = self._take(entry, made)
        except ProfileError:
            raise
        except Exception as error:  # noqa: BLE001 one broken instrument must not take the bench with it; reported in failures
            self._fail(name, error)

    def _take(self, entry: _Entry, made: Any) -> Any:
        if entry.kind == "resource":
            return self._stack.enter_context(contextlib.contextmanager(lambda: made)())
        if not isinstance(made, Device):
            raise ProfileError(
                f"{entry.place}: {entry.name}() returned {type(made).__name__}, not a device", hint="return it"
            )
        made.set_name(entry.name)
        self.devices[entry.name] = made
        return made

    def _fail(self, name: str, error: Exception) -> None:
        logger.info("device %s: %s", name, error)
        self.failures[name] = error
        self.devices.pop(name, None)

    async def connect(self, *, mock: bool = False, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Connect all devices in parallel; those that fail move from ``devices`` to ``failures``.

        Works while everything is stopped: connecting asks questions and sends safe settings only. What connected is
        part of every stop-all from now on.

        :param mock: connect to no hardware at all; nothing is there to be stopped then.
        :param timeout: seconds for each device.
        """
        await self.calibration.connect(mock=False)
        waiting = dict(self.devices)
        results = await asyncio.gather(
            *(d.connect(mock=mock, timeout=timeout) for d in waiting.values()), return_exceptions=True
        )
        for (name, device), result in zip(waiting.items(), results, strict=True):
            if (broken := self._failed_parent(device)) is not None:
                self._fail(name, RdaqError(f"{name} is part of {broken}, which failed: {self.failures[broken]}"))
            elif isinstance(result, Exception):
                self._fail(name, result)
            elif isinstance(result, BaseException):
                raise result
        if not mock:
            self._take_part(self.devices.values())
        await self._attach_follows()

    async def _attach_follows(self) -> None:
        for signal, source in self.follows.items():
            if signal in self._follows:
                continue
            try:
                follow = Follow(self[signal], self[source])
                await follow.attach()
            except Exception as error:  # noqa: BLE001 the devices work without it; reported in failures
                self.failures[signal] = RdaqError(
                    f"{signal} does not follow {source}: {error.what if isinstance(error, RdaqError) else error}",
                    hint=error.hint if isinstance(error, RdaqError) else "",
                )
            else:
                self.failures.pop(signal, None)
                self._follows[signal] = follow

    async def check_follows(self) -> None:
        """Bring each signal that follows another to it, where they differ; a failure is logged."""
        for follow in self._follows.values():
            await follow.check_or_tell()

    def _take_part(self, devices: Iterable[Device]) -> None:
        """Stop-all knows links and cameras; all other devices that can be stopped are told to it here."""
        loop = asyncio.get_running_loop()
        for device in foreign(devices):
            if id(device) not in self._targets:
                self._targets[id(device)] = target = LoopTarget(device, loop)
                register(target)

    def _failed_parent(self, device: Device) -> str | None:
        parent = device.parent
        while parent is not None:
            if parent.name in self.failures:
                return parent.name
            parent = parent.parent
        return None

    async def reconnect(self, name: str, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Try a failed device again (plugged in meanwhile); raises what is still wrong with it."""
        if name not in self._entries:
            raise UnknownName.among("device", name, self._entries)
        error = self.failures.pop(name, None)
        try:
            if name not in self._values:
                self._make(name, ())
                if name in self.failures:
                    raise self.failures[name]
            device = self._values[name]
            await device.connect(timeout=timeout, force_reconnect=True)
            self.devices[name] = device
            self._take_part([device])
            await self._attach_follows()
        except Exception as again:
            self.failures[name] = again
            raise again from error

    async def disconnect(self) -> None:
        """Close the devices that can be closed (links, cameras), last made first; a failure is logged.

        A stop-all does not reach them any more.
        """
        for target in self._targets.values():
            unregister(target)
        self._targets.clear()
        for follow in self._follows.values():
            follow.detach()
        self._follows.clear()
        for name, device in reversed(self.devices.items()):
            close = getattr(device, "close", None)
            if close is None:
                continue
            try:
                await maybe_await(close())
            except Exception:  # the other devices must be closed whatever this one does
                logger.exception("device %s did not close", name)

    def close(self) -> None:
        """Tidy up the resources, last made first."""
        self._stack.close()

    # -- what people ask ------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        """The device of that name (only its profile knows its class); dots reach into it (``cam.exposure``).

        :raises UnknownName: with the nearest names, or with the reason why the device failed.
        """
        head, *rest = name.split(".")
        if head in self.failures:
            raise UnknownName(f"device {head!r} is not available: {self.failures[head]}")
        if head == "calibration":
            found: Device = self.calibration
        elif head in self.devices:
            found = self.devices[head]
        else:
            raise UnknownName.among("device", name, self.devices)
        for part in rest:
            children = dict(found.children())
            if part not in children:
                raise UnknownName.among("device", name, (f"{head}.{child}" for child in children))
            found = children[part]
        return found

    @contextlib.asynccontextmanager
    async def running(self, services: Mapping[str, Any] | None = None, *, mock: bool = False) -> AsyncIterator[Rig]:
        """Build, connect and finally close, inside an event loop of one's own (tests, scripts without plans)."""
        self.build(services)
        try:
            await self.connect(mock=mock)
            yield self
        finally:
            await self.disconnect()
            self.close()
