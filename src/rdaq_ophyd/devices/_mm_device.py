"""What every device under Micro-Manager has besides its signals: opening, closing, and its part of a stop-all."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

from ophyd_async.core import Device, DeviceConnector, DeviceMock

from rdaq_ophyd.errors import MicroManagerError, RdaqError
from rdaq_ophyd.stop import Outcome, Verdict, register, unregister

from ._mm_core import MicroManager

BOUND = 5.0
"""Seconds in which a device must have come to rest after a stop."""
_LOOK = 0.02  # s, between two questions whether it is busy


class Session:
    """Holds one label of the configuration, from the connection of its device until that is closed, or gone.

    :param owner: the device; nothing here keeps it alive.
    :param safe: what makes it safe, called with the core in a thread of its own.
    :param is_safe: whether it is.
    :param first: light and shutters, before everything that moves.
    """

    bound = 2 * BOUND

    def __init__(
        self,
        mm: MicroManager,
        label: str,
        owner: Device,
        safe: Callable[[Any], None],
        is_safe: Callable[[Any], bool],
        *,
        first: bool = False,
    ) -> None:
        self.mm, self.label, self.first = mm, label, first
        self._owner = weakref.ref(owner)
        self._safe, self._is_safe = safe, is_safe
        self._on_halt: list[Callable[[], None]] = []
        self.mock = False
        self._open = False
        self._stopping: Future[None] | None = None
        self._begun = 0.0
        weakref.finalize(owner, self.close)

    def _name(self) -> str:
        return getattr(self._owner(), "name", "") or self.label

    def on_halt(self, call: Callable[[], None]) -> None:
        """Call this, from whatever thread, before the stop is sent. It must not keep the device alive."""
        self._on_halt.append(call)

    async def open(self, kind: str) -> None:
        """Load Micro-Manager if nobody did, and make sure that the device is of its kind.

        :raises MicroManagerError: it is another one, or what is missing.
        """
        if self._open:
            return
        await asyncio.to_thread(self.mm.hold, self.label)
        self._open = True
        wanted = getattr(self.mm.module, kind)
        if await self.mm.ask(self.label, self.label, lambda core: core.getDeviceType(self.label)) != wanted:
            self.close()
            raise MicroManagerError(
                f"{self._name()}: Micro-Manager's device {self.label!r} is no {kind}",
                hint="use the class of its kind, or another label",
            )
        register(self)

    def close(self) -> None:
        """Let go of it; idempotent."""
        unregister(self)
        if self._open:
            self._open = False
            self.mm.release(self.label)

    # -- stopping -------------------------------------------------------------------------------------------

    def devices(self) -> list[str]:
        """The device."""
        return [self._name()]

    def halt(self) -> None:
        """Make it safe, past all that waits, from any thread, without waiting."""
        self._begun = time.monotonic()
        for call in self._on_halt:
            call()
        if self._open:
            self._stopping = self.mm.now(self.label, f"{self._name()} cannot be stopped", self._safe)

    def confirm(self) -> list[Verdict]:
        """Wait until it is safe."""
        begun = self._begun or time.monotonic()
        outcome, detail = Outcome.CONFIRMED, ""
        try:
            self.wait(BOUND)
        except (RdaqError, TimeoutError) as error:
            outcome, detail = Outcome.UNCONFIRMED, str(error) or f"Micro-Manager did not answer within {BOUND:g} s"
        return [Verdict(self._name(), outcome, seconds=time.monotonic() - begun, detail=detail)]

    def recheck(self) -> list[Verdict]:
        """Look again whether it is safe."""
        self._begun = time.monotonic()
        return self.confirm()

    def wait(self, seconds: float) -> None:
        """Wait in a thread until the stop was taken and the device is safe.

        :raises TimeoutError: it is not within ``seconds``.
        :raises MicroManagerError: the adapter refused the stop.
        """
        end = time.monotonic() + seconds
        stopping, self._stopping = self._stopping, None
        if stopping is not None:
            stopping.result(seconds)
        while self._open:
            left = max(_LOOK, end - time.monotonic())
            if self.mm.now(self.label, f"{self._name()} does not answer", self._is_safe).result(left):
                return
            if time.monotonic() > end:
                raise TimeoutError(f"it still moves {seconds:g} s after its stop")
            time.sleep(_LOOK)


class MicroManagerConnector(DeviceConnector):
    """Loads Micro-Manager before the signals of a device are connected."""

    def __init__(self, session: Session, open_device: Callable[[], Awaitable[None]]) -> None:
        self._session, self._open_device = session, open_device

    async def connect_real(self, device: Device, timeout: float, force_reconnect: bool) -> None:
        """Open the device.

        :raises MicroManagerError: what is missing.
        """
        self._session.mock = False
        await self._open_device()
        await super().connect_real(device, timeout, force_reconnect)

    async def connect_mock(self, device: Device, mock: DeviceMock[Any]) -> None:
        """Without Micro-Manager: signals keep what is put into them."""
        self._session.mock = True
        await super().connect_mock(device, mock)


def stop_motion(label: str) -> Callable[[Any], None]:
    """Stops a device; one that cannot be stopped may stand still already."""

    def stop(core: Any) -> None:
        try:
            core.stop(label)
        except RuntimeError:
            if core.deviceBusy(label):
                raise

    return stop
