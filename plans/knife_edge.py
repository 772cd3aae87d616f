"""Knife-edge scan of a laser beam: stage x carries the blade, the power meter sees what passes.

python plans/knife_edge.py --profile sim --light laser --start 0 --stop 2.4 --num 25
rdaq run plans/knife_edge.py --stage y
"""

from functools import partial

from rdaq_ophyd.plans import knife_edge_scan
from rdaq_ophyd.startup import run_script

# Devices that are taken when the command line names no others.
plan = partial(knife_edge_scan, stage="x", power_meter="power_meter")

if __name__ == "__main__":
    raise SystemExit(run_script(plan))
