"""The shell: a session's names in IPython, beamline-style magics, ``<plan(...)`` and ``await signal.get_value()``.

``rdaq shell`` starts it; ``%load_ext rdaq_ophyd.ipython`` does the same in an IPython of your own (profile and
data directory from ``$RDAQ_PROFILE`` and ``$RDAQ_DATA``).
"""

from __future__ import annotations

import os
from typing import Any

from bluesky import RunEngineInterrupted
from bluesky.run_engine import autoawait_in_bluesky_event_loop
from bluesky.utils import FailedStatus, TransitionError  # type: ignore[attr-defined] # bluesky's own name for it

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.startup import Session, cause, start

from ._magics import RdaqMagics
from ._stopped import follow_signals, show_latch

__all__ = ["load_ipython_extension", "run_plan_lines"]

GREETING = """\
rig {rig}: {devices}
  <knife_edge_scan(x, power_meter)   run a plan              %wa   where all axes are, with limits
  <enable(x)   then %mov x 1.5       motors on, move                 %ct   read the detectors
  c[-1]                              the last run            Ctrl-C  stop the axes and pause; then
  %stop_all REASON                   stop everything         RE.resume() or RE.abort(); twice: %stop_all
data: {data}"""


def run_plan_lines(lines: list[str]) -> list[str]:
    """Input transformer: ``<plan(...)`` means ``RE(plan(...))``."""
    if lines and lines[0].lstrip().startswith("<"):
        plan = "".join(lines).strip().removeprefix("<").strip()
        return [f"RE({plan})\n"]
    return lines


def _short(
    _shell: Any, _kind: type[BaseException], error: BaseException, _tb: Any, tb_offset: int | None = None
) -> None:
    """Errors that say what to do need no traceback."""
    del tb_offset
    error = cause(error)
    print(f"{type(error).__name__}: {str(error).strip()}")  # noqa: T201


def load_ipython_extension(shell: Any) -> None:
    """Give the shell a session (the one in its namespace, else a new one) and everything that belongs to it."""
    session: Session | None = shell.user_ns.get("session")
    if session is None:
        session = start(os.environ.get("RDAQ_PROFILE", "sim"), person=True)
    shell.push(session.namespace())
    shell.register_magics(RdaqMagics(shell, session))
    if run_plan_lines not in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.append(run_plan_lines)
    autoawait_in_bluesky_event_loop(shell)
    shell.set_custom_exc((RdaqError, RunEngineInterrupted, FailedStatus, TransitionError), _short)
    print(GREETING.format(rig=session.rig.name, devices=", ".join(session.rig.devices), data=session.settings.data_dir))  # noqa: T201
    follow_signals(shell, session)
    show_latch(shell)
    for name, error in session.rig.failures.items():
        print(f"device {name} is not available: {error}")  # noqa: T201
