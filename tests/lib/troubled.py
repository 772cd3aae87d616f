"""Rigs and paths in trouble: devices whose readings hang, and a path that swallows what it gets."""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from awaited import until
from bluesky.run_engine import call_in_bluesky_event_loop
from cutproxy import CutProxy
from ophyd_async.core import StandardReadable, StaticPathProvider, UUIDFilenameProvider, init_devices, soft_signal_rw
from softaxis import SoftAxis
from viewed import camera_rig

from rdaq_ophyd.devices.synthetic import SyntheticCamera

MANY = 36
"""Devices: more than calls that a connection may have at a time."""
SAID = "document.getElementById('stop-said').textContent"
LOADED = "typeof rdaq !== 'undefined' && rdaq.devices.cards.length && rdaq.stop.isOpen && rdaq.connection.role"


class Thing(StandardReadable):
    """A voltage that can be set, and whose reading hangs when it is told to."""

    def __init__(self, name: str) -> None:
        with self.add_children_as_readables():
            self.value = soft_signal_rw(float, 1.0, units="V")
        super().__init__(name=name)
        self.hangs = False
        read = self.value.read

        async def held(*args: Any, **options: Any) -> Any:
            await until(lambda: not self.hangs, 60)
            return await read(*args, **options)

        vars(self.value)["read"] = held  # ophyd-async keeps such names for itself


class Swallowing(CutProxy):
    """A path that takes what it gets and hands nothing on (``swallows``); ``taken`` is all of that."""

    swallows = False
    taken = b""

    def _accept(self) -> None:
        if not self.swallows or self._is_cut:
            return super()._accept()
        near, _ = self._listening.accept()
        self._pairs[near] = near  # nobody is behind it, now or later
        self._selector.register(near, selectors.EVENT_READ)
        return None

    def _hand_on(self, one: socket.socket) -> None:
        if not self.swallows and self._pairs[one] is not one:
            return super()._hand_on(one)
        with contextlib.suppress(OSError):
            if data := one.recv(1 << 16):
                self.taken += data
                return None
        return self._drop(one)


@contextmanager
def troubled_rig(folder: Path) -> Iterator[Any]:
    """Two cameras, an axis that moves for as long as it is told to, and many voltages."""
    with camera_rig(folder, 64, 48) as made:
        with init_devices():
            other = SyntheticCamera(StaticPathProvider(UUIDFilenameProvider(), folder), width=32, height=24)
        soft = {"x": SoftAxis("x", [])} | {name: Thing(name) for name in (f"thing{n:02d}" for n in range(MANY))}
        for device in soft.values():
            call_in_bluesky_event_loop(device.connect(), 10)
        made.rig.devices |= {"other": other, **soft}
        yield made
        call_in_bluesky_event_loop(other.close(), 10)


def place(server: Any) -> str:
    """``host:port`` of a server's page."""
    return str(server.page.split("://")[1].rstrip("/"))
