"""Devices from files: signals, commands, errors, identities, against their simulations on real ports."""

from __future__ import annotations

import math
import os

import pytest
from declaredstage import STAGE, stage, state
from ophyd_async.core import StrictEnum
from ophyd_async.core._device import DEVICE_RESERVED_ATTRS

from rdaq_ophyd.capabilities import Capability, capabilities, stop_capability
from rdaq_ophyd.declaration import parse
from rdaq_ophyd.declaration._check import TAKEN
from rdaq_ophyd.devices._declared_movable import Moving
from rdaq_ophyd.devices._declared_stop import Halting
from rdaq_ophyd.devices.declared import Declared, class_of, declared
from rdaq_ophyd.errors import (
    BadReply,
    InstrumentError,
    LimitError,
)
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.sim import SimDeclared, serve_tcp


def test_no_name_of_a_signal_can_hide_what_a_device_has():
    has = {name for kind in (Declared, Halting, Moving) for name in dir(kind) if not name.startswith("_")}
    assert has | set(DEVICE_RESERVED_ATTRS) <= TAKEN


async def test_signals_are_typed_and_described():
    async with stage() as (device, _):
        assert isinstance(await device.mode.get_value(), StrictEnum)
        described = await device.describe()
        assert described["stage"]["units"] == "mm"
        assert described["stage"]["dtype"] == "number"
        assert device.hints == {"fields": ["stage"]}
        configuration = await device.describe_configuration()
        assert configuration["stage-mode"]["choices"] == ["closed", "open loop"]
        assert configuration["stage-target"]["limits"]["control"] == {"low": -100.0, "high": 100.0}
        assert device.target.source.endswith("#1T {value:.3f}") or "1T" in device.target.source
        assert (await device.connection.state.get_value()) == "connected"


async def test_capabilities_are_what_the_file_maps():
    async with stage() as (device, _):
        assert {
            Capability.MOVABLE, Capability.HALTABLE, Capability.LOCATABLE, Capability.CHECKABLE,
            Capability.WAVELENGTH_TUNABLE,
        } <= capabilities(device)  # fmt: skip
        assert device.wavelength is device.wave
        assert stop_capability(device).means.value == "preempts"


async def test_values_by_one_command_each_and_values_that_can_only_be_written():
    async with stage() as (device, port):
        await device.mode.set("open loop")
        assert state(port)["m"] == "O"
        await device.word.set("hello")
        assert (state(port)["word"], await device.word.get_value()) == ("hello", "hello")


async def test_commands_with_arguments_are_checked():
    async with stage() as (device, port):
        await device.nudge.execute(0.5, 3)
        assert state(port)["nudges"] == 1.5
        before = len(port.log.bytes())
        for bad in ((2.0, 1), (math.nan, 1), (-1.1, 1)):
            with pytest.raises(LimitError, match=r"stage-nudge \((by|arg0)\)"):
                await device.nudge.execute(*bad)
        assert len(port.log.bytes()) == before
        with pytest.raises(InstrumentError, match=r"stage: instrument error 6: what \(after '1XX'\)"):
            await device.nonsense.execute()


async def test_errors_of_a_setting_are_raised_with_all_that_is_queued():
    async with stage() as (device, port):
        port.call(lambda _: port.instrument.errors.append("3 old"))
        with pytest.raises(InstrumentError, match="instrument error 3: old") as caught:
            await device.target.set(99.5)
        assert (caught.value.code, caught.value.__notes__) == (3, ["and error 7: range"])
        await device.target.set(1.0)


async def test_errors_from_before_blame_nobody(caplog):
    declaration = parse(STAGE)
    sim = SimDeclared(declaration)
    sim.errors.append("9 earlier")
    with serve_tcp(sim, lift_baud=True) as port:
        device = class_of(declaration)(port.url, "stage", address=1)
        await device.connect()
        await device.target.set(2.0)
        device.close()
    assert "error 9 (earlier) is from before" in caplog.text


async def test_an_answer_that_is_none_of_those_is_no_success():
    async with stage(STAGE.replace('empty = "0"', 'empty = "fine"').replace('ok = "0"', 'ok = "fine"')) as (
        device,
        port,
    ):
        port.call(lambda _: port.instrument.errors.append("gibberish"))
        with pytest.raises(BadReply, match=r"answered 'gibberish' to '1ERR\?'; expected fine or"):
            await device.speed.set(2.0)
        await device.speed.set(3.0)


async def test_mock_mode_needs_no_instrument():
    device = class_of(parse(STAGE))("tcp://127.0.0.1:9", "stage", address=1)
    await device.connect(mock=True)
    await device.set(4.0)
    assert (await device.read())["stage"]["value"] == 4.0
    assert await device.speed.get_value() == 1.0
    await device.nudge.execute(0.1, 2)
    await device.stop()
    device.halt()


async def test_addresses_are_asked_for_where_the_file_has_one():
    made = class_of(parse(STAGE))
    with pytest.raises(TypeError, match="stage: needs node=…, give address"):
        made("tcp://127.0.0.1:9")
    with pytest.raises(TypeError, match="keithley_2450: has no address"):
        declared("keithley_2450")("tcp://127.0.0.1:9", address=1)
    device = made("tcp://127.0.0.1:9", address="7")
    assert (device.name, device.channel.text("{node}P?")) == ("stage", "7P?")


@pytest.mark.parametrize(("low", "high"), [("5", "5"), ("6", "5")])
async def test_limits_that_are_no_range_are_told(low, high):
    text = STAGE.replace('answer = "-100"', f'answer = "{low}"').replace('answer = "100"', f'answer = "{high}"')
    with pytest.raises(BadReply, match="stage-target: the instrument says that"):
        async with stage(text):
            pass


def test_the_class_is_made_once_and_again_when_the_file_changed(tmp_path):
    path = tmp_path / "stage.toml"
    path.write_text(STAGE)
    first = declared(path)
    assert declared(str(path)) is first
    assert isinstance(Declared.from_file(path, "tcp://127.0.0.1:9", address=1), first)
    path.write_text(STAGE.replace("precision", "precision"))
    os.utime(path, ns=(1, 1))
    assert declared(path) is not first


async def test_replies_of_a_fixed_length():
    text = """format = 1
[instrument]
name = "fixed"
manufacturer = "A"
model = "B"
manual = "C"
[link]
reply_length = 4
[signal.level]
type = "int"
ask = "L?"
tell = "L {value:d}"
[sim.state]
level = 7
[[sim.on]]
receive = "L?"
answer = "{level:04d}"
[[sim.on]]
receive = "L {x:int}"
set = { level = "x" }
"""
    declaration = parse(text)
    with serve_tcp(SimDeclared(declaration), lift_baud=True) as port:
        device = class_of(declaration)(port.url)
        await device.connect()
        assert await device.level.get_value() == 7
        await device.level.set(1234)
        assert await device.level.get_value() == 1234
        device.close()


async def test_a_rig_makes_it_like_any_other_device():
    rig = Rig("bench")

    @rig.device
    def smu() -> Declared:
        return declared("keithley_2450")("tcp://127.0.0.1:9")

    async with rig.running(mock=True) as devices:
        assert devices["smu"].name == "smu"
        assert (await devices["smu"].read()).keys() >= {"smu-voltage", "smu-current"}


PANEL = """format = 1
[instrument]
name = "panel"
manufacturer = "A"
model = "B"
manual = "C"
[signal.emission]
type = "bool"
ask = "OUT?"
tell = "OUT {value:d}"
safe = [false]
[signal.label]
type = "str"
ask = "LBL?"
tell = "LBL {value}"
[command.say]
tell = "SAY {what}"
safe = true
args = { what = { type = "str" } }
[sim.state]
output = false
label = "x"
[[sim.on]]
receive = "OUT?"
answer = "{output:d}"
[[sim.on]]
receive = "OUT {o:int}"
set = { output = "o == 1" }
[[sim.on]]
receive = "LBL?"
answer = "{label}"
[[sim.on]]
receive = "LBL {t:text}"
set = { label = "t" }
[[sim.on]]
receive = "SAY {t:text}"
"""


async def test_a_text_switches_nothing_on_and_shifts_no_replies():
    declaration = parse(PANEL)
    with serve_tcp(SimDeclared(declaration)) as port:
        panel = class_of(declaration)(port.url, "panel")
        await panel.connect()
        heard = len(port.log.bytes())
        for bad in ("a\nOUT 1", "a\nOUT?", "a\rOUT 1", "a;OUT 1", "ä"):
            with pytest.raises(LimitError, match="panel-label: "):
                await panel.label.set(bad)
            with pytest.raises(LimitError, match=r"panel-say \(what\): "):
                await panel.say.execute(bad)
        with pytest.raises(LimitError, match="panel-emission: 2 is not True or False"):
            await panel.emission.set(2)
        assert port.log.bytes()[heard:] == b""
        await panel.label.set("two words")
        assert await panel.label.get_value(cached=False) == "two words"
        assert not await panel.emission.get_value(cached=False)
        panel.close()
