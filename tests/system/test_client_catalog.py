"""What a client hears, and what the rig's catalog has: the same run; the catalog itself, from the client."""

from __future__ import annotations

import bluesky.plan_stubs as bps
import numpy as np
import pytest

from rdaq_ophyd.client import connect
from rdaq_ophyd.errors import CatalogError
from rdaq_ophyd.plans import enable
from rdaq_ophyd.server import Server


@pytest.fixture(scope="module")
def server(session):
    session.RE(enable(session.rig["x"]))
    session.RE(bps.mv(session.rig["x"], 0))
    with Server(session) as made:
        yield made


@pytest.fixture
def client(server):
    with connect(server.address) as made:
        yield made


def test_the_documents_are_those_of_the_catalog(client, session):
    heard = []
    end = client.subscribe(lambda name, document: heard.append((name, document)))
    arguments = {"stage": "x", "power_meter": "power_meter", "start": 0, "stop": 2.4, "num": 11}
    run = client.run("knife_edge_scan", **arguments)
    (uid,) = run.uids
    assert end.wait(uid)
    end()
    assert session.catalog.wait_drained(uid, timeout=60)
    catalog = client.catalog()
    found = catalog[uid]
    start, stop = heard[0][1], heard[-1][1]
    assert found.metadata["start"] == start
    assert found.metadata["stop"]["exit_status"] == stop["exit_status"] == "success"
    (descriptor,) = (d for n, d in heard if n == "descriptor" and d["name"] == "primary")
    events = [d["data"] for n, d in heard if n == "event" and d["descriptor"] == descriptor["uid"]]
    assert len(events) == 11
    table = found["primary"].read()
    for key in ("x", "power_meter-power"):
        np.testing.assert_array_equal(table[key].values, [event[key] for event in events])
    assert client.session.catalog_uri == session.catalog.uri
    catalog.context.close()


def test_an_address_that_is_none_of_tiled_is_said(client, unused_tcp_port):
    with pytest.raises(CatalogError, match="is it the address of Tiled's API"):
        client.catalog(f"http://127.0.0.1:{unused_tcp_port}/api/v1")
