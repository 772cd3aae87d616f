"""Rig: factories by name, dependency order, broken devices reported while the others work."""

from collections.abc import Iterator

import pytest
from ophyd_async.core import Device, NotConnectedError, soft_signal_rw
from ophyd_async.sim import SimMotor

from rdaq_ophyd.errors import LimitError, ProfileError, RdaqError, UnknownName
from rdaq_ophyd.rig import Rig


class Controller(Device):
    """Two axes in one box."""

    def __init__(self, name: str = "") -> None:
        self.a = SimMotor()
        self.b = SimMotor()
        super().__init__(name)


class Dead(Device):
    """A device whose port is absent."""

    async def connect(self, mock=False, timeout=1.0, force_reconnect=False):
        raise NotConnectedError("no port /dev/ttyUSB9")


async def test_devices_are_named_and_connected_in_dependency_order():
    rig = Rig("bench")

    @rig.device
    def x(box: Controller) -> SimMotor:
        return box.a

    @rig.device
    def box() -> Controller:
        return Controller()

    async with rig.running():
        assert list(rig.devices) == ["box", "x"]
        assert rig["x"].name == "x"
        assert rig["x"] is rig["box.a"]
        assert not rig.failures


async def test_a_device_that_fails_is_reported_and_the_others_work():
    rig = Rig("bench")

    @rig.device
    def meter() -> Dead:
        return Dead()

    @rig.device
    def broken() -> Device:
        raise ValueError("bad setting")

    @rig.device
    def needs_broken(broken: Device) -> Device:
        return Device()

    @rig.device
    def x() -> SimMotor:
        return SimMotor()

    async with rig.running():
        assert list(rig.devices) == ["x"]
        assert set(rig.failures) == {"meter", "broken", "needs_broken"}
        assert "bad setting" in str(rig.failures["needs_broken"])
        with pytest.raises(UnknownName, match="meter.*not available.*ttyUSB9"):
            rig["meter"]


async def test_a_part_of_a_failed_device_fails_with_it():
    class HalfDead(Controller):
        async def connect(self, mock=False, timeout=1.0, force_reconnect=False):
            raise NotConnectedError("controller is mute")

    rig = Rig("bench")

    @rig.device
    def box() -> Controller:
        return HalfDead()

    @rig.device
    def x(box: Controller) -> SimMotor:
        return box.a

    async with rig.running():
        assert set(rig.failures) == {"box", "x"}
        assert "part of box" in str(rig.failures["x"])


async def test_a_failed_device_can_be_tried_again():
    plugged = False

    class Meter(Device):
        async def connect(self, mock=False, timeout=1.0, force_reconnect=False):
            if not plugged:
                raise NotConnectedError("unplugged")

    rig = Rig("bench")

    @rig.device
    def meter() -> Meter:
        return Meter()

    async with rig.running():
        with pytest.raises(NotConnectedError):
            await rig.reconnect("meter")
        assert "meter" in rig.failures
        plugged = True
        await rig.reconnect("meter")
        assert rig["meter"].name == "meter"
        assert not rig.failures
        with pytest.raises(UnknownName, match="did you mean meter"):
            await rig.reconnect("meterr")


async def test_resources_are_made_once_and_tidied_up_last_first():
    log: list[str] = []
    rig = Rig("bench")

    @rig.resource
    def bench() -> Iterator[str]:
        log.append("up")
        yield "port"
        log.append("down")

    @rig.device
    def x(bench: str) -> SimMotor:
        assert bench == "port"
        return SimMotor()

    @rig.device
    def y(bench: str) -> SimMotor:
        return SimMotor()

    async with rig.running():
        assert log == ["up"]
    assert log == ["up", "down"]


def test_a_missing_name_names_the_nearest_and_the_line():
    rig = Rig("bench")

    @rig.device
    def x(boks: Device) -> Device:
        return Device()

    with pytest.raises(ProfileError, match=r"test_rig.py:\d+: x\(\) needs 'boks'.*did you mean box") as error:
        rig.build({"box": 1})
    assert error.value.exit_code == 2


def test_circles_doubles_and_non_devices_are_refused():
    rig = Rig("bench")

    @rig.device
    def a(b: Device) -> Device:
        return Device()

    @rig.device
    def b(a: Device) -> Device:
        return Device()

    with pytest.raises(ProfileError, match="a → b → a"):
        rig.build()

    def a_again() -> Device:
        return Device()

    a_again.__name__ = "a"
    with pytest.raises(ProfileError, match="defined twice"):
        rig.device(a_again)

    def _hidden() -> Device:
        return Device()

    with pytest.raises(ProfileError, match="cannot be a device name"):
        rig.device(_hidden)

    for name, why in (
        ("paths", "something that each session has"),
        ("RE", "something that each session has"),
        ("calibration", "something that each session has"),
        ("class", "a word of Python"),
    ):
        with pytest.raises(ProfileError, match=f"bench.toml:3: '{name}' is .*{why}"):
            rig.add(name, Device, place="bench.toml:3")
    with pytest.raises(ProfileError, match="'a' is what the session offers itself"):
        rig.build({"a": 1})

    other = Rig("other")

    @other.device
    def thing() -> Device:
        return 7

    with pytest.raises(ProfileError, match="returned int, not a device"):
        other.build()


async def test_unknown_names_are_answered_with_the_nearest():
    rig = Rig("bench")

    @rig.device
    def stage() -> Controller:
        return Controller()

    async with rig.running():
        with pytest.raises(UnknownName, match="unknown device 'stag'.*did you mean stage"):
            rig["stag"]
        with pytest.raises(UnknownName, match=r"stage\.aa"):
            rig["stage.aa"]


async def test_calibrations_are_recorded_signals_with_units():
    rig = Rig("bench")
    rig.calibration.add("pixel_size", 3.45, units="um")
    with pytest.raises(LimitError, match="not a finite number"):
        rig.calibration.add("zero", float("nan"), units="deg")
    async with rig.running():
        assert (await rig.calibration.read())["calibration-pixel_size"]["value"] == 3.45
        described = await rig["calibration"].describe()
        assert described["calibration-pixel_size"]["units"] == "um"


async def test_mock_connects_to_nothing():
    rig = Rig("bench")

    @rig.device
    def signal_holder() -> Device:
        class Holder(Device):
            def __init__(self) -> None:
                self.s = soft_signal_rw(float)
                super().__init__()

        return Holder()

    async with rig.running(mock=True):
        assert "mock+" in rig["signal_holder.s"].source


def test_errors_say_what_to_do_next():
    assert str(RdaqError("port /dev/x is busy", hint="close the other program")) == (
        "port /dev/x is busy → close the other program"
    )
    assert str(RdaqError("just so")) == "just so"
    assert UnknownName.among("device", "q", []).hint == "known: none"
