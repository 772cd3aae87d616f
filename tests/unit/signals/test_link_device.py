"""Declared signals and commands over a real pty."""

import asyncio
import logging
import math
from collections.abc import Iterator
from typing import Annotated

import pytest
from ophyd_async.core import (
    Command,
    Device,
    SignalR,
    SignalRW,
    SignalW,
    StandardReadable,
    StrictEnum,
    TriggerableCommand,
    init_devices,
    set_mock_value,
)
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.errors import (
    BadReply,
    InstrumentError,
    LimitError,
    LinkClosed,
    PortNotFound,
    ReplyTimeout,
    WrongInstrument,
)
from rdaq_ophyd.link import Lane, Line, SerialLink, open_links
from rdaq_ophyd.signals import INVALID, Ask, Do, LineProtocol, LinkDevice, Measure, Sample, Tell
from rdaq_ophyd.sim import Faults, Instrument, Port, serve_pty


class Memory(Instrument):
    """``<key>=<text>`` stores, ``<key>?`` recalls; ``E?`` tells what was wrong; ``*`` counts triggers."""

    name, baud, terminator = "memory", 115_200, b"\r"

    def __init__(self) -> None:
        super().__init__()
        self.values = {"1V": "2.5", "1M": "1", "1N": "memory 1", "1B": "0", "ID": "MEMORY", "1T": "0"}
        self.error = "0"

    def split(self, line):
        return [line]

    def mnemonic(self, command):
        return command[:2]

    def execute(self, command, now):
        if command == "E?":
            error, self.error = self.error, "0"
            return error.encode() + b"\r\n"
        if command.endswith("?"):
            return self.values[command[:-1]].encode() + b"\r\n"
        if command == "1*":
            self.values["1T"] = str(int(self.values["1T"]) + 1)
            return None
        key, _, text = command.partition("=")
        if text == "13.000":
            self.error = "7"
        else:
            self.values[key] = text
        return None

    def overlong(self, now):
        raise AssertionError("line too long")


class Mode(StrictEnum):
    SLOW = "slow"
    FAST = "fast"


class Meter(LinkDevice, StandardReadable):
    protocol = LineProtocol(command_end="\r", reply=Line(b"\r\n"), timeout=0.5)
    address_field = "n"
    write_check = "E?"

    value: Annotated[
        SignalRW[float],
        Ask("{n}V?", "{n}V={value:.3f}", units="V", precision=3, limits=(-20.0, 20.0), poll=0.02, initial=1.5),
        Format.HINTED_SIGNAL,
    ]
    mode: Annotated[SignalRW[Mode], Ask("{n}M?", "{n}M={value}", codes={Mode.SLOW: "1", Mode.FAST: "2"})]
    label: Annotated[SignalR[str], Ask("{n}N?"), Format.CONFIG_SIGNAL]
    beep: Annotated[SignalRW[bool], Ask("{n}B?", {True: "{n}B=1", False: "{n}B=0"}, check=False, settle=0.001)]
    triggers: Annotated[SignalR[int], Ask("{n}T?")]
    note: Annotated[SignalW[str], Ask(write="{n}X={value}")]
    double: Annotated[SignalR[float], Measure("_double", units="V", poll=0.02)]
    fire: Annotated[TriggerableCommand, Tell("{n}*", preempt=True)]
    count: Annotated[TriggerableCommand, Tell("{n}*")]
    quiet_count: Annotated[TriggerableCommand, Tell("{n}*", check=False)]
    recall: Annotated[Command[[str], str], Tell("{n}{arg0}?")]
    recall_number: Annotated[Command[[str], float], Tell("{n}{arg0}?")]
    add: Annotated[Command[[float, float], float], Do("_add")]

    async def handshake(self) -> None:
        if (who := await self.channel.ask("ID?")) != "MEMORY":
            raise WrongInstrument(f"{self.name}: {who} is no memory")

    async def after_connect(self) -> None:
        self.set_metadata(self.double, precision=2)

    async def check_write(self, reply: str, command: str) -> None:
        if reply != "0":
            raise InstrumentError(self.name, int(reply), f"refused {command}")

    async def _double(self, lane: Lane) -> Sample:
        value = 2 * float(await self.channel.ask("{n}V?", lane=lane))
        return Sample(value, severity=2 if value > 10 else 0)

    async def _add(self, a: float, b: float) -> float:
        return a + b


@pytest.fixture
def port() -> Iterator[Port]:
    with serve_pty(Memory(), lift_baud=True) as served:
        yield served


@pytest.fixture
async def meter(port: Port):
    async with init_devices():
        meter = Meter(port.url, 1)
    yield meter
    meter.close()
    assert open_links() == ()


async def test_reads_and_writes_go_to_the_instrument(meter: Meter, port: Port):
    assert await meter.value.get_value() == 2.5
    await meter.value.set(3.25)
    assert await meter.value.get_value() == 3.25
    assert (await meter.value.locate())["setpoint"] == 3.25
    assert port.instrument.values["1V"] == "3.250"
    assert await meter.mode.get_value() is Mode.SLOW
    await meter.mode.set(Mode.FAST)
    assert port.instrument.values["1M"] == "2"
    await meter.beep.set(True)
    assert await meter.beep.get_value() is True
    await meter.note.set("hello")
    assert port.instrument.values["1X"] == "hello"
    assert (await meter.triggers.get_value()) == 0


async def test_describe_needs_no_answer(meter: Meter, port: Port):
    port.faults = Faults(mute=True)
    described = await meter.describe()
    assert described["meter-value"] == {
        "dtype": "number",
        "shape": [],
        "dtype_numpy": "<f8",
        "source": f"link:{port.url}#1V?",
        "units": "V",
        "precision": 3,
        "limits": {"control": {"low": -20.0, "high": 20.0}},
    }
    assert (await meter.mode.describe())["meter-mode"]["choices"] == ["slow", "fast"]
    assert (await meter.double.describe())["meter-double"]["precision"] == 2
    assert meter.double.source.endswith("#n 1 double")
    port.faults = Faults()


async def test_describe_before_any_value_was_seen():
    meter = Meter("/dev/not-connected", 1, name="m")
    for signal, dtype in ((meter.value, "number"), (meter.mode, "string"), (meter.label, "string")):
        assert (await signal.describe())[signal.name]["dtype"] == dtype


async def test_values_out_of_range_are_refused_before_a_byte_is_sent(meter: Meter, port: Port):
    before = port.log.bytes()
    for bad in (20.1, -21.0, math.nan, math.inf):
        with pytest.raises(LimitError, match=r"meter-value: .*allowed: -20 to 20 V"):
            await meter.value.set(bad)
    with pytest.raises(LimitError, match=r"meter-mode: 'mad' is not one of"):
        await meter.mode.set("mad")
    with pytest.raises(LimitError, match=r"meter-beep: 'loud' is not True or False"):
        await meter.beep.set("loud")
    assert port.log.bytes() == before


async def test_the_instrument_is_asked_whether_it_took_the_value(meter: Meter, port: Port):
    with pytest.raises(InstrumentError, match=r"meter: instrument error 7: refused 1V=13\.000"):
        await meter.value.set(13.0)
    assert b"1V=13.000\rE?\r" in port.log.bytes()
    await meter.value.set(12.0)


async def test_a_wrong_reply_names_signal_reply_and_what_was_expected(meter: Meter, port: Port):
    port.instrument.values["1V"] = "overload"
    with pytest.raises(BadReply, match=r"meter-value: .* answered 'overload' to '1V\?'; expected a finite decimal"):
        await meter.value.get_value()
    port.instrument.values["1M"] = "7"
    with pytest.raises(BadReply, match=r"meter-mode: .* answered '7'.*expected one of 1, 2"):
        await meter.mode.get_value()
    port.instrument.values["1V"] = "\xff"
    with pytest.raises(BadReply, match="check the baud rate"):
        await meter.value.get_value()
    port.instrument.values["1V"] = "1"
    assert await meter.value.get_value() == 1.0


async def test_commands(meter: Meter, port: Port):
    await meter.fire.trigger()
    await meter.count.trigger()
    await meter.quiet_count.trigger()
    assert await meter.triggers.get_value() == 3
    status = meter.recall.execute("N")
    await status
    assert status.result() == "memory 1"
    with pytest.raises(BadReply, match=r"meter-recall_number: .*'memory 1'.*finite"):
        await meter.recall_number.execute("N")
    port.instrument.error = "9"
    with pytest.raises(InstrumentError, match="9"):
        await meter.count.trigger()
    total = meter.add.execute(1.0, 2.0)
    await total
    assert total.result() == 3.0
    assert meter.add.source == f"link:{port.url}#add"


async def test_every_fresh_read_reaches_the_subscribers(meter: Meter, port: Port):
    seen: asyncio.Queue = asyncio.Queue()
    meter.double.subscribe_reading(lambda r: seen.put_nowait(r["meter-double"]))
    assert (await seen.get())["value"] == 5.0
    port.instrument.values["1V"] = "6"
    assert await meter.double.get_value(cached=False) == 12.0
    while (reading := await asyncio.wait_for(seen.get(), 5))["value"] == 5.0:
        pass
    assert reading["value"] == 12.0
    assert reading["alarm_severity"] == 2
    meter.double.clear_sub(seen.put_nowait)
    meter.double._del_cache(False)


async def test_a_staged_signal_follows_the_instrument(meter: Meter, port: Port):
    await meter.stage()
    assert (await meter.read())["meter-value"]["value"] == 2.5
    await meter.value.set(7.0)
    assert (await meter.read())["meter-value"]["value"] == 7.0
    await meter.unstage()


async def test_polling_errors_are_published_logged_once_and_survived(
    meter: Meter, port: Port, caplog: pytest.LogCaptureFixture
):
    readings: asyncio.Queue = asyncio.Queue()

    async def next_with(severity: int) -> dict:
        while (reading := (await asyncio.wait_for(readings.get(), 10))["meter-value"])["alarm_severity"] != severity:
            pass
        return reading

    caplog.set_level(logging.INFO, "rdaq_ophyd")
    meter.value.subscribe_reading(readings.put_nowait)
    await next_with(0)
    port.instrument.values["1V"] = "???"
    assert (await next_with(INVALID))["value"] == 2.5
    await next_with(INVALID)
    port.instrument.values["1V"] = "4"
    assert (await next_with(0))["value"] == 4.0
    meter.value.clear_sub(readings.put_nowait)
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING and "polling failed" in r.message]
    assert len(warnings) == 1
    assert "meter-value" in warnings[0].message
    assert any("polling works again" in r.message for r in caplog.records)


async def test_polling_before_any_value_was_seen_says_nan():
    meter = Meter("/dev/not-connected", 1, name="m")
    readings: asyncio.Queue = asyncio.Queue()
    meter.value.subscribe_reading(readings.put_nowait)
    reading = (await asyncio.wait_for(readings.get(), 5))["m-value"]
    assert math.isnan(reading["value"])
    assert reading["alarm_severity"] == INVALID
    meter.value.clear_sub(readings.put_nowait)
    with pytest.raises(LinkClosed, match="not connected"):
        await meter.value.get_value()


async def test_only_one_subscriber_at_the_backend(meter: Meter):
    backend = meter._link_connector.backend_of(meter.value)
    backend.set_callback(lambda _: None)
    with pytest.raises(RuntimeError, match="already set"):
        backend.set_callback(lambda _: None)
    backend.set_callback(None)


async def test_mock_mode_keeps_what_was_declared():
    async with init_devices(mock=True):
        meter = Meter("/dev/not-there", 1)
    assert await meter.value.get_value() == 1.5
    key = (await meter.value.describe())["meter-value"]
    assert (key["units"], key["precision"], key["limits"]["control"]["high"]) == ("V", 3, 20.0)
    set_mock_value(meter.value, 3.0)
    assert (await meter.read())["meter-value"]["value"] == 3.0
    await meter.fire.trigger()
    meter.set_metadata(meter.value, units="mV")
    assert (await meter.value.describe())["meter-value"]["units"] == "mV"
    assert open_links() == ()


async def test_a_link_of_ones_own_is_not_closed(port: Port):
    link = SerialLink(port.url)
    meter = Meter(link, 1, name="m")
    await meter.connect()
    assert await meter.label.get_value() == "memory 1"
    meter.close()
    assert link.is_open
    link.close()


async def test_two_devices_share_a_port(port: Port):
    port.instrument.values |= {k.replace("1", "2", 1): v for k, v in port.instrument.values.items() if k[0] == "1"}
    async with init_devices():
        a, b = Meter(port.url, 1), Meter(port.url, 2)
    assert len(open_links()) == 1
    a.close()
    assert await b.label.get_value() == "memory 1"
    b.close()
    assert open_links() == ()


async def test_connecting_fails_precisely_and_leaves_no_link(port: Port):
    with pytest.raises(PortNotFound):
        await Meter("/dev/rdaq-nothing", 1, name="m").connect()
    port.instrument.values["ID"] = "TOASTER"
    with pytest.raises(WrongInstrument, match="TOASTER"):
        await Meter(port.url, 1, name="m").connect()
    port.instrument.values["ID"] = "MEMORY"
    port.instrument.values["1V"] = "?"
    with pytest.raises(BadReply, match="m-value"):
        await Meter(port.url, 1, name="m").connect()
    port.faults = Faults(mute=True)
    with pytest.raises(ReplyTimeout):
        await Meter(port.url, 1, name="m").connect()
    assert open_links() == ()


async def test_reconnecting_opens_the_port_again(meter: Meter, port: Port):
    (link,) = open_links()
    link.close()
    with pytest.raises(LinkClosed):
        await meter.value.get_value()
    await meter.connect(force_reconnect=True)
    assert await meter.value.get_value() == 2.5


async def test_a_child_that_is_not_ours_reports_as_ophyd_async_does(port: Port):
    class Broken(Device):
        async def connect(self, mock=False, timeout=1.0, force_reconnect=False):
            raise TimeoutError("no such thing")

    meter = Meter(port.url, 1, name="m")
    meter.extra = Broken()
    with pytest.raises(Exception, match="extra: TimeoutError: no such thing"):
        await meter.connect()
    assert open_links() == ()


def test_a_signal_needs_exactly_one_declaration():
    class Bare(LinkDevice):
        value: Annotated[SignalR[float], Format.UNCACHED_SIGNAL]

    with pytest.raises(TypeError, match="needs exactly one"):
        Bare("/dev/x")


async def test_backends_that_nobody_bound_say_so():
    from rdaq_ophyd.signals import LinkCommandBackend, LinkSignalBackend

    with pytest.raises(RuntimeError, match="Ask or a Measure"):
        LinkSignalBackend(float).source("x", read=True)
    with pytest.raises(RuntimeError, match="Tell or a Do"):
        await LinkCommandBackend(None).execute()


async def test_a_reading_cannot_be_written(meter: Meter):
    for signal, value in ((meter.label, "x"), (meter.double, 1.0)):
        with pytest.raises(LimitError, match="cannot be written"):
            await meter._link_connector.backend_of(signal).put(value)
    with pytest.raises(KeyError):
        meter._link_connector.backend_of(Meter("/dev/x", 1).label)
