"""Questions to a server, made and read without sending anything: what the two clients share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rdaq_ophyd.errors import LimitError, RdaqError, ResumeRefused
from rdaq_ophyd.wire import from_value, messages, to_value

from ._facts import Location, Session, readings

LARGEST_SCRIPT = 1 << 20
"""Bytes; messages of a server's callers are not much longer."""


@dataclass(frozen=True)
class Ask[T]:
    """One question, and how its answer is read.

    :param call: name of the rpc.
    :param again: it only looks or stops everything, and may be asked again when the connection breaks. What changes
        something else never is.
    :param at_once: nothing is looked at before: for stops.
    """

    call: str
    request: Any
    read: Callable[[Any], T]
    again: bool = False
    at_once: bool = False


def _itself[T](reply: T) -> T:
    return reply


def _nothing(_reply: object) -> None:
    return None


# -- looking --------------------------------------------------------------------------------------------------


def state() -> Ask[messages.State]:
    """How it is now."""
    return Ask("GetState", messages.GetStateRequest(), _itself, again=True)


def devices() -> Ask[messages.ListDevicesReply]:
    """What devices there are."""
    return Ask("ListDevices", messages.ListDevicesRequest(), _itself, again=True)


def device(name: str) -> Ask[messages.Device]:
    """One with its signals."""
    return Ask("DescribeDevice", messages.DescribeDeviceRequest(name=name), _itself, again=True)


def read(*names: str) -> Ask[dict[str, Any]]:
    """Readings by data key."""
    return Ask("Read", messages.ReadRequest(names=names), readings, again=True)


def value(name: str) -> Ask[Any]:
    """The value of one signal."""

    def only(reply: messages.ReadReply) -> Any:
        (reading,) = reply.readings.values()
        return from_value(reading.value)

    return Ask("Read", messages.ReadRequest(names=[name]), only, again=True)


def locate(*names: str) -> Ask[dict[str, Location]]:
    """Where axes are."""

    def found(reply: messages.LocateReply) -> dict[str, Location]:
        return {each.name: Location.of(each) for each in reply.locations}

    return Ask("Locate", messages.LocateRequest(names=names), found, again=True)


def plans() -> Ask[dict[str, messages.Plan]]:
    """What can be run."""

    def by_name(reply: messages.ListPlansReply) -> dict[str, messages.Plan]:
        return {plan.name: plan for plan in reply.plans}

    return Ask("ListPlans", messages.ListPlansRequest(), by_name, again=True)


def session() -> Ask[Session]:
    """What the session keeps."""
    return Ask("GetSession", messages.GetSessionRequest(), Session.of, again=True)


# -- acting ---------------------------------------------------------------------------------------------------


def put(name: str, given: Any, timeout: float) -> Ask[Any]:
    """Set a signal, and what was read back."""
    request = messages.SetRequest(name=name, value=to_value(given), timeout=timeout)
    return Ask("Set", request, lambda reply: from_value(reply.readback))


def trigger(name: str, timeout: float) -> Ask[dict[str, Any]]:
    """Trigger something, and what is read then."""
    return Ask("Trigger", messages.TriggerRequest(name=name, timeout=timeout), readings)


def reconnect(name: str) -> Ask[messages.Device]:
    """Try a device again."""
    return Ask("Reconnect", messages.ReconnectRequest(name=name), _itself)


def stop_device(name: str) -> Ask[None]:
    """Stop one device."""
    return Ask("StopDevice", messages.StopDeviceRequest(name=name), _nothing, at_once=True)


def stop_all(reason: str) -> Ask[messages.StopReport]:
    """Stop everything; again where the connection breaks: to stop twice is no harm."""
    text = reason.encode("utf-8", "replace").decode()  # half a character keeps no stop from going out
    return Ask("StopAll", messages.StopAllRequest(reason=text), _itself, again=True, at_once=True)


def reset(reason: str, force: bool) -> Ask[None]:
    """Accept commands again."""
    return Ask("Reset", messages.ResetRequest(reason=reason, force=force), _nothing)


def pause(at_checkpoint: bool) -> Ask[messages.State]:
    """Pause the plan."""
    return Ask("Pause", messages.PauseRequest(at_checkpoint=at_checkpoint), _itself)


def resume(accept_changes: str | None, told: str) -> Ask[messages.State]:
    """Go on with it.

    :raises LimitError: a reason without a word, or what was told without one.
    """
    if accept_changes is None and told:
        raise LimitError("told without accept_changes", hint="say why that is right: accept_changes='…'")
    if accept_changes is not None and not accept_changes.strip():
        raise LimitError("accept_changes needs a reason", hint="say why; it is recorded in the run")
    return Ask("Resume", messages.ResumeRequest(accept_changes=accept_changes or "", told=told), _itself)


@contextmanager
def resumed_from_here() -> Iterator[None]:
    """A refused resume says the next step as this client takes it."""
    try:
        yield
    except ResumeRefused as refused:
        if refused.may_be_accepted:
            again = "client.resume(accept_changes='why that is right', told=error.what)"
            refused.hint = f"put it back and resume again, or {again}, or client.abort()"
        raise


def end(how: str, reason: str = "") -> Ask[messages.State]:
    """End it: ``Finish``, ``Abort`` or ``Halt``."""
    return Ask(how, messages.EndRequest(reason=reason), _itself)


def plan(name: str, md: Mapping[str, str] | None, arguments: Mapping[str, Any]) -> messages.RunPlanRequest:
    """A plan with its arguments; None stands for what is not given."""
    given = {key: to_value(each) for key, each in arguments.items() if each is not None}
    return messages.RunPlanRequest(name=name, arguments=given, md=md or {})


def script(
    given: str | Path, name: str, arguments: Sequence[str], md: Mapping[str, str] | None
) -> messages.RunScriptRequest:
    """A script with its arguments: text of several lines is one, everything else a path.

    :raises RdaqError: it cannot be read here.
    """
    if isinstance(given, str) and "\n" in given:
        source = given.encode()
    else:
        try:
            with Path(given).open("rb") as file:
                name, source = Path(given).name, file.read(LARGEST_SCRIPT + 1)
        except OSError as error:
            raise RdaqError(f"{given}: {error.strerror}", hint="give a script's path, or its source") from error
    if len(source) > LARGEST_SCRIPT:
        raise LimitError(f"{name} is longer than {LARGEST_SCRIPT} bytes", hint="no server takes more; send less")
    return messages.RunScriptRequest(name=name, source=source, arguments=arguments, md=md or {})


def move(targets: Mapping[str, float]) -> dict[str, Any]:
    """Arguments of the plan of that name."""
    return {"axes": list(targets), "targets": [float(place) for place in targets.values()]}


def calibration(name: str, given: float, why: str) -> dict[str, Any]:
    """Arguments of the plan ``set_calibration``."""
    return {"calibration": f"calibration.{name}", "value": float(given), "why": why}


# -- the session ----------------------------------------------------------------------------------------------


def _change(**change: Any) -> Ask[None]:
    return Ask("ChangeSession", messages.SessionChange(**change), _nothing)


def set_metadata(key: str, given: Any) -> Ask[None]:
    """Metadata of every run from now on.

    :raises TypeError: the value is no JSON.
    :raises LimitError: it has a number that is not finite.
    """
    try:
        text = json.dumps(given, allow_nan=False)
    except ValueError as error:
        raise LimitError(f"metadata {key}: {error}", hint="give finite numbers") from error
    return _change(metadata=messages.SessionChange.Metadata(key=key, json=text))


def forget_metadata(key: str) -> Ask[None]:
    """No more of that."""
    return _change(metadata=messages.SessionChange.Metadata(key=key))


def put_position(name: str, axes: Mapping[str, float]) -> Ask[None]:
    """A named position; without axes it is forgotten."""
    return _change(position=messages.SessionChange.NamedPosition(name=name, axes=dict(axes)))


def undo_calibration(name: str, why: str) -> Ask[None]:
    """What held before holds again."""
    return _change(undo_calibration=messages.SessionChange.UndoCalibration(name=name, why=why))


def suspend(kind: str, signal: str, numbers: Mapping[str, float]) -> Ask[None]:
    """Let plans wait for a condition."""
    return _change(suspend=messages.SessionChange.NewSuspender(kind=kind, signal=signal, numbers=dict(numbers)))


def remove_suspender(which: str) -> Ask[None]:
    """Wait for it no more."""
    return _change(remove_suspender=which)


def catalog() -> Ask[messages.Catalog]:
    """Address and key of the catalog."""
    return Ask("OpenCatalog", messages.OpenCatalogRequest(), _itself, again=True)
