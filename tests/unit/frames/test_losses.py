"""Frames that a camera loses: counted exactly, told with the frame after them, and why."""

import asyncio
import threading

import h5py
import numpy as np
import pytest
from ophyd_async.core import TriggerInfo
from parts import until
from rows import collect, path_of

from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import CameraError
from rdaq_ophyd.frames import DATA, SyntheticDriver, column_path


def fly(number, **kwargs):
    return TriggerInfo(number_of_events=number, livetime=0.002, **kwargs)


async def test_lost_frames_are_counted_exactly(cam):
    await cam.stage()
    await cam.prepare(fly(6, deadtime=0.01))
    cam.driver.lose(4)
    await cam.kickoff()
    await cam.complete()
    assert await cam.frames_lost.get_value() == 4
    docs = await collect(cam)
    await cam.unstage()
    told = {d["data_key"]: d["parameters"]["dataset"] for name, d in docs if name == "stream_resource"}
    with h5py.File(path_of(docs)) as file:
        assert sum(file[told["cam-lost"]]) == 4
        steps = np.diff(file[column_path("sequence_numbers")].astype(int)[:], prepend=-1)
        assert list(file[told["cam-lost"]]) == list(steps - 1)
        assert file["/entry/instrument/detector/lost_frames"][()] == 4
        numbers = file[column_path("sequence_numbers")][:]
        assert len(numbers) == 6
        assert numbers[-1] + 1 - len(numbers) == 4


async def test_frames_lost_before_a_point_are_told_with_it(cam):
    await cam.stage()
    lost = []
    for number in (0, 3, 0):
        cam.driver.lose(number)
        await cam.trigger()
        lost.append((await cam.read())["cam-lost"]["value"])
        docs = await collect(cam)
        assert [d["indices"]["stop"] for name, d in docs if name == "stream_datum"] == [len(lost)]
    assert lost == [0, 3, 0]
    assert (await cam.describe())["cam-lost"]["dtype_numpy"] == "<u4"
    await cam.unstage()


async def test_all_buffers_out_means_losses_and_all_come_back(cam):
    driver = SyntheticDriver(8, 8, buffers=3)
    driver.open()
    driver.set_exposure(0.001)
    driver.start(0.0)
    held = [await asyncio.to_thread(driver.next_frame, 1.0) for _ in range(3)]
    assert await asyncio.to_thread(driver.next_frame, 0.05) is None
    await asyncio.to_thread(threading.Event().wait, 0.05)
    for ref in held:
        ref.release()
    after = await asyncio.to_thread(driver.next_frame, 1.0)
    assert after.sequence > 3
    after.release()
    assert len(driver.book) == 0
    driver.close()
    with pytest.raises(CameraError, match="is not open"):
        driver.start(0.0)


async def test_losses_for_want_of_buffers_are_counted_and_name_who_has_them(paths):
    cam = SyntheticCamera(paths, "cam", width=16, height=8, buffers=3)
    await cam.connect()
    held, tap = [], cam.tap("viewer", keep=3)
    await cam.stage()
    await cam.prepare(fly(1000, exposure_timeout=0.2))
    await cam.kickoff()
    status = cam.complete()
    async with asyncio.timeout(20):
        while len(held) < 3:
            held.append(await tap.next())
    said = r"has lost \d+ frames since the last one; tap viewer of cam holds 3 of its buffers.*; check trigger"
    with pytest.raises(CameraError, match=said):
        await status
    lost = await cam.frames_lost.get_value()
    assert lost > 20
    docs = await collect(cam)
    await cam.unstage()
    with h5py.File(path_of(docs)) as file:
        assert lost <= file["/entry/instrument/detector/lost_frames"][()] == await cam.frames_lost.get_value()
        assert len(file[DATA]) + await cam.frames_lost.get_value() == cam.driver.acquired
    for ref in held:
        ref.release()
    await cam.close()


async def test_frames_lost_for_want_of_buffers_count_once_when_others_come_after_them(paths):
    cam = SyntheticCamera(paths, "cam", width=16, height=8, buffers=3)
    await cam.connect()
    held, tap = [], cam.tap("viewer", keep=3)
    await cam.stage()
    await cam.prepare(fly(20))
    await cam.kickoff()
    status = cam.complete()
    async with asyncio.timeout(20):
        while len(held) < 3:
            held.append(await tap.next())
    await until(lambda: cam._pipeline._generation.missing)
    tap.close()
    for ref in held:
        ref.release()
    await status
    docs = await collect(cam)
    await cam.unstage()
    lost = await cam.frames_lost.get_value()
    assert 20 + lost == cam.driver.acquired
    with h5py.File(path_of(docs)) as file:
        assert sum(file[column_path("lost_frames")]) == lost > 0
        assert file[column_path("sequence_numbers")][-1] == 19 + lost
    await cam.close()
