"""Stop everything: the latch, what is made safe, and what came of it. A software stop is no safety function."""

from ._client import ask, ask_all
from ._identity import identity, owner, speak_for
from ._latch import Latch, latch, read_record, trip_file
from ._listener import Listener, receive, send
from ._pause import Pause, pause
from ._places import latch_path, run_dir, state_dir
from ._requests import answer
from ._reset import reset
from ._runfile import RunFile, running
from ._safe_state import SafeState
from ._stop_all import Halted, follow_foreign, halt_all, keep, stop_all
from ._targets import Target, observe, register, targets, unregister
from ._verdict import Outcome, StopReport, Verdict

__all__ = [
    "Halted",
    "Latch",
    "Listener",
    "Outcome",
    "Pause",
    "RunFile",
    "SafeState",
    "StopReport",
    "Target",
    "Verdict",
    "answer",
    "ask",
    "ask_all",
    "follow_foreign",
    "halt_all",
    "identity",
    "keep",
    "latch",
    "latch_path",
    "observe",
    "owner",
    "pause",
    "read_record",
    "receive",
    "register",
    "reset",
    "run_dir",
    "running",
    "send",
    "speak_for",
    "state_dir",
    "stop_all",
    "targets",
    "trip_file",
    "unregister",
]
