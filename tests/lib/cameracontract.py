"""What every camera has to do, whoever makes it: a suite to subclass, run through a real RunEngine into real files."""

from __future__ import annotations

import threading
from collections import Counter

import h5py
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider, init_devices
from streamscans import covered, file_of, flight, pause_when, run_paused

from rdaq_ophyd import stop
from rdaq_ophyd.errors import StopLatched
from rdaq_ophyd.frames import DATA, CameraDriver, column_path
from rdaq_ophyd.stop import Outcome


class CameraContract:
    """Subclass it with ``make``, ``set_up`` and ``lose``."""

    exposure = 0.005
    """Of the flights, s."""
    long = 0.2
    """An exposure in which a pause comes, s."""

    def make(self, paths):
        """The camera, not connected."""
        raise NotImplementedError

    def set_up(self, cam):
        """A plan that makes its frames small."""
        yield from bps.null()

    def lose(self, cam):
        """Make the camera lose frames in a flight that is under way."""
        raise NotImplementedError

    @pytest.fixture
    def cam(self, engine, tmp_path):
        with init_devices():
            cam = self.make(StaticPathProvider(UUIDFilenameProvider(), tmp_path))
        engine(self.set_up(cam))
        engine(bps.mv(cam.exposure, self.exposure))
        yield cam
        if engine.state != "idle":
            engine.abort()
        call_in_bluesky_event_loop(cam.close())

    def check(self, docs, number):
        """N events, N rows, N frames, and every number of the camera is written, lost or discarded."""
        rows, events = covered(docs)
        assert rows == list(range(number))
        assert events == list(range(1, number + 1))
        return self.check_file(file_of(docs), number)

    def check_file(self, path, number):
        with h5py.File(path) as file:
            assert file[DATA].shape[0] == number
            numbers = file[column_path("sequence_numbers")][:].tolist()
            lost, discarded = (
                int(file[f"/entry/instrument/detector/{n}"][()]) for n in ("lost_frames", "discarded_frames")
            )
        assert numbers == sorted(set(numbers)), "a frame twice, or out of order"
        assert numbers[-1] + 1 <= number + lost + discarded, "a frame that nobody accounts for"
        if not discarded:
            assert numbers[-1] + 1 == number + lost
        return lost

    def test_its_driver_is_one(self, cam):
        assert isinstance(cam.driver, CameraDriver)

    def test_steps(self, engine, cam, docs):
        engine(bp.count([cam], 4))
        self.check(docs, 4)
        events = [d["data"] for name, d in docs if name == "event"]
        with h5py.File(file_of(docs)) as file:
            for event, frame in zip(events, file[DATA], strict=True):
                assert event["cam-mean"] == frame.mean()

    def test_flight(self, engine, cam, docs):
        engine(flight(cam, 20, self.exposure))
        self.check(docs, 20)
        assert len(cam.driver.book) == 0, "every lease came back"

    def test_hard_pause_within_an_exposure_of_a_step(self, engine, cam, docs):
        engine(bps.mv(cam.exposure, self.long))

        def second_exposure():
            return Counter(name for name, _ in docs)["event"] == 1 and cam._pipeline.acquiring

        run_paused(engine, bp.count([cam], 3), second_exposure)
        assert not cam._pipeline.acquiring
        engine.resume()
        self.check(docs, 3)

    def test_hard_pause_in_a_flight(self, engine, cam, docs):
        run_paused(engine, flight(cam, 30, self.exposure), lambda: cam._pipeline.acquiring and cam._pipeline.rows >= 5)
        engine.resume()
        self.check(docs, 30)

    def test_abort_of_a_flight(self, engine, cam, docs):
        run_paused(engine, flight(cam, 10_000, self.exposure), lambda: Counter(n for n, _ in docs)["stream_datum"] >= 4)
        engine.abort()
        rows, _ = covered(docs)
        with h5py.File(file_of(docs)) as file:
            assert file[DATA].shape[0] == len(rows)
            assert file["/entry/exit_status"][()] == b"aborted"

    def test_stop_all_in_a_flight(self, engine, cam, docs):
        reports = []

        def work():
            tick = threading.Event()
            for _ in range(2000):
                if cam._pipeline.rows >= 3:
                    reports.append(stop.stop_all("test"))
                    return
                tick.wait(0.005)

        thread = threading.Thread(target=work)
        thread.start()
        with pytest.raises(Exception, match=r"stop"):
            engine(flight(cam, 10_000, self.exposure))
        thread.join(30)
        verdicts = [v for v in reports[0].verdicts if v.device == "cam"]
        assert [v.outcome for v in verdicts] == [Outcome.CONFIRMED]
        assert not cam._pipeline.acquiring
        stop.reset("test")
        docs.clear()
        engine(bp.count([cam], 1))
        self.check(docs, 1)

    def test_while_everything_is_stopped_it_does_not_start(self, engine, cam):
        stop.stop_all("test")
        with pytest.raises(StopLatched):
            call_in_bluesky_event_loop(cam._pipeline.arm(1, 0.0))
        stop.reset("test")

    def test_losses_are_counted(self, engine, cam, docs):
        thread = threading.Thread(target=self.lose, args=(cam,))
        thread.start()
        engine(flight(cam, 40, self.exposure))
        thread.join(30)
        assert self.check(docs, 40) > 0

    def test_closed_and_opened_again(self, engine, cam, docs):
        call_in_bluesky_event_loop(cam.close())
        call_in_bluesky_event_loop(cam.close())
        call_in_bluesky_event_loop(cam.connect(force_reconnect=True))
        engine(self.set_up(cam))
        engine(bp.count([cam], 2))
        self.check(docs, 2)


def when_rows(cam, number):
    """Wait until so many frames are written."""
    tick = threading.Event()
    for _ in range(4000):
        if cam._pipeline.rows >= number and cam._pipeline.acquiring:
            return
        tick.wait(0.002)
    raise AssertionError(f"{cam.name} wrote {cam._pipeline.rows} frames, not {number}")


__all__ = ["CameraContract", "pause_when", "when_rows"]
