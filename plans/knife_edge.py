"""Knife-edge scan of a laser beam: stage x carries the blade, the power meter sees what passes.

python plans/knife_edge.py --profile sim --stage x --start -2 --stop 2 --num 41
rdaq run plans/knife_edge.py --stage y
"""

from rdaq_ophyd.plans import knife_edge_scan as plan
from rdaq_ophyd.startup import run_script

if __name__ == "__main__":
    raise SystemExit(run_script(plan))
