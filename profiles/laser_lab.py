"""A laser lab with real ports: copy it (`rdaq profiles --copy laser_lab`), put your own names in, then `rdaq doctor`.

Use names below /dev/serial/by-id: they stay the same whatever is plugged in first.
"""

from ophyd_async.core import PathProvider

from rdaq_ophyd.devices.ell14 import Ell14
from rdaq_ophyd.devices.esp300 import Esp300, Esp300Axis
from rdaq_ophyd.devices.maitai import MaiTai
from rdaq_ophyd.devices.newport_1830c import Newport1830C
from rdaq_ophyd.devices.pylon import PylonCamera
from rdaq_ophyd.rig import Rig

# Recorded in every run.
rig = Rig("laser_lab", md={"room": "1.23"})
rig.calibration.add("pixel_size", 3.45, units="um", precision=3)
rig.calibration.add("polariser_zero", 0.0, units="deg", precision=3)
# The meter reads watts at the wavelength of the laser.
rig.follow("power_meter.wavelength", "laser.wavelength")

# `rdaq doctor` lists the ports of this machine. On macOS: /dev/cu.usbserial-..., on Windows: COM5.
# Over a serial server: socket://192.168.1.20:4001
ESP300 = "/dev/serial/by-id/usb-FTDI_USB-RS232_Cable_FT000001-if00-port0"
POWER_METER = "/dev/serial/by-id/usb-FTDI_USB-RS232_Cable_FT000002-if00-port0"
ROTATORS = "/dev/serial/by-id/usb-FTDI_FT230X_Basic_UART_DK000003-if00-port0"
LASER = "/dev/serial/by-id/usb-FTDI_USB-RS232_Cable_FT000004-if00-port0"


@rig.device
def laser() -> MaiTai:
    """Nothing switches it on or opens it by itself; a plan with light=laser does, for the measurement."""
    return MaiTai(LASER, limits=(700, 1000))


@rig.device
def stage() -> Esp300:
    """The controller. If yours is mute: serial=SerialSettings(19200, rtscts=True)."""
    return Esp300(ESP300, {1: "x"})


@rig.device
def x(stage: Esp300) -> Esp300Axis:
    """Axis 1; a function's name is the device's name."""
    return stage.axes[1]


@rig.device
def polariser() -> Ell14:
    """The rotation mount at address 0 of its bus."""
    return Ell14(ROTATORS, "0")


@rig.device
def power_meter() -> Newport1830C:
    """The power meter behind the sample."""
    return Newport1830C(POWER_METER)


@rig.device
def cam(paths: PathProvider) -> PylonCamera:
    """The camera with this serial number (on its label)."""
    return PylonCamera(paths, serial="22345678")
