"""The simulated Mai Tai answers as its manual says."""

from __future__ import annotations

import pytest

from rdaq_ophyd.sim import SimMaiTai
from rdaq_ophyd.sim._maitai_words import Refused, names, parse, short


@pytest.fixture
def laser(under_clock):
    """Warmed up, off, its watchdog off."""
    return under_clock(SimMaiTai(warm=100.0, watchdog=0))


def code(bench):
    return int(bench.say("SYST:ERR?").partition(",")[0])


def status(bench):
    return int(bench.say("*STB?"))


@pytest.mark.parametrize(
    ("word", "form"),
    [("SHUTTER", "SHUT"), ("WAVELENGTH", "WAV"), ("POWER", "POW"), ("TIMER", "TIM"), ("DIODE1", "DIOD1"), ("ON", "ON"),
     ("OFF", "OFF"), ("SAVE", "SAV"), ("*IDN", "*IDN"), ("ERR", "ERR"), ("HUMIDITY", "HUM")],
)  # fmt: skip
def test_short_forms_follow_the_manuals_rule(word, form):
    assert short(word) == form


@pytest.mark.parametrize(
    "question",
    ["READ:PLAS:DIOD1:CURR?", "READ:PLASER:DIODE1:CURRENT?", "READ:PLAS:DIODE1:CURR?", "read:plaser:diod1:Current?"],
)
def test_forms_and_cases_are_freely_mixed(laser, question):
    assert laser.say(question) == "0.0%"
    assert code(laser) == 0


@pytest.mark.parametrize(
    ("question", "reply"),
    [
        ("*IDN?", "Spectra Physics,MaiTai,3227/51054/40856,0245-2.00.34 / CD00000019 / 214-00.004.057"),
        ("WAVelength?", "800nm"),
        ("READ:WAVelength?", "800nm"),
        ("WAVelength:MIN?", "690nm"),
        ("WAVelength:MAX?", "1040nm"),
        ("READ:POWer?", "0.00W"),
        ("POWER?", "0.00W"),
        ("READ:PCTWarmedup?", "100.00%"),
        ("READ:HUM?", "7.26%"),
        ("READ:PLASer:POWer?", "0.00W"),
        ("READ:PLASer:SHGS?", "0S"),
        ("READ:PLASer:PCURrent?", "0.0%"),
        ("READ:PLASer:DIODe2:TEMPerature?", "20.5"),
        ("MODE?", "POW"),
        ("SHUTter?", "0"),
        ("*STB?", "8"),
        ("PLASer:POWer?", "14.00W"),
        ("PLASer:ERRCode?", "0"),
        ("PLASer:AHISTory?", " ".join(["000"] * 16)),
        ("CONTrol:MLENable?", "1"),
        ("CONTrol:PHASe?", "50.00"),
        ("TIMer:WATChdog?", "0"),
        ("SYSTem:ERR?", "0, NO_ERR"),
    ],
)
def test_queries(laser, question, reply):
    assert laser.say(question) == reply


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\r\r\n\n"])
def test_any_end_of_line_will_do(laser, end):
    replies = laser.instrument.feed(b"SHUT?" + end + b"*STB?" + end, laser.now)
    assert [reply.data for reply in replies] == [b"0\n", b"8\n"]
    assert code(laser) == 0


def test_flow_control_is_no_part_of_a_command(laser):
    assert laser.say("SH\x11UT\x13?") == "0"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("FIRE", 129), ("SHUTter:1", 129), ("SHUTter", 129), ("SHUT open", 129), ("WAVelength ?", 129),
        ("READ:POW", 129), ("ON 1", 129), ("SHUT? 1", 129), ("WAV 6e2", 129), ("WAV 600", 130), ("SHUT 2", 130),
        ("SHUT 0.5", 130), ("TIM:WATC -1", 130), ("MODE ON", 130), ("MODE PUMP", 129), ("SYST:COMM:SER:BAUD 1234", 130),
        ("*" * 300, 129),
    ],
)  # fmt: skip
def test_a_refused_command_is_silent_and_leaves_an_error(laser, command, expected):
    assert laser.say(command) == ""
    assert code(laser) == expected
    assert code(laser) == 0


def test_errors_come_in_order_and_tell_whether_it_is_on(laser):
    laser.say("FIRE")
    laser.say("ON")
    laser.say("WAV 1")
    assert laser.say("SYST:ERR?") == "129, CMD_ERR + ANY_ERR"
    assert laser.say("SYST:ERR?") == "194, EXE_ERR + LASER_ON + ANY_ERR"
    assert laser.say("SYST:ERR?") == "64, LASER_ON"


def test_the_error_buffer_is_bounded(laser):
    for _ in range(50):
        laser.say("FIRE")
    assert [code(laser) for _ in range(17)] == [129] * 16 + [0]


def test_warm_up(under_clock):
    bench = under_clock(SimMaiTai(warm_up=10.0, watchdog=0))
    bench.after(5)
    assert bench.say("READ:PCTW?") == "0.00%"
    assert bench.say("READ:PLAS:SHGS?") == "1S"
    bench.say("ON")
    assert (code(bench), status(bench) & 1) == (0, 0)
    bench.after(5)
    assert bench.say("READ:PCTW?").startswith("50.")
    bench.say("ON")
    assert code(bench) == 130
    bench.after(6)
    assert bench.say("READ:PCTW?") == "100.00%"
    assert status(bench) & 1 == 0  # warmed up is not on
    bench.say("ON")
    bench.after(1)
    assert status(bench) & 1
    bench.say("OFF")
    assert status(bench) & 1 == 0
    assert bench.say("READ:PCTW?") == "100.00%"


def test_emission_and_shutter_are_independent(laser):
    laser.say("ON")
    laser.after(2)
    assert (status(laser), laser.say("SHUT?"), laser.say("READ:POW?")) == (11, "0", "3.00W")
    laser.say("SHUT 1")
    assert laser.say("SHUT?") == "0"  # lags
    laser.after(1.01)
    assert laser.say("SHUT?") == "1"
    laser.say("OFF")
    laser.after(2)
    assert (status(laser), laser.say("SHUT?"), laser.say("READ:POW?")) == (8, "1", "0.00W")
    laser.say("SHUT 0")
    assert laser.say("SHUT?") == "1"
    laser.after(1.01)
    assert laser.say("SHUT?") == "0"


def test_a_shutter_that_is_stuck(laser):
    laser.instrument.stuck = True
    laser.say("SHUT 1")
    laser.after(2)
    assert laser.say("SHUT?") == "0"


def test_tuning_takes_its_time_and_costs_the_pulses(laser):
    laser.say("ON")
    laser.after(2)
    laser.say("WAV 900")
    assert status(laser) & 2 == 0
    assert laser.say("WAV?") == "900nm"
    laser.after(2.5)
    assert laser.say("READ:WAV?") == "850nm"
    assert status(laser) & 3 == 1
    laser.after(2.6)
    assert laser.say("READ:WAV?") == "900nm"
    laser.after(0.5)
    assert status(laser) & 3 == 3
    assert float(laser.say("READ:POW?").removesuffix("W")) < 3.0


@pytest.mark.parametrize(("unit", "shown"), [("W", "3.00W"), ("mW", "3000mW"), ("%", "100.00%")])
def test_power_comes_in_the_unit_of_the_head(under_clock, unit, shown):
    bench = under_clock(SimMaiTai(warm=100.0, watchdog=0, power_unit=unit))
    bench.say("ON")
    bench.after(2)
    assert bench.say("READ:POWer?") == shown
    assert bench.say("READ:PLAS:POW?") == "14.00W"


def test_the_watchdog_switches_the_pump_off_when_nobody_talks(under_clock):
    bench = under_clock(SimMaiTai(warm=100.0))
    bench.say("ON")
    for _ in range(5):
        bench.after(2.9)
        assert status(bench) & 1  # a query counts too
    bench.after(2)
    bench.say("FIRE")  # no valid command
    bench.after(1.1)
    assert status(bench) & 1 == 0
    bench.say("TIM:WATC 0")
    bench.say("ON")
    bench.after(100, step=1.0)
    assert status(bench) & 1


def test_the_watchdog_bites_by_itself(under_clock):
    bench = under_clock(SimMaiTai(warm=100.0, watchdog=5.0))
    assert bench.instrument.wake_at() is None
    bench.say("ON")
    assert bench.instrument.wake_at() == pytest.approx(bench.now + 5)
    bench.instrument.advance(bench.now + 5)
    assert not bench.instrument.on


def test_an_interlock_switches_off_and_nothing_comes_back_by_itself(laser):
    laser.say("ON")
    laser.say("SHUT 1")
    laser.after(2)
    laser.instrument.open_interlock(laser.now)
    assert (status(laser) & 3, laser.say("SHUT?"), code(laser)) == (0, "0", 160)
    laser.say("ON")
    laser.say("SHUT 1")
    assert (code(laser), code(laser)) == (130, 130)
    laser.instrument.close_interlock(laser.now)
    laser.after(5)
    assert (status(laser) & 3, laser.say("SHUT?")) == (0, "0")
    assert laser.say("PLAS:AHIS?").split()[:3] == ["116", "001", "003"]


def test_service_commands_are_taken(laser):
    for command in ("MODE PCUR", "PLAS:POW 12.5", "PLAS:PCUR 5", "CONT:PHAS 40", "CONT:MLEN 0", "SAVe",
                    "SYST:COMM:SER:BAUD 38400"):  # fmt: skip
        assert laser.say(command) == ""
    assert code(laser) == 0
    assert [laser.say(q) for q in ("MODE?", "PLAS:POW?", "PLAS:PCUR?", "CONT:PHAS?", "CONT:MLEN?")] == [
        "PCUR", "12.50W", "5.0%", "40.00", "0",
    ]  # fmt: skip
    laser.say("WAV 810")
    assert laser.say("PLAS:POW?") == "14.00W"  # tuning sets the factory's values


def test_a_head_without_a_humidity_sensor(under_clock):
    bench = under_clock(SimMaiTai(humidity_sensor=False))
    assert bench.say("READ:HUM?") == ""
    assert code(bench) == 129


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("READ:PCTWARMEDUP?\r", "100.00%"), ("read:pctwarmedup?", "100.00%"), ("READ:HUMIDITY?\r", "7.26%"),
        ("SHUTTER 1\r", ""), ("SHUTTER?\r", "0"), ("WAVELENGTH 815\r", ""), ("WAVELENGTH?", "800nm"),
        ("POWER?", "0.00W"),
        ("TIMER:WATCHDOG 600", ""), ("tim:watc?\r", "0"), ("Timer:watchdog?\r", "0"), ("PLASER:AHISTORY?", "000 " * 16),
        ("PLAS:AHIS?", "000 " * 16), ("CONTROL:MLENABLE?", "1"), ("READ:PLASER:SHGS?", "0S"), ("SAVE\r", ""),
    ],
)  # fmt: skip
def test_how_programs_of_others_write_it(laser, line, answer):
    """Spellings found in programs that drive such lasers."""
    assert laser.say(line) == answer.strip()
    assert code(laser) == 0


def test_words_of_errors():
    assert names(163) == "CMD_ERR + EXE_ERR + SYS_ERR + ANY_ERR"
    with pytest.raises(Refused):
        parse("READ:NOTHING?")
