"""Plans that a pause cuts into legs: nothing of them is replayed, they look at what there is and do the rest."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from bluesky import Msg
from bluesky.utils import MsgGenerator, NoReplayAllowed


class Cut:
    """Notices pauses for a plan; the RunEngine takes it for a device.

    :ivar watching: a pause is the plan's own affair now, and nothing must be replayed after it.
    :ivar happened: there was one since the plan set this to false; one message of the plan may be lost.
    """

    name, parent = "cut", None

    def __init__(self) -> None:
        self.watching = self.happened = False

    def watch(self) -> MsgGenerator[None]:
        """From now on."""
        yield Msg("null", self)  # the RunEngine tells all that it has seen
        self.watching = True

    def pause(self) -> None:
        """Note it.

        :raises NoReplayAllowed: to the RunEngine, while the plan watches.
        """
        if self.watching:
            self.happened = True
            raise NoReplayAllowed

    def resume(self) -> None:
        """The plan goes on by itself."""

    def leg(self, plan: MsgGenerator[None]) -> Generator[Msg, Any, bool]:
        """Do a plan, until a pause ends it.

        :return: whether it came to its own end.
        """
        response = None
        try:
            while not self.happened:
                try:
                    message = plan.send(response)
                except StopIteration:
                    return True
                response = yield message
        finally:
            plan.close()
        return False
