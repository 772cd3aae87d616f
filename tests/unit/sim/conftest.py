"""A simulated instrument under a clock that the test moves."""

from __future__ import annotations

import pytest

from rdaq_ophyd.sim import Instrument, SimEsp300, SimNewport1830C


class Bench:
    """Says lines to an instrument and lets time pass, without a port."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument, self.now = instrument, 100.0
        self.replies = list(instrument.advance(self.now))

    def say(self, line: str) -> str:
        """Send a line at the present time; return what came back at once."""
        replies = self.instrument.feed(line.encode("latin-1") + self.instrument.terminator, self.now)
        self.replies += replies
        return b"".join(reply.data for reply in replies).decode("latin-1").strip()

    def after(self, seconds: float, step: float = 0.01) -> str:
        """Let time pass in steps; return what came of itself."""
        end, said = self.now + seconds, b""
        while self.now < end:
            self.now = min(end, self.now + step)
            said += b"".join(reply.data for reply in self.instrument.advance(self.now))
        return said.decode("latin-1").strip()


@pytest.fixture
def esp300() -> Bench:
    """A controller with three axes, the motor of axis 1 on."""
    bench = Bench(SimEsp300())
    bench.say("1MO")
    return bench


@pytest.fixture
def meter() -> Bench:
    """A meter that sees 1 mW without noise."""
    return Bench(SimNewport1830C(1e-3, noise=0.0))


@pytest.fixture
def under_clock() -> type[Bench]:
    """Puts any instrument under a clock."""
    return Bench
