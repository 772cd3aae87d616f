"""bluesky's own suspenders on signals of ophyd-async."""

from __future__ import annotations

from functools import cache
from typing import Any

from bluesky.suspenders import SuspenderBase
from ophyd_async.core import SignalR

from ._watched import NotGood, Watched

__all__ = ["Watched", "on_signal"]


def on_signal[S: SuspenderBase](kind: type[S], signal: SignalR[Any], *args: Any, **kwargs: Any) -> S:
    """One of bluesky's suspenders on a signal of ophyd-async: ``on_signal(SuspendFloor, meter.power, 1e-6, sleep=5)``.

    A value that nobody can judge suspends, whatever the kind: not a number, an alarm severity of 3 (invalid), no
    reading at all.

    :param kind: ``SuspendFloor``, ``SuspendCeil``, ``SuspendWhenOutsideBand``, ``SuspendBoolHigh``, … or your own.
    :param args: what the kind takes after its signal; ``kwargs`` too (``sleep``, ``pre_plan``, ``post_plan``, …).
    """
    if not isinstance(signal, SignalR):
        raise TypeError(f"{signal!r} is no readable signal of ophyd-async; bluesky's own suspenders take ophyd's")
    made: S = _careful(kind)(Watched(signal), *args, **kwargs)
    return made


@cache
def _careful[S: SuspenderBase](kind: type[S]) -> type[S]:
    """The kind, with values that cannot be judged as bad ones."""

    class Careful(kind):  # type: ignore[valid-type, misc] # a base that is known at run time only
        def _should_suspend(self, value: Any) -> bool:
            return isinstance(value, NotGood) or bool(super()._should_suspend(value))

        def _should_resume(self, value: Any) -> bool:
            return not isinstance(value, NotGood) and bool(super()._should_resume(value))

        def _get_justification(self) -> str:
            if self.tripped and isinstance(value := self._sig.get(), NotGood):
                told = (f"Signal {self._sig.name} cannot be relied on: {value!r}", self._tripped_message)
                return ": ".join(text for text in told if text)
            return str(super()._get_justification())

    Careful.__name__ = Careful.__qualname__ = kind.__name__
    return Careful
