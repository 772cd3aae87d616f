"""The Tiled that others keep, in the place of a server process of ours."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import httpx

from rdaq_ophyd.errors import CatalogError

from ._clocks import Clocks
from ._credentials import ServerAddress
from ._shared import SharedCatalog

logger = logging.getLogger(__name__)

# Between two looks while it answers, and while it does not (s).
_LOOK_EVERY = 5.0
_LOOK_AGAIN = 1.0
# One look must not keep the worker from being looked after.
_PATIENCE = 3.0


class Elsewhere:
    """Looks now and then whether the shared catalog answers; starts and ends nothing.

    :param shared: where it is.
    """

    awaited = "the shared catalog does not answer; waiting for the next look at it"
    attached = True
    pid: int | None = None

    def __init__(self, shared: SharedCatalog) -> None:
        self.shared = shared
        self.log: Path = shared.file
        self.failures = 0
        self.address: ServerAddress | None = None
        self.clocks = Clocks()
        self._trouble = ""
        self._not_before = 0.0
        self._told_skew = False

    def keep(self) -> None:
        """Look, if it is time. Call it every now and then."""
        if time.monotonic() < self._not_before:
            return
        trouble = self._look()
        if trouble and trouble != self._trouble:
            logger.warning("the shared catalog does not answer: %s; runs are recorded all the same", trouble)
        elif self._trouble and not trouble:
            logger.info("the shared catalog %s answers again", self.shared.uri)
        self._trouble = trouble
        self.failures += bool(trouble)
        # It has no process that we know of: its address is what tells one from another.
        self.address = None if trouble else ServerAddress(self.shared.uri, 0)
        self._not_before = time.monotonic() + (_LOOK_AGAIN if trouble or self.clocks.doubtful else _LOOK_EVERY)

    def _look(self) -> str:
        try:
            before = time.time()
            answer = httpx.get(f"{self.shared.uri}/", timeout=_PATIENCE)
            self.clocks.hear(answer, before, time.time())
            self._tell_clocks()
            answer.raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return str(error) or type(error).__name__
        return ""

    def _tell_clocks(self) -> None:
        if self.clocks.differ and not self._told_skew:
            logger.warning(
                "the clock of the shared catalog is %+.0f s from ours: "
                "times of runs of several rigs cannot be compared; let both follow the same time server",
                self.clocks.skew,
            )
        self._told_skew = self.clocks.differ

    def stop(self, timeout: float) -> None:
        """Nothing: it is not ours."""

    def last_words(self) -> str:
        """Why it does not answer."""
        return self._trouble

    def not_up(self) -> CatalogError:
        """What is said when it is needed and does not answer."""
        return CatalogError(
            f"the shared catalog {self.shared.uri} does not answer: {self._trouble or 'no look has ended yet'}",
            hint="runs are recorded all the same and delivered later; what is wrong: rdaq catalog check",
        )
