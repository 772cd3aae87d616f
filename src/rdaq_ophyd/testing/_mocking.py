"""Without an instrument: ``connect(mock=True)``."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bluesky.protocols import Readable

from rdaq_ophyd.capabilities import Capability, capabilities

from ._bench import Bench
from ._benched import Benched
from ._loops import BOUND
from ._members import settings


class MockTests(Benched):
    """Profiles are tried out and plans are simulated with mocked devices."""

    def test_mock_mode_needs_no_instrument(self, idle_bench: Bench) -> None:
        """The mocked device describes what the real one describes, and sends nothing."""
        bench, device = idle_bench, idle_bench.device
        if not isinstance(device, Readable):
            pytest.skip("it is not readable")
        mocked = bench.run(_mocked(device))
        assert not bench.wire.since(0), f"a mocked device sent {bench.wire.lines(0)}"
        assert set(mocked) == set(bench.run(_read(device))), "mocked, it reads other keys than it describes"
        twin = self.make(bench.link)
        bench.run(twin.connect(timeout=BOUND))
        try:
            real = bench.run(_described(twin))
        finally:
            twin.close()
        assert set(mocked) == set(real), f"mocked, it describes other keys: {set(mocked) ^ set(real)}"
        for name, key in real.items():
            assert key["dtype"] == mocked[name]["dtype"], f"{name}: mocked, it is described as {mocked[name]['dtype']}"
            assert ("units" in key) == ("units" in mocked[name]), f"{name}: units only when mocked, or only when not"

    def test_mocked_settings_and_moves(self, idle_bench: Bench) -> None:
        """What is set is read; moves arrive at once; stops do nothing."""
        bench, device = idle_bench, idle_bench.device
        bench.run(_connect_mock(device))
        for setting in settings(device):
            value = bench.run(_set_again(setting.signal))
            limits = setting.backend.limits
            assert limits is None or limits[0] <= value <= limits[1], (
                f"{setting.path}: its initial value {value} is outside its limits {limits}: give Ask an `initial`"
            )
        for motion in self.motions:
            bench.run(_moves_at_once(bench.part(motion.part), motion.near), BOUND)
        if Capability.STOPPABLE in capabilities(device):
            bench.run(_stop(device), BOUND)


async def _connect_mock(device: Any) -> None:
    await device.connect(mock=True)


async def _mocked(device: Any) -> dict[str, Any]:
    await device.connect(mock=True)
    return await _described(device)


async def _described(device: Any) -> dict[str, Any]:
    configuration = getattr(device, "describe_configuration", None)
    return {**await device.describe(), **(await configuration() if configuration else {})}


async def _read(device: Any) -> dict[str, Any]:
    configuration = getattr(device, "read_configuration", None)
    return {**await device.read(), **(await configuration() if configuration else {})}


async def _set_again(signal: Any) -> Any:
    value = await signal.get_value()
    await signal.set(value)
    assert await signal.get_value() == value, f"{signal.name}: mocked, it does not keep what was set"
    return value


async def _moves_at_once(part: Any, target: float) -> None:
    async with asyncio.timeout(BOUND):
        await part.set(target)
    if hasattr(part, "locate"):
        assert (await part.locate())["readback"] == target


async def _stop(device: Any) -> None:
    await device.stop(success=True)
