"""Stop everything: trip, halt, confirm."""

from __future__ import annotations

import logging
import os
import threading
import time

from rdaq_ophyd.errors import RdaqError

from ._latch import latch
from ._targets import Target, targets
from ._verdict import Outcome, StopReport, Verdict

logger = logging.getLogger(__name__)
MARGIN = 1.0
"""Seconds beyond its own bound after which a target that does not answer gets its verdict from us."""


class Halted:
    """A stop-all whose halts are on the wire; ``confirm`` waits for what they came to."""

    def __init__(self, reason: str, by: str, *, heard: bool = False) -> None:
        self.reason, self.by, self.at = reason, by, time.time()
        self._start = time.monotonic()
        (latch.hear if heard else latch.trip)(reason, by)
        self._targets = targets()
        for target in self._targets:
            try:
                target.halt()
            except Exception:  # the others must be halted whatever this one does; its verdict tells of it
                logger.exception("halt of %s", type(target).__name__)

    def confirm(self) -> StopReport:
        """Ask every device, all in parallel, each with its own time-out, and keep the answers with the latch."""
        report = StopReport(self.reason, self.by, self.at, confirm_all(self._targets, self._start))
        keep(report)
        for verdict in report.unconfirmed:
            logger.error("stop of %s", verdict)
        return report


def stop_all(reason: str, *, by: str = "") -> StopReport:
    """Stop everything that this process has connected, from any thread, and refuse everything else until ``reset``.

    The latch is tripped first, then every halt is written, then every device is asked until it is safe.

    :param reason: recorded, and told to whoever is refused.
    :param by: who asks.
    :return: a verdict for each device.
    """
    return Halted(reason, by or f"process {os.getpid()}").confirm()


def halt_all(reason: str, *, by: str = "") -> Halted:
    """The same, but return as soon as the halts are written; for signal handlers, which must not wait."""
    return Halted(reason, by or f"process {os.getpid()}")


def follow_foreign() -> Halted | None:
    """Halt what this process has connected when another one tripped the latch, and this one has not heard of it."""
    why = latch.foreign
    return None if why is None else Halted(why.reason, why.by, heard=True)


def keep(report: StopReport) -> None:
    """Record what was found; a disk that does not take it is logged."""
    try:
        latch.note(report)
    except (RdaqError, OSError) as error:
        logger.error("%s", error)  # the flag holds; a full disk must not hide the verdicts


def confirm_all(asked: list[Target], start: float, *, again: bool = False) -> tuple[Verdict, ...]:
    """Ask all targets in parallel; one that does not answer within its bound is unconfirmed.

    :param again: only ask, as a reset does; nothing stronger than a question.
    """
    found: dict[int, list[Verdict]] = {}

    def ask(number: int, target: Target) -> None:
        try:
            found[number] = target.recheck() if again else target.confirm()
        except Exception as error:  # a verdict too: nobody knows whether it is safe
            logger.exception("confirming %s", type(target).__name__)
            found[number] = _unknown(target, start, f"{type(error).__name__}: {error}")

    threads = [
        threading.Thread(target=ask, args=(n, target), name="rdaq-stop", daemon=True) for n, target in enumerate(asked)
    ]
    for thread in threads:
        thread.start()
    for thread, target in zip(threads, asked, strict=True):
        thread.join(max(0.0, start + target.bound + MARGIN - time.monotonic()))
    return tuple(
        verdict.owned
        for number, target in enumerate(asked)
        for verdict in found.get(number) or _unknown(target, start, "no answer in time")
    )


def _unknown(target: Target, start: float, why: str) -> list[Verdict]:
    seconds = time.monotonic() - start
    return [Verdict(name, Outcome.UNCONFIRMED, seconds=seconds, detail=why) for name in target.devices()]
