"""What several tests of analog inputs use; the channel `number` of the card tells which samples it gave."""

import asyncio

import numpy as np
from ophyd_async.core import DetectorTrigger, TriggerInfo

from rdaq_ophyd.samples import samples_path

EDGES = {"trigger": DetectorTrigger.EXTERNAL_EDGE}


def fly(number, **kwargs):
    return TriggerInfo(number_of_events=number, **kwargs)


async def collect(device):
    return [document async for document in device.collect_asset_docs()]


async def collect_saved(device):
    """Collect as the engine does, which completes each datum that it emits."""
    docs = await collect(device)
    for name, document in docs:
        if name == "stream_datum":
            document["descriptor"] = "emitted"
    return docs


def path_of(docs):
    return next(d["uri"] for name, d in docs if name == "stream_resource").removeprefix("file://localhost")


def numbers_in(file, name="number"):
    """Which samples are in the file, by what they tell themselves, block for block."""
    return np.rint(file[samples_path(name)][:] * 1000)


async def wait_rows(device, number):
    """Wait until so many blocks can be read, at most 20 s."""
    async with asyncio.timeout(20):
        async for _ in device._pipeline.progress(number, 10):
            pass
