"""A process that owns a Mai Tai and makes light, for tests that end it: ``python laser_owner.py PORT LATCH``."""

import asyncio
import sys
from pathlib import Path

from lasers import QuickMaiTai, light

from rdaq_ophyd.stop import latch
from rdaq_ophyd.watchdog import Guard


async def main(port: str, latch_file: str) -> None:
    """Connect, make light, say so, and stay."""
    latch.attach(Path(latch_file))
    laser = QuickMaiTai(port, "laser", watchdog=1)
    with Guard(10.0) as guard:
        await laser.connect()
        await light(laser)
        await asyncio.to_thread(guard.sync)
        sys.stdout.write(f"light {guard.pid}\n")
        sys.stdout.flush()
        await asyncio.sleep(60)


asyncio.run(main(*sys.argv[1:]))
