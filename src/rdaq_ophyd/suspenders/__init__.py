"""Suspenders: a plan waits while a condition of the process is not good, and goes on by itself when it is again.

Only for conditions that may resume by themselves: too little power, a temperature that drifted, a link that is being
reconnected. What needs a person's look is a stop, and no suspender's business.
"""

from ._adaptor import Watched, on_signal
from ._conditions import link_lost, power_below, temperature_outside

__all__ = ["Watched", "link_lost", "on_signal", "power_below", "temperature_outside"]
