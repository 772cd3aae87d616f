"""A file has the rows of one stream of one run; a plan that would mix them fails in words, with nothing wrong told."""

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider

from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.samples import AnalogInput, SimAnalogCard

AGAIN = "unstage it and stage it again"


async def opened(kind, folder):
    paths = StaticPathProvider(UUIDFilenameProvider(), folder)
    if kind == "camera":
        device = SyntheticCamera(paths, width=16, height=8, name="det")
    else:
        device = AnalogInput(SimAnalogCard(), paths, "det", samples=50)
    await device.connect()
    return device


@pytest.fixture(params=["camera", "card"])
def det(rig, tmp_path, request):
    made = call_in_bluesky_event_loop(opened(request.param, tmp_path), timeout=20)
    yield made
    call_in_bluesky_event_loop(made.close(), timeout=20)


@pytest.fixture
def told(rig):
    documents = []
    token = rig.RE.subscribe(lambda name, document: documents.append((name, document)))
    yield documents
    rig.RE.unsubscribe(token)


def number(told, kind):
    return sum(name == kind for name, _ in told)


def streams_of_rows(told):
    names = {d["uid"]: d["name"] for name, d in told if name == "descriptor"}
    return [names[d["descriptor"]] for name, d in told if name == "stream_datum"]


def points(det, *names):
    for name in names:
        yield from bps.trigger_and_read([det], name=name)


def flight(det, name):
    yield from bps.prepare(det, TriggerInfo(number_of_events=3), wait=True)
    yield from bps.declare_stream(det, name=name, collect=True)
    yield from bps.kickoff(det, wait=True)
    yield from bps.complete(det, wait=True)
    yield from bps.collect(det, name=name)


def test_points_of_two_streams_in_one_staging_are_refused(rig, det, told):
    plan = bpp.stage_wrapper(bpp.run_wrapper(points(det, "dark", "primary", "dark")), [det])
    with pytest.raises(RdaqError, match=f"rows of the stream 'dark', and cannot have those of 'primary' too → {AGAIN}"):
        rig.RE(plan)
    assert set(streams_of_rows(told)) == {"dark"}
    assert number(told, "event") == 1
    assert told[-1][1]["exit_status"] == "fail"
    assert AGAIN in told[-1][1]["reason"]


def test_flights_into_two_streams_in_one_staging_are_refused(rig, det, told):
    flights = bpp.pchain(flight(det, "a"), flight(det, "b"))
    with pytest.raises(RdaqError, match=f"rows of the stream 'a', and cannot have those of 'b' too → {AGAIN}"):
        rig.RE(bpp.stage_wrapper(bpp.run_wrapper(flights), [det]))
    assert set(streams_of_rows(told)) == {"a"}


@pytest.mark.parametrize("take", [points, flight])
def test_a_second_run_of_one_staging_is_refused_before_anything_is_taken(rig, det, told, take):
    runs = bpp.pchain(bpp.run_wrapper(take(det, "primary")), bpp.run_wrapper(take(det, "primary")))
    taken = []

    def plan():
        yield from bpp.stage_wrapper(runs, [det])

    def watch(msg):
        if msg.command == "unstage":
            taken.append(det._pipeline.rows)

    rig.RE.msg_hook = watch
    try:
        with pytest.raises(RdaqError, match=f"rows of another run, and cannot have those of this one too → {AGAIN}"):
            rig.RE(plan())
    finally:
        rig.RE.msg_hook = None
    stops = [document["exit_status"] for name, document in told if name == "stop"]
    assert stops == ["success", "fail"]
    assert taken == [1 if take is points else 3]


def test_staged_again_it_may_be_of_another_stream_or_run(rig, det, told):
    def plan():
        for name in ("dark", "primary", "dark"):
            yield from bpp.stage_wrapper(points(det, name, name), [det])

    rig.RE(bpp.run_wrapper(plan()))
    for _ in range(2):
        rig.RE(bpp.stage_wrapper(bpp.run_wrapper(points(det, "primary")), [det]))
    assert number(told, "event") == 8
    assert [document["exit_status"] for name, document in told if name == "stop"] == ["success"] * 3


def test_another_run_meanwhile_is_none_of_its_business(rig, det, told):
    def plan():
        yield from points(det, "primary")
        yield from bpp.set_run_key_wrapper(bpp.run_wrapper(bps.null()), "other")
        yield from points(det, "primary")

    rig.RE(bpp.stage_wrapper(bpp.run_wrapper(plan()), [det]))
    assert number(told, "event") == 2
