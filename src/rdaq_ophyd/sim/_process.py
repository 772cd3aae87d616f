"""The bench in a process of its own, as a user's instruments are outside of the user's process."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rdaq_ophyd.sim._log import LogReader, Record, arrivals
from rdaq_ophyd.sim._optics import Spot

#: Bounds on the start and the end of the child, s.
START_TIMEOUT, STOP_TIMEOUT = 30.0, 10.0
#: Bound on its answer to a question, s.
ANSWER_TIMEOUT = 5.0


@dataclass(frozen=True)
class BenchProcess:
    """A running bench: where its instruments are and what they heard.

    :param ports: from instrument to port, as pyserial opens it.
    :param pid: of the child.
    """

    ports: dict[str, str]
    pid: int
    log_dir: Path | None
    _child: subprocess.Popen[str] = field(repr=False)
    _asking: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _logs: dict[str, LogReader] = field(default_factory=dict, repr=False)

    def spot(self) -> Spot:
        """What a camera that looks at the plate sees now. Any thread.

        :raises RuntimeError: the bench has ended, or did not answer within 5 s.
        """
        assert self._child.stdin is not None
        with self._asking:
            try:
                self._child.stdin.write("spot\n")
                self._child.stdin.flush()
            except (OSError, ValueError) as error:  # the pipe is broken, or closed on this side
                raise RuntimeError("the simulated instruments have ended") from error
            line = _line(self._child, ANSWER_TIMEOUT)
        if not line:
            raise RuntimeError("the simulated instruments do not answer, or have ended")
        return Spot(**json.loads(line))

    def log(self, instrument: str) -> list[Record]:
        """Every byte on the instrument's port until now, from its log file.

        :raises ValueError: the bench was started without ``log_dir``.
        """
        if self.log_dir is None:
            raise ValueError("the bench keeps no log; start it with log_dir=")
        return self._logs.setdefault(instrument, LogReader(self.log_dir / f"{instrument}.jsonl")).records()

    def arrivals(self, instrument: str, pattern: bytes) -> list[int]:
        """When each ``pattern`` (``b"1ST\\r"``) had arrived at the instrument, in ns of ``time.monotonic_ns``."""
        return arrivals(self.log(instrument), pattern)


@contextmanager
def start_bench(
    *,
    tcp: bool = False,
    lift_baud: bool = False,
    latency: float = 0.0,
    fast: bool = False,
    shutter_open: bool = True,
    log_dir: Path | str | None = None,
    link_dir: Path | str | None = None,
) -> Iterator[BenchProcess]:
    """Run a bench (see ``SimBench``) as a child process for as long as the context lasts.

    :raises RuntimeError: the child ended, or said nothing within 30 s.
    """
    command = [sys.executable, "-m", "rdaq_ophyd.sim", "--json", "--until-stdin-closes", f"--latency={latency}"]
    flags = {"--tcp": tcp, "--no-baud-limit": lift_baud, "--fast": fast, "--shutter-closed": not shutter_open}
    command += [flag for flag, wanted in flags.items() if wanted]
    command += [f"{flag}={path}" for flag, path in (("--log-dir", log_dir), ("--link-dir", link_dir)) if path]
    # A session of its own: Ctrl-C in the terminal pauses a scan, it must not take the instruments away.
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield BenchProcess(_first_line(child), child.pid, Path(log_dir) if log_dir else None, child)
    finally:
        _end(child)


def _first_line(child: subprocess.Popen[str]) -> dict[str, str]:
    line = _line(child, START_TIMEOUT)
    if not line:
        raise RuntimeError(f"the simulated instruments did not start within {START_TIMEOUT:.0f} s (see stderr)")
    ports: dict[str, str] = json.loads(line)
    return ports


def _line(child: subprocess.Popen[str], seconds: float) -> str:
    """One line of its output; empty where none comes in time."""
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], seconds)
    return child.stdout.readline() if ready else ""


def _end(child: subprocess.Popen[str]) -> None:
    child.terminate()
    try:
        child.communicate(timeout=STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
