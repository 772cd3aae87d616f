"""Whether the instrument still answers: a question when nothing else was asked for a while."""

from __future__ import annotations

from collections.abc import Callable

from ._framing import Framing

MISSES = 2
"""Questions in a row without an answer after which the instrument counts as mute."""


class Heart:
    """Counts answers and silences of one opening of a link.

    :param question: asked when nothing was exchanged for ``every`` seconds; empty for none.
    :param mute: called when the instrument has become mute; ``back``: when it answers again.
    """

    def __init__(
        self,
        question: bytes,
        framing: Framing | None,
        every: float,
        mute: Callable[[], None],
        back: Callable[[], None],
    ) -> None:
        self.question, self.framing = question, framing
        self.every = every if question else None
        self._mute, self._back = mute, back
        self._misses = 0

    def answered(self) -> None:
        """A question was answered."""
        if self._misses >= MISSES:
            self._back()
        self._misses = 0

    def missed(self) -> None:
        """A question was not."""
        self._misses += 1
        if self._misses == MISSES:
            self._mute()
