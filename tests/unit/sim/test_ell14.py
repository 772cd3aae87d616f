"""The simulated ELL14 bus under a clock that the test moves, and at its true baud rate."""

from __future__ import annotations

import time

import pytest
import serial

from rdaq_ophyd.sim import Rotator, SimBench, SimEll14, serve_pty, serve_tcp

TURN_45 = "00004600"


@pytest.fixture
def bus(under_clock):
    return under_clock(SimEll14())


def test_it_tells_what_it_is(bus):
    assert bus.say("0in") == "0IN0E1140051720231701016800023000"
    assert len(bus.say("3in")) == 33
    assert bus.say("5in") == ""
    imperial = SimEll14({"7": Rotator("00000042", imperial=True, pulses=136_533, firmware=0x21)})
    assert imperial.feed(b"7in", 0.0)[0].data == b"7IN0E0000004220232181016800021555\r\n"


@pytest.mark.parametrize("end", ["", "\r", "\n", "\r\n"])
def test_terminators_are_optional(end):
    sim = SimEll14()
    replies = sim.feed(f"0gs{end}Agv{end}3gj{end}0go{end}".encode(), 0.0)
    assert [r.data for r in replies] == [b"0GS00\r\n", b"AGV64\r\n", b"3GJ00008C00\r\n", b"0HO00000000\r\n"]


@pytest.mark.parametrize(
    ("sent", "code"),
    [("0xy", "03"), ("0GS", ""), ("0ma12\r", "03"), ("0ma0000460g", "03"), ("0sv65", "04"), ("0sjFFFFFFFF", "04")],
)
def test_what_is_no_command(bus, sent, code):
    assert bus.say(sent) == (f"0GS{code}" if code else "")
    assert bus.say("0gs") == f"0GS{code or '00'}"
    assert bus.say("0gs") == "0GS00"


def test_a_packet_that_is_not_finished_within_two_seconds_is_dropped(under_clock):
    bus = under_clock(SimEll14())
    bus.instrument.feed(b"0ma0000", bus.now)
    assert bus.after(1.9) == ""
    bus.instrument.feed(b"4600", bus.now)
    assert bus.after(1.0) == f"0PO{TURN_45}"
    bus.instrument.feed(b"0ma0000", bus.now)
    bus.after(2.1)
    replies = bus.instrument.feed(b"00000gs", bus.now)  # the digits begin nothing
    assert [r.data for r in replies] == [b"0GS01\r\n"]
    assert bus.say("0gp") == f"0PO{TURN_45}"


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"0ho", "0PO00000000"),
        (b"0ho1", "0PO00000000"),
        (b"0ho01\r", "0PO00000000"),
        (b"0ho00gs", "0GS09 0PO00000000"),
        (b"0ho000gs", "0GS09 0PO00000000"),
    ],
)
def test_home_with_any_number_of_digits(bus, sent, said):
    bus.say(f"0ma{TURN_45}")
    bus.after(1)
    got = b"".join(r.data for r in bus.instrument.feed(sent, bus.now)).decode()
    assert (got + bus.after(2)).split() == said.split()
    assert bus.say("0gp") == "0PO00000000"


def test_home_goes_round_in_the_direction_asked_for_and_finds_its_zero(under_clock):
    rotator = Rotator(start=100.0)
    bus = under_clock(SimEll14({"2": rotator}))
    assert bus.say("2gp") == "2PO00000000"  # it does not know better
    bus.say("2ho0")
    assert bus.after(2) == "2PO00000000"
    assert rotator.degrees(bus.now) == 0.0
    assert bus.say("2so00004600") == "2GS00"
    bus.say("2ho1")
    assert bus.after(2) == "2PO00000000"
    assert rotator.degrees(bus.now) == pytest.approx(45.0)
    bus.say("2ho2")
    assert bus.say("2gs") == "2GS04"


def test_a_move_takes_its_time_and_answers_when_it_is_done(bus):
    assert bus.say(f"0ma{TURN_45}") == ""
    assert bus.say("0gs") == "0GS09"
    assert bus.after(0.06) == ""
    assert bus.say("0gs") == "0GS09"  # asking does not clear that
    assert 0 < int(bus.say("0gp")[3:], 16) < 0x4600
    assert bus.after(0.2) == f"0PO{TURN_45}"
    assert bus.say("0gs") == "0GS00"
    assert bus.instrument.angle("0", bus.now) == pytest.approx(45.0)
    assert bus.instrument.angle("3", bus.now) == 0.0
    bus.say("0mrFFFFBA00")
    assert bus.after(1) == "0PO00000000"
    bus.say("0mrFFFFFFFF")
    assert bus.after(1) == "0POFFFFFFFF"


def test_velocity_scales_the_time(bus):
    assert bus.say("0sv32") == "0GS00"
    assert bus.say("0gv") == "0GV32"
    bus.say("0ma00023000")
    assert bus.after(1.6) == ""
    assert bus.after(0.2) == "0PO00023000"
    bus.say("0sv0A")
    bus.say("0ma00000000")
    assert bus.after(2.1) == "0GS02"  # too slow: it stalls
    assert bus.say("0gp") == "0PO00023000"


def test_a_busy_device_takes_no_command(bus):
    bus.say("0ma00023000")
    for command in ("0ma00000000", "0ho0", "0fw", "0sv32", "0us", "0ca7"):
        assert bus.say(command) == "0GS09"
    assert bus.say("0st") == "0GS09"
    assert bus.after(2) == "0PO00023000"
    assert bus.say("0gv") == "0GV64"


def test_a_stop_ends_a_jog_without_an_end_and_nothing_bounded(bus):
    assert bus.say("0sj00000000") == "0GS00"
    assert bus.say("0fw") == ""
    bus.after(2)
    assert bus.say("0gs") == "0GS09"
    assert bus.say("0st") == "0GS00"
    assert bus.say("0gs") == "0GS00"
    place = bus.instrument.angle("0", bus.now)
    assert place == pytest.approx(860, abs=2)
    bus.after(1)
    assert bus.instrument.angle("0", bus.now) == place
    assert bus.say("0bw") == ""
    bus.after(0.1)
    bus.say("0st")
    assert bus.instrument.angle("0", bus.now) < place
    assert bus.say("0st") == "0GS00"  # harmless when it stands


@pytest.mark.parametrize(("reply", "said"), [("GS", "0GS00"), ("PO", "0PO00000000"), ("", "")])
def test_what_answers_a_stop_is_a_setting(under_clock, reply, said):
    assert under_clock(SimEll14(stop_reply=reply)).say("0st") == said


def test_jogs_by_the_step(bus):
    assert bus.say("0sj00000400") == "0GS00"
    assert bus.say("0fw") == ""
    assert bus.after(1) == "0PO00000400"
    bus.say("0bw")
    assert bus.after(1) == "0PO00000000"


@pytest.mark.parametrize(("overload", "code"), [("over-current", "0D"), ("mechanical time-out", "02")])
def test_the_supply_feeds_two_movers(under_clock, overload, code):
    bus = under_clock(SimEll14(overload=overload))
    for address in "03":
        assert bus.say(f"{address}ma00023000") == ""
    at_once = bus.say("Ama00023000")
    said = (at_once + "\n" + bus.after(3)).split()
    assert f"AGS{code}" in said
    assert {"0PO00023000", "3PO00023000"} < set(said)
    assert bus.say("Agp") == "APO00000000"
    assert bus.say("Ags") == f"AGS{code}"
    assert bus.say("Ags") == "AGS00"


def test_a_group_moves_with_one_command_and_is_none_afterwards(bus):
    assert bus.say("3ga0") == "3GS00"
    assert bus.say("3gp") == ""  # it answers to the other address now
    bus.say(f"0ma{TURN_45}")
    assert sorted(bus.after(1).split()) == [f"0PO{TURN_45}", f"3PO{TURN_45}"]
    assert bus.say("3gp") == f"3PO{TURN_45}"
    bus.say("0ma00000000")
    assert bus.after(1) == "0PO00000000"


def test_an_address_changes_and_is_kept_once_saved(bus):
    assert bus.say("AcaB") == "BGS00"
    assert bus.say("Agv") == ""
    bus.instrument.power_cycle(bus.now)
    assert bus.say("Aca7") == "7GS00"
    assert bus.say("7us") == "7GS00"
    bus.instrument.power_cycle(bus.now)
    assert bus.say("7gs") == "7GS00"


def test_settings_that_were_not_saved_are_lost_with_the_power(bus):
    bus.say("0sv32")
    bus.say("0us")
    bus.say("0sv50")
    bus.say(f"0ma{TURN_45}")
    bus.after(1)
    bus.instrument.power_cycle(bus.now)
    assert bus.say("0gv") == "0GV32"
    assert bus.say("0gp") == "0PO00000000"
    assert bus.instrument.angle("0", bus.now) == pytest.approx(45.0)


def test_two_devices_at_one_address_spoil_each_others_replies(bus):
    bus.say("3ca0")
    said = bus.instrument.feed(b"0in", bus.now)[0].data
    assert said != b"0IN0E1140051720231701016800023000\r\n"
    assert len(said) == 35


def test_isolated_it_hears_nothing_until_the_time_is_over(bus):
    bus.instrument.minute = 1.0
    assert bus.say("0is02") == "0GS00"
    bus.after(1.9)
    assert bus.say("0gs") == ""
    assert bus.say("3gs") == "3GS00"
    bus.after(0.2)
    assert bus.say("0gs") == "0GS06"
    assert bus.say("0gs") == "0GS00"


@pytest.mark.parametrize("command", ["om", "cm"])
def test_cleaning_occupies_the_bus_until_it_ends_or_is_stopped(bus, command):
    assert bus.say(f"0{command}") == "0GS09"
    bus.after(1)
    assert bus.say("3gs") == bus.say("0gs") == bus.say("3st") == ""
    assert bus.say("0st") == "0GS00"
    assert bus.say("3gs") == "3GS00"
    bus.say(f"3{command}")
    assert bus.after(61, step=1) == "3GS00"


def test_motors_and_the_search_for_their_resonance(bus):
    assert bus.say("0i1") == "0I1100000FFFFFFFF009A0098"
    assert len(bus.say("0i2")) == 25
    assert bus.say("0s1") == ""
    assert bus.say("0i1")[3:9] == "110460"
    assert bus.say("0gs") == "0GS09"
    assert bus.after(1.1) == "0GS00"


def test_buttons_of_the_keypad_are_told_unasked(bus):
    bus.instrument.press("3", bus.now)
    assert bus.after(1).split() == ["3BS09", "3BO00008C00"]
    bus.instrument.press("3", bus.now, forward=False)
    bus.instrument.press("3", bus.now)  # it is busy
    assert bus.after(1).split() == ["3BS09", "3BO00000000"]


def test_a_fault_in_mid_move_is_told_at_once_and_kept_until_it_is_asked_for(bus):
    bus.say("0ma00023000")
    bus.after(0.2)
    bus.instrument.cause("0", 11, bus.now)
    assert bus.after(0.1) == "0GS0B"
    assert bus.say("0gs") == "0GS0B"
    assert bus.say("0gs") == "0GS00"
    assert 0 < int(bus.say("0gp")[3:], 16) < 0x23000


def test_a_firmware_that_hears_nothing_while_it_moves(under_clock):
    bus = under_clock(SimEll14(answers_while_busy=False))
    bus.say(f"0ma{TURN_45}")
    assert bus.say("0gs") == bus.say("0gp") == ""
    assert bus.say("3gs") == "3GS00"
    assert bus.after(1) == f"0PO{TURN_45}"


def test_addresses_are_looked_at():
    for bad in ("", "G", "0a"):
        with pytest.raises(ValueError, match="addresses"):
            SimEll14(bad)


@pytest.mark.parametrize("serve", [serve_pty, serve_tcp])
def test_at_the_true_baud_rate(serve):
    with serve(SimEll14()) as port, serial.serial_for_url(port.url, baudrate=9600, timeout=5) as line:
        start = time.monotonic()
        line.write(b"0in")
        reply = line.read_until(b"\n")
        assert reply.startswith(b"0IN0E")
        assert time.monotonic() - start >= (3 + len(reply)) * 10 / 9600
        line.write(f"3ma{TURN_45}".encode())
        line.write(b"0gp")
        assert line.read_until(b"\n") == b"0PO00000000\r\n"  # a move holds nobody else up
        assert line.read_until(b"\n") == f"3PO{TURN_45}\r\n".encode()
        (begun,) = port.log.arrivals(f"3ma{TURN_45}".encode())
        (done,) = port.log.arrivals(f"3PO{TURN_45}".encode(), "tx")
        assert (done - begun) / 1e9 >= 45 / 430


def test_the_bench_has_it():
    with SimBench(lift_baud=True, fast=True) as bench:
        assert set(bench.ell14.rotators) == {"0", "3", "A"}
        with serial.Serial(bench.urls["ell14"], 9600, timeout=5) as line:
            line.write(b"Ama00004600")
            assert line.read_until(b"\n") == b"APO00004600\r\n"
        assert bench.ell14.angle("A", time.monotonic()) == pytest.approx(45.0)
