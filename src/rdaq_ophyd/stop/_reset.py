"""Take a stop-all back, once every device of the rig is known to be safe, in whatever process it lives."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from rdaq_ophyd.errors import RdaqError, StopUnconfirmed

from ._client import ask_all
from ._identity import owner
from ._latch import latch
from ._runfile import RunFile, running
from ._stop_all import confirm_all, follow_foreign, keep
from ._targets import Lasting, targets
from ._verdict import Outcome, StopReport, Verdict

OTHERS = 30.0
"""Seconds for another process of the rig to ask its devices."""
LASTING = 5.0
"""Seconds that a reset waits for a plan's clean-up; most take less."""


def reset(reason: str, *, by: str = "", force: bool = False) -> None:
    """Take a stop-all back. Nothing starts by itself: commands are accepted again, that is all.

    Devices that were not confirmed are asked once more, those of other processes that share the rig's latch too.

    :param reason: what was found at the bench; recorded.
    :param force: also when a device is still not confirmed.
    :raises StopUnconfirmed: a device is not confirmed.
    :raises RdaqError: no reason was given.
    """
    if not reason.strip():
        raise RdaqError("a reset needs a reason", hint="say what you found at the bench; it is recorded")
    if not latch.tripped:
        return
    by = by or f"process {os.getpid()}"
    trips = latch.trips
    if not force and (left := [*_elsewhere(latch.path), *_doubtful(_asked_again(reason, by)), *_left_over()]):
        raise StopUnconfirmed(
            "not reset, since nobody can say that these are safe: " + "; ".join(left),
            hint="look at them; then reset with force and say what you saw",
        )
    if not latch.clear(reason + (" (forced)" if force else ""), by, trips):
        raise StopUnconfirmed(f"not reset: meanwhile {latch.why}", hint="look again, then reset again")


def doubtful_here(by: str) -> list[str]:
    """Devices of this process that are not known to be safe, for a reset by another one; each is asked once more."""
    if (halted := follow_foreign()) is not None:
        halted.confirm()
    return _doubtful(verdict for verdict in _asked_again("a reset", by) if verdict.process == owner()) + _left_over()


def _asked_again(reason: str, by: str) -> tuple[Verdict, ...]:
    """All that is known, after every device of this process that was not confirmed was asked."""
    latch.refresh()
    known = {verdict.key: verdict for verdict in latch.verdicts or ()}
    mine = (verdict for verdict in known.values() if verdict.process == owner())
    safe = {verdict.device for verdict in mine if verdict.outcome is Outcome.CONFIRMED}
    asked = [target for target in targets() if not safe.issuperset(target.devices())]
    now = confirm_all(asked, time.monotonic(), again=True)
    if any(known.get(verdict.key) != verdict for verdict in now):
        keep(StopReport(reason, by, time.time(), now))  # for the other processes of this rig
    return latch.judged(known.values(), now)


def _left_over() -> list[str]:
    """What would go on after a reset although a stop-all was to end it."""
    end = time.monotonic() + LASTING
    lasting = [target for target in targets() if isinstance(target, Lasting)]
    return [left for target in lasting if (left := target.left_over(max(0.0, end - time.monotonic())))]


def _doubtful(verdicts: Iterable[Verdict]) -> list[str]:
    return [str(verdict) for verdict in verdicts if verdict.outcome is not Outcome.CONFIRMED]


def _elsewhere(path: Path | None) -> list[str]:
    """What other processes cannot vouch for; asked first, since their verdicts are in the record then."""
    if path is None:
        return []
    sharing = [p for p in running() if p.latch == str(path) and os.getpid() not in (p.pid, p.watches)]
    owners = [process for process in sharing if not process.watches]
    answers = ask_all(owners, OTHERS, do="doubtful", by=f"process {os.getpid()}")
    told = [
        f"process {owner.pid} ({owner.what}): {what}"
        for owner, answer in zip(owners, answers, strict=True)
        for what in (answer["doubtful"] if "doubtful" in answer else [answer.get("error")])
    ]
    return told + _orphaned(sharing, {owner.pid for owner in owners})


def _orphaned(sharing: list[RunFile], owners: set[int]) -> list[str]:
    return [
        f"a watchdog (process {dog.pid}) still makes safe what process {dog.watches} left behind"
        for dog in sharing
        if dog.watches and dog.watches not in owners
    ]
