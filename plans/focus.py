"""Put a pinhole into the beam, then search the lens position that brings most power through it.

python plans/focus.py --profile sim --light laser --start -3 --stop 8 --tolerance 0.3
rdaq run plans/focus.py --light laser --power-meter cam --metric max
"""

from typing import Annotated, Any

from bluesky import plan_stubs as bps
from bluesky.protocols import Movable, Readable
from bluesky.utils import MsgGenerator
from pydantic import Field

from rdaq_ophyd.capabilities import ShutterControl
from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.plans import enable, focus
from rdaq_ophyd.startup import run_script

Position = Annotated[
    float, Field(allow_inf_nan=False, description="position, in z's units", json_schema_extra={"position_of": "z"})
]


def plan(
    z: Movable[float],
    x: Movable[float],
    y: Movable[float],
    power_meter: Readable[Any],
    pinhole_x: Annotated[
        float, Field(allow_inf_nan=False, description="position, in x's units", json_schema_extra={"position_of": "x"})
    ] = 4.0,
    pinhole_y: Annotated[
        float, Field(allow_inf_nan=False, description="position, in y's units", json_schema_extra={"position_of": "y"})
    ] = 2.0,
    start: Position = -3.0,
    stop: Position = 8.0,
    tolerance: Annotated[
        float,
        Field(gt=0, allow_inf_nan=False, description="to end at, in z's units", json_schema_extra={"units_of": "z"}),
    ] = 0.1,
    metric: Annotated[str, Field(description="what to go by, such as max of a camera; '': its first")] = "",
    settle: Annotated[float, Field(ge=0, le=600, description="wait between move and reading, s")] = 0.2,
    light: Annotated[
        ShutterControl | None, Field(description="light source whose shutter is open for the search only")
    ] = None,
) -> MsgGenerator[Any]:
    """Search the focus of a lens on z with a pinhole on x and y."""
    if len({axis.name for axis in (x, y, z)}) < 3:
        raise RdaqError("x, y and z are not three axes", hint="give each another one")
    yield from enable(x, y)
    yield from bps.mv(x, pinhole_x, y, pinhole_y)
    return (yield from focus(z, power_meter, start, stop, tolerance, metric=metric, settle=settle, light=light))


if __name__ == "__main__":
    raise SystemExit(run_script(plan))
