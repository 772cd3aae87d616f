"""Simulated bench: ESP300 and 1830-C on real serial devices, cameras without hardware. `rdaq shell sim`.

The instruments run in a process of their own and answer at their true baud rates. A plate on stages x
and y, with a knife edge and a pinhole, cuts a beam before the power meter. A polariser on theta and a lens on z stand
before it.
"""

import importlib.util
import os
from collections.abc import Iterator

from ophyd_async.core import PathProvider

from rdaq_ophyd.devices.esp300 import Esp300, Esp300Axis
from rdaq_ophyd.devices.newport_1830c import Newport1830C
from rdaq_ophyd.devices.sim_analog import SimAnalogInput, SimInput, Square
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.sim import BenchProcess, start_bench

rig = Rig("sim", md={"bench": "simulated"})
rig.calibration.add("pixel_size", 3.45, units="um", precision=3)
rig.calibration.add("theta_zero", 0.0, units="deg", precision=3)


@rig.resource
def bench() -> Iterator[BenchProcess]:
    """The simulated instruments, for as long as the session lasts."""
    with start_bench(log_dir=os.environ.get("RDAQ_SIM_LOG")) as process:
        yield process


@rig.device
def stage(bench: BenchProcess) -> Esp300:
    """The motion controller with its axes."""
    return Esp300(bench.ports["esp300"], {1: "x", 2: "y", 3: "theta", 4: "z"})


@rig.device
def x(stage: Esp300) -> Esp300Axis:
    """Plate with a knife edge and a pinhole across the beam, mm."""
    return stage.axes[1]


@rig.device
def y(stage: Esp300) -> Esp300Axis:
    """Height of the plate, mm."""
    return stage.axes[2]


@rig.device
def theta(stage: Esp300) -> Esp300Axis:
    """Polariser in the beam, degree."""
    return stage.axes[3]


@rig.device
def z(stage: Esp300) -> Esp300Axis:
    """Lens along the beam, mm."""
    return stage.axes[4]


@rig.device
def power_meter(bench: BenchProcess) -> Newport1830C:
    """Power behind the knife edge, W."""
    return Newport1830C(bench.ports["newport_1830c"])


@rig.device
def cam(paths: PathProvider) -> SyntheticCamera:
    """Built-in synthetic camera."""
    return SyntheticCamera(paths)


@rig.device
def adc(paths: PathProvider) -> SimAnalogInput:
    """Simulated analog input card: a chopped photodiode and its reference, 10 kHz."""
    return SimAnalogInput(paths, inputs={"photodiode": SimInput(Square(10.0, 0.5, 0.5)), "reference": SimInput()})


if importlib.util.find_spec("pypylon"):
    # Basler's own runtime with its emulated camera; a real camera on this machine would be found beside it.
    os.environ.setdefault("PYLON_CAMEMU", "1")
    from rdaq_ophyd.devices.pylon import PylonCamera

    @rig.device
    def basler(paths: PathProvider) -> PylonCamera:
        """Basler's emulated camera, by its serial number."""
        return PylonCamera(paths, serial="0815-0000")
