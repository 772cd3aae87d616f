"""One optical bench: a Mai Tai, its beam through a wave plate, a polariser and a lens onto a plate, the power meter.

The laser is warmed up and on, as somebody left it in the morning; nothing here switches it on again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from rdaq_ophyd.sim._esp300_tables import STAGES, Stage
from rdaq_ophyd.sim._instrument import Instrument
from rdaq_ophyd.sim._optics import Beam, Light, Places, Spot, responsivity
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
LENS = Stage("MFA-CC", "SN B203", 2, 12.5, 0.5, 5.0, 10.0, 20.0, 80.0)
#: Number of the axis that moves each part (see ``Places``), and address of the mount that turns it; "A" turns none.
AXES = {"x": 1, "y": 2, "z": 3}
MOUNTS = {"polariser": "0", "waveplate": "3"}
#: Seconds in which the laser's shutter moves.
SHUTTER_LAG = 0.3


class SimBench:
    """All instruments served on ports from threads of this process, until the context ends.

    :param beam: and what it meets.
    :param light: what shines at a time in s, instead of the laser.
    :param shutter_open: how the laser's shutter was left; with False it is dark until somebody opens it.
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
        light: Callable[[float], Light] | None = None,
        shutter_open: bool = True,
        tcp: bool = False,
        lift_baud: bool = False,
        latency: float = 0.0,
        fast: bool = False,
        log_dir: Path | str | None = None,
        link_dir: Path | str | None = None,
    ) -> None:
        factor = FAST if fast else 1.0
        self.esp300 = SimEsp300(3, stages=(*STAGES[:2], LENS), latency=latency, speed=factor)
        self.newport_1830c = SimNewport1830C(self.power, latency=latency)
        # Its watchdog is off until a driver arms it, so that it waits for one however long that takes.
        self.maitai = SimMaiTai(
            warm=100.0, tuning=20.0 * factor, shutter_lag=SHUTTER_LAG / factor, watchdog=0.0, latency=latency
        )
        self.maitai.on, self.maitai.shutter = True, shutter_open
        self.ell14 = SimEll14(latency=latency, speed=factor)
        self._mounts = {name: self.ell14.rotators[address] for name, address in MOUNTS.items()}
        self.beam, self.light = beam, light or self.maitai.light
        self.ports: dict[str, Port] = {}
        self._tcp, self.lift_baud = tcp, lift_baud
        self._log_dir, self._link_dir = (Path(d) if d else None for d in (log_dir, link_dir))
        self._stack = ExitStack()

    def power(self, t: float) -> float:
        """Watts at ``t`` s (``time.monotonic``), as a meter that may be set to another wavelength tells them."""
        light, set_to = self.light(t), float(self.newport_1830c.settings["W"])
        return self.beam.watts(self.places(t), light) * responsivity(light.wavelength) / responsivity(set_to)

    def spot(self, t: float) -> Spot:
        """What a camera that looks at the plate sees at ``t`` s."""
        return self.beam.spot(self.places(t), self.light(t))

    def places(self, t: float) -> Places:
        """Where everything stands at ``t`` s."""
        stages = {name: self.esp300.axes[n].trajectory.state(t)[0] for name, n in AXES.items()}
        return Places(**stages, **{name: mount.degrees(t) for name, mount in self._mounts.items()})

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
