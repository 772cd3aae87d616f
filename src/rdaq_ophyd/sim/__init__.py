"""Simulated instruments on real ports, for work without hardware and for tests of drivers, ours and others'.

Written from the instruments' manuals. Of this project nothing here imports anything else but the schema of declared
instruments, whose files say how they behave, and what loads parts of a package later.
"""

from typing import TYPE_CHECKING

from rdaq_ophyd._later import later
from rdaq_ophyd.sim._instrument import Instrument, Reply
from rdaq_ophyd.sim._line import Faults
from rdaq_ophyd.sim._log import ByteLog, Record, arrivals, read_log
from rdaq_ophyd.sim._optics import Beam, Light, Places, Spot
from rdaq_ophyd.sim._port import Port, serve_pty, serve_tcp
from rdaq_ophyd.sim._process import BenchProcess, start_bench
from rdaq_ophyd.sim.bench import SimBench
from rdaq_ophyd.sim.ell14 import Rotator, SimEll14
from rdaq_ophyd.sim.esp300 import SimEsp300, Stage
from rdaq_ophyd.sim.maitai import SimMaiTai
from rdaq_ophyd.sim.newport_1830c import SimNewport1830C

if TYPE_CHECKING:
    from rdaq_ophyd.sim.declared import SimDeclared
else:
    # The schema of declared instruments takes longer to load than all the others.
    __getattr__ = later(__name__, SimDeclared="declared")

__all__ = [
    "Beam",
    "BenchProcess",
    "ByteLog",
    "Faults",
    "Instrument",
    "Light",
    "Places",
    "Port",
    "Record",
    "Reply",
    "Rotator",
    "SimBench",
    "SimDeclared",
    "SimEll14",
    "SimEsp300",
    "SimMaiTai",
    "SimNewport1830C",
    "Spot",
    "Stage",
    "arrivals",
    "read_log",
    "serve_pty",
    "serve_tcp",
    "start_bench",
]
