"""A served instrument, the device that is connected to it, and the RunEngine on whose loop it lives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest
from ophyd_async.core import SignalR

from rdaq_ophyd import stop
from rdaq_ophyd.link import Link, LinkState
from rdaq_ophyd.sim import Instrument
from rdaq_ophyd.startup import make_run_engine, stop_loop

from ._hints import Emission, Motion
from ._loops import BOUND, until, wait_until
from ._members import find, link_devices, readable
from ._suite import Suite
from ._wire import Wire

SILENCE = 0.02
"""Seconds that count as no reply where none is expected; a reply on these ports takes less than a thousandth."""
ANSWER = 0.2
"""Seconds for a reply that must come, on a busy machine too."""
WITNESSES = 2
"""Signals that are read after each of many disturbances; all of them are after the last."""


class Bench:
    """Used as a context manager; a device that is left open is closed.

    :param suite: who says what is served and how the device is made.
    :param folder: for the name of the port.
    :param instrument: served instead of the suite's own.
    :param through: makes of the port's URL what the device is made with; None: what the suite says.
    :ivar clean: False while a test uses it that should leave all as it was, and after one that failed.
    """

    def __init__(
        self,
        suite: Suite,
        folder: Path,
        *,
        instrument: Instrument | None = None,
        through: Callable[[str], str | Link] | None = None,
    ) -> None:
        self.suite = suite
        self.clean = True
        self._closing = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self.port = stack.enter_context(suite.serve(instrument or suite.simulate(), folder))
            self.engine: Any = make_run_engine(
                {}, scan_id_source=lambda md: md.get("scan_id", 0) + 1, devices=lambda: [self.device], person=False
            )
            stack.callback(stop_loop, self.engine)
            stack.enter_context(self.engine.plan_end)
            # TCP over this project's own link, which notices at once that the other end is gone.
            url = self.port.url.replace("socket://", "tcp://", 1)
            self.link = (through or suite.open_link)(url)
            self.device: Any = suite.made(self.link)
            stack.callback(self._end)
            self.wire = Wire(self.port, self.device, suite.hazards)
            self._closing = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def _end(self) -> None:
        if self.engine.state == "paused":
            self.engine.abort()
        self.run(_cancel_all())
        self.device.close()
        if isinstance(self.link, Link):
            self.link.close()
        if stop.latch.tripped:
            stop.reset("the test is over", force=True)

    def run[T](self, work: Coroutine[Any, Any, T], seconds: float = 3 * BOUND) -> T:
        """Run it on the loop of the device, bounded."""
        future = asyncio.run_coroutine_threadsafe(work, self.engine.loop)
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():
                raise
            future.cancel()
            return pytest.fail(f"it did not end within {seconds:g} s; does something block the event loop or hang?")

    def connect(self, *, again: bool = False) -> Self:
        """Connect the device and put it into the state that the tests need."""
        self.run(self._connect(again))
        return self

    async def _connect(self, again: bool) -> None:
        await self.device.connect(timeout=BOUND, force_reconnect=again)
        await self.suite.prepare(self.device)
        for motion in self.suite.motions:
            await self.until_still(motion, "before it was asked to")

    # -- the instrument ---------------------------------------------------------------------------------------------

    def active(self, hint: Motion | Emission) -> bool:
        """Whether the simulated instrument moves, or emits."""
        tells = hint.moving if isinstance(hint, Motion) else hint.emitting
        return bool(self.port.call(lambda now: tells(self.port.instrument, now)))

    async def until_active(self, hint: Motion | Emission) -> None:
        """Wait until it does."""
        verb = "moves" if isinstance(hint, Motion) else "emits"
        await until(
            lambda: self.active(hint),
            f"{hint.title}: the simulated instrument never {verb}; is the hint right, and does the driver send it?",
        )

    async def until_still(self, hint: Motion | Emission, what: str) -> None:
        """Wait until it does not any more."""
        await until(lambda: not self.active(hint), f"{hint.title}: still moves or emits {what}")

    async def sync(self) -> None:
        """Until all that was sent before has arrived: a question came back."""
        for signal in list(self.readable.values())[:1]:
            await signal.get_value(cached=False)

    def answered(self) -> None:
        """Until the instrument has answered what came to it: sent later, that would be taken for another answer."""
        self.port.call(lambda _now: None)

    def unplug(self) -> None:
        """Pull the cable, and wait until the link has noticed."""
        link = self.device.channel.link
        self.port.disconnect()
        wait_until(lambda: link.state is not LinkState.CONNECTED, "the link did not notice that its port vanished")

    # -- the device -------------------------------------------------------------------------------------------------

    def part(self, path: str) -> Any:
        """A part of the device by its dotted name."""
        return find(self.device, path)

    @property
    def readable(self) -> dict[str, SignalR[Any]]:
        """The signals that ask the instrument, by their dotted names."""
        return {path: signal for path, signal in readable(self.device).items() if path not in self.suite.local}

    async def values(self) -> dict[str, Any]:
        """Every readable signal's value, asked now."""
        return {path: await signal.get_value(cached=False) for path, signal in self.readable.items()}

    async def steady(self) -> dict[str, Any]:
        """Those that do not change by themselves, with their values."""
        first, *others = [await self.values() for _ in range(3)]
        kept = {path: value for path, value in first.items() if path not in self.suite.changing}
        return {path: value for path, value in kept.items() if all(other[path] == value for other in others)}

    async def check_values(self, expected: dict[str, Any], after: str) -> None:
        """Read all of them at once: each has its own value."""
        names = list(expected)
        found = await asyncio.gather(*(self.part(path).get_value(cached=False) for path in names))
        for path, value in zip(names, found, strict=True):
            assert value == expected[path], (
                f"{path} reads {value!r} instead of {expected[path]!r} after {after}: was it given another's reply? "
                f"One that changes by itself belongs into `changing`"
            )

    async def check_others(self, expected: dict[str, Any], path: str, after: str) -> None:
        """Read that signal and a few more at once, whose values differ from its own: none was given another's reply."""
        names = list(expected)
        at = names.index(path) if path in expected else 0
        others = [name for name in names[at:] + names[:at] if name != path]
        telling = [name for name in others if path not in expected or expected[name] != expected[path]]
        chosen = [*(telling or others)[:WITNESSES], *([path] if path in expected else [])]
        await self.check_values({name: expected[name] for name in chosen}, after)

    @contextlib.contextmanager
    def impatient(self, seconds: float = SILENCE) -> Iterator[None]:
        """Replies time out sooner meanwhile, so that a test of silence takes no minute."""
        channels = [device.channel for device in link_devices(self.device).values()]
        before = [channel.protocol for channel in channels]
        for channel in channels:
            channel.protocol = replace(channel.protocol, timeout=seconds)
        try:
            yield
        finally:
            for channel, protocol in zip(channels, before, strict=True):
                channel.protocol = protocol


async def _cancel_all() -> None:
    """What a test that failed left running."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=BOUND)
