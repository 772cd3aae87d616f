"""Signals of slow instruments, read at a fixed rhythm, as if they were channels of a card."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
from ophyd_async.core import SignalR

from rdaq_ophyd.errors import CardError, RdaqError
from rdaq_ophyd.frames import Range
from rdaq_ophyd.link import Lane
from rdaq_ophyd.signals import LinkSignalBackend

from ._driver import Transfer
from ._format import CardIdentity, Channel, Coupling, InputRange, StartTrigger
from ._queue import TransferQueue

logger = logging.getLogger(__name__)

RATES = Range(0.001, 1000.0)
"""Readings a second; how many an instrument really gives is counted."""
HOST_TIME, UNCERTAINTY = "host_time", "uncertainty"


class PolledDriver:
    """Reads signals in the background lane of their links, ``rate`` times a second, without drift.

    Each row has the value of every signal, then ``host_time``, the middle between question and answer (s since 1970),
    and ``uncertainty``, half of the time between them (s). A beat that passes while the instrument still answers, and
    a reading that fails, are samples lost.

    :param signals: by the channels' names; connected, on the event loop that is given with ``use_loop``.
    :param rate: readings a second.
    :param label: name for messages.
    """

    def __init__(self, signals: Mapping[str, SignalR[float]], rate: float, label: str = "polled signals") -> None:
        self.label = label
        self._signals = dict(signals)
        self._channels = {name: Channel(name, "", 1.0, 0.0) for name in self._signals}
        for name in (HOST_TIME, UNCERTAINTY):
            self._channels[name] = Channel(name, "s", 1.0, 0.0)
        self._rate = rate
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: Future[None] | None = None
        self._rows = TransferQueue(len(self._channels))

    async def use_loop(self) -> None:
        """Poll on the running event loop, and ask the signals for their units."""
        self._loop = asyncio.get_running_loop()
        for name, signal in self._signals.items():
            described = (await signal.describe())[signal.name]
            self._channels[name] = replace(self._channels[name], units=described.get("units") or "")

    # -- the contract of drivers ----------------------------------------------------------------------------

    def open(self) -> CardIdentity:
        """Nothing to open: the signals belong to devices of their own."""
        return CardIdentity("", "polled signals", ", ".join(signal.name for signal in self._signals.values()))

    def close(self) -> None:
        """Stop polling."""
        self.stop()

    def channels(self) -> tuple[Channel, ...]:
        """The signals, and the times."""
        return tuple(self._channels.values())

    def set_range(self, channel: str, input_range: InputRange) -> None:
        """It is the instrument's own.

        :raises CardError: always.
        """
        raise CardError(f"{channel}: range {input_range} is not set here", hint="set it on the instrument's own device")

    def set_coupling(self, channel: str, coupling: Coupling) -> None:
        """There is none.

        :raises CardError: always.
        """
        raise CardError(f"{channel}: there is no coupling {coupling.value} to set", hint="it is an instrument's signal")

    def rate(self) -> float:
        """Readings a second."""
        return self._rate

    def set_rate(self, hertz: float) -> None:
        """Read so often."""
        self._rate = hertz

    def rate_range(self) -> Range:
        """Once in 1000 s to 1000 times a second."""
        return RATES

    def dtype_numpy(self) -> str:
        """Host times need all of ``<f8``."""
        return "<f8"

    def triggers(self) -> frozenset[StartTrigger]:
        """It begins by itself."""
        return frozenset({StartTrigger.INTERNAL})

    def arm(self, samples: int, shots: int, trigger: StartTrigger) -> None:  # noqa: ARG002  there is one of each
        """Begin to poll.

        :raises CardError: the device is not connected.
        """
        if self._loop is None:
            raise CardError(f"{self.label} is not connected", hint="connect the device first")
        self._rows = TransferQueue(len(self._channels))
        self._task = asyncio.run_coroutine_threadsafe(self._poll(self._rows), self._loop)

    def fire(self) -> None:
        """There is no software trigger.

        :raises CardError: always.
        """
        raise CardError(f"{self.label} waits for no software trigger", hint="it polls as soon as it is armed")

    def next_transfer(self, timeout: float) -> Transfer | None:
        """The readings since the last call."""
        transfer = self._rows.get(timeout)
        task = self._task
        if transfer is None and task is not None and task.done():
            task.result()
        return transfer

    def stop(self) -> None:
        """End polling; a reading in progress is given up, and its value goes nowhere."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    # -- on the event loop ----------------------------------------------------------------------------------

    async def _poll(self, rows: TransferQueue) -> None:
        period, clock = 1 / self._rate, asyncio.get_running_loop().time
        begun, beat, failing = clock(), 0, False
        while True:  # the one who takes them knows when it has enough
            await asyncio.sleep(max(0.0, begun + beat * period - clock()))
            try:
                rows.put(beat, await self._row())
                failing = False
            except (RdaqError, OSError) as error:
                # Once an outage, not once a beat.
                level = logging.DEBUG if failing else logging.WARNING
                logger.log(level, "%s: a reading failed, its sample is lost: %s", self.label, error)
                failing = True
            beat = max(beat + 1, math.ceil((clock() - begun) / period))

    async def _row(self) -> np.ndarray:
        wall, begun = time.time(), time.monotonic()
        values = await asyncio.gather(*(_read(signal) for signal in self._signals.values()))
        half = (time.monotonic() - begun) / 2  # the wall clock may be set meanwhile
        return np.array([*values, wall + half, half])


async def _read(signal: SignalR[float]) -> float:
    """A fresh value, in the link's background lane where it has one."""
    backend = signal._connector.backend
    if isinstance(backend, LinkSignalBackend):
        return float((await backend.fresh(Lane.POLL))["value"])
    return float(await signal.get_value(cached=False))
