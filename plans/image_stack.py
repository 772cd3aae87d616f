"""Image stack over a stage: one frame at each position, all frames in one HDF5 file.

python plans/image_stack.py --profile sim --stage x --start -1 --stop 1 --num 11 --exposure 0.01
"""

from rdaq_ophyd.plans import image_stack as plan
from rdaq_ophyd.startup import run_script

if __name__ == "__main__":
    raise SystemExit(run_script(plan))
