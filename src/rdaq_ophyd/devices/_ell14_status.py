"""Status codes of Elliptec devices (protocol manual, section "DEVGET_STATUS GS")."""

from __future__ import annotations

from rdaq_ophyd.errors import InstrumentError

OK, BUSY = 0, 9

CAUSES = {
    1: "communication time-out: half a packet arrived",
    2: "mechanical time-out: the motor did not get where it was sent",
    3: "command error, or not supported",
    4: "value out of range",
    5: "isolated",
    6: "out of isolation",
    7: "initialising",
    8: "thermal error",
    9: "busy",
    10: "sensor error",
    11: "motor error",
    12: "out of range",
    13: "over-current",
}
"""The manual's texts, by code; 14 to 255 are reserved."""

HINTS = {
    2: "is it blocked, too slow, or its supply too weak? `search_frequency` finds the motors' resonance",
    5: "it answers again when its minutes are over",
    8: "let it cool: a mount may turn 40 % of the time",
    13: "one supply feeds two movers at once; give Ell14Bus(..., movers=1) where yours is weaker",
}
"""Next steps, by code."""


def failure(device: str, code: int, doing: str = "") -> InstrumentError:
    """The error for a status that is neither fine nor busy.

    :param doing: what it was told, for the message.
    """
    cause = CAUSES.get(code, "reserved status code")
    return InstrumentError(device, code, f"{cause}, {doing}" if doing else cause, hint=HINTS.get(code, ""))
