"""What messages call an instrument that streams, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass

from rdaq_ophyd.errors import RdaqError


@dataclass(frozen=True)
class Words:
    """The words of one kind of instrument.

    :param error: what is raised when it fails, or is asked for what it cannot do.
    :param device: what it is called, such as ``camera``.
    :param item: what it takes, one a row of its file and one an event, such as ``frame``.
    :param late: the next step when none comes in time.
    :param broken: the next step when its SDK fails.
    """

    error: type[RdaqError]
    device: str
    item: str
    late: str
    broken: str

    @property
    def items(self) -> str:
        """More than one of them."""
        return f"{self.item}s"
