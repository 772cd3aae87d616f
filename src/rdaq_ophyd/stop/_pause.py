"""The pause flag: loops that take frames or samples look at it before they take the next."""

from __future__ import annotations


class Pause:
    """Set while a plan is paused or suspended. Any thread may set, clear and read it; nobody waits for a lock."""

    def __init__(self) -> None:
        self._set = False

    @property
    def is_set(self) -> bool:
        """Whether nothing more is to be taken for now."""
        return self._set

    def set(self) -> None:
        """Take nothing more."""
        self._set = True

    def clear(self) -> None:
        """Go on; what was stopped is started again by whoever resumes it, never by this."""
        self._set = False


pause = Pause()
"""The flag of this process."""
