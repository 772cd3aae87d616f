"""Calibrations: kept with date, person and reason, taken back, shared between sessions; nothing is ever lost."""

import asyncio
import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdaq_ophyd.devices._calibration_file import CalibrationEntry, CalibrationFile, in_force, now
from rdaq_ophyd.devices.calibration import Calibration
from rdaq_ophyd.errors import LimitError, ProfileError, RdaqError, UnknownName


@pytest.fixture
def path(tmp_path):
    return tmp_path / "session" / "calibrations-lab.json"


def made(path=None, units="deg"):
    calibration = Calibration(name="calibration")
    calibration.add("zero", 1.0, units=units)
    calibration.add("pixel_size", 3.45, units="um")
    if path is not None:
        calibration.keep_in(path, rig="lab", by="ada")
    return calibration


def test_a_value_holds_in_the_next_session_and_says_who_and_why(path):
    made(path).set("zero", 12.5, why="new polariser")
    later = made(path)
    assert later.value("zero") == 12.5
    assert later.value("pixel_size") == 3.45
    (entry,) = later.history("zero")
    assert (entry.value, entry.units, entry.by, entry.why, entry.kind) == (12.5, "deg", "ada", "new polariser", "set")
    assert "zero = 12.5 deg  by ada: new polariser" in str(entry)
    summary = later.summary()
    assert summary["zero"] == {"value": 12.5, "units": "deg", "time": entry.time, "by": "ada", "why": "new polariser"}
    assert summary["pixel_size"] == {"value": 3.45, "units": "um", "by": "profile"}


def test_undo_goes_back_step_by_step_to_the_profile(path):
    calibration = made(path)
    for value in (2.0, 3.0):
        calibration.set("zero", value, why="test")
    assert calibration.undo("zero", why="slipped") == 2.0
    assert calibration.undo("zero", why="slipped", by="bob") == calibration.value("zero") == 1.0
    assert made(path).value("zero") == 1.0
    with pytest.raises(RdaqError, match="calibration zero: nothing to take back; it is that of the profile"):
        calibration.undo("zero", why="again")
    assert [(e.kind, e.value, e.by) for e in calibration.history()] == [
        ("set", 2.0, "ada"), ("set", 3.0, "ada"), ("undo", 2.0, "ada"), ("undo", 1.0, "bob")
    ]  # fmt: skip


async def test_a_plan_that_sets_the_signal_keeps_it_too(path):
    calibration = made(path)
    await calibration.connect()
    await calibration.zero.set(7.0)
    assert (await calibration.read())["calibration-zero"]["value"] == 7.0
    assert made(path).value("zero") == 7.0
    with pytest.raises(LimitError, match="not a finite number"):
        await calibration.zero.set(float("inf"))
    location = await calibration.zero.locate()
    assert location == {"setpoint": 7.0, "readback": 7.0}


async def test_from_another_thread_and_never_from_within_the_loop(path):
    calibration = made(path)
    await calibration.connect()
    await asyncio.to_thread(calibration.set, "zero", 4.0, why="thread")
    assert await calibration.zero.get_value() == 4.0
    with pytest.raises(RdaqError, match="from within the event loop → await calibration.put"):
        calibration.set("zero", 5.0, why="loop")
    await calibration.put("zero", 5.0, why="loop", by="bob")
    assert calibration.history("zero")[-1].by == "bob"


def test_names_values_and_units_that_cannot_be():
    calibration = made()
    with pytest.raises(UnknownName, match="unknown calibration 'zeero' → did you mean zero"):
        calibration.set("zeero", 1.0, why="")
    with pytest.raises(LimitError, match="nan is not a finite number"):
        calibration.set("zero", float("nan"), why="")
    for name in ("zero", "set", "_x", "two words"):
        with pytest.raises(ProfileError, match="the name is taken or no identifier"):
            calibration.add(name, 1.0, units="")
    assert calibration.value("zero") == 1.0


def test_a_profile_in_other_units_is_refused_and_the_file_left_alone(path):
    made(path).set("zero", 2.0, why="test")
    before = path.read_bytes()
    with pytest.raises(ProfileError, match="zero: 'rad' in the profile, 'deg' in .*calibrations-lab.json"):
        made(path, units="rad")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "invalid JSON"),
        ("[]", "should be an object"),
        ('{"version": 2, "rig": "lab", "entries": []}', r"version: input should be 1 → this program knows version 1"),
        ('{"version": 1, "rig": "lab", "entries": [{"name": "zero"}]}', r"entries\.0\.value: field required"),
        ('{"version": 1, "rig": "other", "entries": []}', "calibrations of rig 'other', not of 'lab'"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused_and_left_alone(path, text, message):
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(RdaqError, match=message):
        made(path)
    assert path.read_text() == text


def test_a_file_that_broke_meanwhile_is_not_overwritten(path):
    calibration = made(path)
    calibration.set("zero", 2.0, why="test")
    path.write_text("{")
    with pytest.raises(RdaqError, match="nothing was changed in it"):
        calibration.set("zero", 3.0, why="test")
    assert path.read_text() == "{"
    assert calibration.value("zero") == 2.0


def test_what_cannot_be_written_does_not_hold(path, monkeypatch):
    calibration = made(path)
    calibration.set("zero", 2.0, why="test")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rdaq_ophyd.devices._calibration_file.os.fsync", full)
    with pytest.raises(RdaqError, match="No space left on device → is the disk full"):
        calibration.set("zero", 3.0, why="test")
    assert calibration.value("zero") == 2.0
    assert json.loads(path.read_text())["entries"][-1]["value"] == 2.0
    assert [p.name for p in path.parent.glob("*.new")] == []


def test_two_sessions_lose_nothing_of_each_other(path):
    one, other = made(path), made(path)
    threads = [
        threading.Thread(target=lambda c=c: [c.set("zero", float(n), why=f"{n}") for n in range(5)])
        for c in (one, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(one.history("zero")) == 10
    one.refresh()
    other.refresh()
    assert one.value("zero") == other.value("zero") == one.history()[-1].value


@settings(max_examples=40)
@given(st.lists(st.one_of(st.floats(-10, 10), st.none()), max_size=12))
def test_undo_is_the_inverse_of_set(steps):
    file, model = CalibrationFile(None, "lab"), []
    for value in steps:
        if value is not None:
            file.add(CalibrationEntry(name="zero", value=value, units="", time=now()))
            model.append(value)
        elif model:
            model.pop()
            assert file.take_back("zero", 1.0, "", "", "").value == (model[-1] if model else 1.0)
    assert [entry.value for entry in in_force(file.entries, "zero")] == model
