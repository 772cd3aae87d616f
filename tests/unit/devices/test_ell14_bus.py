"""Several ELL14 on one bus: nobody waits for another's move, no frame is taken for another's, the supply is kept."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from connected import connected
from ophyd_async.core import init_devices
from parts import until
from rotators import motions, moving

from rdaq_ophyd import stop
from rdaq_ophyd.devices._ell14_supply import Supply
from rdaq_ophyd.devices.ell14 import Ell14, Ell14Bus, discover
from rdaq_ophyd.errors import (
    InstrumentError,
    LimitError,
    MoveInterrupted,
    MoveTimeout,
    QueueFull,
    StopLatched,
    UnknownName,
    WrongInstrument,
)
from rdaq_ophyd.link import open_links
from rdaq_ophyd.sim import Faults, Port, Rotator, SimEll14, serve_pty


class Counting(SimEll14):
    """Notes how many turned at once, and which commands came while others turned."""

    def __init__(self, *args, **options) -> None:
        self.most = 0
        super().__init__(*args, **options)

    def _start(self, place, name, data, now):
        said = super()._start(place, name, data, now)
        self.most = max(self.most, sum(rotator.motion is not None for rotator in self.rotators.values()))
        return said


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(Counting("03A"), lift_baud=True) as served:
        yield served


@pytest.fixture
async def bus(port: Port) -> AsyncIterator[Ell14Bus]:
    async with connected(Ell14Bus(port.url, {"0": "a", "3": "b", "A": "c"}, "bus")) as bus:
        yield bus


async def angles(bus: Ell14Bus) -> dict[str, float]:
    return {name: round(reading["value"], 1) for name, reading in (await bus.read()).items()}


async def test_names_and_readings(bus: Ell14Bus):
    assert bus.hints == {"fields": ["bus-a", "bus-b", "bus-c"]}
    assert bus.rotators["A"] is bus.c
    await bus.b.set(20.0)
    assert await angles(bus) == {"bus-a": 0.0, "bus-b": 20.0, "bus-c": 0.0}
    assert bus.connection is bus.a.connection


async def test_a_move_does_not_hold_the_others_up():
    """At the true baud rate: while one turns for seconds, the other is asked and answers as ever."""
    with serve_pty(SimEll14("03")) as port:
        async with init_devices():
            a, b = Ell14(port.url, "0"), Ell14(port.url, "3")
        await a.velocity.set(25)
        status = a.set(200.0)
        await until(lambda: moving(port))
        longest, count = 0.0, 0
        while moving(port):
            begun = time.monotonic()
            await b.readback.get_value(cached=False)
            longest, count = max(longest, time.monotonic() - begun), count + 1
        await status
        assert count > 20
        assert longest < 0.5  # alone it takes 18 ms; the rest is for a machine that is busy otherwise
        a.close()
        b.close()


async def test_devices_of_their_own_share_the_port_and_the_supply(port: Port):
    mounts = [Ell14(port.url, address, f"m{address}") for address in "03A"]
    for mount in mounts:
        await mount.connect()
    assert len(open_links()) == 1
    await asyncio.gather(*(mount.set(90.0) for mount in mounts))
    assert port.instrument.most == 2
    assert len({id(mount._supply()) for mount in mounts}) == 1
    for mount in mounts:
        mount.close()


@pytest.mark.parametrize("movers", [1, 2, 3])
async def test_the_supply_feeds_no_more_than_it_can(movers: int):
    with serve_pty(Counting("0123", movers=movers, speed=3.0), lift_baud=True) as port:
        bus = Ell14Bus(port.url, {a: f"m{a}" for a in "0123"}, "bus", movers=movers)
        await bus.connect()
        for angle in (180.0, 0.0):
            await asyncio.gather(*(mount.set(angle) for mount in bus.rotators.values()))
        assert port.instrument.most == movers
        assert len(motions(port)) == 8
        await asyncio.to_thread(bus.close)


async def test_an_overloaded_supply_is_told_by_its_cause():
    with serve_pty(SimEll14("03", movers=1, speed=4.0), lift_baud=True) as port:
        bus = Ell14Bus(port.url, {"0": "a", "3": "b"}, "bus")
        await bus.connect()
        await bus.a.velocity.set(25)
        first = bus.a.set(180.0)
        await until(lambda: moving(port))
        with pytest.raises(InstrumentError, match=r"bus-b: instrument error 13: over-current, .*movers=1"):
            await bus.b.set(180.0)
        await first
        port.instrument.overload = "mechanical time-out"
        first = bus.a.set(0.0)
        await until(lambda: moving(port))
        with pytest.raises(InstrumentError, match="bus-b: instrument error 2: mechanical time-out"):
            await bus.b.set(180.0)
        await first
        await bus.b.set(180.0)
        await asyncio.to_thread(bus.close)


async def test_whoever_waits_for_the_supply_can_be_stopped(bus: Ell14Bus, port: Port):
    first = [bus.a.set(300.0), bus.b.set(300.0)]
    await until(lambda: moving(port) and moving(port, "3"))
    waiting = bus.c.set(300.0)
    await asyncio.sleep(0.02)
    bus.c.halt()
    with pytest.raises(MoveInterrupted, match="bus-c: told to stop on its way to 300; nothing more was sent"):
        await waiting
    await asyncio.gather(*first)
    assert len(motions(port)) == 2


async def test_turns_on_the_supply_are_taken_in_order_and_bounded(monkeypatch: pytest.MonkeyPatch):
    supply, order = Supply(1), []
    gate = asyncio.Event()

    async def turn(name: str) -> None:
        async with supply.turn([name], 5.0, lambda: None):
            order.append(name)
            await gate.wait()

    tasks = [asyncio.ensure_future(turn(name)) for name in ("first", "second", "third")]
    await asyncio.sleep(0.03)
    assert order == supply.turning == ["first"]
    with pytest.raises(MoveTimeout, match=r"late: waited 0\.0 s for first to end"):
        async with supply.turn(["late"], 0.02, lambda: None):
            pass
    monkeypatch.setattr("rdaq_ophyd.devices._ell14_supply.WAITING", 2)
    with pytest.raises(QueueFull, match="late: 2 moves wait"):
        async with supply.turn(["late"], 1.0, lambda: None):
            pass
    with pytest.raises(LimitError, match="2 at once, but the supply feeds 1"):
        async with supply.turn(["x", "y"], 1.0, lambda: None):
            pass
    gate.set()
    await asyncio.gather(*tasks)
    assert order == ["first", "second", "third"]
    assert supply.turning == []


async def test_what_nobody_waits_for_any_more_keeps_its_turn_until_it_must_be_over():
    supply = Supply(1)

    async def fail() -> None:
        async with supply.turn(["a"], 1.0, lambda: None):
            supply.linger("a", "stranger", seconds=0.1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert supply.turning == ["a"]
    async with supply.turn(["a"], 0.01, lambda: None):  # it need not wait for itself
        supply.linger("a", seconds=0.1)
    supply.hold("a")
    supply.linger("a", seconds=0.05)
    begun = time.monotonic()
    async with supply.turn(["b"], 1.0, lambda: None):
        assert time.monotonic() - begun >= 0.04


async def test_a_group_begins_in_the_same_moment(bus: Ell14Bus, port: Port):
    await bus.move_together(45.0, ["a", "c"])
    assert await angles(bus) == {"bus-a": 45.0, "bus-b": 0.0, "bus-c": 45.0}
    assert motions(port) == [b"0ma00004600"]
    assert port.instrument.most == 2
    assert (await bus.c.locate())["setpoint"] == 45.0
    await bus.c.set(0.0)  # it is its own master again


async def test_a_group_that_cannot_be_is_refused_before_anything_is_sent(bus: Ell14Bus, port: Port):
    with pytest.raises(LimitError, match="3 at once, but the supply feeds 2"):
        await bus.move_together(45.0)
    with pytest.raises(LimitError, match="not a finite number"):
        await bus.move_together(math.nan, ["a", "b"])
    bus.b._info = bus.b._info._replace(pulses=136_533)
    with pytest.raises(LimitError, match=r"pulses per degree are bus-a 398\.222, bus-b 379\.258"):
        await bus.move_together(45.0, ["a", "b"])
    assert motions(port) == []
    assert b"ga" not in port.log.bytes()


async def test_a_group_hears_of_stops_and_faults(bus: Ell14Bus, port: Port):
    status = bus.move_together(300.0, ["a", "b"])
    await until(lambda: moving(port) and moving(port, "3"))
    await bus.stop()
    with pytest.raises(MoveInterrupted, match="told to stop on its way to 300 with others"):
        await status
    status = bus.move_together(0.0, ["a", "b"])
    bus.b.halt()
    with pytest.raises(MoveInterrupted, match="nothing more was sent"):
        await status
    status = bus.move_together(0.0, ["a", "b"])
    await until(lambda: moving(port) and moving(port, "3"))
    port.call(lambda now: port.instrument.cause("3", 11, now))
    with pytest.raises(InstrumentError, match="bus-b: instrument error 11: motor error"):
        await status
    assert len(motions(port)) == 2


async def test_a_member_that_does_not_join_leaves_a_note(bus: Ell14Bus, port: Port):
    real = port.instrument._set
    port.instrument._set = lambda place, name, data, now: (
        place.rotator.refuse(3) if name == "ga" else real(place, name, data, now)
    )
    with pytest.raises(InstrumentError, match="bus-b: .*in answer to '3ga0'") as caught:
        await bus.move_together(10.0, ["a", "b"])
    assert "bus-b may answer at address 0 only" in caught.value.__notes__[0]
    assert motions(port) == []


async def test_what_is_on_the_bus(bus: Ell14Bus, port: Port):
    states = []
    end = bus.channel.link.watch(states.append)
    found = await bus.discover("0123")
    end()
    assert {address: info.serial for address, info in found.items()} == {"0": "11400517", "3": "11400518"}
    assert states == []  # empty addresses make no bus mute


async def test_what_is_on_a_bus_of_which_nothing_is_known_yet(port: Port):
    found = await discover(port.url, "9A")
    assert {address: info.serial for address, info in found.items()} == {"A": "11400519"}
    assert open_links() == ()
    assert motions(port) == []


async def test_the_bus_knows_its_rotators_by_their_new_addresses(bus: Ell14Bus, port: Port):
    await bus.a.change_address("7")
    assert bus.rotators["7"] is bus.a
    assert await bus.discover("037") == {"3": bus.b.info, "7": bus.a.info}
    await bus.connect(force_reconnect=True)
    assert bus.channel.text(bus.heartbeat) == "7gp"


async def test_buttons_in_mid_question_are_no_answers(bus: Ell14Bus, port: Port):
    async def press() -> None:
        for i in range(40):
            for address in "03":
                port.call(lambda now, a=address, f=bool(i % 2): port.instrument.press(a, now, forward=f))
            await asyncio.sleep(0.01)

    pressing = asyncio.ensure_future(press())
    while not pressing.done():
        assert await bus.c.readback.get_value(cached=False) == 0.0
        assert await bus.c.velocity.get_value(cached=False) == 100
        assert await bus.a.velocity.get_value(cached=False) == 100
        await bus.c.velocity.set(100)
    await pressing
    assert b"BO" in port.log.bytes("tx")
    assert bus.channel.link.statistics.timeouts == 0


@pytest.mark.parametrize(
    "noise", [b"3PO00000400\r\n", b"0BS00\r\n3GS02\r\n", b"\xff\x00junk\r\n", b"00004600\r\n", b"0PO12\r\n"]
)
async def test_noise_and_frames_of_others_are_no_answers(bus: Ell14Bus, port: Port, noise: bytes):
    port.faults = Faults(babble=noise, babble_every=0.003)
    for _ in range(10):
        assert await bus.a.readback.get_value(cached=False) == 0.0
    port.faults = Faults()
    await bus.a.set(10.0)


async def test_an_error_that_is_told_while_others_are_asked_reaches_its_own_move(bus: Ell14Bus, port: Port):
    await bus.a.velocity.set(25)
    status = bus.a.set(300.0)
    await until(lambda: moving(port))
    reads = [asyncio.ensure_future(bus.b.readback.get_value(cached=False)) for _ in range(50)]
    port.call(lambda now: port.instrument.cause("0", 11, now))
    with pytest.raises(InstrumentError, match="bus-a: instrument error 11"):
        await status
    assert set(await asyncio.gather(*reads)) == {0.0}


async def test_a_firmware_that_answers_nothing_while_it_turns():
    with serve_pty(SimEll14("03", answers_while_busy=False), lift_baud=True) as port:
        bus = Ell14Bus(port.url, {"0": "a", "3": "b"}, "bus", segment=100.0)
        await bus.connect()
        await asyncio.gather(bus.a.set(150.0), bus.b.set(50.0))
        assert await angles(bus) == {"bus-a": 150.0, "bus-b": 50.0}
        await bus.move_together(0.0)
        await bus.a.home.trigger()
        assert len(motions(port)) == 6
        await asyncio.to_thread(bus.close)


async def test_rotators_with_calibrations_of_their_own():
    mounts = {"1": Rotator("1" * 8, pulses=143_360), "2": Rotator("2" * 8, pulses=136_533)}
    with serve_pty(SimEll14(mounts), lift_baud=True) as port:
        bus = Ell14Bus(port.url, {"1": "a", "2": "b"}, "bus")
        await bus.connect()
        await asyncio.gather(bus.a.set(90.0), bus.b.set(90.0))
        assert {line[3:] for line in motions(port)} == {b"00008C00", b"00008555"}
        assert await angles(bus) == {"bus-a": 90.0, "bus-b": 90.0}
        await asyncio.to_thread(bus.close)


async def test_a_group_whose_move_is_refused_says_who_is_left_in_it(bus: Ell14Bus, port: Port):
    real = port.instrument._set

    def trip(place, name, data, now):
        stop.latch.trip("in between", "a test")
        return real(place, name, data, now)

    port.instrument._set = trip
    with pytest.raises(StopLatched) as caught:
        await bus.move_together(10.0, ["a", "b"])
    assert "bus-b may answer at address 0 only, until the next move of bus-a" in caught.value.__notes__[0]
    assert motions(port) == []
    stop.reset("the test goes on", force=True)
    await bus.a.set(10.0)
    await bus.b.set(20.0)


async def test_a_group_keeps_to_the_segment(port: Port):
    async with connected(Ell14Bus(port.url, {"0": "a", "3": "b"}, "bus", segment=30.0)) as bus:
        await bus.move_together(100.0)
        assert await angles(bus) == {"bus-a": 100.0, "bus-b": 100.0}
        assert [int(line[3:], 16) for line in motions(port)] == [9956, 19911, 29867, 39822]
        status = bus.move_together(0.0)
        await until(lambda: len(motions(port)) == 5)
        await bus.stop()
        with pytest.raises(MoveInterrupted, match="nothing more was sent"):
            await status
        assert (await angles(bus))["bus-a"] == pytest.approx(75.0, abs=0.1)
        await bus.a.set(10.0)
        with pytest.raises(LimitError, match=r"by 30 deg at most \(segment\): bus-a at .*, bus-b at 7"):
            await bus.move_together(0.0)


async def test_rotators_are_told_by_their_names(bus: Ell14Bus, port: Port):
    await bus.move_together(10.0, "b")
    await bus.move_together(20.0, ["a", "a"])
    assert await angles(bus) == {"bus-a": 20.0, "bus-b": 10.0, "bus-c": 0.0}
    with pytest.raises(UnknownName, match="unknown rotator 'zz'"):
        bus.move_together(10.0, ["zz"])


async def test_rotators_without_names_take_turns_on_the_supply_too(port: Port):
    mounts = [Ell14(port.url, address) for address in "03A"]
    for mount in mounts:
        await mount.connect()
    await asyncio.gather(*(mount.set(90.0) for mount in mounts))
    assert port.instrument.most == 2
    for mount in mounts:
        mount.close()


async def test_one_address_belongs_to_one_device(port: Port):
    async with connected(Ell14(port.url, "0", "first")) as first:
        for second in (Ell14(port.url, "0", "second"), Ell14Bus(port.url, {"0": "a"}, "bus")):
            with pytest.raises(WrongInstrument, match="address 0 is in use by first"):
                await second.connect()
        await first.connect(force_reconnect=True)
        await first.change_address("7")
        async with connected(Ell14(port.url, "3", "other"), alone=False) as other:
            await other.change_address("0")
    async with connected(Ell14(port.url, "7", "second")):
        pass
