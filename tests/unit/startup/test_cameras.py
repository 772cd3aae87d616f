"""Stops and pauses reach a camera that is taking frames."""

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngineInterrupted
from bluesky.run_engine import call_in_bluesky_event_loop
from bluesky.utils import FailedStatus
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider

from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import AcquisitionInterrupted
from rdaq_ophyd.stop import stop_all


async def opened(folder):
    cam = SyntheticCamera(StaticPathProvider(UUIDFilenameProvider(), folder), width=16, height=8, name="cam")
    await cam.connect()
    await cam.exposure.set(0.002)
    return cam


@pytest.fixture
def cam(rig, tmp_path):
    made = call_in_bluesky_event_loop(opened(tmp_path), timeout=20)
    yield made  # outside of the rig: the engine halts what a plan has touched
    call_in_bluesky_event_loop(made.close(), timeout=20)


def written(cam) -> int:
    return call_in_bluesky_event_loop(cam.frames_written.get_value(), timeout=20)


def flight(cam, num, then):
    """Kick the camera off for ``num`` frames, then do something else."""

    @bpp.stage_decorator([cam])
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(cam, TriggerInfo(number_of_events=num), wait=True)
        yield from bps.declare_stream(cam, name="primary", collect=True)
        yield from bps.kickoff(cam, wait=True)
        yield from then()

    return plan()


def test_an_abort_stops_the_camera_before_the_clean_up(rig, cam, when):
    seen = []

    def fly():
        def clean_up():
            yield from bps.wait_for([cam._pipeline.wait_idle])
            seen.append(cam._pipeline.acquiring)

        yield from bpp.finalize_wrapper(bps.sleep(60), clean_up)

    when(lambda: cam._pipeline.rows > 2, lambda: rig.RE.abort("enough"))
    with pytest.raises(RunEngineInterrupted):
        rig.RE(flight(cam, 100_000, fly))
    assert seen == [False]


@pytest.mark.parametrize("collected", [False, True])
def test_no_frame_is_taken_while_paused_and_none_is_missing_afterwards(rig, cam, when, documents, collected):
    def fly():
        yield from bps.checkpoint()
        yield from bps.complete(cam, group="flight")
        done = False
        while not done:
            done = yield from bps.wait("flight", timeout=0.01, error_on_timeout=False)
            if collected or done:
                yield from bps.collect(cam, name="primary")

    when(lambda: cam._pipeline.rows > 5, lambda: rig.RE.request_pause())
    with pytest.raises(RunEngineInterrupted):
        rig.RE(flight(cam, 60, fly))
    assert not cam._pipeline.acquiring
    at_pause = written(cam)
    with pytest.raises(AcquisitionInterrupted, match="while a plan is paused"):
        call_in_bluesky_event_loop(cam._pipeline.arm(1, 0.0), timeout=20)
    assert written(cam) == at_pause < 60
    assert rig.RE.resume().exit_status == "success"
    assert max(doc["indices"]["stop"] for name, doc in documents if name == "stream_datum") == 60


def test_a_camera_stopped_with_a_failed_axis_does_not_count_as_done(rig, cam, when):
    rig.x.free = False
    when(lambda: cam._pipeline.rows > 2, lambda: setattr(rig.x, "error", RuntimeError("stuck")))

    def fly():
        yield from bps.complete(cam, group="flight")
        try:
            yield from bps.mv(rig.x, 1)
        except FailedStatus:
            yield from bps.wait("flight")

    with pytest.raises(FailedStatus) as failed:
        rig.RE(flight(cam, 100_000, fly))
    assert isinstance(failed.value.__cause__, AcquisitionInterrupted)
    assert "of 100000 frames" in str(failed.value.__cause__)


def test_a_stop_all_in_mid_flight_ends_it(rig, cam, when):
    when(lambda: cam._pipeline.rows > 2, lambda: stop_all("smoke"))

    def fly():
        yield from bps.complete(cam, wait=True)

    with pytest.raises(RunEngineInterrupted, match="smoke"):
        rig.RE(flight(cam, 100_000, fly))
    assert not cam._pipeline.acquiring
