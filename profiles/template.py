"""An empty profile to start from: `rdaq profiles --copy template`."""

from ophyd_async.core import PathProvider

from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.rig import Rig

rig = Rig("my_lab")


@rig.device
def cam(paths: PathProvider) -> SyntheticCamera:
    """One device to begin with. Each function with @rig.device makes the device of its name."""
    return SyntheticCamera(paths)
