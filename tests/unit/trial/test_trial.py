"""The automatic test run: every shipped instrument passes each step, and each step catches its mistake."""

from __future__ import annotations

import asyncio

import pytest

from rdaq_ophyd.declaration import load, parse, shipped
from rdaq_ophyd.errors import DeclarationError
from rdaq_ophyd.trial import STEPS, NotApplicable, TrialFailure, run, serve

FILES = {name: load(name) for name in shipped()}


@pytest.mark.parametrize("tcp", [True, False], ids=["tcp", "pty"])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
@pytest.mark.parametrize("name", FILES)
async def test_shipped_instruments(name, step, tcp):
    async with serve(FILES[name], tcp=tcp) as trial:
        await step(trial)


THING = """format = 1
[instrument]
name = "thing"
manufacturer = "A"
model = "B"
manual = "C"
[identity]
ask = "ID?"
pattern = "THING"
[errors]
ask = "ERR?"
ok = "0"
pattern = '(?P<code>\\d+) (?P<message>.*)'
[safe_state]
tell = ["ON 0"]
ask = "ON?"
safe = "0"
[signal.power]
ask = "P?"
tell = "P {value:.3f}"
limits = [0.0, 10.0]
[signal.on]
type = "bool"
ask = "ON?"
tell = "ON {value:d}"
safe = [false]
[sim]
unknown = { error = "6 unknown" }
[sim.state]
power = 1.0
on = 0
[sim.errors]
receive = "ERR?"
empty = "0"
[[sim.on]]
receive = "ID?"
answer = "THING"
[[sim.on]]
receive = "P?"
answer = "{power:.3f}"
[[sim.on]]
receive = "P {value:float}"
set = { power = "value" }
[[sim.on]]
receive = "ON?"
answer = "{on}"
[[sim.on]]
receive = "ON {value:int}"
set = { on = "value" }
"""
MISTAKES = {
    "knows_itself": [('pattern = "THING"', 'pattern = ".*"')],
    "round_trips": [('set = { power = "value" }', 'set = { power = "value / 2" }')],
    "complains": [('unknown = { error = "6 unknown" }', 'unknown = { set = { on = "on" } }')],
    "made_safe": [('tell = ["ON 0"]', 'tell = ["ON 1"]')],
}


def step(name: str):
    return next(step for step in STEPS if step.__name__ == name)


@pytest.mark.parametrize("name", [step.__name__ for step in STEPS])
async def test_a_right_file_passes(name):
    async with serve(parse(THING), tcp=True) as trial:
        await step(name)(trial)


@pytest.mark.parametrize("name", ["knows_itself", "round_trips", "complains", "made_safe"])
async def test_each_step_catches_its_mistake(name):
    text = THING
    for old, new in MISTAKES[name]:
        assert old in text
        text = text.replace(old, new)
    # A verdict that never comes takes its time.
    text = text.replace('safe = "0"', 'safe = "0"\nseconds = 0.05')
    async with serve(parse(text), tcp=True) as trial:
        with pytest.raises(TrialFailure):
            await step(name)(trial)


async def test_a_driver_that_lets_a_bad_value_through_is_caught(monkeypatch):
    from rdaq_ophyd.signals import _backend

    monkeypatch.setattr(_backend, "check_value", lambda *_: None)
    async with serve(parse(THING), tcp=True) as trial:
        with pytest.raises(TrialFailure, match="trial-power: took nan, and then: .*error 6"):
            await step("refuses")(trial)


async def test_a_stop_that_hangs_is_caught(monkeypatch):
    from rdaq_ophyd.trial import _steps

    monkeypatch.setattr(_steps, "STOP_BOUND", 0.05)
    async with serve(parse(THING), tcp=True) as trial:

        async def stuck(self, success=False):
            await asyncio.Event().wait()

        monkeypatch.setattr(type(trial.device), "stop", stuck)
        with pytest.raises(TrialFailure, match="did not end within"):
            await step("stops")(trial)
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("name", "table"),
    [("knows_itself", "identity"), ("complains", "errors"), ("made_safe", "safe_state"), ("round_trips", "signal")],
)
async def test_a_step_says_when_there_is_nothing_to_look_at(name, table):
    declaration = parse(THING)
    empty = {"signal": {}}.get(table)
    async with serve(declaration.model_copy(update={table: empty}), tcp=True) as trial:
        with pytest.raises(NotApplicable):
            await step(name)(trial)


def test_for_a_person(tmp_path, capsys):
    path = tmp_path / "thing.toml"
    path.write_text(THING)
    assert run(str(path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * len(STEPS)
    assert all(line.startswith("ok      ") for line in lines)
    path.write_text(THING.replace('pattern = "THING"', 'pattern = ".*"'))
    assert run(str(path)) == 1
    assert "failed  TCP: Another instrument behind the port" in capsys.readouterr().out
    path.write_text(THING[: THING.index("[sim]")])
    with pytest.raises(DeclarationError, match=r"no \[sim\]"):
        run(str(path))
