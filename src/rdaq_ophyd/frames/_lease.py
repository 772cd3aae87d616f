"""A frame as a lease on the camera's own buffer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdaq_ophyd.errors import FrameReleased

logger = logging.getLogger(__name__)


class LeaseBook:
    """Which buffers of one camera are out, since when. All methods may be called from any thread."""

    def __init__(self, camera: str = "camera") -> None:
        self.camera = camera
        self._out: dict[int, tuple[int, float]] = {}
        self._named: set[int] = set()

    def __len__(self) -> int:
        return len(self._out)

    def overdue(self, seconds: float) -> list[int]:
        """Sequence numbers of the frames whose buffers have been out for longer than ``seconds``."""
        limit = time.monotonic() - seconds
        return sorted(sequence for sequence, since in list(self._out.values()) if since < limit)

    def warn_overdue(self, seconds: float) -> None:
        """Name each frame that keeps its buffer for longer than ``seconds``, once."""
        limit = time.monotonic() - seconds
        for key, (sequence, since) in list(self._out.items()):
            if since < limit and key not in self._named:
                self._named.add(key)
                logger.warning(
                    "%s: frame %d has kept its buffer for over %.0f s; the camera loses frames when all its buffers "
                    "are out. Release the frame, or copy the array",
                    self.camera,
                    sequence,
                    seconds,
                )

    def _enter(self, pin: _Pin, sequence: int) -> None:
        self._out[id(pin)] = (sequence, time.monotonic())

    def _leave(self, pin: _Pin) -> None:
        self._out.pop(id(pin), None)
        self._named.discard(id(pin))


class _Pin:
    """The ``base`` of every array made from one buffer: the buffer goes back when the last of them dies.

    NumPy keeps the object that offers ``__array_interface__`` alive as the base of the array it makes from it.
    """

    __slots__ = ("__array_interface__", "__weakref__", "_book", "_buffer", "_give_back")

    def __init__(
        self, buffer: NDArray[Any], sequence: int, give_back: Callable[[], None] | None, book: LeaseBook | None
    ) -> None:
        interface = buffer.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], True)}  # True: read-only
        self._buffer = buffer
        self._give_back = give_back
        self._book = book
        if book is not None:
            book._enter(self, sequence)

    def __del__(self) -> None:
        if self._book is not None:
            self._book._leave(self)
        if self._give_back is not None:
            self._give_back()


class FrameRef:
    """One frame in the camera's own buffer: a read-only view, its number and its times. Nothing is copied.

    Whoever holds it calls :meth:`release` once. The buffer returns to the camera when the frame is released *and*
    no array made from it is alive. Safe to use from any thread.

    :param buffer: the camera's memory, C-contiguous, shape ``(height, width)``.
    :param sequence: number of the frame since the start of the acquisition, from 0; a gap is a lost frame.
    :param host_time: seconds since the epoch when the frame reached the host.
    :param hardware_time: the camera's own time stamp in its ticks, 0 if it has none.
    :param camera: name for messages.
    :param give_back: called once, from whichever thread drops the last reference; must not block.
    :param book: where the lease is noted.
    """

    __slots__ = ("_array", "_book", "_lock", "camera", "hardware_time", "host_time", "nbytes", "sequence")

    def __init__(
        self,
        buffer: NDArray[Any],
        *,
        sequence: int,
        host_time: float,
        hardware_time: int = 0,
        camera: str = "camera",
        give_back: Callable[[], None] | None = None,
        book: LeaseBook | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._array: NDArray[Any] | None = None
        if not buffer.flags.c_contiguous:
            raise ValueError(f"{camera}: the buffer of frame {sequence} is not contiguous")
        self._array = np.asarray(_Pin(buffer, sequence, give_back, book))
        self._book = book
        self.sequence = sequence
        self.host_time = host_time
        self.hardware_time = hardware_time
        self.camera = camera
        self.nbytes = buffer.nbytes

    @property
    def array(self) -> NDArray[Any]:
        """The pixels, shape ``(height, width)``, read-only; keeps the buffer as long as it (or a slice of it) lives.

        :raises FrameReleased: after :meth:`release`.
        """
        with self._lock:
            if self._array is None:
                raise FrameReleased(
                    f"{self.camera}: frame {self.sequence} was released",
                    hint="take .array before release(), or keep a copy",
                )
            return self._array

    @property
    def released(self) -> bool:
        """Whether :meth:`release` was called."""
        return self._array is None

    def share(self) -> FrameRef:
        """Another lease on the same buffer, to be released by its own holder."""
        return FrameRef(
            self.array,
            sequence=self.sequence,
            host_time=self.host_time,
            hardware_time=self.hardware_time,
            camera=self.camera,
            book=self._book,
        )

    def release(self) -> None:
        """Give the lease up. A second call does nothing."""
        with self._lock:
            array, self._array = self._array, None
        del array  # outside the lock: this may run give_back

    def __enter__(self) -> FrameRef:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __del__(self) -> None:
        if getattr(self, "_array", None) is not None:
            logger.warning("%s: frame %d was dropped without release()", self.camera, self.sequence)

    def __repr__(self) -> str:
        state = "released" if self.released else "held"
        return f"<FrameRef {self.camera} {self.sequence}, {self.nbytes} bytes, {state}>"
