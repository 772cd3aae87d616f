"""What whoever runs the daemon needs: metrics, logs, health, and what a service manager is told."""

from typing import TYPE_CHECKING

from rdaq_ophyd._later import later

from ._context import CALL, CALLER
from ._logs import LogFormat, RunUnderWay, set_up_logs

if TYPE_CHECKING:
    from ._calls import CallMetrics, CountedCall
    from ._families import FAMILIES, Family
    from ._health import Check, Health
    from ._http import Endpoint
    from ._metrics import Metrics
    from ._notify import Notifier
    from ._unit import unit_file
else:
    # What a process that only logs, as the manager of a queue, does not need.
    __getattr__ = later(
        __name__,
        **dict.fromkeys(("CallMetrics", "CountedCall"), "_calls"),
        **dict.fromkeys(("FAMILIES", "Family"), "_families"),
        **dict.fromkeys(("Check", "Health"), "_health"),
        Endpoint="_http",
        Metrics="_metrics",
        Notifier="_notify",
        unit_file="_unit",
    )

__all__ = [
    "CALL",
    "CALLER",
    "FAMILIES",
    "CallMetrics",
    "Check",
    "CountedCall",
    "Endpoint",
    "Family",
    "Health",
    "LogFormat",
    "Metrics",
    "Notifier",
    "RunUnderWay",
    "set_up_logs",
    "unit_file",
]
