"""Switches, faults, maximum velocity and home searches of an ESP300 axis, against the simulator on a pty."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from connected import motors_on
from hypothesis import given
from hypothesis import strategies as st
from ophyd_async.core import init_devices
from parts import until

from rdaq_ophyd.devices._esp300_status import Inputs
from rdaq_ophyd.devices.esp300 import Esp300, Esp300Axis, HomeMode
from rdaq_ophyd.errors import BadReply, InstrumentError, LimitError, MoveInterrupted
from rdaq_ophyd.link import open_links
from rdaq_ophyd.sim import Port, SimEsp300, serve_pty
from rdaq_ophyd.sim._esp300_tables import STAGES

FAST = 20.0


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(SimEsp300(speed=FAST), lift_baud=True) as served:
        yield served


@pytest.fixture
async def esp(port: Port) -> AsyncIterator[Esp300]:
    async with motors_on(port, {1: "x", 2: "y", 3: "theta"}) as esp:
        yield esp


async def severity(signal) -> int:
    (reading,) = (await signal.read()).values()
    return reading["alarm_severity"]


# -- switches and faults -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("configured", ["25", "3"])
async def test_into_a_hardware_limit_and_out_again(port: Port, configured: str):
    port.call(lambda now: port.instrument.feed(f"1ZH{configured}\r".encode(), now))
    async with init_devices():
        x = Esp300Axis(port.url, 1)
    await x.enabled.set(True)
    for sign, switch, other, code in (
        (1, x.positive_limit_switch, x.negative_limit_switch, 104),
        (-1, x.negative_limit_switch, x.positive_limit_switch, 105),
    ):
        await x.high_limit.set(40.0)
        await x.low_limit.set(-40.0)
        assert await switch.get_value() is False
        assert await severity(switch) == 0
        with pytest.raises(InstrumentError, match=f"{code}: .* hardware limit reached.*move the other way") as caught:
            await x.set(sign * 35.0)
        assert caught.value.code == code
        assert await switch.get_value() is True
        assert await severity(switch) == 2
        assert await other.get_value() is False
        assert (await x.fault.get_value()).startswith(f"{code}: ")
        assert await severity(x.fault) == 2
        assert await x.enabled.get_value() is (configured == "25")
        await x.enabled.set(True)
        with pytest.raises(InstrumentError, match=str(code)):
            await x.set(sign * 35.0)
        await x.enabled.set(True)
        await x.set(sign * 20.0)
        assert await switch.get_value() is False
        assert await x.fault.get_value() == ""
    x.close()


async def test_faults_of_an_axis_that_stands_still_are_told(esp: Esp300, port: Port):
    assert (await esp.y.amplifier_fault.get_value(), await esp.y.fault.get_value()) == (False, "")
    port.call(lambda now: port.instrument.cause(2, "amplifier", now))
    assert await esp.y.amplifier_fault.get_value() is True
    assert await severity(esp.y.amplifier_fault) == 2
    assert await esp.x.amplifier_fault.get_value() is False
    assert await esp.y.fault.get_value() == "202: amplifier fault"
    assert await severity(esp.y.fault) == 2
    assert await esp.y.enabled.get_value() is False
    port.call(lambda now: port.instrument.cause(1, "following_error", now))
    assert (await esp.x.fault.get_value()).startswith("103: following error")
    for axis in (esp.x, esp.y):
        # Whoever moves or sets it next hears of it once, and then that the motor is off until it is switched on.
        with pytest.raises(InstrumentError, match=r"[12]0[23]"):
            await axis.set(1.0)
        with pytest.raises(InstrumentError, match="not enabled"):
            await axis.set(1.0)
        await axis.enabled.set(True)
        await axis.set(1.0)
        assert await axis.fault.get_value() == ""
        assert await axis.amplifier_fault.get_value() is False


async def test_a_motor_that_is_switched_off_in_mid_move_is_named(esp: Esp300, port: Port):
    await esp.x.velocity.set(1.0)
    moving = esp.x.set(20.0)
    await until(lambda: port.instrument.axes[1].trajectory.target == 20.0)
    port.call(lambda now: port.instrument.axes[1].freeze(now, motor_off=True))
    with pytest.raises(MoveInterrupted, match=r"not at 20 .*its motor is off: .*esp\.x\.enabled"):
        await moving


async def test_the_home_signal_has_a_level_on_each_side(esp: Esp300):
    await esp.x.set(1.0)
    assert await esp.x.home_switch.get_value() is True
    await esp.x.set(-1.0)
    assert await esp.x.home_switch.get_value() is False
    assert await severity(esp.x.home_switch) == 0


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF), st.integers(1, 6))
def test_inputs_are_the_bits_of_the_axis(first: int, second: int, axis: int):
    found = Inputs.parse(f"{first:X}H, {second:x}h", axis)
    bits = [first >> axis - 1, first >> axis + 7, first >> axis + 15, second >> axis - 1]
    assert list(found) == [bool(bit & 1) for bit in bits]


@given(st.text(max_size=12))
def test_what_are_no_inputs(text: str):
    try:
        Inputs.parse(text, 1)
    except ValueError as error:
        assert "hexadecimal" in str(error)
    else:
        assert text.upper().count("H") == 2


@pytest.mark.parametrize(
    ("question", "answer"), [("PH?", "12"), ("1ZH?", "XY"), ("1OM?", "7"), ("1OM?", "two"), ("1SN?", "mm")]
)
async def test_answers_that_the_manual_does_not_know(port: Port, question: str, answer: str):
    real = port.instrument.execute
    port.instrument.execute = lambda command, now: (
        f"{answer}\r\n".encode() if command == question else real(command, now)
    )
    with pytest.raises(BadReply, match=answer):
        await Esp300Axis(port.url, 1, "x").connect()
    assert open_links() == ()


# -- velocity and acceleration -----------------------------------------------------------------------------------


async def test_velocity_and_acceleration_are_bounded_by_what_the_controller_allows(esp: Esp300, port: Port):
    values = await esp.read_configuration()
    assert (values["esp-y-max_velocity"]["value"], values["esp-y-max_acceleration"]["value"]) == (200.0, 1600.0)
    for signal, good, bad, allowed in (
        (esp.y.velocity, 200.0, 201.0, "0 to 200 mm/s"),
        (esp.y.home_velocity, 200.0, 201.0, "0 to 200 mm/s"),
        (esp.y.acceleration, 1600.0, 1601.0, r"0 to 1600 mm/s\^2"),
        (esp.y.deceleration, 1600.0, -1.0, r"0 to 1600 mm/s\^2"),
    ):
        await signal.set(good)
        sent = port.log.bytes()
        with pytest.raises(LimitError, match=f"allowed: {allowed}"):
            await signal.set(bad)
        assert port.log.bytes() == sent
        described = await signal.describe()
        assert described[signal.name]["limits"]["control"]["low"] == 0.0
        assert described[signal.name]["limits"]["control"]["high"] == good


@pytest.mark.parametrize(("profile", "allowed"), [(7.0, 7.0), (1e6, 800.0)])
async def test_the_tighter_of_the_controllers_and_the_profiles_velocity_holds(port: Port, profile, allowed):
    async with init_devices():
        x = Esp300Axis(port.url, 1, max_velocity=profile)
    await x.velocity.set(allowed)
    with pytest.raises(LimitError, match=f"allowed: 0 to {allowed:g} mm/s"):
        await x.velocity.set(allowed * 1.01)
    x.close()


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_a_maximum_velocity_that_is_none(bad: float):
    with pytest.raises(LimitError, match="max_velocity"):
        Esp300Axis("/dev/x", 1, max_velocity=bad)


# -- home searches -----------------------------------------------------------------------------------------------

PLACES = dict(zip(HomeMode, (0.0, 0.0, 0.0, 26.0, -26.0, 25.5, -25.5), strict=True))


@pytest.mark.parametrize("mode", HomeMode)
async def test_each_home_mode_finds_its_place(esp: Esp300, port: Port, mode: HomeMode):
    async def found() -> None:
        assert f"1OR{mode.code}\r".encode() in port.log.bytes()
        assert port.instrument.axes[1].trajectory.target == pytest.approx(PLACES[mode])
        assert (await esp.x.read())["esp-x"]["value"] == pytest.approx(0.0, abs=1e-3)

    await esp.x.home_velocity.set(500.0)
    await esp.x.set(3.0)
    await esp.x.search_home(mode)
    await found()
    assert await esp.x.home_mode.get_value() is HomeMode.SWITCH  # as it is on the controller
    await esp.x.set(-3.0 if PLACES[mode] > 0 else 3.0)
    await esp.x.home_mode.set(mode)
    assert await esp.x.home_mode.get_value() is mode
    await esp.x.home.trigger()
    await found()
    assert port.log.bytes().count(b"1OR") == 2


async def test_home_modes_of_a_profile_and_of_the_controller(port: Port):
    async with init_devices():
        x = Esp300Axis(port.url, 1, home_mode=4)
        y = Esp300Axis(port.url, 2, home_mode=HomeMode.POSITIVE_LIMIT)
        theta = Esp300Axis(port.url, 3)
    modes = [await axis.home_mode.get_value() for axis in (x, y, theta)]
    assert modes == [HomeMode.NEGATIVE_LIMIT, HomeMode.POSITIVE_LIMIT, HomeMode.SWITCH]
    assert b"OM" not in port.log.bytes().replace(b"OM?", b"")
    for axis in (x, y, theta):
        axis.close()


async def test_a_switch_that_the_stage_does_not_have():
    stages = (replace(STAGES[0], home_switch=False), replace(STAGES[1], limit_switches=False))
    with serve_pty(SimEsp300(2, stages=stages, speed=FAST), lift_baud=True) as port:
        async with init_devices():
            esp = Esp300(port.url, {1: "x", 2: "y"})
        for axis in esp.axes.values():
            await axis.enabled.set(True)
            await axis.home_velocity.set(200.0)
        with pytest.raises(InstrumentError, match=r"120: homing aborted.*has the stage the switch") as caught:
            await esp.x.search_home(HomeMode.SWITCH_AND_INDEX)
        assert caught.value.code == 120
        with pytest.raises(InstrumentError, match="203: following error") as caught:
            await esp.y.search_home(HomeMode.NEGATIVE_LIMIT)
        assert caught.value.__notes__ == ["then error 220: homing aborted"]
        assert await esp.y.negative_limit_switch.get_value() is False
        await esp.y.enabled.set(True)
        await esp.y.search_home(HomeMode.SWITCH)
        await esp.x.set(0.0)
        esp.close()


async def test_a_search_with_an_argument_is_stopped_like_any(esp: Esp300, port: Port):
    await esp.x.home_velocity.set(1.0)
    searching = esp.x.search_home(HomeMode.POSITIVE_LIMIT)
    await until(lambda: port.instrument.axes[1].homing)
    await esp.x.stop()
    with pytest.raises(MoveInterrupted, match="home search was stopped"):
        await searching
    sent = port.log.bytes().count(b"OR")
    searching = esp.x.search_home(HomeMode.POSITIVE_LIMIT)
    esp.x.halt()
    with pytest.raises(MoveInterrupted, match="nothing was sent"):
        await searching
    assert port.log.bytes().count(b"OR") == sent


async def test_errors_from_before_are_nobodys_fault():
    """Of the axes too: what they left in the controller's queue does not spoil the first command."""
    with serve_pty(SimEsp300(speed=FAST), lift_baud=True) as port:
        async with init_devices():
            before = Esp300(port.url, {1: "x"}, name="before")
        await before.x.channel.tell("1VA100000")
        assert (await before.x.channel.ask("VE?")).startswith("ESP30")  # it was taken
        before.close()
        async with init_devices():
            esp = Esp300(port.url, {1: "x"}, name="esp")
        await esp.x.velocity.set(5.0)
        esp.close()
