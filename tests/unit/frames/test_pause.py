"""Pause and resume of a camera: no frame too many, none too few."""

import asyncio

import h5py
import pytest
from rows import RowPauses, collect_saved, path_of

from rdaq_ophyd.errors import CameraError
from rdaq_ophyd.frames import DATA, sequence_of


async def exposing(cam):
    """Wait until the camera takes a frame."""
    while not cam._pipeline.acquiring:  # noqa: ASYNC110  the wait is a turn of the loop, and bounded by the caller
        await asyncio.sleep(0)


class TestCamera(RowPauses):
    """The same as of every detector of rows."""

    item = "frame"
    livetime = 0.002

    @pytest.fixture
    def device(self, cam):
        return cam

    def check(self, docs, number, status="complete"):
        with h5py.File(path_of(docs)) as file:
            assert file[DATA].shape[0] == number
            assert file["/entry/exit_status"][()] == status.encode()
            numbers = [sequence_of(f) for f in file[DATA]]
        assert numbers == sorted(set(numbers))
        return numbers


async def test_a_pause_within_an_exposure_and_the_replayed_trigger(cam):
    await cam.stage()
    await cam.exposure.set(20)
    old = cam.trigger()
    async with asyncio.timeout(10):
        await exposing(cam)
    async with asyncio.timeout(5):
        await cam.pause()
    assert not cam._pipeline.acquiring
    with pytest.raises(CameraError, match="no frame to read"):
        await cam.read()
    await cam.resume()
    await cam.exposure.set(0.001)
    await cam.trigger()
    await old
    docs = await collect_saved(cam)
    await cam.unstage()
    with h5py.File(path_of(docs)) as file:
        assert file[DATA].shape[0] == 1
