"""The ESP300 driver against the controller's simulator on a real pty."""

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from bluesky.protocols import Location
from connected import motors_on
from ophyd_async.core import init_devices, set_mock_value
from parts import until

from rdaq_ophyd.devices._esp300_errors import AXIS, GLOBAL, ErrorQueue, Fault
from rdaq_ophyd.devices._esp300_units import UNITS
from rdaq_ophyd.devices.esp300 import Esp300, Esp300Axis
from rdaq_ophyd.errors import (
    BadReply,
    InstrumentError,
    LimitError,
    MoveInterrupted,
    MoveTimeout,
    ReplyTimeout,
    StopUnconfirmed,
    WrongInstrument,
)
from rdaq_ophyd.link import SerialSettings, open_links
from rdaq_ophyd.sim import Faults, Port, SimEsp300, SimNewport1830C, serve_pty


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(SimEsp300(speed=5.0), lift_baud=True) as served:
        yield served


@pytest.fixture
async def esp(port: Port) -> AsyncIterator[Esp300]:
    async with motors_on(port, {1: "x", 2: "y", 3: "theta"}) as esp:
        yield esp


async def test_names_units_and_limits_come_from_the_controller(esp: Esp300):
    assert esp.hints == {"fields": ["esp-x", "esp-y", "esp-theta"]}
    described = await esp.describe()
    assert described["esp-x"]["units"] == "mm"
    assert described["esp-theta"]["units"] == "deg"
    configuration = await esp.describe_configuration()
    assert configuration["esp-theta-velocity"]["units"] == "deg/s"
    assert configuration["esp-x-acceleration"]["units"] == "mm/s^2"
    values = await esp.read_configuration()
    assert (values["esp-x-low_limit"]["value"], values["esp-y-high_limit"]["value"]) == (-25.0, 12.5)
    assert values["esp-firmware"]["value"].startswith("ESP300 Version 3.04")
    assert esp.x.name == "esp-x"
    assert (await esp.x.read())["esp-x"]["value"] == 0.0


async def test_a_move_reports_progress_and_ends_at_its_target(esp: Esp300):
    updates: list[dict] = []
    status = esp.x.set(5.0)
    status.watch(lambda **update: updates.append(update))
    await status
    assert (await esp.x.read())["esp-x"]["value"] == pytest.approx(5.0, abs=1e-3)
    assert await esp.x.locate() == Location(setpoint=5.0, readback=5.0)
    assert {u["target"] for u in updates} == {5.0}
    assert {u["unit"] for u in updates} == {"mm"}
    assert updates[0]["initial"] == 0.0
    assert await esp.x.done.get_value() is True


async def test_axes_move_at_the_same_time(esp: Esp300):
    await asyncio.gather(esp.x.set(3.0), esp.y.set(-2.0), esp.theta.set(10.0))
    reading = await esp.read()
    assert [round(reading[f"esp-{a}"]["value"], 2) for a in ("x", "y", "theta")] == [3.0, -2.0, 10.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, 25.1, -26.0])
async def test_impossible_targets_are_refused_before_a_move_is_sent(esp: Esp300, port: Port, bad: float):
    with pytest.raises(LimitError, match=r"esp-x: .*(not a finite number|allowed: -25 to 25 mm)"):
        await esp.x.set(bad)
    with pytest.raises(LimitError):
        await esp.x.check_value(bad)
    assert b"1PA" not in port.log.bytes()


async def test_limits_narrowed_by_the_user_hold(esp: Esp300):
    await esp.x.high_limit.set(2.0)
    with pytest.raises(LimitError, match="allowed: -25 to 2 mm"):
        await esp.x.set(3.0)


async def test_a_motor_that_is_off_is_named_with_what_to_do(esp: Esp300):
    await esp.x.enabled.set(False)
    with pytest.raises(
        InstrumentError, match=r"esp-x \(axis 1\): instrument error 113: the motor is not enabled.*<enable\(esp\.x\)"
    ):
        await esp.x.set(1.0)
    await esp.y.set(1.0)


async def test_a_setting_that_the_controller_refuses_raises_its_cause(esp: Esp300):
    await esp.x.channel.tell("1VU2")  # by somebody else: the driver's limits are those it read
    with pytest.raises(InstrumentError, match="110: above the axis' maximum velocity") as caught:
        await esp.x.velocity.set(100.0)
    assert (caught.value.device, caught.value.code) == ("esp-x (axis 1)", 110)
    await esp.x.velocity.set(1.5)
    assert await esp.x.velocity.get_value() == 1.5


@pytest.mark.parametrize(
    ("fault", "code", "cause"),
    [("following_error", 203, "following error"), ("hardware_limit_positive", 204, "positive hardware limit")],
)
async def test_a_fault_in_mid_move_fails_that_axis_only(esp: Esp300, port: Port, fault: str, code: int, cause: str):
    await esp.y.velocity.set(2.0)
    moving, other = esp.y.set(10.0), esp.x.set(4.0)
    await until(lambda: port.instrument.axes[2].trajectory.target == 10.0)
    port.call(lambda now: port.instrument.cause(2, fault, now))
    with pytest.raises(InstrumentError, match=rf"esp-y \(axis 2\): instrument error {code}: {cause}"):
        await moving
    await other


async def test_stop_decelerates_fails_the_move_and_is_confirmed(esp: Esp300, port: Port):
    await esp.x.velocity.set(5.0)
    status = esp.x.set(20.0)
    await until(lambda: b"1PA" in port.log.bytes())
    await esp.x.stop()
    assert await esp.x.done.get_value() is True
    with pytest.raises(RuntimeError, match="esp-x was stopped"):
        await status
    assert (await esp.x.read())["esp-x"]["value"] < 19.0
    await esp.x.stop()
    await esp.x.set(0.0)


async def test_a_stop_that_counts_as_success(esp: Esp300, port: Port):
    status = esp.x.set(20.0)
    await until(lambda: b"1PA" in port.log.bytes())
    await esp.x.stop(success=True)
    await status


async def test_halt_from_another_thread_fails_the_move(esp: Esp300, port: Port):
    await esp.x.velocity.set(5.0)
    status = esp.x.set(20.0)
    await until(lambda: b"1PA" in port.log.bytes())
    thread = threading.Thread(target=esp.x.halt)
    thread.start()
    with pytest.raises(MoveInterrupted, match="esp-x: told to stop on its way to 20"):
        await status
    thread.join()
    # Sent at once, again when the move noticed, and at its end where no answer had come: nothing moves behind.
    assert port.log.bytes().count(b"1ST\r") in {2, 3}
    assert b"1PA" not in port.log.bytes().partition(b"1ST\r")[2]


async def test_the_controller_stops_every_axis(esp: Esp300, port: Port):
    moves = [esp.x.set(20.0), esp.theta.set(100.0)]
    await until(lambda: b"1PA" in port.log.bytes() and b"3PA" in port.log.bytes())
    await esp.stop()
    for status in moves:
        with pytest.raises(RuntimeError, match="was stopped"):
            await status
    assert b"\rST\r" in port.log.bytes()


@pytest.mark.parametrize("before", [False, True])
async def test_stopped_by_somebody_else_is_no_arrival(esp: Esp300, port: Port, before: bool):
    await esp.x.velocity.set(5.0)
    if before:
        await esp.x.stop(success=True)  # forgives no later move
    status = esp.x.set(20.0)
    await until(lambda: port.instrument.axes[1].trajectory.target == 20.0)
    port.call(lambda now: port.instrument.axes[1].stop(now))
    with pytest.raises(MoveInterrupted, match=r"not at 20 .*somebody else stopped it"):
        await status


async def test_a_move_that_takes_too_long_is_stopped(esp: Esp300, port: Port):
    await esp.x.velocity.set(1.0)
    with pytest.raises(MoveTimeout, match=r"still moving after 0\.2 s"):
        await esp.x.set(20.0, timeout=0.2)
    await until(lambda: b"1ST\r" in port.log.bytes())
    await esp.x.stop()


async def test_a_cancelled_move_stops_the_axis(esp: Esp300, port: Port):
    status = esp.x.set(20.0)
    await until(lambda: b"1PA" in port.log.bytes())
    status.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await status
    await until(lambda: b"1ST\r" in port.log.bytes())
    await esp.x.stop()


async def test_a_controller_that_falls_silent_in_mid_move_fails_it_and_is_told_to_stop(
    esp: Esp300, port: Port, monkeypatch: pytest.MonkeyPatch
):
    await esp.x.velocity.set(1.0)
    status = esp.x.set(20.0)
    await until(lambda: b"1MD?" in port.log.bytes().partition(b"1PA")[2])
    port.faults = Faults(mute=True)
    # From now on there is no answer to wait for.
    monkeypatch.setattr(esp.x.channel, "protocol", replace(esp.x.protocol, timeout=0.2))
    monkeypatch.setattr("rdaq_ophyd.devices._esp300_axis.STOP_MARGIN", 0.2)
    with pytest.raises(ReplyTimeout, match="no reply to"):
        await status
    await until(lambda: b"1ST\r" in port.log.bytes())
    with pytest.raises(StopUnconfirmed, match="no reply to"):
        await asyncio.wait_for(esp.x.stop(), 20)
    port.faults = Faults()


async def test_a_stop_that_is_not_confirmed_says_so(esp: Esp300, port: Port, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rdaq_ophyd.devices._esp300_axis.STOP_MARGIN", 0.2)
    await esp.x.velocity.set(1.0)
    move = esp.x.set(20.0)
    await until(lambda: b"1MD?" in port.log.bytes().partition(b"1PA")[2])
    # The command is lost inside the controller: the axis goes on.
    monkeypatch.setattr(port.instrument.axes[1], "stop", lambda now: None)
    with pytest.raises(StopUnconfirmed, match=r"esp-x: stop was sent, but not confirmed: .*still moving 0\.2 s"):
        await esp.x.stop()
    with pytest.raises(RuntimeError, match="was stopped"):
        await move


async def test_homing(esp: Esp300, port: Port):
    await esp.x.set(2.0)
    await esp.x.home.trigger()
    assert (await esp.x.read())["esp-x"]["value"] == pytest.approx(0.0, abs=1e-3)
    assert b"1OR\r" in port.log.bytes()
    await esp.x.define_home.trigger()


async def test_homing_can_be_stopped(esp: Esp300, port: Port):
    await esp.x.set(20.0)
    searching = esp.x.home.trigger()
    await until(lambda: port.instrument.axes[1].homing)
    await esp.x.stop()
    with pytest.raises(MoveInterrupted, match="home search was stopped"):
        await searching


async def test_homing_with_the_motor_off(port: Port):
    axis = Esp300Axis(port.url, 1, "x", home_mode=2)
    await axis.connect()
    with pytest.raises(InstrumentError, match="not enabled"):
        await axis.home.trigger()
    assert b"1OR2\r" in port.log.bytes()
    axis.close()


async def test_axes_as_devices_of_their_own_share_the_port(port: Port):
    async with init_devices():
        x = Esp300Axis(port.url, 1)
        theta = Esp300Axis(port.url, 3, tolerance=0.05)
    assert len(open_links()) == 1
    await asyncio.gather(x.enabled.set(True), theta.enabled.set(True))
    await asyncio.gather(x.set(1.0), theta.set(5.0))
    assert x.movable_logic.tolerance == UNITS[2].tolerance
    assert theta.movable_logic.tolerance == 0.05
    assert set(await theta.read()) == {"theta"}
    x.close()
    theta.close()


async def test_at_the_true_baud_rate_and_at_a_wrong_one():
    with serve_pty(SimEsp300(speed=5.0), strict_baud=True) as port:
        axis = Esp300Axis(port.url, 2, "y")
        await axis.connect()
        await axis.enabled.set(True)
        await axis.set(0.5)
        axis.close()
        wrong = Esp300Axis(port.url, 2, "y", serial=SerialSettings(9600))
        with pytest.raises((ReplyTimeout, WrongInstrument), match="baud rate"):
            await wrong.connect()
        # Garbage at the wrong rate may have left a line unfinished in the controller.
        await axis.connect(force_reconnect=True)
        await axis.set(0.0)
        axis.close()


async def test_an_axis_that_is_not_there(port: Port):
    with pytest.raises(InstrumentError, match=r"x \(axis 5\): instrument error 9: axis number out of range"):
        await Esp300Axis(port.url, 5, "x").connect()
    assert open_links() == ()


async def test_old_errors_and_an_unfinished_line_do_not_disturb_connecting(port: Port):
    port.call(lambda now: port.instrument.feed(b"9XX\r1PA", now))
    axis = Esp300Axis(port.url, 1, "x")
    await axis.connect()
    await axis.enabled.set(True)
    await axis.set(1.0)
    axis.close()


async def test_another_instrument_is_refused():
    meter = SimNewport1830C()
    meter.terminator = b"\r"
    meter.execute = lambda command, now: b"1830-C\r\n"
    with serve_pty(meter, lift_baud=True) as port:
        with pytest.raises(WrongInstrument, match=r"is no ESP300; to 'VE\?' it said '1830-C'"):
            await Esp300Axis(port.url, 1, "x").connect()
        meter.execute = lambda command, now: "\xe9\xff".encode("latin-1") * 3 + b"\r\n"
        with pytest.raises(WrongInstrument):
            await Esp300(port.url, {1: "x"}, "esp").connect()


async def test_a_unit_code_that_the_manual_does_not_know(port: Port):
    port.instrument.execute, real = (
        lambda command, now: b"12\r\n" if command == "1SN?" else real(command, now),
        port.instrument.execute,
    )
    with pytest.raises(BadReply, match="unit code 12"):
        await Esp300Axis(port.url, 1, "x").connect()


async def test_mock_mode_moves_at_once():
    async with init_devices(mock=True):
        esp = Esp300("/dev/not-there", {1: "x"})
    await esp.x.set(5.0)
    assert (await esp.x.read())["esp-x"]["value"] == 5.0
    assert (await esp.x.describe())["esp-x"]["units"] == "mm"
    with pytest.raises(LimitError, match="allowed: -25 to 25 mm"):
        await esp.x.set(30.0)
    await esp.x.stop()
    await esp.stop()
    await esp.x.home.trigger()
    set_mock_value(esp.x.velocity, 0.0)
    with pytest.raises(LimitError, match="esp-x-velocity: is 0, so the axis cannot move"):
        await esp.x.set(1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Esp300Axis("/dev/x", 0),
        lambda: Esp300Axis("/dev/x", 1, home_mode=7),
        lambda: Esp300("/dev/x", {}),
    ],
)
def test_wrong_arguments(make):
    with pytest.raises(ValueError, match=r"axis|home_mode"):
        make()


@pytest.mark.parametrize("code", [c for c in GLOBAL if c] + [200 + n for n in AXIS])
def test_every_error_of_the_manual_is_told_by_its_cause(code: int):
    error = Fault.parse(f"{code}, 451322, WHATEVER").error("y (axis 2)")
    assert error.cause == (AXIS[code - 200] if code > 100 else GLOBAL[code])
    assert str(code) in str(error)


async def test_the_error_queue_sorts_by_axis_and_keeps_what_is_not_asked_for():
    replies = iter(["203, 1, X", "7, 2, Y", "104, 3, Z", "299, 4, SOMETHING ODD", "0, 5, NO ERROR DETECTED"])

    async def ask(question: str) -> str:
        assert question == "TB?"
        return next(replies)

    queue = ErrorQueue()
    await queue.empty(ask)
    with pytest.raises(InstrumentError, match="104: positive hardware") as caught:
        queue.raise_for(1, "x")
    assert caught.value.__notes__ == ["then error 7: parameter out of range"]
    queue.raise_for(1, "x")
    assert [fault.cause for fault in queue.claim(2)] == [AXIS[3], "Something odd"]


async def test_an_error_queue_that_never_ends_does_not_hang():
    async def ask(_: str) -> str:
        return "6, 1, X"

    await ErrorQueue().empty(ask)


def test_what_is_no_entry_of_the_error_queue():
    with pytest.raises(BadReply, match="expected code"):
        Fault.parse("ESP300")
