"""One optical bench: a knife edge on the ESP300's first stage cuts a Gaussian beam before the power meter.

Rotation mounts stand beside it, and a Mai Tai, warmed up and off; its light is not the beam.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rdaq_ophyd.sim._instrument import Instrument
from rdaq_ophyd.sim._port import Port, serve_pty, serve_tcp
from rdaq_ophyd.sim.ell14 import SimEll14
from rdaq_ophyd.sim.esp300 import SimEsp300
from rdaq_ophyd.sim.maitai import SimMaiTai
from rdaq_ophyd.sim.newport_1830c import SimNewport1830C

__all__ = ["Beam", "SimBench"]

#: Factor of ``fast`` on the stages' velocities and accelerations, and on the laser's tuning and shutter.
FAST = 10.0


@dataclass(frozen=True)
class Beam:
    """A Gaussian beam; positions are those of the knife edge on axis 1, mm, counted from the home switch.

    :param radius: distance from the centre at which the intensity is 1/e² of its peak, mm.
    :param centre: knife position at which half of the power passes, mm.
    :param power: of the uncut beam, W.
    :param background: light that passes by the knife, W.
    """

    radius: float = 0.5
    centre: float = 1.2
    power: float = 1e-3
    background: float = 50e-9

    def behind_knife(self, position: float) -> float:
        """Watts on the detector with the knife edge at ``position`` mm; less with a higher position."""
        passing = 0.5 * math.erfc(math.sqrt(2.0) * (position - self.centre) / self.radius)
        return self.background + self.power * passing


class SimBench:
    """All instruments served on ports from threads of this process, until the context ends.

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
        beam: Beam = Beam(),
        tcp: bool = False,
        lift_baud: bool = False,
        latency: float = 0.0,
        fast: bool = False,
        log_dir: Path | str | None = None,
        link_dir: Path | str | None = None,
    ) -> None:
        self.beam = beam
        factor = FAST if fast else 1.0
        self.esp300 = SimEsp300(latency=latency, speed=factor)
        self.newport_1830c = SimNewport1830C(self.power, latency=latency)
        self.maitai = SimMaiTai(warm=100.0, tuning=20.0 * factor, shutter_lag=1.0 / factor, latency=latency)
        self.ell14 = SimEll14(latency=latency, speed=factor)
        self.ports: dict[str, Port] = {}
        self._tcp, self.lift_baud = tcp, lift_baud
        self._log_dir, self._link_dir = (Path(d) if d else None for d in (log_dir, link_dir))
        self._stack = ExitStack()

    def power(self, t: float) -> float:
        """Watts on the detector at ``t`` s (``time.monotonic``)."""
        return self.beam.behind_knife(self.esp300.axes[1].trajectory.state(t)[0])

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
