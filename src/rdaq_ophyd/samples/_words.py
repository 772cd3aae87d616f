"""What messages call an analog input and its blocks."""

from rdaq_ophyd.errors import CardError
from rdaq_ophyd.streams import Words

WORDS = Words(
    CardError,
    device="analog input",
    item="block",
    late="check trigger, rate and cable",
    broken="check cable and power, and the card's own test program",
)
