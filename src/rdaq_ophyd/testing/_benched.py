"""The fixtures of the suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rdaq_ophyd.link import FaultyLink, Link

from ._bench import Bench
from ._suite import Suite, protocol_of, quick_link

LATE = 0.01
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

    @pytest.fixture(scope="class")
    @classmethod
    def lasting_bench(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
        """One for the tests of a class that leave everything as it was."""
        with Bench(cls(), tmp_path_factory.mktemp("bench")) as made:
            yield made.connect()

    @pytest.fixture
    def shared_bench(self, lasting_bench: Bench, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
        """The device is connected, and was used by tests before, which left all as it was. One that fails ends that."""
        if not lasting_bench.clean:
            with Bench(self, tmp_path) as made:
                yield made.connect()
            return
        failed, lasting_bench.clean = request.session.testsfailed, False
        yield lasting_bench
        if request.session.testsfailed == failed:
            lasting_bench.run(lasting_bench.sync())  # what was written last is no matter of the next test
            lasting_bench.clean = True

    @pytest.fixture
    def own_bench(self, tmp_path: Path) -> Iterator[Bench]:
        """The device is connected by its URL, so that its link comes back by itself."""
        with Bench(self, tmp_path, through=lambda url: url) as made:
            yield made.connect()

    def faulty(self, folder: Path, **faults: Any) -> Bench:
        """A bench whose device is on a link with faults, not connected yet; its ``link`` is the ``FaultyLink``."""

        def through(url: str) -> Link:
            return FaultyLink(quick_link(url, protocol_of(type(self)), late=LATE), 1, **faults)

        return Bench(self, folder, through=through)
