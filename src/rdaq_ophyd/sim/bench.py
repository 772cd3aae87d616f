"""One optical bench: a beam through a polariser and a lens, a plate with an edge and a pinhole, the power meter.

Rotation mounts stand beside it, and a Mai Tai, warmed up and off; its light is not the beam.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from rdaq_ophyd.sim._esp300_tables import STAGES, Stage
from rdaq_ophyd.sim._instrument import Instrument
from rdaq_ophyd.sim._optics import Beam, Light, Places, responsivity
from rdaq_ophyd.sim._port import Port, serve_pty, serve_tcp
from rdaq_ophyd.sim.ell14 import SimEll14
from rdaq_ophyd.sim.esp300 import SimEsp300
from rdaq_ophyd.sim.maitai import SimMaiTai
from rdaq_ophyd.sim.newport_1830c import SimNewport1830C

__all__ = ["Beam", "SimBench"]

#: Factor of ``fast`` on the stages' velocities and accelerations, and on the laser's tuning and shutter.
FAST = 10.0
BEAM = Beam()
#: Stage of the lens, along the beam.
LENS = Stage("MFA-CC", "SN B204", 2, 12.5, 0.5, 5.0, 10.0, 20.0, 80.0)
#: Number of the axis that moves each part (see ``Places``).
AXES = {"x": 1, "y": 2, "theta": 3, "z": 4}


class SimBench:
    """All instruments served on ports from threads of this process, until the context ends.

    :param beam: and what it meets.
    :param light: what the laser does at a time in s; unless given it shines steadily.
    :param tcp: TCP ports of 127.0.0.1 instead of pseudo-terminals.
    :param lift_baud: bytes take no time.
    :param latency: seconds that each command takes, in all instruments.
    :param fast: stages, rotation mounts and laser ten times as fast.
    :param log_dir: gets a file each, such as ``esp300.jsonl``, with every byte and its time.
    :param link_dir: gets a symbolic link named after each instrument on its terminal.
    """

    def __init__(
        self,
        *,
        beam: Beam = BEAM,
        light: Callable[[float], Light] = lambda _: Light(),
        tcp: bool = False,
        lift_baud: bool = False,
        latency: float = 0.0,
        fast: bool = False,
        log_dir: Path | str | None = None,
        link_dir: Path | str | None = None,
    ) -> None:
        self.beam, self.light = beam, light
        factor = FAST if fast else 1.0
        self.esp300 = SimEsp300(4, stages=(*STAGES, LENS), latency=latency, speed=factor)
        self.newport_1830c = SimNewport1830C(self.power, latency=latency)
        self.maitai = SimMaiTai(warm=100.0, tuning=20.0 * factor, shutter_lag=1.0 / factor, latency=latency)
        self.ell14 = SimEll14(latency=latency, speed=factor)
        self.ports: dict[str, Port] = {}
        self._tcp, self.lift_baud = tcp, lift_baud
        self._log_dir, self._link_dir = (Path(d) if d else None for d in (log_dir, link_dir))
        self._stack = ExitStack()

    def power(self, t: float) -> float:
        """Watts at ``t`` s (``time.monotonic``), as a meter that may be set to another wavelength tells them."""
        light, set_to = self.light(t), float(self.newport_1830c.settings["W"])
        at = Places(**{name: self.esp300.axes[n].trajectory.state(t)[0] for name, n in AXES.items()})
        return self.beam.watts(at, light) * responsivity(light.wavelength) / responsivity(set_to)

    @property
    def urls(self) -> dict[str, str]:
        """From instrument to port, as pyserial opens it."""
        return {name: port.url for name, port in self.ports.items()}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for directory in filter(None, (self._log_dir, self._link_dir)):
                directory.mkdir(parents=True, exist_ok=True)
            for instrument in (self.esp300, self.newport_1830c, self.maitai, self.ell14):
                self.ports[instrument.name] = stack.enter_context(self._serve(instrument))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _serve(self, instrument: Instrument) -> Port:
        log = self._log_dir / f"{instrument.name}.jsonl" if self._log_dir else None
        if self._tcp:
            return serve_tcp(instrument, lift_baud=self.lift_baud, log_path=log)
        link = self._link_dir / instrument.name if self._link_dir else None
        return serve_pty(instrument, lift_baud=self.lift_baud, link=link, log_path=log)
