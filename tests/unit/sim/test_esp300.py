"""The simulated ESP300 answers as its manual says."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from rdaq_ophyd.sim import SimEsp300
from rdaq_ophyd.sim._esp300_tables import STAGES


def errors(bench):
    codes = []
    while (code := bench.say("TE?")) != "0":
        codes.append(int(code))
    return codes


@pytest.mark.parametrize(
    ("query", "reply"),
    [
        ("VE?", "ESP300 Version 3.04 07/27/01"),
        ("1ID?", "ILS50CC, SN B201"),
        ("1TP?", "0.0000"),
        ("01TP", "0.0000"),
        (" 1 tp ?", "0.0000"),
        ("1MD?", "1"),
        ("1MO?", "1"),
        ("2MO?", "0"),
        ("1SN?", "2"),
        ("3SN?", "7"),
        ("2SL?", "-12.500000"),
        ("3SR?", "170.000000"),
        ("1ZE?", "3H"),
        ("1QM?", "3"),
        ("TE?", "0"),
        ("PH?", "0H, 7H"),
        ("1PH?", "0H, 7H"),
        ("TS", "P"),
        ("TX", "@"),
        ("ZU", "7H"),
        ("1TV?", "0.000000"),
        ("1TP?;2TP?", "0.0000\r\n0.0000"),
    ],
)
def test_queries(esp300, query, reply):
    assert esp300.say(query) == reply


def test_replies_end_with_cr_lf_and_nothing_runs_before_cr():
    sim = SimEsp300()
    assert sim.feed(b"1TP?\n", 0.0) == []
    assert [r.data for r in sim.feed(b"\r", 0.0)] == [b"0.0000\r\n"]
    assert [r.data for r in sim.feed(b"1TP?\r\n1TP?\r\n", 0.0)] == [b"0.0000\r\n"] * 2


def test_a_move_moves_settles_and_reports_done(esp300):
    esp300.say("1PA10")
    assert esp300.say("1MD?") == "0"
    assert esp300.say("TS") == "Q"
    assert esp300.say("1DP?") == "10.0000"
    esp300.after(0.5)
    assert 0.0 < float(esp300.say("1TP?")) < 10.0
    assert esp300.say("1TV?") == "10.000000"
    esp300.after(0.755)
    assert (esp300.say("1TP?"), esp300.say("1MD?")) == ("10.0000", "0")  # it settles yet
    esp300.after(0.02)
    assert esp300.say("1MD?") == "1"
    esp300.say("1PR-2.5")
    esp300.after(2)
    assert esp300.say("1TP?;1PA?") == "7.5000\r\n7.5000"
    assert errors(esp300) == []


def test_a_stop_decelerates_and_the_others_go_on(esp300):
    esp300.say("2MO;1PA20;2PA-10")
    esp300.after(0.5)
    place = float(esp300.say("1TP?"))
    esp300.say("1ST")
    assert esp300.say("1MD?") == "0"
    esp300.after(0.3)
    assert esp300.say("1MD?;2MD?") == "1\r\n0"
    assert float(esp300.say("1TP?")) == pytest.approx(place + 10.0**2 / 2 / 40, abs=1e-3)
    esp300.say("ST")
    esp300.after(0.5)
    assert esp300.say("2MD?") == "1"
    assert errors(esp300) == []


def test_a_move_with_the_motor_off_is_refused(esp300):
    for command in ("2PA1", "2PR1", "2MV+", "2OR", "2MT+"):
        esp300.say(command)
    assert errors(esp300) == [213] * 5
    assert esp300.say("2TP?") == "0.0000"


@pytest.mark.parametrize(("command", "code"), [("1PA25.1", 106), ("1PA-26", 107), ("1PR30", 106), ("1PAnan", 7)])
def test_targets_beyond_the_limits_are_refused(esp300, command, code):
    esp300.say(command)
    assert errors(esp300) == [code]
    assert esp300.say("1MD?;1TP?") == "1\r\n0.0000"


def test_limits_can_be_narrowed_but_not_crossed(esp300):
    esp300.say("1SR5;1PA6")
    assert errors(esp300) == [106]
    esp300.say("1SL6")
    esp300.say("1SR-30")
    assert errors(esp300) == [101, 101]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("XX", 6),
        ("1XX5", 6),
        ("??", 6),
        ("1", 6),
        ("PA5", 37),
        ("TP?", 37),
        ("4TP?", 9),
        ("0TP?", 9),
        ("100PA5", 9),
        ("1PA", 38),
        ("1VA", 38),
        ("1ZE", 38),
        ("1PA1,2", 7),
        ("1PA1_0", 7),
        ("1ZEQ", 7),
        ("1MVx", 7),
        ("1MV", 38),
        ("1OR9", 101),
        ("1SN42", 101),
        ("1SN8", 101),
        ("1VA-1", 101),
        ("1VA41", 110),
        ("1AC161", 111),
        ("1DH1E12", 101),
        ("1WS-1", 7),
        ("1WS99999", 7),
        ("A" * 300, 6),
    ],
)
def test_bad_commands_are_met_with_silence_and_an_error(esp300, command, code):
    assert esp300.say(command) == ""
    assert esp300.say("TE?") == str(code)
    assert esp300.say("TE?") == "0"


def test_the_error_queue_has_texts_times_and_order(esp300):
    assert esp300.say("TB?").startswith("0, ")
    esp300.say("XX")
    esp300.after(0.4)
    esp300.say("2PA1")
    first, second = esp300.say("TB?"), esp300.say("TB?")
    assert first == "6, 0, COMMAND DOES NOT EXIST"
    assert second == "213, 1000, AXIS-2 MOTOR NOT ENABLED"
    assert esp300.say("TB?") == "0, 1000, NO ERROR DETECTED"


def test_the_error_queue_loses_the_oldest(esp300):
    esp300.say(";".join(["XX"] * 12 + ["2PA1"]))
    assert errors(esp300) == [6] * 9 + [213]


def test_jog_runs_to_the_limit_and_reports_it(esp300):
    esp300.say("1VA40;1MV+")
    esp300.after(0.5)
    assert esp300.say("1MD?") == "0"
    esp300.say("1ST")
    esp300.after(2)
    assert errors(esp300) == []
    esp300.say("1MV-")
    esp300.after(3)
    assert esp300.say("1TP?;1MD?") == "-25.0000\r\n1"
    assert errors(esp300) == [107]
    esp300.say("1SL-40;1MV-")
    esp300.after(1)
    assert (esp300.say("1TP?"), errors(esp300), esp300.say("PH?")) == ("-26.0000", [105], "100H, 6H")
    esp300.say("1SR40;1PA35")
    esp300.after(5)
    assert (esp300.say("1TP?"), errors(esp300), esp300.say("PH?")) == ("26.0000", [104], "1H, 7H")


def test_move_to_the_hardware_limit(esp300):
    esp300.say("1OH40;1MT-")
    esp300.after(3)
    assert esp300.say("1TP?") == "-26.0000"
    assert errors(esp300) == []


@pytest.mark.parametrize(
    ("mode", "mechanical"), [(0, 0.0), (1, 0.0), (2, 0.0), (3, 26), (4, -26), (5, 25.5), (6, -25.5)]
)
def test_homing_finds_its_reference(esp300, mode, mechanical):
    esp300.say("1PA3")
    esp300.after(2)
    esp300.say(f"1OH20;1SH1.5;1OR{mode}")
    assert esp300.say("1MD?") == "0"
    esp300.after(5)
    assert esp300.instrument.axes[1].trajectory.state(math.inf)[0] == pytest.approx(mechanical)
    assert esp300.say("1TP?;1MD?") == ("0.0000" if mode == 0 else "1.5000") + "\r\n1"


@pytest.mark.parametrize("mode", [1, 2])
def test_homing_without_a_home_switch_finds_both_ends_and_gives_up(under_clock, mode):
    bench = under_clock(SimEsp300(stages=(replace(STAGES[0], home_switch=False),)))
    bench.say(f"1MO;1OH40;1OR{mode}")
    bench.after(1.5)
    assert (float(bench.say("1TP?")), bench.say("1MD?")) == (pytest.approx(26, abs=1), "0")
    bench.after(4)
    assert bench.say("1TP?;1MD?;1MO?") == "-26.0000\r\n1\r\n1"
    assert errors(bench) == [120]
    assert bench.say("PH?") == "100H, 0H"
    bench.say("1PA0")
    bench.after(5)
    assert (bench.say("1TP?"), errors(bench)) == ("0.0000", [])


@pytest.mark.parametrize(("mode", "place"), [(3, 26), (4, -26), (5, 26), (6, -26)])
def test_homing_without_limit_switches_runs_into_the_stop(under_clock, mode, place):
    bench = under_clock(SimEsp300(stages=(replace(STAGES[0], limit_switches=False),)))
    bench.say(f"1MO;1OH40;1OR{mode}")
    bench.after(4)
    assert float(bench.say("1TP?")) == place
    assert (errors(bench), bench.say("1MO?")) == ([103, 120], "0")
    assert bench.say("PH?").startswith("0H, ")


@pytest.mark.parametrize(("configured", "code", "power"), [("25", 104, "1"), ("23", 104, "0"), ("5", 104, "1")])
def test_what_a_hardware_limit_does_to_the_motor_is_configured(esp300, configured, code, power):
    esp300.say(f"1ZH{configured};1SR40;1VA40;1PA35")
    esp300.after(3)
    assert (errors(esp300), esp300.say("1MO?")) == ([code], power)
    if configured == "5":
        assert esp300.say("PH?") == "100H, 7H"  # low when reached: it is the negative one that is high
    esp300.say("1MO;1PA20")
    esp300.after(3)
    assert (errors(esp300), esp300.say("1TP?")) == ([], "20.0000")


def test_the_amplifiers_fault_input_until_the_motor_is_switched_on(esp300):
    esp300.instrument.cause(2, "amplifier", esp300.now)
    assert esp300.say("PH?") == "20000H, 7H"
    esp300.say("2MO")
    assert esp300.say("PH?") == "0H, 7H"


def test_homing_refuses_moves_and_a_stop_aborts_it(esp300):
    esp300.say("1PA10")
    esp300.after(3)
    esp300.say("1OR1")
    esp300.after(0.1)
    esp300.say("1PA5")
    assert errors(esp300) == [130]
    esp300.say("1ST")
    assert errors(esp300) == [120]
    esp300.after(1)
    esp300.say("1PA5")
    assert errors(esp300) == []


def test_define_home_shifts_positions_only(esp300):
    esp300.say("1PA4")
    esp300.after(2)
    esp300.say("1DH")
    assert esp300.say("1TP?") == "0.0000"
    esp300.say("1DH-2.5;1PA0")
    esp300.after(2)
    assert esp300.instrument.axes[1].trajectory.state(math.inf)[0] == pytest.approx(6.5)


def test_units_rescale_what_is_spoken(esp300):
    esp300.say("1PA1;1SN3")
    esp300.after(1)
    assert esp300.say("1TP?;1SR?;1VA?") == "1000.0000\r\n25000.000000\r\n10000.000000"
    esp300.say("1PR-500;1SN0")
    esp300.after(1)
    assert esp300.say("1TP?;1SN?") == "5000.0000\r\n0"
    esp300.say("3MO;3PA90;3SN9")
    esp300.after(9)
    assert float(esp300.say("3TP?")) == pytest.approx(math.pi / 2, abs=1e-4)


def test_settings_are_kept(esp300):
    esp300.say("1VA5;1AC20;1AG 10;1FP2;1KP3.5;1ZE5H;1ZF0x7")
    assert esp300.say("1VA?;1AC?;1AG?;1FP?;1KP?;1ZE?;1ZF?;1TP?").split() == [
        *("5.000000", "20.000000", "10.000000", "2", "3.500000", "5H", "7H", "0.00")
    ]
    esp300.say("1UF;SM")
    assert errors(esp300) == []


def test_abort_takes_the_power_unless_configured_otherwise(esp300):
    esp300.say("2MO;3MO;2ZE5H;3ZE0H;1PA20;2PA10;3PA90")
    esp300.after(0.5)
    esp300.say("AB")
    assert esp300.say("1MO?;2MO?;3MO?;1TV?") == "0\r\n1\r\n1\r\n0.000000"
    esp300.after(0.2)
    assert esp300.say("1MD?;2MD?;3MD?") == "1\r\n1\r\n0"
    assert errors(esp300) == [4]


def test_motor_off_in_mid_move_freezes_the_axis(esp300):
    esp300.say("1PA20")
    esp300.after(0.5)
    esp300.say("1MF")
    place = esp300.say("1TP?")
    esp300.after(0.5)
    assert esp300.say("1TP?;1MD?;1MO?") == f"{place}\r\n1\r\n0"


@pytest.mark.parametrize(
    ("fault", "code", "power"),
    [("amplifier", 102, "0"), ("following_error", 103, "0"), ("hardware_limit_positive", 104, "1")],
)
def test_faults_of_the_hardware_end_a_move(esp300, fault, code, power):
    esp300.say("1PA20")
    esp300.after(0.5)
    esp300.instrument.cause(1, fault, esp300.now)
    place = esp300.say("1TP?")
    esp300.after(2)
    assert esp300.say("1TP?;1MD?;1MO?") == f"{place}\r\n1\r\n{power}"
    assert errors(esp300) == [code]


def test_wait_for_stop_holds_a_stop_back(esp300):
    """Why a driver never sends WS: the stop behind it comes when the motion is over."""
    esp300.say("1PA20")
    esp300.say("1WS100")
    assert esp300.say("1ST;1TP?") == ""
    assert esp300.after(2.0) == ""
    assert esp300.after(0.6) == "20.0000"


def test_other_waits(esp300):
    esp300.say("1PA20;1WP5")
    assert esp300.say("1TP?") == ""
    assert float(esp300.after(3)) == pytest.approx(5.0, abs=1e-3)
    esp300.say("WT200")
    assert esp300.say("VE?") == ""
    assert esp300.after(0.21).startswith("ESP300")
    esp300.say("1WP99;WS;WT")
    assert esp300.say("1MD?") == "1"


def test_reset_takes_power_and_errors(esp300):
    esp300.say("XX;RS")
    assert errors(esp300) == []
    assert esp300.say("1MO?") == "0"


def test_latency_delays_each_command_in_turn(under_clock):
    bench = under_clock(SimEsp300(latency=0.010))
    bench.instrument.latencies["TB"] = 0.050
    assert bench.say("1TP?") == ""
    bench.say("TB?;1MD?")
    bench.replies.clear()
    for _ in range(100):
        bench.now += 0.001
        bench.replies += bench.instrument.advance(bench.now)
    assert [round(reply.at - 100.0, 6) for reply in bench.replies] == [0.010, 0.060, 0.070]


def test_fewer_axes_and_faster_ones(under_clock):
    bench = under_clock(SimEsp300(axes=1, speed=10.0))
    bench.say("2MO;1MO;1PA20")
    assert errors(bench) == [9]
    bench.after(0.48)  # 4.5 s at the stage's own speed
    assert bench.say("1TP?;1MD?") == "20.0000\r\n1"


def test_what_waits_is_bounded(esp300):
    esp300.say("WT60000")
    for _ in range(50):
        esp300.say(";".join(["VE?"] * 60))
    assert len(esp300.after(61, step=1.0).splitlines()) <= 1000
