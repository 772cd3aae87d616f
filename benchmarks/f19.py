"""F19: 8 analog channels at 10 kHz into HDF5 for a minute: what is lost, and how much of a core it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider

from benchmarks import Result, times
from benchmarks._writers import scratch
from rdaq_ophyd.devices.sim_analog import Counter, SimAnalogCard, SimAnalogInput, SimInput
from rdaq_ophyd.samples import StartTrigger, Transfer, samples_path

NAME = "F19"
TITLE = "8 analog channels at 10 kHz into SWMR HDF5, share of a core"
CHANNELS, RATE, BLOCK = 8, 10_000.0, 1000
SECONDS = times(60.0, 2.0)
PEER_SECONDS = times(4.0, 1.0)
# Counters, so that every sample can be checked; what the simulated card takes by itself is told beside.
INPUTS = {f"ai{i}": SimInput(Counter(), noise=0.0) for i in range(CHANNELS)}


async def _record(directory: Path) -> tuple[float, int, int]:
    """Share of a core, samples lost and documents of one record, documents collected twice a second."""
    adc = SimAnalogInput(
        StaticPathProvider(UUIDFilenameProvider(), directory), "adc", inputs=INPUTS, rate=RATE, samples=BLOCK
    )
    await adc.connect()
    await adc.stage()
    await adc.prepare(TriggerInfo(number_of_events=await adc.blocks_in(SECONDS)))
    documents, cpu, began = 0, time.process_time(), time.monotonic()
    await adc.kickoff()
    status = adc.complete()
    while not status.done:
        await asyncio.sleep(0.5)
        documents += len([document async for document in adc.collect_asset_docs()])
    await status
    share = (time.process_time() - cpu) / (time.monotonic() - began)
    lost = await adc.samples_lost.get_value()
    await adc.unstage()
    await adc.close()
    return share, lost, documents


def _as_recorded(directory: Path) -> bool:
    """Whether every sample of every channel is in the file, in order."""
    (path,) = directory.glob("*.h5")
    counter, expected = Counter(), np.arange(round(SECONDS * RATE))
    with h5py.File(path) as file:
        return all(
            np.array_equal(np.rint(file[samples_path(name)][:].ravel() / counter.step), expected % counter.modulo)
            for name in INPUTS
        )


def _at_pace(use: Callable[[Transfer], None]) -> float:
    """Share of a core while each transfer of the same card is handed to ``use``."""
    card = SimAnalogCard(INPUTS, rate=RATE)
    card.open()
    wanted = round(PEER_SECONDS * RATE)
    cpu, began = time.process_time(), time.monotonic()
    card.arm(wanted, 1, StartTrigger.INTERNAL)
    taken = 0
    while taken < wanted:
        if (transfer := card.next_transfer(1.0)) is not None:
            use(transfer)
            taken = transfer.index + len(transfer.data)
    share = (time.process_time() - cpu) / (time.monotonic() - began)
    card.close()
    return share


def _by_hand(directory: Path) -> float:
    """The usual loop: each transfer scaled and appended to one dataset, then flushed, under SWMR."""
    with h5py.File(directory / "byhand.hdf", "w", libver="latest") as file:
        data = file.create_dataset("data", (0, CHANNELS), "<f4", maxshape=(None, CHANNELS), chunks=(BLOCK, CHANNELS))
        file.swmr_mode = True

        def append(transfer: Transfer) -> None:
            rows = data.shape[0]
            data.resize(rows + len(transfer.data), axis=0)
            data[rows:] = transfer.data * 3e-4
            data.flush()

        return _at_pace(append)


def measure() -> Result:
    """Record between two runs of the usual loop, and read every sample back."""
    with scratch() as directory:
        before = _by_hand(directory)
        card = _at_pace(lambda _transfer: None)
        share, lost, documents = asyncio.run(_record(directory))
        complete = _as_recorded(directory)
        after = _by_hand(directory)
    usual = (before + after) / 2
    return Result(
        figure=100 * share,
        peer=25.0,
        ratio=share,
        goal=0.25,
        unit="% of a core",
        peer_name="limit",
        at_most=True,
        notes=[
            f"{SECONDS:g} s, {CHANNELS} channels at {RATE:g} Hz in blocks of {BLOCK}: {lost} samples lost, "
            f"{documents} stream documents",
            f"of it the simulated card takes {100 * card:.1f} %",
            f"the usual loop (resize, assign, flush; one dataset, no time stamps, statistics or documents, same card) "
            f"takes {100 * usual:.1f} %",
        ],
        also={"0 samples lost": lost == 0, "every sample is in the file, in order": complete},
    )
