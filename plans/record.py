"""Record all channels of an analog input for a time, without a gap.

python plans/record.py --profile sim --seconds 2
rdaq run plans/record.py --analog adc --seconds 600
"""

from functools import partial

from rdaq_ophyd.plans import record
from rdaq_ophyd.startup import run_script

# The device that is taken when the command line names no other.
plan = partial(record, analog="adc")

if __name__ == "__main__":
    raise SystemExit(run_script(plan))
