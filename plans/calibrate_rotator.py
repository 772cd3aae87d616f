"""Find the angle at which crossed polarisers are darkest, go there, and keep it as a calibration.

python plans/calibrate_rotator.py --profile sim --light laser --into calibration.polariser_zero --why "new polariser"
rdaq run plans/calibrate_rotator.py --light laser --find maximum
"""

from functools import partial

from rdaq_ophyd.plans import calibrate_rotator
from rdaq_ophyd.startup import run_script

# Devices that are taken when the command line names no others.
plan = partial(calibrate_rotator, rotator="polariser", power_meter="power_meter")

if __name__ == "__main__":
    raise SystemExit(run_script(plan))
