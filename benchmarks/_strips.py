"""A strip chart of a fast card in a real browser: what it takes of the page's own thread, and of the GPU's bus."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices

from benchmarks import times
from benchmarks._browser import Browser, Tab
from benchmarks._writers import scratch
from rdaq_ophyd.devices.sim_analog import SimAnalogInput, SimInput, Sine
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.server import Server
from rdaq_ophyd.startup import stop_loop
from rdaq_ophyd.startup._run_engine import make_run_engine

CHANNELS, RATE = 8, 10_000.0
SECONDS = times(20.0, 3.0)
IDLE = times(5.0, 1.0)
MIB = 1 << 20


@dataclass(frozen=True)
class Strips:
    """What the page did while it showed the samples.

    :param main: ms of the main thread for each update, less what the page takes without samples.
    :param all: the same, and that not subtracted.
    :param received: bytes of samples.
    :param uploaded: bytes to the GPU.
    :param sent: samples of a channel that were taken while the page listened.
    :param missing: those of them that did not reach it.
    :param exact: whether those that came and those that are missing are all.
    :param memory: bytes of the history.
    :param heap: MiB by which the page's own heap grew.
    """

    seconds: float
    updates: int
    main: float
    all: float
    received: int
    uploaded: int
    sent: int
    missing: int
    exact: bool
    memory: int
    heap: float


@contextmanager
def _session(folder: Path) -> Iterator[Any]:
    engine = make_run_engine({}, scan_id_source=lambda _md: 1, devices=list, person=False)
    inputs = {f"ai{n}": SimInput(Sine(3.0 + n, 1.0, 2.5 * n)) for n in range(CHANNELS)}
    with init_devices():
        adc = SimAnalogInput(StaticPathProvider(UUIDFilenameProvider(), folder), inputs=inputs, rate=RATE)
    rig = Rig("charted")
    rig.devices["adc"] = adc
    settings = SimpleNamespace(data_dir=folder / "data")
    with ExitStack() as stack:
        yield SimpleNamespace(RE=engine, rig=rig, settings=settings, at_close=stack.callback)
    call_in_bluesky_event_loop(adc.close(), 10)
    stop_loop(engine)


def watch_strips(browser: Browser) -> Strips:
    """A page that charts a card for a while."""
    with scratch() as folder, _session(folder) as session, Server(session, page=0) as server:
        tab = browser.open(server.page)
        tab.until("typeof rdaq !== 'undefined' && rdaq.chart.state === 'waiting'")
        found = _measure(tab, session.rig["adc"])
        tab.leave()
    return found


def _measure(tab: Tab, adc: SimAnalogInput) -> Strips:
    async def begin() -> None:
        await adc.stage()
        await adc.prepare(TriggerInfo(number_of_events=0))
        await adc.kickoff()

    async def end() -> None:
        await asyncio.wait_for(adc.unstage(), 20)

    tab.ask("Network.disable")  # nobody takes what is told of each message, for a minute
    (tap,) = adc._pipeline.fan._taps
    idle = _busy(tab, IDLE) / IDLE
    call_in_bluesky_event_loop(begin(), 30)
    tab.until("rdaq.chart.told?.counts.drawn > 3")
    before, begun, counted = tab.metrics(), time.monotonic(), _counts(tab)
    time.sleep(SECONDS)
    after, took, done = tab.metrics(), time.monotonic() - begun, _counts(tab)
    call_in_bluesky_event_loop(end(), 30)
    sent = tap.counts.published
    # The last ones are on their way; those that were left out before them are missing when they have come.
    tab.until(f"((c) => c.received + c.missing === {sent})(rdaq.chart.told.counts)")
    last = _counts(tab)
    busy = after["ThreadTime"] - before["ThreadTime"]
    updates = max(1, done["drawn"] - counted["drawn"])
    return Strips(
        seconds=took,
        updates=updates,
        main=1e3 * (busy - idle * took) / updates,
        all=1e3 * busy / updates,
        received=done["bytes"] - counted["bytes"],
        uploaded=done["uploaded"] - counted["uploaded"],
        sent=sent,
        missing=last["missing"],
        exact=last["received"] + last["missing"] == sent and last["dropped"] <= last["missing"],
        memory=tab.run("rdaq.chart.memory"),
        heap=(after["JSHeapUsedSize"] - before["JSHeapUsedSize"]) / MIB,
    )


def _busy(tab: Tab, seconds: float) -> float:
    """CPU seconds of the main thread in so many seconds."""
    before = tab.metrics()["ThreadTime"]
    time.sleep(seconds)
    return tab.metrics()["ThreadTime"] - before


def _counts(tab: Tab) -> dict[str, int]:
    return dict(json.loads(tab.run("JSON.stringify(rdaq.chart.told.counts)")))
