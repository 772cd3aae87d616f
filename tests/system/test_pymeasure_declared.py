"""Clients that others wrote drive what the shipped files simulate: PyMeasure's ``Keithley2450`` and ``RedPitayaScpi``.

A file's signals and its simulation have one author, who may misread the manual twice; these have another.
"""

from __future__ import annotations

import pytest
from pymeasure.adapters import VISAAdapter
from pymeasure.instruments.keithley import Keithley2450
from pymeasure.instruments.redpitaya import RedPitayaScpi

from rdaq_ophyd.sim import Port, SimDeclared, serve_tcp


def visa(port: Port, end: str) -> VISAAdapter:
    host, number = port.url.removeprefix("socket://").split(":")
    return VISAAdapter(
        f"TCPIP::{host}::{number}::SOCKET", visa_library="@py", read_termination=end, write_termination=end
    )


def state(port: Port) -> dict:
    return port.call(lambda _: dict(port.instrument.state))


@pytest.fixture
def smu_port():
    with serve_tcp(SimDeclared("keithley_2450"), lift_baud=True) as port:
        yield port


@pytest.fixture
def smu(smu_port):
    smu = Keithley2450(visa(smu_port, "\n"))
    yield smu
    smu.adapter.close()


def test_a_source_meter_sources_a_voltage_and_measures_a_current(smu, smu_port):
    assert smu.id.startswith("KEITHLEY INSTRUMENTS,MODEL 2450,")
    smu.apply_voltage(compliance_current=1e-2)
    smu.source_voltage = 2.5
    assert smu.source_mode == "voltage"
    assert (smu.source_voltage, smu.compliance_current) == (2.5, 0.01)
    smu.enable_source()
    smu.measure_current(nplc=0.1, auto_range=True)
    assert smu.current == pytest.approx(2.5e-3)
    assert smu.current_nplc == 0.1
    assert smu.source_enabled
    smu.disable_source()
    assert not smu.source_enabled
    assert smu.next_error[0] == 0
    assert state(smu_port)["output"] is False


def test_a_source_meter_sources_a_current_up_to_its_limit(smu):
    smu.apply_current(compliance_voltage=2.0)
    smu.source_current = 1e-3
    smu.enable_source()
    smu.measure_voltage(nplc=1, auto_range=True)
    assert smu.voltage == pytest.approx(1.0)
    smu.source_current = 0.1
    assert smu.voltage == pytest.approx(2.0)
    smu.shutdown()
    assert not smu.source_enabled


def test_a_source_meter_tells_what_it_does_not_know(smu):
    smu.write(":NO:SUCH 1")
    code, message = smu.next_error
    assert code == -113
    assert "Undefined header" in str(message)
    smu.reset()
    assert smu.source_voltage == 0.0


def test_the_slow_pins_and_leds_of_a_red_pitaya():
    with serve_tcp(SimDeclared("red_pitaya"), lift_baud=True) as port:
        board = RedPitayaScpi(visa(port, "\r\n"))
        try:
            assert "125-14" in board.board_name
            board.analog_out_slow[0].voltage = 0.75
            assert board.analog_in_slow[0].voltage == pytest.approx(0.75)
            assert board.analog_in_slow[3].voltage == pytest.approx(1.5)
            board.led[3].enabled = True
            assert board.led[3].enabled
            assert state(port)["led"]["3"] == 1
            board.analog_reset()
            assert board.analog_in_slow[0].voltage == 0.0
        finally:
            board.adapter.close()
