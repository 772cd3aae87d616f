"""A declared instrument, simulated: what it understands, remembers and answers."""

from __future__ import annotations

import re

import pytest

from rdaq_ophyd.declaration import load, parse
from rdaq_ophyd.errors import DeclarationError
from rdaq_ophyd.sim import SimDeclared, serve_tcp
from rdaq_ophyd.sim._declared_lines import split_line

HEAD = """format = 1
[instrument]
name = "thing"
manufacturer = "A"
model = "B"
manual = "C"
"""


def talk(sim: SimDeclared, line: str, now: float = 0.0) -> str:
    data = line.encode() + sim.terminator
    return b"".join(reply.data for reply in [*sim.feed(data, now), *sim.advance(now + 1.0)]).decode()


def thing(text: str) -> SimDeclared:
    return SimDeclared(parse(HEAD + text))


def test_a_file_without_a_simulation_is_told():
    with pytest.raises(DeclarationError, match=r"thing: its file has no \[sim\]"):
        SimDeclared(parse(HEAD))


def test_state_answers_and_tables():
    sim = thing("""
[sim]
latency = 0.0
[sim.state]
t = { A = 1.0, B = 2.0 }
last = "none"
[[sim.on]]
receive = "T? {x:A|B}"
answer = "{t[x]:.1f}"
set = { last = "x" }
[[sim.on]]
receive = "T {x:A|B},{v:float}"
set = { "t[x]" = "v" }
[[sim.on]]
receive = "SWAP"
set = { "t[A]" = "t['B']", "t[B]" = "t['A']" }
""")
    assert talk(sim, "T? A") == "1.0\n"
    assert talk(sim, "T B,7.25") == ""
    assert talk(sim, "SWAP") == ""
    assert (talk(sim, "T? A"), talk(sim, "T? B")) == ("7.2\n", "1.0\n")
    assert sim.state["last"] == "B"
    assert talk(sim, "T? C") == ""


def test_a_queue_of_errors_is_bounded_and_emptied():
    sim = thing("""
[sim]
unknown = { error = "1 unknown" }
[sim.state]
a = 0
[sim.errors]
receive = "ERR?"
empty = "0 none"
limit = 2
overflow = "9 full"
clear = ["CLR"]
[[sim.on]]
receive = "A {v:int}"
check = "v < 3"
set = { a = "v" }
refused = { error = "2 range" }
""")
    assert talk(sim, "A 5") == talk(sim, "B") == ""
    assert [talk(sim, "ERR?") for _ in range(3)] == ["2 range\n", "1 unknown\n", "0 none\n"]
    for _ in range(5):
        talk(sim, "B")
    assert [talk(sim, "ERR?") for _ in range(3)] == ["1 unknown\n", "9 full\n", "0 none\n"]
    talk(sim, "B")
    talk(sim, "CLR")
    assert talk(sim, "ERR?") == "0 none\n"
    talk(sim, "A 2")
    assert sim.state["a"] == 2


def test_ramps_go_on_with_time_whatever_the_steps():
    text = """
[sim.state]
p = 0.0
goal = { x = 10.0 }
speed = 2.0
[[sim.ramp]]
state = "p"
target = "goal['x']"
rate = "speed"
[[sim.on]]
receive = "P?"
answer = "{p:.3f}"
"""
    fine, coarse = thing(text), thing(text)
    for sim in (fine, coarse):
        sim.advance(0.0)
    for i in range(1, 301):
        fine.advance(i / 100)
    coarse.advance(3.0)
    assert fine.state["p"] == pytest.approx(coarse.state["p"]) == pytest.approx(6.0)
    coarse.advance(100.0)
    assert coarse.state["p"] == 10.0
    coarse.state["goal"]["x"] = -1.0
    coarse.advance(101.0)
    assert coarse.state["p"] == 8.0


def test_a_slip_in_an_expression_is_told_and_does_not_end_the_instrument(caplog):
    sim = thing("""
[sim.state]
a = 0
t = { x = 1 }
[[sim.on]]
receive = "Q"
answer = "{1 / a}"
[[sim.on]]
receive = "F"
answer = "{t['x']:s}"
[[sim.on]]
receive = "S {k:text}"
set = { "t[k]" = 1 }
[[sim.ramp]]
state = "a"
target = "1 / 0"
rate = "1"
""")
    assert talk(sim, "Q") == "\n"
    assert talk(sim, "F") == "\n"
    assert talk(sim, "S nothing") == ""
    assert "division by zero" in caplog.text
    assert "the state has no t[nothing]" in caplog.text
    assert "the ramp of a" in caplog.text


def test_latency_of_the_file_of_a_rule_and_given():
    text = "[sim]\nlatency = 0.5\n"
    text += '[[sim.on]]\nreceive = "A"\nanswer = "a"\n[[sim.on]]\nreceive = "B"\nanswer = "b"\nlatency = 2.0\n'
    sim = thing(text)
    [a, b] = [*sim.feed(b"A\nB\n", 0.0), *sim.advance(10.0)]
    assert (a.at, b.at) == (0.5, 2.5)
    sim = SimDeclared(parse(HEAD + text), latency=0.0)
    assert sim.feed(b"A\n", 3.0)[0].at == 3.0


def test_replies_of_a_fixed_length_have_no_mark():
    sim = thing('[link]\nreply_length = 3\ncommand_end = "\\r\\n"\n[sim]\n[[sim.on]]\nreceive = "A"\nanswer = "abc"\n')
    assert talk(sim, "A\r") == "abc"


def test_an_overlong_line_is_unknown():
    sim = thing('[sim]\nunknown = { set = { n = "n + 1" } }\n[sim.state]\nn = 0\n')
    talk(sim, "x" * 300)
    assert sim.state["n"] == 1


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("*RST;:stat:pres;:*CLS;", ["*RST", ":stat:pres", ":*CLS"]),
        (":SENS:FUNC 'A;B';NPLC 1", [":SENS:FUNC 'A;B'", ":SENS:NPLC 1"]),
        (":A:B 1;*OPC?;C 2", [":A:B 1", "*OPC?", ":A:C 2"]),
        ("", []),
    ],
)
def test_scpi_lines(line, commands):
    assert split_line(line, scpi=True, separator="") == commands


def test_it_reads_nothing_of_the_signals():
    made = load("keithley_2450")
    bare = made.model_copy(update={"signal": {}, "command": {}, "identity": None, "errors": None, "safe_state": None})
    for declaration in (made, bare):
        sim = SimDeclared(declaration)
        assert talk(sim, "*idn?").startswith("KEITHLEY INSTRUMENTS,MODEL 2450,")
        assert talk(sim, ":SOURce1:VOLTage:LEVel:IMMediate:AMPLitude 0.01;:OUTP ON;:MEAS:CURR?") == "1.000000E-05\n"
        assert talk(sim, "SOUR:VOLT 1000") == ""
        assert talk(sim, "system:error?").startswith('-222,"Parameter data out of range')
        assert talk(sim, ":NONSENSE") == ""
        assert talk(sim, ":SYST:ERR:NEXT?").startswith('-113,"Undefined header')


def test_it_is_served_like_any_other():
    with serve_tcp(SimDeclared("lakeshore_336"), lift_baud=True) as port:
        assert port.instrument.baud == 57600
        # The sample drifts while the test waits.
        assert re.fullmatch(rb"\+29[45]\.\d{3}\r\n", port.call(lambda now: port.instrument.execute("KRDG? A", now)))
        assert port.call(lambda now: port.instrument.execute("KRDG? E", now)) is None
        assert port.call(lambda now: port.instrument.execute("*ESR?", now)) == b"032\r\n"
        assert port.call(lambda now: port.instrument.execute("*ESR?", now)) == b"000\r\n"
