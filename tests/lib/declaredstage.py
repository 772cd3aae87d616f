"""The stage of ``data/stage.toml``, its device against its simulation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rdaq_ophyd.declaration import parse
from rdaq_ophyd.devices.declared import Declared, class_of
from rdaq_ophyd.sim import Port, SimDeclared, serve_pty, serve_tcp

STAGE = (Path(__file__).parents[1] / "data" / "stage.toml").read_text()
#: The same, slow enough to be interrupted, and how the conformance suite tries it out.
MOVED = (
    STAGE.replace("v = 1000.0", "v = 30.0")
    + """
[[sim.move]]
near = 0.2
far = 30.0
moving = "moving"
"""
)


@asynccontextmanager
async def stage(text: str = STAGE, *, pty: bool = False) -> AsyncIterator[tuple[Declared, Port]]:
    declaration = parse(text)
    with (serve_pty if pty else serve_tcp)(SimDeclared(declaration), lift_baud=True) as port:
        device = class_of(declaration)(port.url.replace("socket://", "tcp://"), "stage", address=1)
        await device.connect()
        try:
            yield device, port
        finally:
            await asyncio.to_thread(device.close)


def state(port: Port) -> dict:
    return port.call(lambda _: dict(port.instrument.state))


def change(port: Port, **values) -> None:
    port.call(lambda _: port.instrument.state.update(values))
