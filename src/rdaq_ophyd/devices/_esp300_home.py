"""The modes in which an ESP300 axis searches home."""

from __future__ import annotations

from ophyd_async.core import StrictEnum


class HomeMode(StrictEnum):
    """Where a home search ends (manual, command ``OR``); that place is then the position ``SH``, usually zero."""

    ZERO = "zero position"
    """Position zero as it is: no search, and it defines nothing."""
    SWITCH_AND_INDEX = "home switch and index"
    SWITCH = "home switch"
    POSITIVE_LIMIT = "positive limit"
    NEGATIVE_LIMIT = "negative limit"
    POSITIVE_LIMIT_AND_INDEX = "positive limit and index"
    NEGATIVE_LIMIT_AND_INDEX = "negative limit and index"

    @classmethod
    def of(cls, code: int) -> HomeMode:
        """By the number that ``OR`` takes and ``OM?`` answers.

        :raises ValueError: it is not one of 0 to 6.
        """
        if code not in range(len(cls)):
            raise ValueError(f"home_mode {code}: 0 to 6 (manual, command OR)")
        return list(cls)[code]

    @property
    def code(self) -> int:
        """The number that ``OR`` takes."""
        return list(type(self)).index(self)
