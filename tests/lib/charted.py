"""Rigs whose samples are looked at in a browser, and samples made for a test."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from benchmarks._browser import Tab
from bluesky.run_engine import call_in_bluesky_event_loop
from numpy.typing import ArrayLike, NDArray
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider
from PIL import Image

from rdaq_ophyd.devices.sim_analog import SimAnalogInput, SimInput, Sine
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.samples import AnalogInput, Calibration, Piece
from rdaq_ophyd.samples._tap import LARGEST
from rdaq_ophyd.startup import stop_loop
from rdaq_ophyd.startup._run_engine import make_run_engine

RATE = 10_000.0
FEW = 64
"""Pieces that may wait for the page while more are made."""


@contextmanager
def analog_rig(folder: Path, *channels: int, **calibrations: Calibration) -> Iterator[Any]:
    """All of a session that a server needs, with a card ``adc0``, ``adc1`` … for each number of channels."""
    engine = make_run_engine({}, scan_id_source=lambda md: 1, devices=list, person=False)
    rig = Rig("samples")
    paths = StaticPathProvider(UUIDFilenameProvider(), folder)
    for index, number in enumerate(channels):
        inputs = {f"ai{n}": SimInput(Sine(50.0, 1.0 + n, phase=n)) for n in range(number)}
        known = {name: each for name, each in calibrations.items() if name in inputs}
        card = SimAnalogInput(paths, f"adc{index}", inputs=inputs, rate=RATE, calibrations=known)
        call_in_bluesky_event_loop(card.connect(), 10)
        rig.devices[card.name] = card
    settings = SimpleNamespace(data_dir=folder / "data")
    with ExitStack() as stack:
        yield SimpleNamespace(RE=engine, rig=rig, settings=settings, at_close=stack.callback)
    for device in rig.devices.values():
        call_in_bluesky_event_loop(device.close(), 10)
    stop_loop(engine)


class Feed:
    """A card's samples as a test wants them, as fast as the page takes them: seconds of them in no time.

    :param device: whose listeners get them.
    :param time: of the first sample, s since 1970.
    :ivar sent: samples that were published.
    """

    def __init__(self, device: AnalogInput, time: float) -> None:
        self.device, self.fan = device, device._pipeline.fan
        self.schema = device.sample_schema()
        self.dtype = np.dtype([(c.name, c.dtype) for c in self.schema.columns])
        self.began, self.number, self.shot, self.sent = time, 0, 0, 0

    @property
    def time(self) -> float:
        """Of the next sample, s since 1970."""
        return self.began + self.number / self.schema.rate

    def send(self, values: ArrayLike, *, pace: bool = True) -> None:
        """Samples, shape (samples,) for all channels alike or (samples, channels).

        :param pace: wait for the page, so that it misses none.
        """
        given = np.asarray(values, "<f4")
        rows = np.empty((len(given), len(self.schema.columns)), "<f4")
        rows[:] = given if given.ndim == 2 else given[:, None]
        most = LARGEST // (rows.shape[1] * 4)
        for first in range(0, len(rows), most):
            part = rows[first : first + most]
            self.fan.publish(Piece(self.schema, self.number, self.shot, self.time, part))
            self.number += len(part)
            self.sent += len(part)
            if pace:
                until(lambda: all(tap.counts.pending <= FEW * most for tap in tuple(self.fan._taps)))

    def lose(self, samples: int) -> None:
        """As many as the card has lost."""
        self.number += samples

    def begin(self, later: float) -> None:
        """Another shot, some seconds later."""
        self.shot += 1
        self.began += later


def until(condition: Any) -> None:
    """Wait until something is so."""
    for _ in range(6000):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it never came to that")


def listening(tab: Tab, device: AnalogInput) -> Any:
    """Choose a card's samples and wait until the page listens anew; its tap."""
    before = set(device._pipeline.fan._taps)
    tab.until("typeof rdaq !== 'undefined' && rdaq.chart.sources.known.size")
    tab.run(f"document.getElementById('chart-source').value = 'samples:{device.name}'")
    tab.run("rdaq.chart.sources.choose(true)")
    until(lambda: set(device._pipeline.fan._taps) - before)
    tab.until("rdaq.chart.state", lambda state: state == "waiting")
    (tap,) = set(device._pipeline.fan._taps) - before
    return tap


def charted(tab: Tab, condition: str, settle: bool = True) -> dict[str, Any]:
    """Wait until what the page told last is as it should be; that, as it is told again then."""
    tab.until(f"((told) => told && ({condition}))(rdaq.chart.told)")
    if settle:
        fresh(tab)
    return dict(json.loads(tab.run("JSON.stringify(rdaq.chart.told)")))


def fresh(tab: Tab) -> None:
    """Wait for what is told after this, of something that was drawn after this."""
    tab.run("rdaq.chart.told = null, rdaq.chart.move({})")
    tab.until("rdaq.chart.told?.window")


def arrived(tab: Tab, number: int) -> dict[str, Any]:
    """Wait until so many samples are there and drawn."""
    return charted(tab, f"told.counts.received === {number}")


def picture(tab: Tab, layer: str = "traces") -> NDArray[Any]:
    """What is drawn, shape (height, width, 4)."""
    script = f"""rdaq.chart.picture({layer!r}).then(async (blob) => {{
        let text = '';
        for (const byte of new Uint8Array(await blob.arrayBuffer())) text += String.fromCharCode(byte);
        return btoa(text);
    }})"""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(tab.run(script)))).convert("RGBA"))


def spans(shot: NDArray[Any], pane: dict[str, Any], colour: Sequence[int], near: int = 2) -> NDArray[Any]:
    """The first and the last point of a colour in each column of a pane, from its bottom; -1 for none."""
    left, top = round(pane["left"]), round(pane["top"])
    area = shot[top : top + round(pane["height"]), left : left + round(pane["width"])]
    drawn = (area[..., 3] > 0) & (np.abs(area[..., :3].astype(int) - colour).max(axis=-1) <= near)
    drawn = drawn[::-1]
    some = drawn.any(axis=0)
    lowest = drawn.argmax(axis=0)
    highest = len(drawn) - 1 - drawn[::-1].argmax(axis=0)
    return np.where(some, [lowest, highest], -1)
