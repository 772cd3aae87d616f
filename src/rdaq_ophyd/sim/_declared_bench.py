"""One declared instrument on a port: what ``rdaq sim FILE.toml`` serves."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from rdaq_ophyd.sim._port import Port, serve_pty, serve_tcp
from rdaq_ophyd.sim.declared import SimDeclared


class DeclaredBench:
    """Serves the instrument of a file from a thread of this process, until the context ends.

    :param source: the file, or the name of an instrument that comes with this package.
    :param tcp: a TCP port of 127.0.0.1 instead of a pseudo-terminal.
    :param lift_baud: bytes take no time.
    :param latency: seconds that each command takes; those of the file unless given.
    :param log_dir: gets a file with every byte and its time.
    :param link_dir: gets a symbolic link to its terminal.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        tcp: bool = False,
        lift_baud: bool = False,
        latency: float | None = None,
        log_dir: Path | None = None,
        link_dir: Path | None = None,
    ) -> None:
        self.instrument = SimDeclared(source, latency=latency)
        self.ports: dict[str, Port] = {}
        self._tcp, self._lift_baud, self._log_dir, self._link_dir = tcp, lift_baud, log_dir, link_dir
        self._stack = ExitStack()

    @property
    def urls(self) -> dict[str, str]:
        """From instrument to port, as pyserial opens it."""
        return {name: port.url for name, port in self.ports.items()}

    def __enter__(self) -> Self:
        name = self.instrument.name
        for directory in filter(None, (self._log_dir, self._link_dir)):
            directory.mkdir(parents=True, exist_ok=True)
        log = self._log_dir / f"{name}.jsonl" if self._log_dir else None
        if self._tcp:
            port = serve_tcp(self.instrument, lift_baud=self._lift_baud, log_path=log)
        else:
            link = self._link_dir / name if self._link_dir else None
            port = serve_pty(self.instrument, lift_baud=self._lift_baud, link=link, log_path=log)
        self.ports[name] = self._stack.enter_context(port)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def table(self) -> str:
        """What stands where, for a person."""
        [(name, url)] = self.urls.items()
        rate = "no limit" if self._lift_baud else f"{self.instrument.baud} baud"
        return f"Simulated instrument:\n  {name}  {url}  {rate}\nCtrl-C ends it."
