"""An SDK that hangs, a disk that does not answer: every wait ends, and says for what."""

import asyncio
import threading

import h5py
import pytest
from blocks import fly
from parts import until
from rows import wait_rows

from rdaq_ophyd.errors import CardError
from rdaq_ophyd.samples import SamplePipeline, samples_path
from rdaq_ophyd.samples._layout import SampleFile
from rdaq_ophyd.stop import Outcome


@pytest.fixture
def gate():
    """Open it, and what hangs goes on; it is opened when the test is over."""
    made = threading.Event()
    yield made
    made.set()


@pytest.fixture
def impatient(adc, monkeypatch):
    """Waits that end in a tenth of a second."""
    for bound in ("stop_timeout", "close_timeout"):
        monkeypatch.setattr(SamplePipeline, bound, 0.1)
    monkeypatch.setattr(adc._safety, "bound", 0.1)


def hangs(gate, call):
    """The same call, once the gate is open."""
    return lambda *arguments: (gate.wait(30), call(*arguments))[1]


async def test_a_card_that_cannot_be_stopped(adc, gate, monkeypatch, impatient):
    await adc.stage()
    await adc.prepare(fly(10_000))
    await adc.kickoff()
    await wait_rows(adc, 1)
    monkeypatch.setattr(adc.driver, "stop", hangs(gate, adc.driver.stop))
    with pytest.raises(CardError, match=r"adc did not stop within 0 s → its SDK hangs"):
        await adc.stop()
    (verdict,) = await asyncio.to_thread(adc._safety.recheck)
    assert verdict.outcome is Outcome.UNCONFIRMED
    assert "SDK did not stop" in verdict.detail
    assert adc._safety.devices() == ["adc"]
    gate.set()
    await until(lambda: not adc._pipeline.acquiring)
    (verdict,) = await asyncio.to_thread(adc._safety.recheck)
    assert verdict.outcome is Outcome.CONFIRMED
    await adc.unstage()


async def test_a_card_that_is_not_armed_in_time(adc, gate, monkeypatch, impatient):
    await adc.stage()
    await adc.prepare(fly(3))
    monkeypatch.setattr(adc.driver, "arm", hangs(gate, adc.driver.arm))
    with pytest.raises(CardError, match="adc was not armed within 0 s"):
        await adc.kickoff()
    gate.set()
    await until(lambda: not adc._pipeline.acquiring)
    assert adc.driver._shots is None, "it does not go on sampling"
    await adc.unstage()


async def test_a_disk_that_does_not_answer(adc, gate, monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(SampleFile, "append", hangs(gate, SampleFile.append))
    await adc.stage()
    await adc.prepare(fly(0))
    await adc.kickoff()
    await until(lambda: adc._pipeline._generation.delivered >= 2)
    monkeypatch.setattr(SamplePipeline, "close_timeout", 0.1)
    with pytest.raises(CardError, match=r"adc: \d+ blocks not written in 0 s → check the disk"):
        await adc.complete()
    await adc.unstage()
    assert "it closes when the disk answers" in caplog.text
    gate.set()
    (path,) = tmp_path.glob("*.h5")
    await until(lambda: not any(path.name in t.name for t in threading.enumerate()))
    with h5py.File(path) as file:
        assert file[samples_path("wave")].shape[0] >= 2


async def test_a_file_that_cannot_be_closed_is_told_to_who_closes(adc, monkeypatch):
    close = SampleFile.close

    def broken(self):
        close(self)
        raise OSError(5, "Input/output error")

    await adc.stage()
    await adc.trigger()
    monkeypatch.setattr(SampleFile, "close", broken)
    with pytest.raises(OSError, match="Input/output error"):
        await adc.unstage()
