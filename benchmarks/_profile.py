"""The profile of simulated instruments that figures, the soak and the tests share."""

from __future__ import annotations

from collections.abc import Mapping

_IMPORTS = """
from rdaq_ophyd.devices.esp300 import Esp300, Esp300Axis
from rdaq_ophyd.devices.newport_1830c import Newport1830C
from rdaq_ophyd.devices.sim_analog import SimAnalogInput, SimInput
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.rig import Rig

rig = Rig({name!r}, md={md!r})
"""
_PARTS = {
    "esp300": """
@rig.device
def stage() -> Esp300:
    return Esp300({esp300!r}, {{1: "x", 2: "y"}})

@rig.device
def x(stage: Esp300) -> Esp300Axis:
    return stage.axes[1]

@rig.device
def y(stage: Esp300) -> Esp300Axis:
    return stage.axes[2]
""",
    "newport_1830c": """
@rig.device
def power_meter() -> Newport1830C:
    return Newport1830C({newport_1830c!r})
""",
}
_CAMERA = """
@rig.device
def cam(paths) -> SyntheticCamera:
    return SyntheticCamera(paths, width={width}, height={height})
"""
_CARD = """
@rig.device
def adc(paths) -> SimAnalogInput:
    return SimAnalogInput(paths, inputs={"photodiode": SimInput()})
"""
UNDELIVERED = """
from rdaq_ophyd.catalog import EmbeddedCatalog

EmbeddedCatalog.start = lambda _self: None
EmbeddedCatalog.ready = lambda _self, timeout=0.0: "http://127.0.0.1"
EmbeddedCatalog.wait_drained = lambda *_words, **_more: True
"""
"""For the end of a profile: runs are spooled, and no Tiled is started, which takes a core for seconds. Only for a
process of its own: it holds for all sessions of the process."""


def simulated(
    name: str,
    ports: Mapping[str, str],
    *,
    size: tuple[int, int] = (64, 48),
    md: Mapping[str, str] | None = None,
    card: bool = False,
    delivered: bool = True,
    more: str = "",
) -> str:
    """The text of a profile: two axes and a power meter, as far as there are ports for them, and a camera.

    :param name: of the rig.
    :param ports: by instrument, as a bench has them; others are left out.
    :param size: width and height of the camera, pixels.
    :param md: metadata of the rig.
    :param card: an analog input card, too.
    :param delivered: whether runs are brought into the catalog; else as ``UNDELIVERED`` says.
    :param more: text that comes last.
    """
    width, height = size
    parts = [text.format(**ports) for instrument, text in _PARTS.items() if instrument in ports]
    parts += [_CAMERA.format(width=width, height=height), _CARD if card else "", "" if delivered else UNDELIVERED]
    return "".join([_IMPORTS.format(name=name, md=dict(md or {})), *parts, more])
