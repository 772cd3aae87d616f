"""The suite for a file takes its hints from the file."""

import pytest
from declaredstage import MOVED

from rdaq_ophyd.cli import main
from rdaq_ophyd.declaration import load, parse, shipped
from rdaq_ophyd.declaration.commands import STARTER
from rdaq_ophyd.errors import DeclarationError, UnknownName
from rdaq_ophyd.sim import SimDeclared
from rdaq_ophyd.testing import declared_suite

LAMP = STARTER.read_text().replace("NAME", "lamp")


def test_what_is_safe_when_off_is_tried_out_as_an_emission():
    found = {name: [(e.part, e.value) for e in declared_suite(name).emissions] for name in shipped()}
    assert found == {
        "keithley_2450": [("output", True)],
        "lakeshore_336": [
            ("output_1.range", "high"),
            ("output_2.range", "high"),
            ("analog_3.enabled", True),
            ("analog_4.enabled", True),
        ],
        "red_pitaya": [("generator_1.output", True), ("generator_2.output", True)],
    }


@pytest.mark.parametrize(
    ("name", "part", "on"),
    [
        ("keithley_2450", "output", ":OUTP ON"),
        ("lakeshore_336", "output_2.range", "RANGE 2,3"),
        ("lakeshore_336", "analog_4.enabled", "RANGE 4,1"),
        ("red_pitaya", "generator_1.output", "OUTPUT1:STATE ON"),
    ],
)
def test_the_simulation_tells_whether_it_emits(name: str, part: str, on: str):
    (emission,) = [emission for emission in declared_suite(name).emissions if emission.part == part]
    sim = SimDeclared(name)
    assert not emission.emitting(sim, 0.0)
    sim.execute(on, 0.0)
    assert emission.emitting(sim, 0.0)


def test_what_changes_by_itself_is_known():
    assert set(declared_suite("lakeshore_336").changing) == {
        "input_a.temperature",
        "input_a.sensor",
        "input_b.temperature",
        "input_b.sensor",
        "output_1.temperature",
        "output_2.temperature",
    }
    assert not declared_suite("keithley_2450").changing


@pytest.mark.parametrize(("name", "serial"), [("keithley_2450", "94412345"), ("lakeshore_336", "936A1B2/1234567")])
def test_a_twin_has_another_serial_number(name: str, serial: str):
    suite, one = declared_suite(name)(), SimDeclared(name)
    other = suite.twin()
    assert other is not None
    assert one.execute("*IDN?", 0.0) != other.execute("*IDN?", 0.0)
    assert serial[1:].encode() in other.execute("*IDN?", 0.0)


def test_without_a_serial_number_there_is_no_twin():
    assert declared_suite(parse(MOVED))().twin() is None  # no [identity]
    text = LAMP.replace("(?P<serial>[^,]+)", "[^,]+")
    assert text != LAMP
    assert declared_suite(parse(text))().twin() is None


def test_a_move_is_seen_in_the_state():
    (motion,) = declared_suite(parse(MOVED)).motions
    sim = SimDeclared(parse(MOVED))
    assert (motion.title, motion.near, motion.far, motion.goes_on) == ("itself", 0.2, 30.0, "")
    assert not motion.moving(sim, 10.0)
    sim.execute("1T 3.0", 10.0)
    assert motion.moving(sim, 10.05)
    assert not motion.moving(sim, 10.2)


def test_waits_are_shortened_and_the_file_is_not_changed():
    suite = declared_suite("lakeshore_336")
    movable = suite.driver.groups["output"].scope.movable
    assert (movable.dwell, movable.poll) == (0.02, 0.01)
    assert suite.declaration.group["output"].movable.dwell == load("lakeshore_336").group["output"].movable.dwell == 10


def test_what_it_cannot_be_made_of():
    with pytest.raises(UnknownName, match="keithley_2450"):
        declared_suite("keithley_2451")
    with pytest.raises(DeclarationError, match=r"lamp: no \[sim\], so there is nothing to test it against"):
        declared_suite(parse(LAMP.partition("# How it behaves")[0]))
    with pytest.raises(DeclarationError, match=r"sim\.move: 'axis_7' does not move → name a channel"):
        declared_suite(parse(MOVED.replace("[[sim.move]]", '[[sim.move]]\npart = "axis_7"')))


def test_how_it_moves_is_checked_with_the_file():
    with pytest.raises(DeclarationError, match=r"sim\.move\.0\.moving: .*movin"):
        parse(MOVED.replace('moving = "moving"', 'moving = "movin"'))


def test_one_command_runs_it(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lamp.toml").write_text(LAMP.replace('doc = "Whether there is light."', ""))
    assert main(["check", "lamp.toml", "--conformance"]) == 1
    out, _ = capfd.readouterr()
    assert "what they mean (in a file: `doc`): {'emission'}" in out
    assert "1 failed, " in out
    assert " passed" in out
    assert [path.name for path in tmp_path.iterdir()] == ["lamp.toml"]


def test_a_file_that_is_not_simulated_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lamp.toml").write_text(LAMP.partition("# How it behaves")[0])
    assert main(["check", "lamp.toml", "--conformance"]) == 2
    assert "no [sim], so there is nothing to run it against → say what it answers" in capsys.readouterr().err
