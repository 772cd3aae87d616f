"""Calibrations in a session: kept beside its data, told in each run's start document."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bluesky.utils import Msg, MsgGenerator

from rdaq_ophyd.rig import Rig

from ._around_runs import around_runs

__all__ = ["calibrated", "calibration_file", "keep_calibrations"]


def calibration_file(session_dir: Path, rig: str) -> Path:
    """Where the calibrations of a rig are kept: ``calibrations-<rig>.json``."""
    return session_dir / f"calibrations-{re.sub(r'[^A-Za-z0-9_.-]+', '_', rig)}.json"


def keep_calibrations(rig: Rig, session_dir: Path, operator: str) -> None:
    """Let the rig's calibrations hold as they were kept.

    :raises RdaqError: their file cannot be understood.
    """
    rig.calibration.keep_in(calibration_file(session_dir, rig.name), rig=rig.name, by=operator)


def calibrated(rig: Rig) -> Callable[[MsgGenerator[Any]], MsgGenerator[Any]]:
    """A preprocessor: each run begins with the calibrations that hold then, also those that another session has set.

    They are told in the start document: ``calibrations``, with date, person and reason; ``follows``. Before it, what
    follows is brought to what it follows.
    """

    def opened(msg: Msg) -> MsgGenerator[Any]:
        if rig.follows:
            yield Msg("wait_for", None, [rig.check_follows])
        rig.calibration.refresh()
        facts: dict[str, Any] = {}
        if summary := rig.calibration.summary():
            facts["calibrations"] = summary
        if rig.follows:
            # No mapping from one to the other: keys of a start document must not have dots.
            facts["follows"] = [
                {"signal": signal, "source": source}
                for signal, source in rig.follows.items()
                if signal not in rig.failures
            ]
        return (yield msg._replace(kwargs={**facts, **msg.kwargs}))

    return lambda plan: around_runs(plan, opened=opened)
