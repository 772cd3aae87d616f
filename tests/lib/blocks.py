"""What several tests of analog inputs use; the channel `number` of the card tells which samples it gave."""

import numpy as np
from ophyd_async.core import DetectorTrigger, TriggerInfo

from rdaq_ophyd.samples import samples_path

EDGES = {"trigger": DetectorTrigger.EXTERNAL_EDGE}


def fly(number, **kwargs):
    return TriggerInfo(number_of_events=number, **kwargs)


def numbers_in(file, name="number"):
    """Which samples are in the file, by what they tell themselves, block for block."""
    return np.rint(file[samples_path(name)][:] * 1000)
