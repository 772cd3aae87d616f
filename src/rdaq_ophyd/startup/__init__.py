"""The door for scripts, the shell and servers: :func:`start` gives a ready session."""

from ._attentive import wait_attentively
from ._brief import cause
from ._halting import halt_all, stop_one
from ._orderly import STOP_BOUND
from ._parameters import Parameter, Plan, bind, parameters
from ._progress import PlanProgress
from ._quits import QUITS
from ._reserved import check_metadata, check_not_the_sessions, check_run_metadata
from ._run_engine import RigRunEngine, make_run_engine, stop_loop
from ._script import add_plan_arguments, add_session_arguments, find_plan, plan_names, report_failures, run_script
from ._session import Session, start
from ._settings import Settings, check_directory
from ._turns import Hand

__all__ = [
    "QUITS",
    "STOP_BOUND",
    "Hand",
    "Parameter",
    "Plan",
    "PlanProgress",
    "RigRunEngine",
    "Session",
    "Settings",
    "add_plan_arguments",
    "add_session_arguments",
    "bind",
    "cause",
    "check_directory",
    "check_metadata",
    "check_not_the_sessions",
    "check_run_metadata",
    "find_plan",
    "halt_all",
    "make_run_engine",
    "parameters",
    "plan_names",
    "report_failures",
    "run_script",
    "start",
    "stop_loop",
    "stop_one",
    "wait_attentively",
]
