"""A relative directory for files is refused in words, as early as it shows."""

from pathlib import Path, PurePath

import pytest
from ophyd_async.core import (
    AutoIncrementingPathProvider,
    PathInfo,
    StaticFilenameProvider,
    StaticPathProvider,
    UUIDFilenameProvider,
    YMDPathProvider,
)
from pydantic import ValidationError

from rdaq_ophyd.devices.sim_analog import SimAnalogInput, SimInput
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import DataDirectoryError

NAMES = StaticFilenameProvider("f")
WORDS = r"'frames': it must be absolute → Path\('frames'\)\.absolute\(\)"


def camera(paths):
    return SyntheticCamera(paths, "cam", width=16, height=8)


def analog(paths):
    return SimAnalogInput(paths, "adc", inputs={"ai0": SimInput()}, samples=20)


@pytest.mark.parametrize("device", [camera, analog])
@pytest.mark.parametrize("provider", [StaticPathProvider, YMDPathProvider, AutoIncrementingPathProvider])
def test_it_shows_when_the_device_is_made(device, provider):
    with pytest.raises(DataDirectoryError, match=WORDS):
        device(provider(NAMES, "frames"))


@pytest.mark.parametrize("device", [camera, analog])
async def test_a_provider_of_ones_own_shows_it_when_it_is_first_asked(device):
    made = device(lambda datakey_name=None: PathInfo(directory_path=PurePath("frames"), filename="f"))
    await made.connect()
    await made.stage()
    with pytest.raises(DataDirectoryError, match=WORDS):
        await made.trigger()
    await made.unstage()
    await made.close()


async def test_what_else_is_wrong_with_a_path_is_left_as_it_is(tmp_path):
    made = camera(lambda datakey_name=None: PathInfo(directory_path=tmp_path, filename="f", directory_uri="nowhere"))
    await made.connect()
    await made.stage()
    with pytest.raises(ValidationError, match="directory_uri"):
        await made.trigger()
    await made.unstage()
    await made.close()


@pytest.fixture
def below_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return StaticPathProvider(UUIDFilenameProvider(), Path("frames").absolute(), create_dir_depth=-1)


async def test_the_way_out_that_is_named_works(tmp_path, below_here):
    made = camera(below_here)
    await made.connect()
    await made.stage()
    await made.trigger()
    await made.unstage()
    await made.close()
    assert len(list((tmp_path / "frames").glob("*.h5"))) == 1
