"""What whoever runs the daemon needs: metrics, logs, health, and what a service manager is told."""

from ._calls import CallMetrics, CountedCall
from ._context import CALL, CALLER
from ._families import FAMILIES, Family
from ._health import Check, Health
from ._http import Endpoint
from ._logs import LogFormat, RunUnderWay, set_up_logs
from ._metrics import Metrics
from ._notify import Notifier
from ._unit import unit_file

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
