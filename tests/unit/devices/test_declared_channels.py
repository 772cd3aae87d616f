"""Channels of a declared instrument that move: each by itself, and all of them stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from parts import until

from rdaq_ophyd.capabilities import Capability, capabilities, stop_capability
from rdaq_ophyd.declaration import load
from rdaq_ophyd.devices.declared import Declared, class_of
from rdaq_ophyd.errors import BadReply, InstrumentError, LimitError, MoveInterrupted, StopUnconfirmed
from rdaq_ophyd.sim import Port, SimDeclared, serve_pty

TWIN = load(Path(__file__).parents[2] / "data" / "twin.toml")


@pytest.fixture
def port():
    with serve_pty(SimDeclared(TWIN), lift_baud=True) as port:
        yield port


@pytest.fixture
async def twin(port: Port) -> AsyncIterator[Declared]:
    twin = class_of(TWIN)(port.url, "twin")
    await twin.connect()
    yield twin
    twin.close()


def state(port: Port) -> dict:
    return port.call(lambda _: {k: dict(v) if isinstance(v, dict) else v for k, v in port.instrument.state.items()})


async def under_way(port: Port, *axes: str) -> None:
    await until(lambda: all(state(port)["p"][axis] != 0.0 for axis in axes))


async def test_each_moves_by_itself_and_both_at_once(twin, port):
    port.call(lambda _: port.instrument.state.update(speed=1000.0))
    await asyncio.gather(twin.axis_1.set(3.0), twin.axis_2.set(-4.0))
    readings = await twin.read()
    assert readings["twin-axis_1"]["value"] == pytest.approx(3.0)
    assert readings["twin-axis_2"]["value"] == pytest.approx(-4.0)
    assert twin.hints == {"fields": ["twin-axis_1", "twin-axis_2"]}
    assert {Capability.MOVABLE, Capability.HALTABLE} <= capabilities(twin.axis_1)
    assert Capability.MOVABLE not in capabilities(twin)
    assert stop_capability(twin.axis_1).means.value == "urgent lane"
    assert twin.axis_1.channel.who == "channel 1"


async def test_a_stop_of_one_leaves_the_other(twin, port):
    moves = [twin.axis_1.set(40.0), twin.axis_2.set(4.0)]
    await under_way(port, "1", "2")
    await twin.axis_1.stop()
    with pytest.raises((MoveInterrupted, RuntimeError)):
        await moves[0]
    await moves[1]
    assert state(port)["p"]["2"] == pytest.approx(4.0)
    assert state(port)["p"]["1"] < 40


@pytest.mark.parametrize("success", [True, False])
async def test_a_stop_of_the_whole_stops_both(twin, port, success):
    moves = [twin.axis_1.set(40.0), twin.axis_2.set(-40.0)]
    await under_way(port, "1", "2")
    await twin.stop(success)
    for move in moves:
        if success:
            await move
        else:
            with pytest.raises((MoveInterrupted, RuntimeError)):
                await move
    assert state(port)["p"] == state(port)["t"]


async def test_one_that_does_not_confirm_is_named_and_the_other_is_stopped_all_the_same(twin, port):
    move = twin.axis_2.set(40.0)
    await under_way(port, "2")
    port.call(lambda _: port.instrument.state["stuck"].update({"1": 1}))
    with pytest.raises(StopUnconfirmed, match="twin-axis_1: stop was sent, but not confirmed"):
        await twin.stop()
    with pytest.raises((MoveInterrupted, RuntimeError)):
        await move
    assert state(port)["p"] == state(port)["t"]
    port.call(lambda _: port.instrument.state["stuck"].update({"2": 1}))
    with pytest.raises(StopUnconfirmed) as caught:
        await twin.stop()
    assert any("twin-axis_2" in note for note in caught.value.__notes__)


async def test_bits_of_a_register_are_told_in_words(twin):
    with pytest.raises(InstrumentError, match=r"twin-axis_1: instrument error 2: out of range \(after 'T1 48.000'\)"):
        await twin.axis_1.set(48.0)
    with pytest.raises(LimitError):
        await twin.axis_1.set(51.0)
    with pytest.raises(InstrumentError, match="error 1: unknown command"):
        await twin.channel.checked("NONSENSE", twin.write_checker)
    with pytest.raises(BadReply, match="answered 'x' to 'ESR\\?'; expected a number"):
        await twin.check_write("x", "T1 1.000")


async def test_stop_all_has_a_verdict_for_each(twin, port):
    moves = [twin.axis_1.set(40.0), twin.axis_2.set(-40.0)]
    await under_way(port, "1", "2")
    safety = twin.channel.link.safety
    await asyncio.to_thread(safety.halt)
    verdicts = await asyncio.to_thread(safety.confirm)
    assert {(v.device, v.outcome.value) for v in verdicts} == {
        ("twin-axis_1", "confirmed"),
        ("twin-axis_2", "confirmed"),
    }
    for move in moves:
        with pytest.raises((MoveInterrupted, RuntimeError)):
            await move
