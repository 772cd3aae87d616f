"""Readers beside the load: some ask without end, one waits for each flush to become readable."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import httpx

from benchmarks._facility._http import KINDS, OCTETS
from benchmarks._facility._setups import SetUp

PAUSE = 0.3
"""Seconds between two questions of a reader."""
LOOK_EVERY = 0.1
"""Between two looks of the one that waits for frames, s: each costs the server a request."""


class Readers:
    """So many readers, each asking one kind of question after the other, until they are left.

    :param known: (uid, sample, rig) of a run that is whole.
    :ivar seconds: that answers took, by kind of question.
    :ivar failed: what was no answer.
    """

    def __init__(self, setup: SetUp, count: int, known: tuple[str, str, str]) -> None:
        self.seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
        self.failed: list[str] = []
        self._setup, self._known, self._over = setup, known, threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,), name=f"reader {n}") for n in range(count)]

    def _ask(self, number: int) -> None:
        asking = self._setup.asking()
        for kind in itertools.islice(itertools.cycle(KINDS), number, None):
            if self._over.wait(PAUSE * random.uniform(0.5, 1.5)):
                break
            try:
                self.seconds[kind].append(asking.timed(kind, *self._known))
            except (httpx.HTTPError, LookupError) as error:
                self.failed.append(f"{kind}: {type(error).__name__}: {error}")
        asking.close()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)


class Watch(threading.Thread):
    """Follows runs as they are recorded, one after the other, and reads each newest frame.

    :param uids: of the runs.
    :param frames: of each.
    :param seconds: after which it gives up.
    :ivar seen: by uid, (rows, s since the epoch) each time that more was read.
    """

    def __init__(self, setup: SetUp, uids: Sequence[str], frames: int, seconds: float) -> None:
        super().__init__(name="watch")
        self.seen: dict[str, list[tuple[int, float]]] = {uid: [] for uid in uids}
        self._setup, self._frames, self._seconds = setup, frames, seconds

    def run(self) -> None:
        asking, end = self._setup.asking(), time.monotonic() + self._seconds
        for uid, seen in self.seen.items():
            rows = 0
            while rows < self._frames and time.monotonic() < end:
                if (now := asking.rows(uid)) > rows:
                    asking.get(f"/array/full/{uid}/primary/cam", slice=str(now - 1), format=OCTETS)
                    seen.append((now, time.time()))
                    rows = now
                else:
                    time.sleep(LOOK_EVERY)
        asking.close()


def quiet_queries(
    setup: SetUp, rig: str, runs: int, repeats: int, named: Callable[[int], tuple[str, str]]
) -> dict[str, list[float]]:
    """Seconds of each kind of question with nobody beside, each of another run.

    :param runs: to choose from.
    :param named: uid and sample of a run by its number.
    """
    asking = setup.asking()
    found: dict[str, list[float]] = {}
    for kind in KINDS:
        asking.timed(kind, *named(1), rig)  # whatever is loaded by the first one
        found[kind] = [asking.timed(kind, *named(random.randint(1, runs)), rig) for _ in range(repeats)]
    asking.close()
    return found
