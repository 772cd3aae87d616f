"""Power behind a turning polariser, with a fit of Malus' law.

python plans/power_vs_angle.py --profile sim --light laser --start 0 --stop 160 --num 17
rdaq run plans/power_vs_angle.py --rotator polariser --num 9
"""

from functools import partial

from rdaq_ophyd.plans import power_vs_angle
from rdaq_ophyd.startup import run_script

# Devices that are taken when the command line names no others.
plan = partial(power_vs_angle, rotator="polariser", power_meter="power_meter")

if __name__ == "__main__":
    raise SystemExit(run_script(plan))
