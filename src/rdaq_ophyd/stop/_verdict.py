"""What a stop came to, device by device: never a bare success."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from ._identity import owner, pid_of


class Outcome(StrEnum):
    """What is known of one device after a stop."""

    CONFIRMED = "confirmed"
    """It was read back: it stands still, is dark, is closed."""
    UNCONFIRMED = "unconfirmed"
    """Told to stop, but it did not say in time that it had."""
    UNREACHABLE = "unreachable"
    """The stop did not reach it."""


@dataclass(frozen=True)
class Verdict:
    """What is known of one device.

    :param device: its name.
    :param outcome: what is known.
    :param latched: whether its commands are refused until the reset; False for devices without a link of ours.
    :param seconds: from the call to the verdict.
    :param detail: what was tried, what went wrong.
    :param process: whose device it is, see :func:`owner`; empty until it is kept.
    """

    device: str
    outcome: Outcome
    latched: bool = True
    seconds: float = 0.0
    detail: str = ""
    process: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """A later verdict with the same one takes its place."""
        return self.device, self.process

    @property
    def owned(self) -> Verdict:
        """The same, with the process whose device it is."""
        return self if self.process else replace(self, process=owner())

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        foreign = f", of process {pid_of(self.process)}" if self.process not in ("", owner()) else ""
        return f"{self.device}: {self.outcome}{'' if self.latched else ', not latched'}{foreign}{detail}"

    def as_json(self) -> dict[str, Any]:
        """As kept in the record."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        """From the record."""
        return cls(**{**data, "outcome": Outcome(data["outcome"])})


@dataclass(frozen=True)
class StopReport:
    """What a stop-all came to.

    :param reason: why it was called.
    :param by: who called it.
    :param at: when, in seconds since 1970.
    :param verdicts: one for each device.
    """

    reason: str
    by: str
    at: float
    verdicts: tuple[Verdict, ...]

    @property
    def unconfirmed(self) -> tuple[Verdict, ...]:
        """The devices that nobody can say are safe."""
        return tuple(verdict for verdict in self.verdicts if verdict.outcome is not Outcome.CONFIRMED)

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.at).astimezone().isoformat(" ", "seconds")
        lines = [f"stopped everything at {when}: {self.reason} (by {self.by})"]
        lines += [f"  {verdict}" for verdict in self.verdicts] or ["  no device was connected"]
        return "\n".join(lines)
