"""Rigs from TOML: against simulated instruments, and refused with file, line and next step."""
# ruff: noqa: E501 - a table with a text and its message a row

import asyncio
from pathlib import Path

import pytest
from ophyd_async.core import Device, StaticPathProvider, UUIDFilenameProvider

from rdaq_ophyd import profile
from rdaq_ophyd.devices.calibrated import CalibratedAxis
from rdaq_ophyd.devices.esp300 import Esp300, Esp300Axis
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import ProfileError, RdaqError
from rdaq_ophyd.link import open_links
from rdaq_ophyd.rig import Rig, from_toml
from rdaq_ophyd.sim import SimBench
from rdaq_ophyd.startup._record import file_hash

HEAD = 'format = 1\n[rig]\nname = "lab"\n'
STAGE = '[[device]]\nname = "stage"\nclass = "esp300"\nlink = "COM3"\n'


@pytest.fixture
def lab(tmp_path):
    """Make a rig of a profile with this text behind its head."""

    def make(text, head=HEAD) -> Rig:
        path = tmp_path / "lab.toml"
        path.write_text(head + text)
        return from_toml(path)

    return make


@pytest.fixture(scope="module")
def bench():
    with SimBench(fast=True, lift_baud=True) as bench:
        yield bench


@pytest.fixture
def ports(bench, monkeypatch):
    """The variables that the shipped profile names."""
    instruments = {"ESP300": "esp300", "METER": "newport_1830c", "ELL14": "ell14", "LASER": "maitai"}
    for variable, instrument in instruments.items():
        monkeypatch.setenv(f"RDAQ_SIM_{variable}", bench.urls[instrument])


async def test_the_shipped_profile_works_on_simulated_instruments(ports, bench, tmp_path):
    rig = profile.load("laser_lab_toml")
    async with rig.running({"paths": StaticPathProvider(UUIDFilenameProvider(), tmp_path)}):
        assert rig.failures == {}
        assert set(rig.devices) == {
            "laser", "stage", "x", "z", "mounts", "polariser", "angle", "power_meter", "cam",
        }  # fmt: skip
        assert rig["x"] is rig["stage"].axes[1]
        assert rig["x"].name == "x"
        assert rig["polariser"].address == "0"
        assert isinstance(rig["angle"], CalibratedAxis)
        assert isinstance(rig["cam"], SyntheticCamera)
        await rig["x"].enabled.set(True)
        await rig["x"].set(0.5)
        assert await rig["x"].readback.get_value() == pytest.approx(0.5, abs=1e-3)
        limits = (await rig["x"].setpoint.describe())["x-setpoint"]["limits"]["control"]
        assert limits == {"low": -20, "high": 20}
        assert rig["stage"].axes[1].may_power_off
        assert not rig["stage"].axes[3].may_power_off
        assert {link.url for link in open_links()} >= {bench.urls["esp300"]}
        await rig["cam"].close()


async def test_two_devices_on_one_port_share_its_link(lab, bench):
    axis = "".join(
        f'[[device]]\nname = "{name}"\nclass = "rdaq_ophyd.devices.esp300.Esp300Axis"\nlink = "{bench.urls["esp300"]}"\n'
        f"options.number = {number}\n"
        for number, name in ((1, "x"), (2, "y"))
    )
    async with lab(axis).running() as rig:
        assert isinstance(rig["x"], Esp300Axis)
        assert rig["x"].channel.link is rig["y"].channel.link


async def test_options_go_to_the_class_and_parts_are_found_by_what_the_whole_calls_them(lab):
    rig = lab(
        STAGE + 'options = { axes = { 1 = "knife", 2 = "height" }, limits = { 2 = [-1, 1] } }\n'
        '[[device]]\nname = "x"\npart_of = "stage"\naxis = 1\nlimits = [-3, 4]\n'
        '[[device]]\nname = "link"\npart_of = "stage"\npart = "connection"\n'
    )
    async with rig.running(mock=True):
        assert rig["x"] is rig["stage"].knife
        assert rig["link"] is rig["stage"].connection
        assert [axis._limits for axis in rig["stage"].axes.values()] == [(-3.0, 4.0), (-1.0, 1.0)]
        assert isinstance(rig["stage"], Esp300)


async def test_what_is_not_enabled_is_not_made_nor_its_parts_nor_is_its_variable_needed(lab, tmp_path):
    rig = lab(
        '[[device]]\nname = "stage"\nenabled = false\nclass = "esp300"\nlink = "${RDAQ_NOT_SET}"\n'
        '[[device]]\nname = "x"\npart_of = "stage"\naxis = 1\n'
        '[[device]]\nname = "cam"\nclass = "synthetic"\n'
    )
    async with rig.running({"paths": StaticPathProvider(UUIDFilenameProvider(), tmp_path)}):
        assert set(rig.devices) == {"cam"}
        await rig["cam"].close()


def test_facts_are_text_numbers_and_dates_as_json_has_them(lab):
    rig = lab("", 'format = 1\n[rig]\nname = "${LAB:-lab 7}"\nmd = { aligned = 2026-01-02, power = [1, 2.5] }\n')
    assert rig.name == "lab 7"
    assert rig.md == {"aligned": "2026-01-02", "power": [1, 2.5]}


def test_declared_instruments_are_part_of_what_a_run_was_taken_with(lab, monkeypatch, tmp_path):
    class Lamp(Device):
        def __init__(self, link: str, name: str = "", address: str | None = None) -> None:
            self.where = (link, address)
            super().__init__(name)

    (tmp_path / "lamp.toml").write_text("# a lamp\n")
    monkeypatch.setattr("rdaq_ophyd.rig._toml_device.declared_class", lambda name, folder: Lamp)
    rig = lab('[[device]]\nname = "lamp"\ndeclared = "lamp.toml"\nlink = "COM3"\naddress = "7"\n')
    rig.build()
    assert rig["lamp"].where == ("COM3", "7")
    assert rig.md["declared_hashes"] == {"lamp.toml": file_hash(tmp_path / "lamp.toml")}


X = '[[device]]\nname = "x"\npart_of = "stage"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            STAGE + X + 'axis = 1\n[[device]]\nname = "k"\ncalibrates = "x"\nzero = "z"\nsafe = { output = false }\n',
            r"lab\.toml:16: k: safe has no meaning beside calibrates",
        ),
        ('[[devices]]\nname = "x"\n', r"lab\.toml:4: unknown key 'devices' → did you mean device"),
        (STAGE + "lnk = 1\n", r"lab\.toml:8: unknown key 'lnk' → did you mean link"),
        (STAGE.replace('"COM3"', "3"), r"lab\.toml:7: device\.1\.link = 3: input should be a valid string"),
        ("[[device]]\nclass = 'esp300'\n", r"lab\.toml:4: device\.1\.name is missing"),
        (STAGE, r"lab\.toml:4: stage: Esp300 needs options\.axes → add options\.axes, or a device with part_of and axis"),
        ('[[device]]\nname = "s"\n', r"lab\.toml:4: s: nothing says what it is → give one of: class"),
        (STAGE + 'declared = "x"\n', r"stage: class and declared says what it is"),
        (STAGE + "axis = 1\n", r"lab\.toml:8: stage: axis has no meaning beside class"),
        (STAGE.replace("esp300", "esp3000"), r"lab\.toml:6: stage: unknown device class 'esp3000' → did you mean esp300"),
        (STAGE + "options.axs = 1\n" + X + "axis = 1\n", r"lab\.toml:8: stage: Esp300 has no option 'axs' → did you mean axes"),
        (STAGE + 'options.axes = { 1 = 2 }\n', r"lab\.toml:8: stage: axes\.1 = 2: input should be a valid string"),
        (STAGE + "limits = { 1 = [nan, 1] }\n" + X + "axis = 1\n", r"lab\.toml:8: device\.1\.limits\.1\.1 = nan"),
        (STAGE + "limits = { 1 = [0] }\n" + X + "axis = 1\n", r"lab\.toml:8: stage: limits\.1\.1"),
        (STAGE + "options.limits = {}\nlimits = {}\n", r"lab\.toml:9: stage: limits is given twice"),
        (STAGE + 'address = 1\noptions.axes = { 1 = "x" }\n', r"lab\.toml:8: stage: Esp300 has no address → it takes: link"),
        (STAGE + X + "axis = 9\nlimits = [1]\n", r"stage: limits\.9\.1"),
        (STAGE + X + 'axis = 1\nsafe = { may_power_off = 1 }\n', r"lab\.toml:12: may_power_off = 1: of a part, true or false"),
        (STAGE + X + 'axis = 1\nsafe = { may_power_of = true }\n', r"stage: Esp300 has no option 'may_power_of'"),
        (STAGE + 'options.axes = { 1 = "x" }\n' + X, r"lab\.toml:9: x: give one of axis and part of stage"),
        (X.replace("stage", "stag") + "axis = 1\n" + STAGE, r"lab\.toml:6: unknown device 'stag' → did you mean stage"),
        (STAGE + 'options.axes = { 1 = "x" }\n' + X + "axis = 2\n", r"stage has no axis 2 → its axes: 1"),
        (STAGE + X + "axis = 1\n" + STAGE, r"'stage' is defined twice → rename one"),
        (STAGE.replace("stage", "_s") + 'options.axes = { 1 = "x" }\n', r"lab\.toml:4: '_s' cannot be a device name"),
        (STAGE + X + "axis = 1\n" + X.replace('"x"', '"y"') + "axis = 1\n", r"lab\.toml:15: axis 1 of stage is x already"),
        (STAGE.replace("esp300", "."), r"lab\.toml:6: stage: '\.' is no name of a class → write module\.Class"),
        (STAGE.replace("esp300", ".X"), r"lab\.toml:6: stage: '\.X' is no name of a class"),
        (STAGE.replace('"stage"', '"paths"') + 'options.axes = { 1 = "x" }\n', r"lab\.toml:4: 'paths' is the name of something that each session has"),
        (STAGE.replace("COM3", "${RDAQ_NOT_SET}"), r"lab\.toml:7: stage: the environment variable RDAQ_NOT_SET is not set → export"),
        ('[[follow]]\nsignal = "meter.wavelength"\nsource = "laser"\n', r"lab\.toml:5: unknown device 'meter'"),
        ("[calibration.zero]\nvalue = inf\nunits = ''\n", r"lab\.toml:5: calibration\.zero\.value = inf: input should be a finite number"),
        ("[calibration.add]\nvalue = 1.0\nunits = ''\n", r"lab\.toml:4: calibration 'add': the name is taken"),
        (STAGE + X + 'axis = 1\n[[device]]\nname = "a"\ncalibrates = "x"\nzero = "z"\n', r"lab\.toml:15: a: unknown calibration 'z'"),
        (STAGE + X + 'axis = 1\n[[device]]\nname = "a"\ncalibrates = "x"\n', r"lab\.toml:12: a: neither zero nor scale is given"),
        ("a = [\n", r"lab\.toml:4: Invalid value"),
        ('a = "x\n', r"lab\.toml:4: Illegal character"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_and_line(lab, text, message):
    with pytest.raises(ProfileError, match=message) as error:
        lab(text).build({"paths": None})
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ('[rig]\nname = "lab"\n', r"lab\.toml:1: no format; this program knows 1 → write format = 1 at the top"),
        ("format = 2\n", r"lab\.toml:1: format = 2; this program knows 1"),
        ("format = 1\n", r"lab\.toml:1: rig is missing"),
        ('format = 1\nrig = "lab"\n', r"lab\.toml:2: rig = 'lab': input should be a valid dictionary"),
    ],
)
def test_the_head(lab, head, message):
    with pytest.raises(ProfileError, match=message):
        lab("", head)


def test_several_errors_are_counted_and_the_first_is_told(lab):
    with pytest.raises(ProfileError, match=r"lab\.toml:4: unknown key 'one'.*\(and 1 more\)"):
        lab("one = 1\n[two]\n", 'format = 1\n[rig]\nname = "lab"\n')


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "lab.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ProfileError, match=r"lab\.toml: cannot be read"):
        from_toml(tmp_path / "lab.toml")
    with pytest.raises(ProfileError, match=r"none\.toml: cannot be read"):
        from_toml(tmp_path / "none.toml")


def test_devices_that_need_each_other(lab):
    ring = '[[device]]\nname = "a"\npart_of = "b"\npart = "x"\n[[device]]\nname = "b"\npart_of = "a"\npart = "x"\n'
    with pytest.raises(ProfileError, match="a → b → a"):
        lab(ring).build()


def test_profiles_are_found_by_name_or_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profiles").mkdir()
    mine = tmp_path / "profiles" / "mine.toml"
    mine.write_text(HEAD)
    assert profile.find("mine") == Path("profiles/mine.toml")
    assert profile.load("./profiles/mine.toml").name == "lab"
    assert {"laser_lab_toml", "template_toml", "mine", "sim"} <= set(profile.names())
    (tmp_path / "profiles" / "mine.py").write_text("")
    with pytest.raises(ProfileError, match=r"profile mine: there are .*mine\.py and mine\.toml.*give the path of one"):
        profile.find("mine")


async def test_the_template_loads_without_hardware(tmp_path):
    rig = profile.load("template_toml")
    async with rig.running({"paths": StaticPathProvider(UUIDFilenameProvider(), tmp_path)}, mock=True):
        assert rig.failures == {}
        await asyncio.gather(*(device.close() for device in rig.devices.values()))


SMU = '[[device]]\nname = "smu"\ndeclared = "keithley_2450"\nlink = "tcp://127.0.0.1:9"\n'


async def test_a_declared_instrument_takes_limits_within_those_of_its_file(lab):
    async with lab(SMU + "limits = { source_voltage = [-1, 300] }\n").running(mock=True) as rig:
        limits = (await rig["smu"].source_voltage.describe())["smu-source_voltage"]["limits"]["control"]
        assert limits["low"] == -1.0
        assert 1.0 < limits["high"] < 300.0
        assert rig.failures == {}


async def test_a_declared_instrument_takes_what_makes_it_safe_here(lab):
    async with lab(SMU + 'safe = { tell = [":SOUR:VOLT 0", ":OUTP OFF"] }\n').running(mock=True) as rig:
        (state,) = rig["smu"].safe_states()
        assert (state.halt, state.question, state.first) == (b":SOUR:VOLT 0\n:OUTP OFF\n", b":OUTP?\n", True)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (SMU + "limits = { source_voltag = [0, 1] }\n", 8, "did you mean source_voltage"),
        (SMU + "limits = { source_voltage = [1, 0] }\n", 8, "give two finite numbers, the lower one first"),
        (SMU + "limits = { source_voltage = [900, 901] }\n", 8, "no value is within 900 to 901 and"),
        (SMU + "limits = { output = [0, 1] }\n", 8, "it is no number that can be set"),
        (SMU + 'limits = { "outputs_1.voltage" = [0, 1] }\n', 8, "part of keithley_2450"),
        (SMU + "limits = [0, 1]\n", 8, "as a whole it does not move"),
        (SMU + "safe = { tel = [] }\n", 8, "did you mean tell"),
        (SMU + "safe = { may_power_off = true }\n", 8, "has no power_off"),
        (SMU + "address = 3\n", 4, "keithley_2450: has no address"),
        (
            '[[device]]\nname = "laser"\nclass = "maitai"\nlink = "/dev/x"\nlimits = [1000, 700]\n',
            8,
            "the lower one first",
        ),
        ('[[device]]\nname = "e"\nclass = "ell14"\nlink = "/dev/x"\naddress = "Z"\n', 4, "Z"),
        (
            '[[device]]\nname = "e"\nclass = "rdaq_ophyd.devices.ell14.Ell14Bus"\nlink = "/dev/x"\n'
            'options.rotators = { 0 = "stop" }\n',
            4,
            "stop",
        ),
    ],
)
def test_what_a_class_refuses_is_told_with_file_and_line(lab, text, line, said):
    rig = lab(text)
    rig.build()
    (failed,) = rig.failures.values()
    assert isinstance(failed, RdaqError)
    assert f"lab.toml:{line}: " in str(failed)
    assert said in str(failed)


def test_an_axis_that_the_whole_does_not_have_is_told_with_file_and_line(lab):
    rig = lab(STAGE + '[[device]]\nname = "x"\npart_of = "stage"\naxis = 7\n')
    rig.build()
    assert "lab.toml:4: " in str(rig.failures["stage"])
