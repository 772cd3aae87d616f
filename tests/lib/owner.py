"""A process that owns an ESP300 and moves an axis, for tests that end it: ``python owner.py PORT LATCH WHAT BOUND``."""

import asyncio
import ctypes
import os
import sys
import time
from pathlib import Path

from rdaq_ophyd.devices.esp300 import Esp300
from rdaq_ophyd.stop import latch
from rdaq_ophyd.watchdog import Guard


async def main(port: str, latch_file: str, what: str, bound: str) -> None:
    """Connect, move, say so, and then do what was asked for."""
    latch.attach(Path(latch_file))
    stage = Esp300(port, {1: "x", 2: "y"}, name="stage")
    with Guard(float(bound)) as guard:
        await stage.connect()
        await stage.x.velocity.set(0.5)
        await stage.x.enabled.set(True)
        status = stage.x.set(20.0)
        async for _ in _updates(status):
            break
        await asyncio.to_thread(guard.sync)
        sys.stdout.write(f"moving {guard.pid}\n")
        sys.stdout.flush()
        if what.startswith("gil"):
            # C code that keeps Python's lock: no thread of this process runs meanwhile.
            ctypes.PyDLL(None).usleep(int(float(what[3:]) * 1e6))
        if what == "fork" and os.fork() == 0:
            time.sleep(5)  # noqa: ASYNC251  a child that knows nothing of us, with all our descriptors
            os._exit(0)
        if what == "leave":
            await asyncio.to_thread(sys.stdin.readline)
            stage.close()
        else:
            await asyncio.sleep(60)


async def _updates(status):
    first = asyncio.Event()
    status.watch(lambda **_: first.set())
    await first.wait()
    yield None


asyncio.run(main(*sys.argv[1:]))
