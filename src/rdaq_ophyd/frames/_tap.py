"""Frames for those who may miss some: live views, analyses, streams. However slow they are, the writer gets all."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import NamedTuple, Self

from ._lease import FrameRef


class TapCounts(NamedTuple):
    """What became of the frames; at any time ``offered == taken + skipped + pending``."""

    offered: int
    taken: int
    skipped: int
    pending: int


class FrameTap:
    """The newest frame of a camera, for one reader in whichever thread or event loop.

    A frame that is not taken before the next one comes is skipped and counted. While the reader still holds ``keep``
    frames (or arrays made from them) it is offered none, so a stalled reader keeps at most ``keep`` of the camera's
    buffers and a fresh one. Frames are leases: release each, or use it in a ``with`` block. They are numbered as in the
    file.

    A context manager; iterate over it, with ``for`` or ``async for``, until it is closed.

    :param name: of the reader, for messages.
    :param keep: frames that the reader may hold at once, at least 1.
    :param leave: called once when it closes.
    :raises ValueError: ``keep`` is below 1.
    """

    def __init__(self, name: str, *, keep: int = 1, leave: Callable[[FrameTap], None] = lambda _tap: None) -> None:
        if keep < 1:
            raise ValueError(f"tap {name}: keep={keep}, but a reader holds at least 1 frame")
        self.name, self.keep = name, keep
        self._leave = leave
        self._changed = threading.Condition()
        self._waiting: FrameRef | None = None
        self._offered = self._taken = self._skipped = self._out = 0
        # Appended to when a buffer comes back, from any thread and within the garbage collector: without a lock.
        self._returned: deque[None] = deque()
        self._wakes: set[Callable[[], None]] = set()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it was closed: no frame comes any more."""
        return self._closed

    @property
    def counts(self) -> TapCounts:
        """What became of all frames so far."""
        with self._changed:
            return TapCounts(self._offered, self._taken, self._skipped, int(self._waiting is not None))

    def offer(self, ref: FrameRef, base: int = 0) -> None:
        """Called for each frame by the thread that acquires; never waits.

        :param base: number in the file of the frame that the camera numbers 0.
        """
        with self._changed:
            if self._closed:
                return
            self._offered += 1
            while self._returned:
                self._returned.popleft()
                self._out -= 1
            previous, self._waiting = self._waiting, None
            self._skipped += previous is not None
            if self._out - (previous is not None) >= self.keep:
                self._skipped += 1
            else:
                number = base + ref.sequence
                self._waiting = ref.share(f"tap {self.name}", lambda: self._returned.append(None), number)
                self._out += 1
                self._wake()
        if previous is not None:
            previous.release()

    def _wake(self) -> None:
        self._changed.notify_all()
        for wake in self._wakes:
            wake()

    def take(self, timeout: float | None = None) -> FrameRef | None:
        """The newest frame that was not taken yet; None when none came within ``timeout`` seconds, or it is closed."""
        with self._changed:
            self._changed.wait_for(self._is_over, timeout)
            return self._pop()

    def _is_over(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self._waiting is not None or self._closed

    def _pop(self) -> FrameRef | None:
        ref, self._waiting = self._waiting, None
        self._taken += ref is not None
        return ref

    async def next(self, timeout: float | None = None) -> FrameRef | None:
        """The same as :meth:`take` for an event loop, which it does not block."""
        with self._changed:
            if self._is_over():
                return self._pop()
        loop, ready = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop ended while somebody waited on it
                loop.call_soon_threadsafe(ready.set)

        with self._changed:
            if self._is_over():  # since this moment
                return self._pop()
            self._wakes.add(wake)
        try:
            with contextlib.suppress(TimeoutError):  # one that came in the last moment is handed out all the same
                await asyncio.wait_for(ready.wait(), timeout)
        finally:
            with self._changed:
                self._wakes.discard(wake)
        with self._changed:
            return self._pop()

    def close(self) -> None:
        """End it; a frame that waits is given back and counts as skipped. Idempotent, from any thread."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            waiting, self._waiting = self._waiting, None
            self._skipped += waiting is not None
            self._wake()
        if waiting is not None:
            waiting.release()
        self._leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[FrameRef]:
        while not self._closed:
            if (ref := self.take()) is not None:
                yield ref

    async def __aiter__(self) -> AsyncIterator[FrameRef]:
        while not self._closed:
            if (ref := await self.next()) is not None:
                yield ref


class FanOut:
    """The taps of one camera; they come and go from any thread while it acquires."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taps: tuple[FrameTap, ...] = ()
        self._left = TapCounts(0, 0, 0, 0)

    def open(self, name: str, keep: int) -> FrameTap:
        """A new tap, from the next frame on."""
        tap = FrameTap(name, keep=keep, leave=self._remove)
        with self._lock:
            self._taps = (*self._taps, tap)
        return tap

    @property
    def counts(self) -> TapCounts:
        """What became of all frames for all readers, also those who have left."""
        with self._lock:
            return _sum(self._left, *(tap.counts for tap in self._taps))

    def _remove(self, tap: FrameTap) -> None:
        with self._lock:
            self._left = _sum(self._left, tap.counts)
            self._taps = tuple(other for other in self._taps if other is not tap)

    def offer(self, ref: FrameRef, base: int = 0) -> None:
        """Show a frame to every tap, numbered from ``base`` on."""
        for tap in self._taps:
            tap.offer(ref, base)

    def close(self) -> None:
        """End all of them."""
        for tap in self._taps:
            tap.close()


def _sum(*counts: TapCounts) -> TapCounts:
    return TapCounts(*map(sum, zip(*counts, strict=True)))
