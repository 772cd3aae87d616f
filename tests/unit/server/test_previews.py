"""Previews: made once, for all who want the same, whoever comes and goes."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from rdaq_ophyd.server import _previews
from rdaq_ophyd.server._previews import KEPT, Previews

ARRAY = np.arange(64).reshape(8, 8)


def frame(number, array=ARRAY, at=0.5):
    return SimpleNamespace(sequence=number, host_time=at, array=array)


@pytest.fixture
def made(monkeypatch):
    """How often one was made."""
    calls = []

    def counting(array, scale, every=_previews.every):
        calls.append(scale)
        return every(array, scale)

    monkeypatch.setattr(_previews, "every", counting)
    return calls


@pytest.mark.parametrize("scale", [2, 4])
async def test_those_who_want_the_same_get_the_same(made, scale):
    previews = Previews()
    first, *others = await asyncio.gather(*(previews.of("cam", frame(1), scale) for _ in range(5)))
    assert all(other is first for other in others)
    assert await previews.of("cam", frame(1), scale) is first
    np.testing.assert_array_equal(first, ARRAY[::scale, ::scale])
    assert first.flags.c_contiguous
    assert made == [scale]


async def test_other_frames_scales_cameras_and_runs_are_others(made):
    previews = Previews()
    await previews.of("cam", frame(1), 2)
    await previews.of("cam", frame(1), 4)
    await previews.of("other", frame(1), 2)
    await previews.of("cam", frame(1, at=9.0), 2)  # the same number in the next run
    assert made == [2, 4, 2, 2]
    assert await previews.of("cam", frame(1), 2) is await previews.of("cam", frame(1), 2)
    assert len(made) == 4


async def test_only_the_newest_are_kept_and_many_cameras_do_not_push_each_other_out(made):
    previews = Previews()
    for number in range(20):
        for camera in ("a", "b", "c"):
            for scale in (2, 4):
                await previews.of(camera, frame(number), scale)
                await previews.of(camera, frame(number), scale)
    assert len(made) == 20 * 6
    assert all(len(kept) == KEPT for kept in previews._made.values())


async def test_a_failure_is_told_and_not_kept(made):
    previews = Previews()
    answers = await asyncio.gather(*(previews.of("cam", frame(1, None), 2) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [TypeError] * 3
    assert (await previews.of("cam", frame(1), 2)).shape == (4, 4)
    assert made == [2, 2]


async def test_who_goes_away_while_it_is_made_takes_it_from_nobody(monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def slow(array, scale):
        begun.set()
        assert go_on.wait(20)
        return array[::scale, ::scale].copy()

    monkeypatch.setattr(_previews, "every", slow)
    previews = Previews()
    first = asyncio.create_task(previews.of("cam", frame(1), 2))
    await asyncio.to_thread(begun.wait, 20)
    other = asyncio.create_task(previews.of("cam", frame(1), 2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go_on.set()
    assert (await other).shape == (4, 4)
