"""Power over the wavelengths of a tunable source; the meter's calibration follows.

python plans/wavelength_sweep.py --profile sim --light laser --start 700 --stop 900 --num 5
rdaq run plans/wavelength_sweep.py --source power_meter
"""

from functools import partial

from rdaq_ophyd.plans import wavelength_sweep
from rdaq_ophyd.startup import run_script

# Devices that are taken when the command line names no others.
plan = partial(wavelength_sweep, source="laser", power_meter="power_meter")

if __name__ == "__main__":
    raise SystemExit(run_script(plan))
