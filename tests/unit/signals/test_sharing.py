"""Devices on one link take turns, and identical questions share one answer."""

import asyncio
from typing import Annotated

from ophyd_async.core import SignalR, SignalRW
from parts import Echo, until

from rdaq_ophyd.link import Lane, Line, open_links
from rdaq_ophyd.signals import Ask, LineProtocol, LinkDevice, Measure, Sample
from rdaq_ophyd.sim import serve_pty


class Meter(LinkDevice):
    protocol = LineProtocol(command_end="\r", reply=Line(b"\r\n"), timeout=2.0)
    value: Annotated[SignalRW[float], Ask("Q{address}.5", "L{address}={value}")]
    double: Annotated[SignalR[float], Measure("_double")]

    async def _double(self, lane: Lane) -> Sample:
        return Sample(2 * float(await self.channel.ask("Q{address}.5", lane=lane)))


async def test_only_declared_questions_are_shared_and_no_write_ever_is():
    with serve_pty(Echo(), lift_baud=True) as port:
        one, two = Meter(port.url, 1, name="one"), Meter(port.url, 2, name="two")
        await one.connect()
        await two.connect()
        (link,) = open_links()
        assert (one.channel.who, two.channel.who) == ("address 1", "address 2")

        def sent(command: bytes) -> int:
            return port.log.bytes().count(command)

        before, shared = sent(b"Q1.5"), link.statistics.coalesced
        values = await asyncio.gather(*(device.value.get_value() for device in (one, two) for _ in range(20)))
        assert values == [1.5] * 20 + [2.5] * 20
        asked = sent(b"Q1.5") - before
        assert asked < 20
        assert link.statistics.coalesced - shared > 20
        await asyncio.gather(*(one.value.set(3.0) for _ in range(5)))
        await until(lambda: sent(b"L1=3.0") == 5)  # written here; there in a moment
        # What a driver asks by itself may be more than a question.
        await asyncio.gather(*(one.double.get_value() for _ in range(5)))
        assert sent(b"Q1.5") - before == asked + 5
        one.close()
        two.close()
