"""An ESP300 for the tests that end its session."""

import pytest

from rdaq_ophyd.sim import SimEsp300, serve_pty


@pytest.fixture
def esp300():
    """An ESP300 on a serial line at its true baud rate."""
    with serve_pty(SimEsp300(), lift_baud=False) as made:
        yield made


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A state and a run directory of the test's own."""
    monkeypatch.setenv("RDAQ_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RDAQ_RUN", str(tmp_path / "run"))
