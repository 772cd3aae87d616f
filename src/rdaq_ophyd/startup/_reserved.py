"""Metadata from others: what the rig itself says of a run is not theirs, and what no document takes is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from event_model import DocumentNames, schema_validators
from jsonschema import ValidationError  # type: ignore[import-untyped]  # it has no types

from rdaq_ophyd.errors import LimitError

__all__ = ["check_metadata", "check_not_the_sessions", "check_run_metadata"]
SESSIONS = frozenset({"versions", "rig", "plans_git", "submitted_by", "queue_item", "script"})
"""What a session and its doors write: how a run was taken, from where and by whom."""
BLUESKYS = frozenset({"uid", "time", "scan_id"})
"""What bluesky writes into each start document; metadata of that name would break every run."""
OF_A_RUN = frozenset({"operator", "detectors", "motors", "num_points", "num_intervals"})
"""What else the session and plans say of one run, as they do by all keys that begin with ``plan_``."""


def check_metadata(md: Mapping[str, Any]) -> None:
    """Whether others may put it into the start documents of all runs.

    :raises LimitError: a key is the session's own, or no start document can have that value.
    """
    for key, value in md.items():
        if not key or "." in key or "/" in key:
            raise LimitError(f"metadata {key!r}", hint="give a key without dots and slashes")
        check_not_the_sessions(key)
        if key in BLUESKYS:
            raise LimitError(f"metadata {key!r} is the RunEngine's own", hint="choose another key")
        _check_value(key, value)


def check_not_the_sessions(key: str) -> None:
    """Whether others may change it at all.

    :raises LimitError: it is the session's own.
    """
    if key in SESSIONS:
        raise LimitError(f"metadata {key!r} is the session's own", hint="choose another key")


def check_run_metadata(md: Mapping[str, Any]) -> None:
    """The same for one run, where it would win over what the plan and the session say.

    :raises LimitError: as for all runs, or the plan or the session says that.
    """
    for key in md:
        if key in OF_A_RUN or key.startswith("plan_"):
            raise LimitError(f"metadata {key!r} of a run is the session's or its plan's own", hint="choose another key")
    check_metadata(md)


def _check_value(key: str, value: Any) -> None:
    try:
        schema_validators[DocumentNames.start].validate({"uid": "any", "time": 0.0, key: value})
    except ValidationError as error:
        raise LimitError(f"metadata {key}: {error.message}", hint="no start document takes that") from error
    except RecursionError as error:
        raise LimitError(f"metadata {key}: too deep", hint="nest it less") from error
