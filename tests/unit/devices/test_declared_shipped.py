"""The instruments that come with the package, against their simulations."""

from __future__ import annotations

import asyncio

import pytest
from declaredstage import STAGE

from rdaq_ophyd import stop
from rdaq_ophyd.capabilities import stop_capability
from rdaq_ophyd.declaration import Declaration, load, parse, shipped
from rdaq_ophyd.devices.declared import class_of, declared
from rdaq_ophyd.errors import (
    BadReply,
    LimitError,
    StopLatched,
    WrongInstrument,
)
from rdaq_ophyd.sim import SimDeclared, serve_pty, serve_tcp
from rdaq_ophyd.stop import Outcome


async def test_another_instrument_is_refused():
    with serve_tcp(SimDeclared("red_pitaya"), lift_baud=True) as port:
        device = declared("keithley_2450")(port.url, "smu")
        with pytest.raises((WrongInstrument, BadReply)):
            await device.connect()
    said = load("keithley_2450").model_copy(update={"link": load("red_pitaya").link})
    with serve_tcp(SimDeclared("red_pitaya"), lift_baud=True) as port:
        device = class_of(said)(port.url, "smu")
        with pytest.raises(WrongInstrument, match=r"is no Keithley 2450 SourceMeter; to '\*IDN\?' it said 'REDPITAYA"):
            await device.connect()


def test_every_shipped_one_can_be_made_without_a_port():
    for name in shipped():
        device = declared(name)("tcp://127.0.0.1:9")
        assert device.name == name
        assert isinstance(device.declaration, Declaration)


async def test_a_temperature_is_waited_for_and_the_heater_is_off_after_a_stop():
    made = load("lakeshore_336")
    group = made.group["output"]
    quick = group.model_copy(update={"movable": group.movable.model_copy(update={"dwell": 0.1, "poll": 0.02})})
    made = made.model_copy(update={"group": {**made.group, "output": quick}})
    sim = SimDeclared(made)
    sim.state.update(heating=2000.0, cooling=0.0)
    with serve_tcp(sim, lift_baud=True) as port:
        device = class_of(made)(port.url, "cryo")
        await device.connect()
        try:
            await device.output_1.range.set("high")
            await device.output_1.set(310.0)
            assert (await device.output_1.read())["cryo-output_1"]["value"] == pytest.approx(310.0, abs=0.1)
            await device.output_1.stop()
            await device.stop()
            assert await device.output_1.range.get_value() == "high"  # a stop after a plan does not cool it down
            assert "nothing is sent" in str(stop_capability(device.output_1))
            await device.output_1.set_mode.execute(1, 3, False)
            with pytest.raises(LimitError, match="while cryo-output_1-control_input is C → it must be A"):
                await device.output_1.set(300.0)
            await device.output_2.set_pid.execute(10.0, 5.0, 0.0)
            assert await device.output_2.integral.get_value() == 5.0
            report = await asyncio.to_thread(stop.stop_all, "a test")
            # A camera that some other test left to the garbage collector may be there too.
            assert {v.device for v in report.verdicts if v.device != "cam"} == {
                f"cryo-{p}" for p in ("output_1", "output_2", "analog_3", "analog_4")
            }
            assert all(v.outcome is Outcome.CONFIRMED for v in report.verdicts)
            assert await device.output_1.range.get_value() == "off"
            await device.output_1.range.set("off")
            with pytest.raises(StopLatched):
                await device.output_1.range.set("low")
        finally:
            device.close()


async def test_a_source_meter_measures_and_is_off_after_stop_all():
    with serve_pty(SimDeclared("keithley_2450"), lift_baud=True) as port:
        smu = declared("keithley_2450")(port.url, "smu")
        await smu.connect()
        try:
            await smu.current_limit.set(1e-3)
            await smu.source_voltage.set(0.5)
            await smu.output.set(True)
            assert (await smu.read())["smu-current"]["value"] == pytest.approx(5e-4)
            await smu.source_voltage.set(5.0)
            assert await smu.limited.get_value() is True
            assert await smu.current.get_value() == pytest.approx(1e-3)
            report = await asyncio.to_thread(stop.stop_all, "a test")
            found = [(v.device, v.outcome) for v in report.verdicts if v.device != "cam"]
            assert found == [("smu", Outcome.CONFIRMED)]
            assert await smu.output.get_value() is False
            await smu.output.set(False)
            with pytest.raises(StopLatched):
                await smu.output.set(True)
        finally:
            smu.close()


async def test_a_terminal_without_parity_is_opened_as_often_as_one_likes():
    with serve_pty(SimDeclared("lakeshore_336"), lift_baud=True) as port:  # 7O1, which no pseudo-terminal has
        for _ in range(3):
            device = declared("lakeshore_336")(port.url, "cryo")
            await device.connect()
            assert await device.input_c.temperature.get_value() == 295.0
            device.close()


def test_every_number_has_units():
    for name in shipped():
        made = load(name)
        for scope in (made, *made.group.values()):
            for signal_name, signal in scope.signal.items():
                assert signal.type != "float" or signal.units is not None, f"{name}: {signal_name}"


async def test_an_instrument_without_a_name_is_known_by_its_errors():
    text = STAGE.replace('answer = "{p:.4f}"', 'answer = "0"')
    with serve_tcp(SimDeclared("red_pitaya"), lift_baud=True) as port:
        port.call(lambda _: setattr(port.instrument, "execute", lambda command, now: b"IMPOSTOR\n"))
        device = class_of(parse(text))(port.url, "stage", address=1)
        with pytest.raises(WrongInstrument, match="is no A B: .* answered 'IMPOSTOR' to '1ERR"):
            await device.connect()
