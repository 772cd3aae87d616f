"""A session with real instruments behind a real gRPC server, without a catalog; each test begins at 0 mm."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import bluesky.plan_stubs as bps
import pytest
from optics import no_tiled

from rdaq_ophyd.client import connect
from rdaq_ophyd.errors import EngineBusy
from rdaq_ophyd.plans import enable
from rdaq_ophyd.server import Server
from rdaq_ophyd.startup import start

EDGE = {"stage": "x", "power_meter": "power_meter", "start": 0, "stop": 2.4, "num": 11}


@pytest.fixture(scope="module")
def session(profile_path, data_dir, nothing_left_by_module):
    with pytest.MonkeyPatch.context() as patch:
        no_tiled(patch)
        with start(str(profile_path), data_dir=data_dir, operator="ada") as made:
            made.RE(bps.mv(made.rig["x"].velocity, 5.0))
            # The instruments are those of all files of a worker: a range or a filter may have been left otherwise.
            made.RE(bps.mv(made.rig["power_meter"].range, 0, made.rig["power_meter"].filter, "medium"))
            made.RE(enable(made.rig["x"], made.rig["y"]))
            yield made


@pytest.fixture(scope="module")
def server(session):
    with Server(session) as made:
        yield made


@pytest.fixture
def until() -> Callable[..., None]:
    def wait(condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "never"
            time.sleep(0.005)

    return wait


@pytest.fixture
def home(session, server, until):
    """The axes stand at 0, and nothing runs; the same again afterwards."""
    session.RE(bps.mv(session.rig["x"], 0, session.rig["y"], 0))
    yield
    with connect(server.address) as client:
        with contextlib.suppress(EngineBusy):
            if client.state.engine != "idle":
                client.abort("the test is over")
        until(lambda: not client.state.moving)


@pytest.fixture
def client(server, home):
    with connect(server.address) as made:
        yield made
