"""What a rig says of the safe state of a declared instrument: sent by a stop-all, refused where it is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from declaredstage import STAGE, change, state

from rdaq_ophyd import stop
from rdaq_ophyd.declaration import load, parse
from rdaq_ophyd.devices.declared import Declared, class_of
from rdaq_ophyd.errors import LimitError, RdaqError
from rdaq_ophyd.sim import Port, SimDeclared, serve_tcp
from rdaq_ophyd.stop import Outcome

#: A last resort, which its file offers and a rig has to allow.
WITH_POWER = (
    STAGE.replace('[safe_state]\ntell = ["{node}H"]', '[safe_state]\npower_off = "{node}OFF"\ntell = ["{node}H"]')
    + """
[[sim.on]]
receive = "1OFF"
set = { stuck = 0, t = "p" }
"""
)


@asynccontextmanager
async def stage(text: str, **more) -> AsyncIterator[tuple[Declared, Port]]:
    with serve_tcp(SimDeclared(parse(text)), lift_baud=True) as port:
        device = class_of(parse(text))(port.url, "stage", address=1, **more)
        await device.connect()
        try:
            yield device, port
        finally:
            await asyncio.to_thread(device.close)


async def stopped(port: Port) -> tuple[Outcome, bytes]:
    heard = len(port.log.bytes())
    report = await asyncio.to_thread(stop.stop_all, "test")
    return report.verdicts[0].outcome, port.log.bytes()[heard:]


async def test_a_rigs_own_commands_go_out_in_place_of_the_files():
    async with stage(STAGE, safe={"tell": ["{node}H", "{node}Z"]}) as (device, port):
        change(port, p=5.0, t=5.0)
        outcome, sent = await stopped(port)
        assert outcome is Outcome.CONFIRMED
        assert sent.startswith(b"1H\n1Z\n")
        assert state(port)["p"] == 0.0
        assert device.safe_states()[0].question == b"1D?\n"  # the file's still


@pytest.mark.parametrize(("allowed", "outcome"), [(True, Outcome.CONFIRMED), (False, Outcome.UNCONFIRMED)])
async def test_the_last_resort_is_sent_only_where_the_rig_allows_it(allowed, outcome):
    async with stage(WITH_POWER, safe={"may_power_off": allowed, "seconds": 0.2}) as (_, port):
        change(port, stuck=1)
        found, sent = await stopped(port)
        assert (b"1OFF\n" in sent) is allowed
        assert found is outcome
        change(port, stuck=0)


async def test_a_file_alone_allows_no_last_resort():
    async with stage(WITH_POWER) as (device, _):
        assert device.safe_states()[0].power_off == b""


def test_a_channel_has_its_own():
    kind = class_of(load("lakeshore_336"))
    device = kind("tcp://127.0.0.1:1", "oven", safe={"output_2": {"tell": ["MOUT {channel},0"], "ask": "", "safe": ""}})
    states = {s.device: s for part in device.parts.values() for s in part.safe_states()}
    assert states["oven-output_2"].halt.startswith(b"MOUT 2,0")
    assert states["oven-output_2"].question == b""
    assert states["oven-output_1"].halt.startswith(b"RANGE 1,0")


@pytest.mark.parametrize(
    ("safe", "said"),
    [
        ({"tel": ["1H"]}, "unknown key of safe 'tel' → did you mean tell"),
        ({"tell": []}, r"safe\.tell: "),
        ({"tell": ["{nod}H"]}, r"safe\.tell\.0: .*\{nod\} is unknown; known here: \{node\}"),
        ({"tell": ["{node}H\n{node}Z"]}, r"safe\.tell\.0: "),
        ({"abort": "{node}A\n"}, r"safe\.abort: "),
        ({"ask": ""}, "safe: 'ask' and 'safe' belong together"),
        ({"safe": "("}, r"safe\.safe: .* is no regular expression"),
        ({"seconds": -1.0}, r"safe\.seconds: "),
        ({"seconds": float("nan")}, r"safe\.seconds: "),
        ({"may_power_off": True}, "the safe_state of stage has no power_off"),
        ({"may_power_off": 1}, "give true or false"),
        ({"axis_1": {"tell": ["1H"]}}, "unknown part of stage 'axis_1'"),
    ],
)
def test_what_is_no_safe_state_is_refused(safe, said):
    with pytest.raises(RdaqError, match=said):
        class_of(parse(STAGE))("tcp://127.0.0.1:1", "stage", address=1, safe=safe)


async def test_a_setpoint_is_what_was_sent_and_within_its_limits():
    text = STAGE.replace('tell = "{node}V {value:.3f}"', 'tell = "{node}V {value:.0f}"\nlimits = [0.4, 10]')
    async with stage(text) as (device, port):
        await device.speed.set(2.6)
        assert state(port)["v"] == 3.0
        assert (await device.speed.locate())["setpoint"] == 3.0
        heard = len(port.log.bytes())
        with pytest.raises(LimitError, match=r"stage-speed: 0.45 is sent as 0: 0 mm/s is outside 0.4 to 10 mm/s"):
            await device.speed.set(0.45)
        assert port.log.bytes()[heard:] == b""
