"""Stop everything: the latch, what is made safe, and what came of it. A software stop is no safety function."""

from ._latch import Latch, latch, read_record, trip_file
from ._places import latch_path, run_dir, state_dir
from ._safe_state import SafeState
from ._stop_all import Halted, halt_all, reset, stop_all
from ._targets import Target, register, targets, unregister
from ._verdict import Outcome, StopReport, Verdict

__all__ = [
    "Halted",
    "Latch",
    "Outcome",
    "SafeState",
    "StopReport",
    "Target",
    "Verdict",
    "halt_all",
    "latch",
    "latch_path",
    "read_record",
    "register",
    "reset",
    "run_dir",
    "state_dir",
    "stop_all",
    "targets",
    "trip_file",
    "unregister",
]
