"""Whatever is sent to the simulated Mai Tai, it lives; every form of a command means the same."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.sim import SimMaiTai
from rdaq_ophyd.sim._maitai_words import parse, short
from rdaq_ophyd.sim.maitai import _COMMANDS, _QUERIES

gaps = st.floats(0, 30)
ends = st.sampled_from([b"\r", b"\n", b"\r\n", b"\n\r"])
anything = st.sampled_from(["", "0", "1", "820", "-3", "1e3", "x", "PPOW", "999999"])


@st.composite
def spelled(draw, table):
    """One of the commands, each word in either form, each letter in either case."""
    words = draw(st.sampled_from(sorted(table)))
    forms = [draw(st.sampled_from([word, short(word)])) for word in words]
    text = ":".join(forms)
    cases = draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text)))
    return words, "".join(c.upper() if up else c.lower() for c, up in zip(text, cases, strict=True))


def asked(sim, now, data):
    return b"".join(reply.data for reply in sim.feed(data, now))


def error(sim, now):
    return int(asked(sim, now, b"SYST:ERR?\n").partition(b",")[0])


@given(spelled(_QUERIES), ends, st.floats(0, 100))
def test_every_form_of_a_query_is_answered_in_one_line(spelt, end, warm):
    words, text = spelt
    sim = SimMaiTai(warm=warm)
    assert parse(text + "?").words == words
    reply = asked(sim, 0.0, text.encode() + b"?" + end)
    assert reply.endswith(b"\n")
    assert words == ("PLASER", "HISTORY") or reply.count(b"\n") == 1
    assert error(sim, 0.0) == 0


@given(spelled(_COMMANDS), anything, ends)
def test_every_form_of_a_command_is_silent_and_understood(spelt, text, end):
    words, spelling = spelt
    twins = []
    for name in (":".join(words), spelling):
        sim = SimMaiTai(warm=100.0)
        assert asked(sim, 0.0, f"{name} {text}".encode() + end) == b""
        twins.append((error(sim, 0.0), asked(sim, 2.0, b"*STB?\rSHUT?\rWAV?\rTIM:WATC?\rMODE?\r")))
    assert twins[0] == twins[1]


@given(st.lists(st.tuples(st.binary(max_size=60), gaps), max_size=30))
def test_any_bytes_are_survived(chunks):
    sim, now = SimMaiTai(warm=100.0), 0.0
    for data, gap in chunks:
        asked(sim, now, data)
        now += gap
    asked(sim, now, b"\n")
    assert int(asked(sim, now, b"*STB?\n")) in range(256)


@given(st.lists(st.tuples(st.one_of(spelled(_COMMANDS), spelled(_QUERIES)), anything, gaps), max_size=40))
def test_readings_stay_sensible(sent):
    sim, now = SimMaiTai(warm=100.0), 0.0
    for (_, text), parameter, gap in sent:
        asked(sim, now, f"{text} {parameter}\n".encode())
        now += gap
    assert 690 <= int(asked(sim, now, b"READ:WAV?\n").removesuffix(b"nm\n")) <= 1040
    assert 0 <= float(asked(sim, now, b"READ:POW?\n").removesuffix(b"W\n")) <= 3
    assert re.fullmatch(rb"(\d{3} ){15}\d{3}\n", asked(sim, now, b"PLAS:AHIS?\n"))


@given(st.lists(st.tuples(st.sampled_from([b"*STB?", b"FIRE", b""]), st.floats(0, 4)), max_size=20))
def test_light_needs_a_valid_command_within_the_watchdogs_time(sent):
    """Against the shortest model: on until more than three seconds pass without a valid command."""
    sim, now, fed, on = SimMaiTai(warm=100.0, watchdog=3.0), 0.0, 0.0, True
    asked(sim, now, b"ON\n")
    for command, gap in sent:
        now += gap
        on = on and now - fed < 3.0
        asked(sim, now, command + b"\n")
        fed = now if command == b"*STB?" else fed
        assert sim.on == on
