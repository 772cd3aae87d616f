"""An instrument whose cable is pulled and plugged in again."""

from pathlib import Path

import pytest
from parts import until

from rdaq_ophyd.devices.esp300 import Esp300Axis
from rdaq_ophyd.errors import LinkClosed, PortNotFound
from rdaq_ophyd.link import open_links
from rdaq_ophyd.sim import SimEsp300, serve_pty


async def test_a_cable_pulled_in_mid_move_fails_the_move_and_connecting_again_repairs(tmp_path: Path):
    by_id = tmp_path / "usb-ESP300"
    with serve_pty(SimEsp300(), lift_baud=True, link=by_id) as port:
        axis = Esp300Axis(str(by_id), 1, "x")
        await axis.connect()
        await axis.enabled.set(True)
        status = axis.set(20.0)
        await until(lambda: b"1PA" in port.log.bytes())
        port.disconnect()
        with pytest.raises(LinkClosed, match="stopped working"):
            await status
        with pytest.raises(LinkClosed):
            await axis.stop()
        with pytest.raises(PortNotFound, match="no such port"):
            await axis.connect(force_reconnect=True)
        port.reconnect()
        moves = port.log.bytes().count(b"1PA")
        await axis.connect(force_reconnect=True)
        # Nothing that moves is ever repeated by itself.
        assert port.log.bytes().count(b"1PA") == moves
        await axis.stop()
        await axis.set(0.5)
        axis.close()
    assert open_links() == ()
