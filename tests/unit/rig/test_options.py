"""Options of a device are checked against its class before it is made."""

import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ophyd_async.core import Device, PathProvider, StrictEnum

from rdaq_ophyd.devices.esp300 import Esp300, Esp300Axis
from rdaq_ophyd.devices.newport_1830c import Newport1830C
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import ProfileError, RdaqError, UnknownName
from rdaq_ophyd.link import SerialSettings
from rdaq_ophyd.rig._classes import declared_class, device_class, short_names
from rdaq_ophyd.rig._options import OptionError, Signature


class Mode(StrictEnum):
    FAST = "fast"
    SLOW = "slow"


class Odd(Device):
    def __init__(self, mode: Mode, call: Device | None = None, name: str = "", **more: Any) -> None:
        super().__init__(name)


def test_values_become_what_the_class_wants():
    given = {
        "axes": {"1": "x"},
        "limits": {"1": [-1, 2.5]},
        "may_power_off": [1],
        "serial": {"baudrate": 9600, "rtscts": True},
    }
    assert Signature(Esp300).check(given) == {
        "axes": {1: "x"},
        "limits": {1: (-1.0, 2.5)},
        "may_power_off": [1],
        "serial": SerialSettings(9600, rtscts=True),
    }
    assert Signature(Odd).check({"mode": "slow"}) == {"mode": Mode.SLOW}
    assert Signature(Odd).check({"mode": "slow", "other": 3})["other"] == 3


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (Esp300, {"axis": {}}, r"Esp300 has no option 'axis' → did you mean axes"),
        (Esp300, {"link": "COM3"}, r"has no option 'link'"),
        (Esp300, {"axes": {"one": "x"}}, r"axes\.one = 'one': input should be a valid integer.*Mapping\[int, str\]"),
        (Esp300, {"axes": {"1": 5}}, r"axes\.1 = 5: input should be a valid string → Esp300 takes axes"),
        (Esp300, {"limits": {"1": [1]}}, r"limits\.1\.1 = .*field required"),
        (Esp300, {"may_power_off": ["1"]}, r"may_power_off\.0 = '1': input should be a valid integer"),
        (Esp300, {"serial": {"baud": 9600}}, r"serial\.baud = 9600: unexpected keyword argument"),
        (Esp300, {"serial": {"parity": "X"}}, r"serial\.parity = 'X': input should be 'N', 'E', 'O', 'M' or 'S'"),
        (Esp300Axis, {"tolerance": float("nan")}, r"tolerance = nan is not finite"),
        (Esp300Axis, {"home_mode": "1"}, r"home_mode.* = '1': input should be .*home switch"),
        (SyntheticCamera, {"width": "64"}, r"width = '64': input should be a valid integer"),
        (SyntheticCamera, {"width": 1.5}, r"width = 1.5: input should be a valid integer"),
        (SyntheticCamera, {"path_provider": 1}, r"has no option 'path_provider'"),
        (Odd, {"mode": "fats"}, r"mode = 'fats': input should be 'fast' or 'slow'"),
        (Odd, {"call": 1}, r"call of Odd cannot be given in TOML → make this device in a Python profile"),
    ],
)
def test_others_are_refused_with_what_is_expected(cls, options, message):
    with pytest.raises(OptionError, match=message):
        Signature(cls).check(options)


def test_what_a_class_needs():
    assert Signature(Esp300).required == ["link", "axes"]
    assert Signature(Esp300).parts == "axes"
    assert Signature(Newport1830C).parts is None
    assert Signature(SyntheticCamera).services == {"path_provider": "paths"}
    assert list(Signature(Esp300).missing({"link"})) == ["axes"]
    assert list(Signature(SyntheticCamera).missing(())) == []


def test_short_names_are_those_of_the_drivers():
    assert {"esp300", "newport_1830c", "pylon", "synthetic"} <= set(short_names())
    assert not {"calibration", "calibrated"} & set(short_names())
    assert device_class("esp300") is Esp300
    assert device_class("newport_1830c") is Newport1830C
    assert device_class("synthetic") is SyntheticCamera
    assert device_class("rdaq_ophyd.devices.esp300.Esp300Axis") is Esp300Axis


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("esp30", UnknownName, "unknown device class 'esp30' → did you mean esp300"),
        ("rdaq_ophyd.devices.esp300.Esp30", UnknownName, "did you mean Esp300"),
        ("rdaq_ophyd.nothing.Esp300", ProfileError, "rdaq_ophyd.nothing cannot be imported"),
        ("rdaq_ophyd.link.SerialSettings", ProfileError, "is no device class"),
    ],
)
def test_unknown_classes(name, error, message):
    with pytest.raises(error, match=message):
        device_class(name)


def test_a_module_with_two_devices_of_the_same_right_must_be_told_which(monkeypatch):
    module = ModuleType("rdaq_ophyd.devices.twins")
    module.TwinsA = type("TwinsA", (Device,), {})
    module.TwinsB = type("TwinsB", (Device,), {})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("rdaq_ophyd.rig._classes.short_names", lambda: ["twins"])
    with pytest.raises(UnknownName, match=r"which of its devices.*twins\.TwinsA, rdaq_ophyd\.devices\.twins\.TwinsB"):
        device_class("twins")


def test_declared_instruments(monkeypatch, tmp_path):
    asked = []
    module = ModuleType("rdaq_ophyd.devices.declared")
    module.declared = lambda name: asked.append(name) or Odd
    monkeypatch.setitem(sys.modules, module.__name__, module)
    (tmp_path / "lamp.toml").write_text("")
    assert declared_class("lamp.toml", tmp_path) is Odd
    assert declared_class("keithley_2450", tmp_path) is Odd
    assert asked == [str(tmp_path / "lamp.toml"), "keithley_2450"]
    with pytest.raises(RdaqError, match="no file .*none.toml → give a path relative to the profile"):
        declared_class("none.toml", tmp_path)


def test_a_version_without_declared_instruments_says_so(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr("rdaq_ophyd.rig._classes.importlib.import_module", absent)
    with pytest.raises(ProfileError, match="this version of rdaq-ophyd has no declared instruments"):
        declared_class("keithley_2450", Path())


def test_the_hints_that_are_read_from_arrays():
    class Many(Device):
        def __init__(self, some: Collection[int] | None, paths: PathProvider, names: Mapping[str, int]) -> None: ...

    signature = Signature(Many)
    assert signature.check({"some": [1, 2]}) == {"some": [1, 2]}
    assert signature.check({"some": None}) == {"some": None}
    assert signature.services == {"paths": "paths"}
