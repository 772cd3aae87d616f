"""``rdaq serve`` in a process of its own, with a profile made for the purpose."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

START = 60.0
"""Seconds for the daemon to come up."""
END = 90.0
"""Seconds for it to end: a plan's clean-up, the verdicts, the catalog."""
RDAQ = (sys.executable, "-m", "rdaq_ophyd.cli")


class Served:
    """A daemon; its state, its data and its log are in a folder of its own.

    :param profile: text of the profile.
    :param folder: an empty one.
    :param options: of ``rdaq serve``, besides.
    :param environment: variables, besides this process's.
    :param command: that starts ``rdaq``.
    :ivar address: of gRPC; ``url``: of metrics and health.
    """

    def __init__(
        self,
        profile: str,
        folder: Path,
        options: Sequence[str] = (),
        *,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = RDAQ,
    ) -> None:
        self.folder, self.data, self.log = folder, folder / "data", folder / "log"
        self.profile = folder / "served.py"
        self.profile.write_text(profile)
        self._options, self._command = list(options), list(command)
        self.environment = {
            **os.environ,
            "RDAQ_STATE": str(folder / "state"),
            "RDAQ_RUN": str(folder / "run"),
            "TILED_PROFILES": str(folder / "tiled-profiles"),
            **(environment or {}),
        }
        self.address = self.url = ""
        self.start()

    def start(self) -> None:
        """Start it, again after it ended.

        :raises RuntimeError: it does not come up; with its log.
        """
        if hasattr(self, "process"):
            self._close()
        words = ["serve", str(self.profile), "--data", str(self.data), "--port", "0", "--metrics-port", "0"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._command, *words, *self._options], env=self.environment, stdout=subprocess.PIPE, stderr=log
            )
        self._rest = b""
        try:
            self.address = self._line()
            self.url = self._line().removesuffix("/metrics")
        except RuntimeError:
            self.kill()
            raise

    def _line(self) -> str:
        out, end = self.process.stdout, time.monotonic() + START
        assert out is not None
        while b"\n" not in self._rest:
            if not select.select([out], [], [], max(0.0, end - time.monotonic()))[0]:
                raise RuntimeError(f"the daemon says nothing: {self.log.read_text()[-3000:]}")
            if not (data := os.read(out.fileno(), 4096)):
                raise RuntimeError(f"the daemon ended: {self.log.read_text()[-3000:]}")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def get(self, path: str, *, accept: str = "", timeout: float = 10.0) -> tuple[int, str]:
        """Status and body of ``/metrics``, ``/healthz`` or ``/readyz``."""
        request = urllib.request.Request(self.url + path, headers={"Accept": accept} if accept else {})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """The sum of a metric over all its labels, or, where ``name`` has labels, that one series."""
        pattern = re.escape(name) if "{" in name else re.escape(name) + r"(?:\{[^}]*\})?"
        found = re.findall(rf"^{pattern} (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return sum(map(float, found))

    def resident(self) -> int:
        """Bytes of memory that it uses now, without what it shares."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("RssAnon:")[2].split()[0]) * 1024

    def end(self) -> int:
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(END)
        self._close()
        return code

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        self.process.kill()
        self.process.wait()
        self._close()

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            try:
                self.end()
            except subprocess.TimeoutExpired:
                self.kill()
        self._close()
