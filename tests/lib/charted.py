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
WHEN = 1_700_000_000.0
"""Time of the first sample, s since 1970."""
BLUE, ORANGE, WHITE = (0x56, 0xB4, 0xE9), (0xE6, 0x9F, 0x00), (0xFF, 0xFF, 0xFF)
"""Of the first, the second and the eighth trace."""
THICK = 1.6
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


def begun(tab: Tab, device: AnalogInput) -> Feed:
    """Samples of a card as the test wants them, looked at anew."""
    tap = listening(tab, device)
    tab.run("(rdaq.chart.setLog(false), rdaq.chart.setView({span: 10, clock: true, end: null}))")
    feed = Feed(device, WHEN)
    feed.tap = tap
    return feed


def ranged(tab: Tab, low: float, high: float, units: str = "V") -> None:
    """Let an axis go from one value to another."""
    tab.run(f"rdaq.chart.setRange({{low: {low}, high: {high}, auto: false}}, {units!r})")


def listening(tab: Tab, device: AnalogInput) -> Any:
    """Choose a card's samples and wait until the page listens anew; its tap."""
    before = set(device._pipeline.fan._taps)
    tab.until("typeof rdaq !== 'undefined' && rdaq.chart.sources.known.size")
    field = "document.getElementById('chart-source')"
    tab.run(f"({field}.value = 'samples:{device.name}', rdaq.chart.sources.choose(true))")
    until(lambda: set(device._pipeline.fan._taps) - before)
    tab.until("rdaq.chart.state", lambda state: state == "waiting")
    (tap,) = set(device._pipeline.fan._taps) - before
    return tap


def charted(tab: Tab, condition: str, settle: bool = True) -> dict[str, Any]:
    """Wait until what the page told last is as it should be; that, as it is told again then."""
    tab.until(f"((told) => told?.window && ({condition}))(rdaq.chart.told)")  # drawn, too
    if settle:
        fresh(tab)
    return dict(json.loads(tab.run("JSON.stringify(rdaq.chart.told)")))


def fresh(tab: Tab) -> None:
    """Wait for what is told of a picture that was drawn after this."""
    tab.run("rdaq.chart.picture('traces')")  # drawn when this is done, and whatever is told from then on is of that
    tab.run("(rdaq.chart.told = null, rdaq.chart.move({}))")
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


def pixels(png: bytes) -> NDArray[Any]:
    """Of a picture, shape (height, width, 4)."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def expected(values: NDArray[Any], told: dict[str, Any], low: float, high: float, *, size: int = 1) -> NDArray[Any]:
    """Heights, in points, between which each column of a pane has to be drawn: of the line through the samples.

    :param values: one trace from its begin, NaN for none.
    :param size: samples that the page looks at together; all of those that a column touches count for it, and those
        beside them, to which it may be joined. 0: the samples alone, without the line between them.
    """
    window, (pane, *_) = told["window"], told["panes"]
    found = np.full((int(pane["width"]), 2), np.nan)
    for column in range(int(pane["width"])):
        edges = [(window["from"] + (column + n) * window["perColumn"]) * RATE for n in (0, 1)]
        if not size:
            edges = [edges[0] + 0.05, edges[1] - 0.05]  # on an edge it belongs to either column
        first, end = int(np.ceil(edges[0])), int(np.floor(edges[1])) + 1
        if size > 1:
            slack = 0.002 * size  # GPUs count with 24 bits
            first = int(np.floor((edges[0] - slack) / size)) * size - 1
            end = int(np.ceil((edges[1] + slack) / size)) * size + 1
        known = values[max(0, first) : max(0, end)]
        if size:
            crossing = [between(values, edge) for edge in edges if 0 <= edge < len(values) - 1]
            known = np.concatenate([known, crossing])
        known = known[~np.isnan(known)]
        if len(known):
            found[column] = (np.array([known.min(), known.max()]) - low) / (high - low) * pane["height"]
    return found


def between(values: NDArray[Any], place: float) -> float:
    """The line through two samples, where it is at a place between them."""
    first = int(np.floor(place))
    return float(np.interp(place, [first, first + 1], values[first : first + 2]))


def agrees(
    drawn: NDArray[Any],
    values: NDArray[Any],
    told: dict[str, Any],
    low: float,
    high: float,
    *,
    size: int = 1,
    pane: int = 0,
) -> float:
    """Check that a trace is where it has to be: as thick as a line at least, and a point of rounding at either end.

    Where the page draws the extremes of ``size`` samples, none may be missing, and no others may be there. The share of
    the columns that were compared.
    """
    told = {**told, "panes": told["panes"][pane:]}
    least, most = (expected(values, told, low, high, size=each) for each in (size == 1, size))
    some, there = ~np.isnan(least[:, 0]), drawn[0] >= 0
    assert (some != there).sum() <= 2 * np.diff(some).sum()  # where a line ends within a column
    both = some & there & ~np.isnan(most[:, 0])
    assert both.sum() > 0.4 * len(both)
    bottom, top = drawn[0][both], drawn[1][both] + 1
    thicker = [np.maximum(0, THICK - np.diff(each[both], axis=1)[:, 0]) / 2 for each in (least, most)]
    assert (bottom <= least[both, 0] + 1).all()
    assert (top >= least[both, 1] - 1).all()
    assert (bottom >= most[both, 0] - thicker[1] - 1).all()
    assert (top <= most[both, 1] + thicker[1] + 1).all()
    if size == 1:
        np.testing.assert_allclose(bottom, least[both, 0] - thicker[0], atol=1)
        np.testing.assert_allclose(top, least[both, 1] + thicker[0], atol=1)
    return float(both.mean())
