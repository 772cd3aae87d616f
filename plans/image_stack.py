"""Image stack over a stage: one frame at each position, all frames in one HDF5 file.

python plans/image_stack.py --profile sim --light laser --start -1 --stop 1 --num 11 --exposure 0.01
rdaq run plans/image_stack.py --cam basler --stage y
"""

from functools import partial

from rdaq_ophyd.plans import image_stack
from rdaq_ophyd.startup import run_script

# Devices that are taken when the command line names no others.
plan = partial(image_stack, cam="cam", stage="x")

if __name__ == "__main__":
    raise SystemExit(run_script(plan))
