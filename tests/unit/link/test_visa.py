"""Links over VISA, to pyvisa-sim's instruments and, over pyvisa-py, to a real socket and a real pty."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from parts import Echo, until

from rdaq_ophyd.capabilities import stop_capability
from rdaq_ophyd.devices.declared import declared
from rdaq_ophyd.errors import BadReply, LinkClosed, LinkError, PortBusy, PortNotFound, PortNotPermitted, ReplyTimeout
from rdaq_ophyd.link import Line, SerialSettings, VisaLink, is_stream, make_link, open_links
from rdaq_ophyd.link._visa import _opening_failed
from rdaq_ophyd.sim import Faults, SimDeclared, serve_pty, serve_tcp

DATA = Path(__file__).parents[2] / "data"
LIBRARY = f"{DATA / 'visa_generator.yaml'}@sim"
MESSAGES = ["GPIB0::8::INSTR", "USB0::0x1111::0x2222::0x1234::0::INSTR", "TCPIP0::localhost::inst0::INSTR"]
STREAMS = ["TCPIP0::localhost::10001::SOCKET", "ASRL1::INSTR"]


def url(resource: str) -> str:
    return f"visa://{resource}?library={LIBRARY}"


@pytest.mark.parametrize("resource", MESSAGES + STREAMS)
async def test_a_declared_instrument_behind_every_kind_of_resource(resource):
    generator = declared(DATA / "visa_generator.toml")(url(resource), "gen")
    await generator.connect()
    try:
        assert (await generator.identity())["serial"] == "SN7"
        await generator.frequency.set(1234.5)
        assert await generator.frequency.get_value() == 1234.5
        with pytest.raises(BadReply, match="answered 'FREQ_ERROR' to '!FREQ 0.10'; expected a reply like OK"):
            await generator.frequency.set(0.1)
        await generator.output.set(True)
        await generator.calibrate.execute()
        with pytest.raises(BadReply, match="answered 'ERROR'"):
            await generator.explode.execute()
        assert (await generator.read_configuration())["gen-frequency"]["value"] == 1234.5
        await generator.output.set(False)
    finally:
        generator.close()
    assert open_links() == ()


@pytest.mark.parametrize("resource", MESSAGES + STREAMS)
async def test_a_question_without_an_answer_times_out_and_the_next_one_is_in_step(resource):
    link = make_link(url(resource))
    await asyncio.to_thread(link.open)
    try:
        for _ in range(2):
            with pytest.raises(ReplyTimeout, match="within 0.1 s"):
                await link.ask(b"!QUIET\r\n", reply=Line(b"\r\n"), timeout=0.1, safe=True)
            assert await link.ask(b"*IDN?\r\n", reply=Line(b"\r\n"), safe=True) == b"ACME,GEN 1,SN7,2.0"
        assert link.statistics.timeouts == 2
    finally:
        await asyncio.to_thread(link.close)


@pytest.mark.parametrize("resource", MESSAGES)
async def test_over_messages_nothing_is_read_that_was_not_asked_for(resource, monkeypatch):
    link = make_link(url(resource))
    reads = []
    read = link._read
    monkeypatch.setattr(link, "_read", lambda seconds: reads.append(seconds) or read(seconds))
    await asyncio.to_thread(link.open)
    try:
        assert not is_stream(link.url)
        for _ in range(3):
            await link.ask(b"*IDN?\r\n", reply=Line(b"\r\n"), timeout=0.7, safe=True)
        # One read for each question, and for as long as its answer may take: a read that is given up spoils the bus.
        assert len(reads) == 3
        assert min(reads) > 0.5
    finally:
        await asyncio.to_thread(link.close)


async def test_a_reply_that_is_owed_is_cleared_once(monkeypatch):
    link = make_link(url(MESSAGES[0]))
    await asyncio.to_thread(link.open)
    cleared = []
    monkeypatch.setattr(type(link._device), "clear", lambda self: cleared.append(self))
    try:
        with pytest.raises(ReplyTimeout):
            await link.ask(b"!QUIET\r\n", reply=Line(b"\r\n"), timeout=0.1, safe=True)
        for _ in range(2):
            await link.ask(b"*IDN?\r\n", reply=Line(b"\r\n"), safe=True)
        assert len(cleared) == 1
    finally:
        await asyncio.to_thread(link.close)


@pytest.mark.parametrize("resource", [MESSAGES[0], STREAMS[0]])
async def test_a_halt_goes_out_and_over_messages_after_the_exchange_in_flight(resource):
    link = make_link(url(resource))
    await asyncio.to_thread(link.open)
    try:
        await link.ask(b"*IDN?\r\n", reply=Line(b"\r\n"), safe=True)
        in_flight = link.submit(b"!QUIET\r\n", reply=Line(b"\r\n"), timeout=0.3, safe=True)
        await until(in_flight.running)
        link.preempt_promptly(b"!HALT\r\n")
        if is_stream(link.url):
            assert any(entry.data == b"!HALT\r\n" and entry.kind == "preempt" for entry in link.trace())
        else:
            assert not any(entry.data == b"!HALT\r\n" for entry in link.trace())
        with pytest.raises(ReplyTimeout):
            await asyncio.wrap_future(in_flight)
        await until(lambda: any(entry.data == b"!HALT\r\n" for entry in link.trace()))
    finally:
        await asyncio.to_thread(link.close)


@pytest.mark.parametrize(
    ("given", "stream"),
    [
        ("visa://GPIB0::12::INSTR", False),
        ("visa://USB0::1::2::3::INSTR?library=@py", False),
        ("visa://TCPIP::host::INSTR", False),
        ("visa://TCPIP0::host::5025::SOCKET", True),
        ("visa://tcpip0::host::5025::socket", True),
        ("visa://ASRL/dev/ttyUSB0::INSTR", True),
        ("tcp://host:5025", True),
        ("/dev/ttyUSB0", True),
    ],
)
def test_which_resources_carry_bytes_and_which_messages(given, stream):
    assert is_stream(given) is stream


def test_only_a_stream_preempts(tmp_path):
    text = (DATA / "visa_generator.toml").read_text()
    text = text.replace('tell = "!OUT 0"\nreply = "OK"', 'tell = "!HALT"\npreempt = true')
    text = text.replace('tell = ["!OUT 0"]\nanswered = true', 'tell = ["!HALT"]\npreempt = true')
    path = tmp_path / "generator.toml"
    path.write_text(text)
    said = {}
    for resource in (MESSAGES[0], STREAMS[0]):
        device = declared(path)(url(resource), "gen")
        said[resource] = stop_capability(device).means.value, device.safe_states()[0].preempt
    assert said == {MESSAGES[0]: ("urgent lane", False), STREAMS[0]: ("preempts", True)}


async def test_a_stop_over_messages_goes_out_and_is_confirmed():
    generator = declared(DATA / "visa_generator.toml")(url(MESSAGES[0]), "gen")
    await generator.connect()
    try:
        await generator.output.set(True)
        await generator.stop()
        assert await generator.output.get_value() is False
        await generator.output.set(True)
        safety = generator.channel.link.safety
        await asyncio.to_thread(safety.halt)
        [verdict] = await asyncio.to_thread(safety.confirm)
        assert (verdict.device, verdict.outcome.value) == ("gen", "confirmed")
        assert await generator.output.get_value() is False
    finally:
        generator.close()


@pytest.mark.parametrize(
    "bad",
    [
        "visa://",
        "visa://GPIB0::8::INSTR?libary=@py",
        "visa://GPIB0::99::INSTR",
        "visa://NONSENSE",
        "visa://ASRL9::INSTR",
    ],
)
def test_what_is_not_there(bad):
    link = VisaLink(bad if "?" in bad or bad == "visa://" else url(bad.removeprefix("visa://")))
    with pytest.raises(PortNotFound):
        link.open()
    link.close()


def test_without_pyvisa_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvisa", None)
    link = VisaLink(url(MESSAGES[0]))
    with pytest.raises(LinkError, match=r"pyvisa is not installed → pip install 'rdaq-ophyd\[visa\]'"):
        link.open()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("error_resource_busy", PortBusy),
        ("error_resource_locked", PortBusy),
        ("error_no_permission", PortNotPermitted),
        ("error_resource_not_found", PortNotFound),
    ],
)
def test_what_the_library_says_is_told_in_our_words(code, kind):
    import pyvisa

    error = pyvisa.errors.VisaIOError(getattr(pyvisa.constants.StatusCode, code))
    assert type(_opening_failed("visa://X", error)) is kind


def socket_of(port) -> str:
    host, number = port.url.removeprefix("socket://").split(":")
    return f"visa://TCPIP0::{host}::{number}::SOCKET?library=@py"


async def test_a_real_socket_over_pyvisa_py():
    sim = SimDeclared("keithley_2450")
    with serve_tcp(sim, lift_baud=True) as port:
        smu = declared("keithley_2450")(socket_of(port), "smu")
        await smu.connect()
        try:
            await smu.source_voltage.set(0.05)
            await smu.output.set(True)
            assert await smu.current.get_value() == pytest.approx(5e-5)
            port.faults = Faults(mute=True)
            with pytest.raises(ReplyTimeout):
                await smu.channel.ask("*IDN?", timeout=0.1)
            port.faults = Faults()
            assert await smu.source_voltage.get_value() == 0.05
        finally:
            smu.close()


async def test_a_real_serial_line_over_pyvisa_py():
    with serve_pty(Echo(), lift_baud=True) as port:
        link = make_link(f"visa://ASRL{port.url}::INSTR?library=@py", SerialSettings(115200, stopbits=2))
        await asyncio.to_thread(link.open)
        try:
            for text in ("hello", "", "x" * 200):
                assert await link.ask(f"Q{text}\r".encode(), reply=Line(b"\r\n"), safe=True) == text.encode()
        finally:
            await asyncio.to_thread(link.close)


def test_a_setting_that_the_line_cannot_have_is_told_and_leaves_nothing_open():
    with serve_pty(Echo(), lift_baud=True) as port:
        link = make_link(f"visa://ASRL{port.url}::INSTR?library=@py", SerialSettings(115200, parity="M"))
        with pytest.raises(PortNotFound, match="cannot be opened"):
            link.open()


async def test_a_link_that_is_closed_says_so():
    link = make_link(url(MESSAGES[0]))
    with pytest.raises(LinkClosed):
        await link.ask(b"*IDN?\r\n")
    for call in (lambda: link._read(0.1), lambda: link._write(b"x")):
        with pytest.raises(LinkClosed, match="the resource is not open"):
            call()
    link._shut()
