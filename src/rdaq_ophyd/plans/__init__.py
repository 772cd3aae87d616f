"""Library plans for optics benches, typed and described so that every door can offer them.

The stubs among them take a capability, not a class: whatever has a shutter can be opened.
"""

from ._angle import calibrate_rotator, power_vs_angle
from ._axes import disable, enable
from ._calibration import set_calibration
from ._expose import expose
from ._fly import fly_scan
from ._focus import focus
from ._knife_edge import knife_edge_scan
from ._light import close_shutter, open_shutter, set_wavelength, with_emission, with_light
from ._raster import raster
from ._series import time_series
from ._stack import fly_stack, image_stack
from ._wavelength import wavelength_sweep

__all__ = [
    "calibrate_rotator",
    "close_shutter",
    "disable",
    "enable",
    "expose",
    "fly_scan",
    "fly_stack",
    "focus",
    "image_stack",
    "knife_edge_scan",
    "open_shutter",
    "power_vs_angle",
    "raster",
    "set_calibration",
    "set_wavelength",
    "time_series",
    "wavelength_sweep",
    "with_emission",
    "with_light",
]
