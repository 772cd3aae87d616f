"""Simulated bench: ESP300, 1830-C, ELL14, Mai Tai on real serial devices, cameras without hardware. `rdaq shell sim`.

The instruments run in a process of their own and answer at their true baud rates (with RDAQ_SIM_FAST=1 they move and
answer faster). The laser is on, its shutter closed.
Its beam goes through a half-wave plate, a polariser and a lens on z, onto a plate on stages x and y. What passes the
plate's edge or its pinhole reaches the power meter; the camera looks at the spot on the plate.
"""

import importlib.util
import os
from collections.abc import Iterator

from ophyd_async.core import PathProvider

from rdaq_ophyd.devices.ell14 import Ell14, Ell14Bus
from rdaq_ophyd.devices.esp300 import Esp300, Esp300Axis
from rdaq_ophyd.devices.maitai import MaiTai
from rdaq_ophyd.devices.newport_1830c import Newport1830C
from rdaq_ophyd.devices.sim_analog import SimAnalogInput, SimInput, Square
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.sim import BenchProcess, start_bench

rig = Rig("sim", md={"bench": "simulated"})
rig.calibration.add("pixel_size", 3.45, units="um", precision=3)
rig.calibration.add("polariser_zero", 0.0, units="deg", precision=3)
rig.follow("power_meter.wavelength", "laser.wavelength")


@rig.resource
def bench() -> Iterator[BenchProcess]:
    """The simulated instruments, for as long as the session lasts."""
    quick, log = bool(os.environ.get("RDAQ_SIM_FAST")), os.environ.get("RDAQ_SIM_LOG")
    with start_bench(shutter_open=False, fast=quick, lift_baud=quick, log_dir=log) as process:
        yield process


@rig.device
def laser(bench: BenchProcess) -> MaiTai:
    """Tunable laser; `light=laser` in a plan opens its shutter for the scan."""
    return MaiTai(bench.ports["maitai"])


@rig.device
def stage(bench: BenchProcess) -> Esp300:
    """The motion controller with its axes."""
    return Esp300(bench.ports["esp300"], {1: "x", 2: "y", 3: "z"})


@rig.device
def x(stage: Esp300) -> Esp300Axis:
    """Plate with a knife edge and a pinhole across the beam, mm."""
    return stage.axes[1]


@rig.device
def y(stage: Esp300) -> Esp300Axis:
    """Height of the plate, mm."""
    return stage.axes[2]


@rig.device
def z(stage: Esp300) -> Esp300Axis:
    """Lens along the beam, mm."""
    return stage.axes[3]


@rig.device
def mounts(bench: BenchProcess) -> Ell14Bus:
    """The rotation mounts on their bus; a third one, at address A, is not used."""
    return Ell14Bus(bench.ports["ell14"], {"0": "polariser", "3": "waveplate"})


@rig.device
def polariser(mounts: Ell14Bus) -> Ell14:
    """Polariser in the beam, degree."""
    return mounts.rotators["0"]


@rig.device
def waveplate(mounts: Ell14Bus) -> Ell14:
    """Half-wave plate before the polariser, degree: with it, sets the power."""
    return mounts.rotators["3"]


@rig.device
def power_meter(bench: BenchProcess) -> Newport1830C:
    """Power behind the plate, W; its wavelength follows the laser's."""
    return Newport1830C(bench.ports["newport_1830c"])


@rig.device
def cam(paths: PathProvider, bench: BenchProcess) -> SyntheticCamera:
    """Synthetic camera that looks at the spot on the plate."""
    return SyntheticCamera(paths, scene=bench.spot)


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
