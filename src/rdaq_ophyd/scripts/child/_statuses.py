"""What a script has of a status: how it stands, asked when it is looked at."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from rdaq_ophyd.errors import RdaqError


class RemoteStatus:
    """A status of the rig's; wait for it with ``bps.wait(group)``.

    :param number: in the rig.
    :param ask: gives how it stands.
    """

    def __init__(self, number: int, ask: Callable[[int], dict[str, Any]]) -> None:
        self.number, self._ask = number, ask

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return bool(self._ask(self.number)["done"])

    @property
    def success(self) -> bool:
        """Whether it is over, and well."""
        return bool(self._ask(self.number)["success"])

    def exception(self, timeout: float | None = 0.0) -> BaseException | None:
        """Why it failed; None where it did not, or is not over."""
        del timeout
        found: BaseException | None = self._ask(self.number)["exception"]
        return found

    def add_callback(self, callback: Any) -> None:
        """Refused: nobody would call it in time.

        :raises RdaqError: always.
        """
        raise RdaqError(
            f"a status in a script's process calls nobody back ({callback!r:.80})", hint="wait for it: bps.wait(group)"
        )

    def __repr__(self) -> str:
        return f"<status {self.number}>"


class Statuses:
    """Those that a script holds.

    :param ask: gives how one stands, by number.
    """

    def __init__(self, ask: Callable[[int], dict[str, Any]]) -> None:
        self._ask = ask
        self._released: list[int] = []

    def make(self, number: int) -> RemoteStatus:
        """The one of that number."""
        status = RemoteStatus(number, self._ask)
        weakref.finalize(status, self._released.append, number).atexit = False
        return status

    def released(self) -> list[int]:
        """Those that the script has let go since this was asked last."""
        numbers = self._released[:]
        del self._released[: len(numbers)]
        return numbers
