"""A declared instrument in Bluesky plans: a current-voltage curve, documents that fit the event model."""

from __future__ import annotations

import event_model
import pytest
from bluesky import plans as bp
from bluesky.run_engine import call_in_bluesky_event_loop

from rdaq_ophyd.devices.declared import declared
from rdaq_ophyd.sim import SimDeclared, serve_pty


@pytest.fixture
def smu(engine):
    async def connect(url):
        smu = declared("keithley_2450")(url, "smu")
        await smu.connect()
        return smu

    with serve_pty(SimDeclared("keithley_2450"), lift_baud=True) as port:
        smu = call_in_bluesky_event_loop(connect(port.url), timeout=20)
        yield smu
        smu.close()


def test_a_current_voltage_curve(engine, smu):
    documents = []
    engine.subscribe(lambda name, document: documents.append((name, document)))

    async def on():
        await smu.current_limit.set(1e-3)
        await smu.output.set(True)

    call_in_bluesky_event_loop(on(), timeout=10)
    engine(bp.list_scan([smu], smu.source_voltage, [-0.5, 0.0, 0.5, 2.0]))
    for name, document in documents:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(document)
    [descriptor] = [document for name, document in documents if name == "descriptor"]
    events = [document["data"] for name, document in documents if name == "event"]
    assert [event["smu-source_voltage"] for event in events] == [-0.5, 0.0, 0.5, 2.0]
    assert [event["smu-current"] for event in events] == pytest.approx([-5e-4, 0.0, 5e-4, 1e-3])
    assert [event["smu-limited"] for event in events] == [False, False, False, True]
    assert descriptor["data_keys"]["smu-current"]["units"] == "A"
    assert descriptor["hints"]["smu"]["fields"] == ["smu-voltage", "smu-current"]
    configuration = descriptor["configuration"]["smu"]["data"]
    assert configuration["smu-source"] == "voltage"
    assert configuration["smu-current_limit"] == pytest.approx(1e-3)
