"""What messages call a camera and its frames."""

from rdaq_ophyd.errors import CameraError
from rdaq_ophyd.streams import Words

WORDS = Words(
    CameraError,
    device="camera",
    item="frame",
    late="check trigger, exposure and cable",
    broken="check cable and power; `rdaq doctor` lists the cameras found",
)
