"""Put a pinhole into the beam, then search the lens position that brings most power through it.

python plans/focus.py --profile sim --start -3 --stop 8 --tolerance 0.3
rdaq run plans/focus.py --power-meter cam
"""

from typing import Annotated, Any

from bluesky import plan_stubs as bps
from bluesky.protocols import Movable, Readable
from bluesky.utils import MsgGenerator
from pydantic import Field

from rdaq_ophyd.plans import enable, focus
from rdaq_ophyd.startup import run_script

Position = Annotated[float, Field(allow_inf_nan=False, description="position, in the axis' units")]


def plan(
    z: Movable[float],
    x: Movable[float],
    y: Movable[float],
    power_meter: Readable[Any],
    pinhole_x: Position = 4.0,
    pinhole_y: Position = 2.0,
    start: Position = -3.0,
    stop: Position = 8.0,
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False, description="to end at, in z's units")] = 0.1,
    settle: Annotated[float, Field(ge=0, le=600, description="wait between move and reading, s")] = 0.2,
) -> MsgGenerator[Any]:
    """Search the focus of a lens on z with a pinhole on x and y."""
    yield from enable(x, y)
    yield from bps.mv(x, pinhole_x, y, pinhole_y)
    return (yield from focus(z, power_meter, start, stop, tolerance, settle=settle))


if __name__ == "__main__":
    raise SystemExit(run_script(plan))
