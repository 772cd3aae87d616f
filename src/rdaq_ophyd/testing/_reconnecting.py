"""A port that vanishes and comes back: the instrument is known again, and nothing is repeated."""

from __future__ import annotations

from typing import Any

import pytest

from rdaq_ophyd.capabilities import StopMeans, stop_capability
from rdaq_ophyd.errors import LinkClosed, RdaqError
from rdaq_ophyd.link import LinkState
from rdaq_ophyd.sim import Instrument

from ._bench import ANSWER, Bench
from ._benched import Benched
from ._hints import Emission, Motion
from ._loops import until, wait_until
from ._members import link_devices
from ._stopping import REACHES

GOOD = {LinkState.CONNECTED, LinkState.MUTE}


class ReconnectTests(Benched):
    """The cable is pulled and plugged in again, with the same instrument at its end, or another."""

    def test_a_lost_port_is_an_error_and_comes_back(self, own_bench: Bench) -> None:
        """Readings fail while it is away; afterwards they are what they were, and nothing was commanded."""
        bench = own_bench
        expected = bench.run(bench.steady())
        bench.unplug()
        for signal in bench.readable.values():
            with pytest.raises(LinkClosed):
                bench.run(signal.get_value(cached=False))
        mark = bench.wire.mark()
        bench.port.reconnect()
        _wait_for_return(bench)
        bench.run(bench.check_values(expected, "its port came back"))
        heard = bench.wire.lines(mark)
        assert heard, "its port came back, and the instrument was asked nothing"
        assert not bench.wire.hazards(mark), _repeated(bench, mark)

    def test_another_instrument_on_the_port_is_refused(self, own_bench: Bench) -> None:
        """Nothing is written to an instrument that was plugged in instead."""
        bench, impostor = own_bench, next(iter(self.impostors()))
        sent = self._exchanged(bench, impostor)
        assert not sent, f"another instrument was plugged in, and got {sent}"

    def test_another_one_of_the_same_kind_is_refused(self, own_bench: Bench) -> None:
        """``identity`` tells them apart."""
        other = self.twin()
        if other is None:
            pytest.skip("it has no `twin`: two of its kind cannot be told apart")
        sent = self._exchanged(own_bench, other)
        assert not sent, f"another one of its kind was plugged in, and got {sent}"

    def _exchanged(self, bench: Bench, other: Instrument) -> list[str]:
        """Plug in another instrument; the commands that it heard."""
        link = bench.device.channel.link
        bench.unplug()
        bench.port.call(lambda _: setattr(bench.port, "instrument", other))
        mark = bench.wire.mark()
        bench.port.reconnect()
        with bench.impatient(ANSWER):
            wait_until(
                lambda: link.state in {LinkState.WRONG, *GOOD} or link.statistics.timeouts > 2,
                "the link never looked at the instrument that was plugged in",
            )
        assert link.state not in GOOD, (
            f"{other.name}: another instrument was accepted when its port came back; see `handshake` and `identity`"
        )
        for signal in bench.readable.values():
            with pytest.raises(RdaqError):
                bench.run(signal.get_value(cached=False))
        return bench.wire.unsafe(mark)

    def test_a_move_is_never_repeated(self, own_bench: Bench, kind_of_motion: Motion) -> None:
        """A move that was under way when the port vanished fails, is not sent again, and comes to rest."""
        motion = kind_of_motion
        bench = own_bench
        part = bench.part(motion.part)
        status = bench.run(_begin(bench, part, motion))
        bench.unplug()
        bench.run(_failed(status, motion))
        mark = bench.wire.mark()
        bench.port.reconnect()
        _wait_for_return(bench)
        if stop_capability(part).means in REACHES:
            bench.run(
                bench.until_still(motion, "since its port came back: let `after_reconnect` stop what may still move")
            )
        assert not bench.wire.hazards(mark), _repeated(bench, mark)
        if stop_capability(part).means is not StopMeans.NONE:
            bench.run(bench.until_still(motion, "long after its port came back"))

    def test_light_is_never_switched_on_again(self, own_bench: Bench, kind_of_emission: Emission) -> None:
        """An instrument that lost its power comes back dark."""
        bench, emission = own_bench, kind_of_emission
        bench.run(_switched_on(bench, emission))
        bench.unplug()
        fresh = self.simulate()
        bench.port.call(lambda _: setattr(bench.port, "instrument", fresh))
        mark = bench.wire.mark()
        bench.port.reconnect()
        _wait_for_return(bench)
        assert not bench.active(emission), f"{emission.title}: it came back dark and was switched on by itself"
        assert not bench.wire.hazards(mark), _repeated(bench, mark)


async def _begin(bench: Bench, part: Any, motion: Motion) -> Any:
    status = part.set(motion.far)
    await bench.until_active(motion)
    return status


async def _failed(status: Any, motion: Motion) -> None:
    await until(lambda: status.done, f"{motion.title}: a move whose port vanished never ended")
    assert isinstance(status.exception(), RdaqError), (
        f"{motion.title}: its port vanished, and its move ended with {status.exception()!r}, not with an RdaqError"
    )


async def _switched_on(bench: Bench, emission: Emission) -> None:
    await bench.part(emission.part).set(emission.value)
    await bench.until_active(emission)


def _wait_for_return(bench: Bench) -> None:
    """Until the link was accepted, and what the devices do then is done."""
    link = bench.device.channel.link
    wait_until(lambda: link.state is LinkState.CONNECTED, f"the port is back, the link is {link.state.value!r}")
    members = [device._link_connector._member for device in link_devices(bench.device).values()]
    wait_until(lambda: not any(member and member._before for member in members), "settings were never looked at")
    bench.run(bench.sync())
    bench.run(bench.sync())


def _repeated(bench: Bench, mark: int) -> str:
    return (
        f"its port came back, and without anybody asking it sent {bench.wire.hazards(mark)}; what moves, opens "
        f"or emits is never repeated, and `restore=True` is for harmless settings"
    )
