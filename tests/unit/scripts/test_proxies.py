"""Devices as a script has them: their attributes and classes are the rig's, what they are asked the rig answers."""

from __future__ import annotations

import asyncio
import enum

import pytest
from bluesky.protocols import Locatable, Movable, Readable, Triggerable
from ophyd_async.core import Device, SignalRW, StandardReadable, StrictEnum, soft_signal_rw

from rdaq_ophyd.capabilities import PROTOCOLS, Capability, ShutterControl, capabilities
from rdaq_ophyd.errors import LimitError, RdaqError, UnknownName
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.scripts._answers import answer
from rdaq_ophyd.scripts._models import name_of
from rdaq_ophyd.scripts._table import Table
from rdaq_ophyd.scripts.child._enums import Enums
from rdaq_ophyd.scripts.child._proxies import Devices


class Blade(StrictEnum):
    OPEN = "Open"
    CLOSED = "Closed"


class Lamp(StandardReadable):
    def __init__(self) -> None:
        with self.add_children_as_readables():
            self.power = soft_signal_rw(float, 1.0, units="W")
        self.shutter = soft_signal_rw(Blade, Blade.CLOSED)
        super().__init__()


@pytest.fixture
def rig():
    made = Rig("soft")
    made.add("lamp", Lamp, place="here")
    made.add("shutter", lambda lamp: lamp.shutter, needs=["lamp"], place="here")
    made.build()
    return made


@pytest.fixture
def table(rig):
    return Table(rig)


@pytest.fixture
def devices(table):
    about = table.described()
    made = Devices(lambda *asked: asked, Enums(about["enums"]))
    made.add(about["devices"])
    return made


def test_a_part_that_is_a_device_too_has_one_name(rig, table, devices):
    assert table.name_of(rig["lamp"].shutter) == "shutter"
    assert table["lamp.power"] is rig["lamp"].power
    assert devices["lamp"].shutter is devices["shutter"]
    assert devices["lamp"].power.parent is devices["lamp"]
    assert table.name_of(object()) is None
    with pytest.raises(UnknownName, match=r"did you mean lamp\.power"):
        table["lamp.pover"]


def test_they_can_what_the_rigs_can(rig, devices):
    for path in ("lamp", "lamp.power", "shutter"):
        found = capabilities(devices[path])
        assert found == capabilities(rig[path]), path
        assert repr(devices[path]) == repr(rig[path])
    assert PROTOCOLS[Capability.SHUTTER_CONTROL] is ShutterControl
    lamp, power = devices["lamp"], devices["lamp.power"]
    assert isinstance(lamp, Readable | ShutterControl)
    assert not isinstance(lamp, Movable | Triggerable)
    assert isinstance(power, Locatable)
    assert isinstance(lamp, Lamp)
    assert isinstance(lamp, Device)
    assert isinstance(power, SignalRW)
    assert power.datatype is float
    assert devices["shutter"].datatype is Blade


def test_an_enum_that_the_script_has_not_loaded_has_the_same_members():
    enums = Enums({"vendor.sdk:Lamp.Blade": ["str", {"OPEN": "Open", "CLOSED": "Closed"}]})
    made = enums["vendor.sdk:Lamp.Blade"]
    assert issubclass(made, str)
    assert issubclass(made, enum.Enum)
    assert made("Open") is made.OPEN
    assert name_of(made) == "vendor.sdk:Lamp.Blade"
    assert enums["vendor.sdk:Lamp.Blade"] is made


def test_what_is_asked_goes_to_the_rig_and_what_moves_is_refused(devices):
    assert asyncio.run(devices["lamp"].read()) == ("lamp", "read", (), {})
    assert devices["lamp"].hints == ("lamp", "hints", (), {})
    for refused in (devices["shutter"].set, devices["lamp"].stage):
        with pytest.raises(RdaqError, match="was called in a script's process"):
            refused(1)
    with pytest.raises(AttributeError, match=r"lamp\.pover is not there.* parts: power, shutter"):
        devices["lamp"].pover  # noqa: B018


@pytest.mark.parametrize("attribute", ["set", "stage", "__class__", "connect", "_backend", "hints.clear", "read.x", ""])
async def test_the_rig_answers_nothing_else(rig, table, attribute):
    with pytest.raises(LimitError, match="is nothing to ask"):
        await answer(table, "lamp", attribute, [], {})


async def test_the_rig_answers_from_its_devices(rig, table):
    await rig.connect()
    described = await answer(table, "lamp.power", "describe", [], {})
    assert described["lamp-power"]["units"] == "W"
    assert await answer(table, "shutter", "get_value", [], {}) is Blade.CLOSED
    assert await answer(table, "lamp", "hints", [], {}) == rig["lamp"].hints
