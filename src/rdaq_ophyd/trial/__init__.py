"""The automatic test run of a declared instrument: its device against its own simulation, on a real port."""

from ._conformance import conformance
from ._run import run
from ._steps import STEPS, NotApplicable, Trial, TrialFailure, serve

__all__ = ["STEPS", "NotApplicable", "Trial", "TrialFailure", "conformance", "run", "serve"]
