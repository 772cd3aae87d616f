"""The baseline is bluesky's, message for message, without what a stub of bluesky's costs for each device."""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky import Msg
from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import AsyncStatus, StandardReadable, soft_signal_rw

from rdaq_ophyd.startup._baseline import baseline

DEFAULTS = ("error_on_timeout", "timeout", "watch")
"""What bluesky's stub of a wait spells out, and its engine takes for granted."""


class Thermometer(StandardReadable):
    """A reading and its configuration."""

    def __init__(self, name, error=None) -> None:
        self.error = error
        with self.add_children_as_readables():
            self.value = soft_signal_rw(float, 1.0)
        super().__init__(name=name)

    async def read(self):
        if self.error is not None:
            raise self.error
        return await super().read()


class Meter(Thermometer):
    """It wants to be triggered."""

    @AsyncStatus.wrap
    async def trigger(self):
        await self.value.set(2.0)


class Once:
    """What cannot be taken again."""

    def get(self):
        return False


@pytest.fixture
def devices(rig):
    made = [Thermometer("inside"), Meter("meter"), Thermometer("outside")]
    for device in made:
        call_in_bluesky_event_loop(device.connect(), timeout=20)
    return made


def messages(plan):
    """Of a plan whose messages are answered by None; groups by their order."""
    groups = {}
    found = []
    for msg in plan:
        kwargs = {
            key: value for key, value in msg.kwargs.items() if key not in ("error_on_timeout", "timeout", "watch")
        }
        if "group" in kwargs:
            kwargs["group"] = groups.setdefault(kwargs["group"], len(groups))
        run = None if msg.command == "rewindable" else msg.run  # which is the engine's, not the run's
        found.append(msg._replace(kwargs=kwargs, run=run))
    return found


def two_runs(device):
    yield from bp.count([device], 2)
    yield from bpp.set_run_key_wrapper(bp.count([device]), "another")


@pytest.mark.parametrize("once", [False, True])
def test_its_messages_are_blueskys(devices, once):
    if once:
        devices[1].rewindable = Once()
    ours = messages(baseline(lambda: devices)(two_runs(devices[0])))
    assert ours == messages(bpp.SupplementalData(baseline=devices)(two_runs(devices[0])))
    assert sum(msg.command == "trigger" for msg in ours) == 4
    assert {msg.run for msg in ours if msg.command == "declare_stream"} == {None, "another"}


def test_without_a_device_there_is_none(devices):
    assert messages(baseline(list)(two_runs(devices[0]))) == messages(two_runs(devices[0]))


def test_it_is_of_the_devices_that_are_there_when_the_run_is_opened(rig, devices, documents):
    there = devices[:1]

    def plan():
        yield from bpp.run_wrapper(bps.null())
        there.append(devices[2])
        yield from bps.open_run()
        there.clear()
        yield from bps.close_run()

    rig.RE(baseline(lambda: there)(plan()))
    read = [sorted(doc["data"]) for name, doc in documents if name == "event"]
    assert read == [["inside-value"]] * 2 + [["inside-value", "outside-value"]] * 2


def test_two_runs_at_once_have_one_each(rig, devices, documents):
    def plan():
        yield from bps.open_run()
        yield from bpp.set_run_key_wrapper(bpp.run_wrapper(bps.null()), "inner")
        yield from bps.close_run()

    rig.RE(baseline(lambda: devices)(plan()))
    runs = {doc["uid"]: doc["run_start"] for name, doc in documents if name == "descriptor"}
    of_runs = [runs[doc["descriptor"]] for name, doc in documents if name == "event"]
    assert [of_runs.index(run) for run in of_runs] == [0, 1, 1, 0]


def test_a_device_that_cannot_be_read_fails_the_plan_and_leaves_no_event(rig, devices, documents):
    devices[2].error = RuntimeError("broken wire")
    caught = []

    def plan():
        try:
            yield from bps.open_run()
        except RuntimeError as error:
            caught.append(str(error))
            raise
        yield from bps.close_run()

    with pytest.raises(RuntimeError, match="broken wire"):
        rig.RE(baseline(lambda: devices)(plan()))
    assert caught == ["broken wire"]
    assert [name for name, _ in documents] == ["start", "descriptor", "descriptor", "stop"]
    assert documents[-1][1]["exit_status"] == "fail"


def test_a_run_that_was_never_opened_is_closed_by_nobody(devices):
    assert messages(baseline(lambda: devices)(iter_of(Msg("close_run")))) == [Msg("close_run")]


def iter_of(*found):
    yield from found
