"""The synthetic camera as a load: pace, jitter and losses as asked, and every frame accounted for."""

import math
import threading
import time

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ophyd_async.core import TriggerInfo

from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.frames import DATA, SyntheticDriver, SyntheticLoad, column_path, sequence_of


async def fly(cam, number):
    await cam.stage()
    await cam.prepare(TriggerInfo(number_of_events=number))
    await cam.kickoff()
    await cam.complete()
    counts = [await s.get_value() for s in (cam.frames_written, cam.frames_lost, cam.frames_discarded)]
    await cam.unstage()
    return counts


def read(tmp_path, *names):
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path) as file:
        return [file[column_path(name)][:] for name in names], [sequence_of(f) for f in file[DATA]]


async def made(paths, **kwargs):
    cam = SyntheticCamera(paths, "cam", width=8, height=8, **kwargs)
    await cam.connect()
    await cam.exposure.set(0.001)
    return cam


@pytest.mark.parametrize("seed", [1, 7])
async def test_acquired_is_written_plus_lost(paths, tmp_path, seed):
    cam = await made(paths, loss=0.4, seed=seed)
    written, lost, discarded = await fly(cam, 60)
    assert (written, discarded) == (60, 0)
    assert lost > 5
    assert cam.driver.acquired == written + lost
    (numbers,), marks = read(tmp_path, "sequence_numbers")
    assert list(numbers) == marks, "the number in the pixels is that in the file"
    assert numbers[-1] + 1 == written + lost
    await cam.close()


async def test_more_than_the_disk_takes_is_lost_and_counted(paths, tmp_path, monkeypatch):
    cam = await made(paths, buffers=2, frame_rate=1000)
    put = cam._pipeline.__class__.open

    async def slow(self, path, record):
        await put(self, path, record)
        taken = self.sink.put
        pause = threading.Event()
        monkeypatch.setattr(self.sink, "put", lambda *a: pause.wait(0.01) or taken(*a))

    monkeypatch.setattr(cam._pipeline.__class__, "open", slow)
    written, lost, _ = await fly(cam, 20)
    assert lost > 20
    assert cam.driver.acquired == written + lost
    (numbers,), marks = read(tmp_path, "sequence_numbers")
    assert list(numbers) == marks
    await cam.close()


async def test_the_pace_is_the_rate(paths, tmp_path):
    cam = await made(paths, frame_rate=50.0)
    began = time.time()
    await fly(cam, 6)
    (times, numbers), _ = read(tmp_path, "timestamps", "sequence_numbers")
    assert np.all(times - began > 0.0199 * (numbers + 1))
    await cam.close()


async def test_a_rate_beyond_what_it_can_is_refused_before_it_starts(paths, tmp_path):
    cam = await made(paths, frame_rate=5.0)
    await cam.stage()
    with pytest.raises(LimitError, match="20 frames a second cannot be reached: at most 5"):
        await cam.prepare(TriggerInfo(number_of_events=3, livetime=0.01, deadtime=0.04))
    assert not cam._pipeline.acquiring
    await cam.prepare(TriggerInfo(number_of_events=1, livetime=0.01, deadtime=0.19))
    await cam.unstage()
    assert not list(tmp_path.glob("*.h5"))
    await cam.close()


async def test_a_rate_changes_by_its_signal(paths):
    cam = await made(paths)
    await cam.frame_rate.set(200.0)
    await cam.jitter.set(0.001)
    await cam.loss.set(0.25)
    assert (cam.driver.load.rate, cam.driver.load.jitter, cam.driver.load.loss) == (200.0, 0.001, 0.25)
    configuration = await cam.read_configuration()
    assert configuration["cam-frame_rate"]["value"] == 200.0
    assert (await cam.frame_rate.describe())["cam-frame_rate"]["units"] == "Hz"
    await cam.close()


@pytest.mark.parametrize(
    ("name", "value"), [("frame_rate", -1), ("frame_rate", 1001), ("jitter", math.nan), ("loss", 1.0), ("loss", -0.1)]
)
async def test_out_of_range_names_the_range(paths, name, value):
    cam = await made(paths)
    with pytest.raises(LimitError, match="choose from 0 to"):
        await getattr(cam, name).set(value)
    with pytest.raises(LimitError):
        SyntheticCamera(paths, **{name: value})
    await cam.close()


@given(loss=st.floats(0, 0.99), seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_the_same_seed_loses_the_same_frames(loss, seed):
    one, other = SyntheticLoad(loss=loss, seed=seed), SyntheticLoad(loss=loss, seed=seed)
    drawn = [one.lost() for _ in range(20)]
    assert drawn == [other.lost() for _ in range(20)]
    assert all(n >= 0 for n in drawn)


def test_the_share_lost_is_the_one_asked_for():
    load = SyntheticLoad(loss=0.25, seed=3)
    lost = sum(load.lost() for _ in range(4000))
    assert 0.23 < lost / (lost + 4000) < 0.27


def test_jitter_is_late_and_never_more_than_asked():
    load = SyntheticLoad(jitter=0.004, seed=3)
    late = np.array([load.lateness() for _ in range(500)])
    assert late.min() >= 0
    assert 0.0035 < late.max() <= 0.004


def test_frames_come_in_order_with_jitter_beyond_the_period():
    driver = SyntheticDriver(4, 4, load=SyntheticLoad(rate=500, jitter=0.01, seed=5))
    driver.open()
    driver.set_exposure(0.0001)
    driver.start(0.0)
    found = []
    while len(found) < 20:
        if (ref := driver.next_frame(1.0)) is not None:
            found.append(ref.sequence)
            ref.release()
    assert found == sorted(set(found))
    driver.close()
