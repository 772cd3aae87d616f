"""Instruments in another process, seen from the process that talks to them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[1]
START = 30.0
"""Seconds for the process to come up."""


class Apart:
    """Runs ``benchmarks._instruments``; times of the two processes are comparable (CLOCK_MONOTONIC).

    :param kind: ``meter`` or ``esp300``.
    :param count: how many, each on a port of its own.
    :param latency: seconds that each command takes.
    :param limit: bytes take the time of 19200 baud; else none.
    :param tcp: TCP ports instead of pseudo-terminals.
    :param speed: of an ESP300's axes, as a factor.
    """

    def __init__(
        self,
        kind: str = "meter",
        *,
        count: int = 1,
        latency: float = 0.0,
        limit: bool = False,
        tcp: bool = False,
        speed: float = 1.0,
    ) -> None:
        spec = {"kind": kind, "count": count, "latency": latency, "limit": limit, "tcp": tcp, "speed": speed}
        self._child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._instruments", json.dumps(spec)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._lines: deque[Any] = deque()
        self._rest = b""
        urls = self._next(START)
        # What `make_link` takes; the simulator speaks of sockets as pyserial does.
        self.urls: list[str] = [url.replace("socket://", "tcp://") for url in urls]

    @property
    def url(self) -> str:
        """The first port."""
        return self.urls[0]

    def faults(self, **faults: object) -> None:
        """Set what is wrong with the ports (see ``rdaq_ophyd.sim.Faults``); nothing: they are well."""
        stdin = self._child.stdin
        assert stdin is not None
        stdin.write(json.dumps(faults).encode() + b"\n")
        stdin.flush()
        while "done" not in self._next(START):
            pass

    def stopped(self, seconds: float = 10.0) -> tuple[int, int]:
        """Wait for the next stop to arrive: number of the port, and when (ns of ``time.monotonic_ns``)."""
        while "stop" not in (message := self._next(seconds)):
            pass
        return message["stop"], message["ns"]

    def forget(self, quiet: float = 0.0) -> None:
        """Drop what was told about earlier stops, until nothing was told for ``quiet`` seconds."""
        self._lines.clear()
        while select.select([self._out], [], [], quiet)[0]:
            self._rest = (self._rest + os.read(self._out, 65536)).rpartition(b"\n")[2]

    @property
    def _out(self) -> int:
        assert self._child.stdout is not None
        return self._child.stdout.fileno()

    def _next(self, seconds: float) -> Any:
        end = time.monotonic() + seconds
        while not self._lines:
            if not select.select([self._out], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError(f"nothing was heard from the instruments within {seconds:g} s")
            if not (data := os.read(self._out, 65536)):
                raise RuntimeError("the process of the instruments ended")
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._lines.extend(map(json.loads, lines))
        return self._lines.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.stdout.close()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
