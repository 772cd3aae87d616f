"""Two-dimensional scan of a pinhole through a beam, to and fro, with a fit of the spot.

python plans/raster.py --profile sim --light laser --x-start 3 --x-stop 5 --y-start 1 --y-stop 3
rdaq run plans/raster.py --detector cam
"""

from functools import partial

from rdaq_ophyd.plans import raster
from rdaq_ophyd.startup import run_script

# Devices that are taken when the command line names no others.
plan = partial(raster, x="x", y="y", detector="power_meter")

if __name__ == "__main__":
    raise SystemExit(run_script(plan))
