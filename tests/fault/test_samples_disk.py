"""Disks that fill up and writers that are killed: every sample that was flushed stays readable."""

import errno
import signal
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest
from blocks import fly, numbers_in
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider
from rows import collect, path_of

from rdaq_ophyd.devices.sim_analog import Counter, SimAnalogInput, SimInput
from rdaq_ophyd.errors import DataDirectoryError
from rdaq_ophyd.frames import clear_mark, note_end, read_readable
from rdaq_ophyd.samples import CARD, column_path
from rdaq_ophyd.samples._layout import SampleFile
from rdaq_ophyd.samples._sink import SampleSink


@pytest.fixture
async def adc(tmp_path):
    made = SimAnalogInput(
        StaticPathProvider(UUIDFilenameProvider(), tmp_path),
        "adc",
        inputs={"number": SimInput(Counter(), noise=0.0)},
        samples=100,
    )
    await made.connect()
    yield made
    await made.close()


async def test_a_full_disk_ends_the_flight_with_what_was_before(adc, monkeypatch):
    append = SampleFile.append

    def full_after_three(self, blocks, lost):
        if self.rows + len(blocks) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, blocks, lost)

    monkeypatch.setattr(SampleFile, "append", full_after_three)
    monkeypatch.setattr(SampleSink, "batch", 1)  # else a late writer has all of them at once
    await adc.stage()
    await adc.prepare(fly(1000))
    await adc.kickoff()
    with pytest.raises(DataDirectoryError, match="no room left"):
        await adc.complete()
    docs = await collect(adc)
    with pytest.raises(DataDirectoryError):
        await adc.kickoff()
    await adc.unstage()
    with h5py.File(path_of(docs)) as file:
        rows = len(numbers_in(file))
        assert 1 <= rows <= 3
        assert list(numbers_in(file).ravel()) == list(range(100 * rows))
        assert file["/entry/exit_status"][()] == b"failed"
        discarded = file[CARD]["discarded_samples"][()]
    assert discarded == await adc.samples_discarded.get_value() > 0
    assert adc._pipeline._taken == 100 * rows + discarded, "each sample is in the file or counted"
    monkeypatch.undo()
    await adc.stage()
    await adc.trigger()
    await adc.unstage()


KILLED = """
    import asyncio, sys
    from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider
    from rdaq_ophyd.devices.sim_analog import Counter, SimAnalogInput, SimInput

    async def main(directory):
        inputs = {"number": SimInput(Counter(), noise=0.0)}
        adc = SimAnalogInput(StaticPathProvider(UUIDFilenameProvider(), directory), "adc", inputs=inputs, samples=100)
        await adc.connect()
        await adc.stage()
        await adc.prepare(TriggerInfo(number_of_events=100000))
        adc.blocks_written.subscribe_reading(lambda r: print(r["adc-blocks_written"]["value"], flush=True))
        await adc.kickoff()
        await adc.complete()

    asyncio.run(main(sys.argv[1]))
"""


def test_kill_9_loses_no_flushed_sample(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        rows = 0
        while rows < 57:
            line = child.stdout.readline()
            assert line, "the writer ended by itself"
            rows = int(line)
        child.send_signal(signal.SIGKILL)
        rows = max([rows, *(int(line) for line in child.stdout.read().split())])
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path, "r", swmr=True) as file:
        numbers = numbers_in(file)[:rows]
        assert np.array_equal(numbers.ravel(), np.arange(100 * rows) % 8192)
        assert list(file[column_path("sample_index")][:rows]) == [100 * n for n in range(rows)]
        assert file["/entry/exit_status"][()] == b"writing"
    readable = read_readable(path)  # what `rdaq repair` does
    clear_mark(path)
    note_end(path, readable)
    with h5py.File(path) as file:
        assert len(file[column_path("timestamps")]) == len(numbers_in(file)) >= rows
        assert file["/entry/exit_status"][()] == b"interrupted"
