"""The fixtures of the suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rdaq_ophyd.link import FaultyLink, Link, SerialLink, TcpLink

from ._bench import Bench
from ._suite import Suite

LATE = 0.02
"""Seconds in which a link with faults still waits for a reply after a time-out."""


class Benched(Suite):
    """Gives tests a connected device; they end with nothing left open."""

    @pytest.fixture
    def idle_bench(self, tmp_path: Path) -> Iterator[Bench]:
        """An instrument is served; the device is not connected yet."""
        with Bench(self, tmp_path) as made:
            yield made

    @pytest.fixture
    def bench(self, idle_bench: Bench) -> Bench:
        """The device is connected."""
        return idle_bench.connect()

    @pytest.fixture
    def own_bench(self, tmp_path: Path) -> Iterator[Bench]:
        """The device is connected by its URL, so that its link comes back by itself."""
        with Bench(self, tmp_path, through=lambda url: url) as made:
            yield made.connect()

    def faulty(self, folder: Path, **faults: Any) -> Bench:
        """A bench whose device is on a link with faults, not connected yet; its ``link`` is the ``FaultyLink``."""

        def through(url: str) -> Link:
            protocol = self.make(url).protocol
            options = {"reply": protocol.reply, "timeout": protocol.timeout, "quiet": 0.005, "late": LATE}
            inner = TcpLink(url, **options) if url.startswith("tcp://") else SerialLink(url, protocol.serial, **options)
            return FaultyLink(inner, 1, **faults)

        return Bench(self, folder, through=through)
