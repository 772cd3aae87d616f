"""Frames that are read while the reader does something else, so that they do not wait on the line."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from ._frames import Come
from ._window import Window

type Split = Callable[[bytes], Sequence[Come]]


class Ahead:
    """Reads a stream of messages in a thread of its own, as many frames ahead as a window grants.

    :param messages: the stream; closing it ends the thread.
    :param window: how many frames.
    :param grant: tells the other side that it may send so many more.
    :param split: a message into its frames.
    """

    def __init__(self, messages: Iterable[bytes], window: Window, grant: Callable[[int], None], split: Split) -> None:
        self._messages, self._window, self._grant, self._split = messages, window, grant, split
        self._lock = threading.Lock()
        self._come: queue.SimpleQueue[deque[Come] | None] = queue.SimpleQueue()
        self._taking: deque[Come] = deque()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="frames-ahead", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for message in self._messages:
                self._came(message)
                del message  # its memory is free for the next one as soon as whoever takes its frames is done
        except BaseException as error:  # noqa: BLE001 raised again where the messages are taken
            self._error = error
        finally:
            self._come.put(None)

    def _came(self, message: bytes) -> None:
        frames, now = self._split(message), time.monotonic()
        with self._lock:
            for frame in frames:
                self._window.arrived(frame.array.nbytes, now, frame.header.waited)
        self._come.put(deque(frames))  # once a message: each would wake the reader

    def next(self) -> Come | None:
        """The next frame, and a grant for one more; None at the end. For one reader, not for several.

        :raises RdaqError: the stream broke off.
        """
        began = time.monotonic()
        while not self._taking:
            if (come := self._come.get()) is None:
                self._come.put(None)
                if self._error is not None:
                    raise self._error
                return None
            self._taking = come
        frame, now = self._taking.popleft(), time.monotonic()
        with self._lock:
            self._window.taken(now - began, now, is_last=not self._taking)
            number = self._window.grant(now)
        if number:
            self._grant(number)
        return frame

    def join(self) -> None:
        """Wait for the thread, bounded, after the stream was closed."""
        if self._thread is not threading.current_thread():
            self._thread.join(10)
