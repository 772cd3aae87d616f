"""A frame as a lease on the camera's own buffer."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rdaq_ophyd.errors import FrameReleased

logger = logging.getLogger(__name__)
# Between two looks whether a buffer came back, s: a part of the period of a fast camera.
_LOOK = 0.0005


class _Entry(NamedTuple):
    """A lease that is out; ``of`` is the pin of the lease that it shares the buffer of, or its own."""

    sequence: int
    since: float
    holder: str
    of: int
    released: bool = False

    def __str__(self) -> str:
        holder = f" (held by {self.holder})" if self.holder else ""
        return f"frame {self.sequence}{holder}"


class LeaseBook:
    """Which buffers of one camera are out, since when, with whom. All methods may be called from any thread."""

    def __init__(self, camera: str = "camera") -> None:
        self.camera = camera
        self._out: dict[int, _Entry] = {}
        self._named: set[int] = set()

    def __len__(self) -> int:
        return len({entry.of for entry in list(self._out.values())})

    def wait_below(self, buffers: int, timeout: float) -> bool:
        """Wait in a thread until fewer than so many buffers are out; False when that is not so after ``timeout`` s."""
        # Looked for, not told: leases end in the garbage collector too, where no lock may be taken.
        limit = time.monotonic() + timeout
        while len(self) >= buffers:
            if time.monotonic() > limit:
                return False
            time.sleep(_LOOK)
        return True

    def holders(self) -> dict[str, int]:
        """Buffers that are out by who has them, for those who say their name: the readers beside the file."""
        found = {(entry.of, entry.holder) for entry in list(self._out.values()) if entry.holder}
        return dict(Counter(holder for _, holder in sorted(found)))

    def overdue(self, seconds: float) -> list[int]:
        """Sequence numbers of the frames whose buffers have been out for longer than ``seconds``."""
        limit = time.monotonic() - seconds
        return sorted({entry.sequence for entry in list(self._out.values()) if entry.since < limit})

    def warn_overdue(self, seconds: float) -> None:
        """Name each frame that keeps its buffer for longer than ``seconds``, once."""
        limit = time.monotonic() - seconds
        out = list(self._out.items())
        shared = {entry.of for key, entry in out if entry.of != key}
        for key, entry in out:
            if entry.released and key in shared:
                continue  # done with it; whoever shares it is named
            if entry.since < limit and key not in self._named:
                self._named.add(key)
                logger.warning(
                    "%s: %s has kept its buffer for over %.0f s: %s; with all buffers out the camera loses frames",
                    self.camera,
                    entry,
                    seconds,
                    "it was released, but an array taken from it is alive: keep a copy instead"
                    if entry.released
                    else "release it, or copy the array",
                )

    def _enter(self, pin: _Pin, sequence: int, holder: str) -> None:
        self._out[id(pin)] = _Entry(sequence, time.monotonic(), holder, pin.of)

    def _note_released(self, pin: _Pin) -> None:
        if (entry := self._out.get(id(pin))) is not None:
            self._out[id(pin)] = entry._replace(released=True)

    def _leave(self, pin: _Pin) -> None:
        self._out.pop(id(pin), None)
        self._named.discard(id(pin))


class _Pin:
    """The ``base`` of every array made from one buffer: the buffer goes back when the last of them dies.

    NumPy keeps the object that offers ``__array_interface__`` alive as the base of the array it makes from it.
    """

    __slots__ = ("__array_interface__", "__weakref__", "_book", "_buffer", "_give_back", "of")

    def __init__(
        self,
        buffer: NDArray[Any],
        sequence: int,
        give_back: Callable[[], None] | None,
        book: LeaseBook | None,
        holder: str,
    ) -> None:
        base: object = buffer.base
        self.of: int = base.of if isinstance(base, _Pin) else id(self)
        self.__array_interface__ = _interface(buffer)
        self._buffer = buffer
        self._give_back = give_back
        self._book = book
        if book is not None:
            book._enter(self, sequence, holder)

    def __del__(self) -> None:
        try:
            if self._give_back is not None:
                self._give_back()
        finally:  # not before it is back: who waits for fewer to be out takes one at once
            if self._book is not None:
                self._book._leave(self)


def _interface(buffer: NDArray[Any]) -> dict[str, Any]:
    """Where the pixels are, read-only. To ask NumPy for it is a third of what a lease costs: shares need not."""
    base: object = buffer.base
    if isinstance(base, _Pin) and (buffer.shape, buffer.dtype) == (base._buffer.shape, base._buffer.dtype):
        return base.__array_interface__  # contiguous, and as large: it is all of it
    interface = buffer.__array_interface__
    return {**interface, "data": (interface["data"][0], True)}


class FrameRef:
    """One frame in the camera's own buffer: a read-only view, its number and its times. Nothing is copied.

    Whoever holds it calls :meth:`release` once. The buffer returns to the camera when the frame is released *and*
    no array made from it is alive. Safe to use from any thread.

    :param buffer: the camera's memory, C-contiguous, shape ``(height, width)``.
    :param sequence: number of the frame since the start of the acquisition, from 0; a gap is a lost frame.
    :param host_time: seconds since the epoch when the frame reached the host, see ``CameraClock``.
    :param hardware_time: the camera's own time stamp in its ticks, 0 if it has none.
    :param camera: name for messages.
    :param give_back: called once, from whichever thread drops the last reference; must not block.
    :param book: where the lease is noted.
    :param holder: who has it, for messages.
    """

    __slots__ = ("_array", "_book", "_lock", "camera", "hardware_time", "holder", "host_time", "nbytes", "sequence")

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
        holder: str = "",
    ) -> None:
        self._lock = threading.Lock()
        self._array: NDArray[Any] | None = None
        if not buffer.flags.c_contiguous:
            raise ValueError(f"{camera}: the buffer of frame {sequence} is not contiguous")
        self._array = np.asarray(_Pin(buffer, sequence, give_back, book, holder))
        self._book = book
        self.sequence = sequence
        self.host_time = host_time
        self.hardware_time = hardware_time
        self.camera = camera
        self.holder = holder
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

    def share(
        self, holder: str = "", returned: Callable[[], None] | None = None, sequence: int | None = None
    ) -> FrameRef:
        """Another lease on the same buffer, to be released by its own holder.

        :param holder: who gets it; a warning about a lease that is kept too long names it.
        :param returned: called once, from any thread, when it is released and none of its arrays is alive.
        :param sequence: another number for it, such as that in the file.
        """
        return FrameRef(
            self.array,
            sequence=self.sequence if sequence is None else sequence,
            host_time=self.host_time,
            hardware_time=self.hardware_time,
            camera=self.camera,
            give_back=returned,
            book=self._book,
            holder=holder,
        )

    def release(self) -> None:
        """Give the lease up. A second call does nothing."""
        with self._lock:
            array, self._array = self._array, None
        if array is not None and self._book is not None:
            self._book._note_released(array.base)  # type: ignore[arg-type]  # the pin, see above
        del array  # outside the lock: this may run give_back

    def __enter__(self) -> FrameRef:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __del__(self) -> None:
        if getattr(self, "_array", None) is not None:
            holder = f" by {self.holder}" if self.holder else ""
            logger.warning("%s: frame %d was dropped%s without release()", self.camera, self.sequence, holder)

    def __repr__(self) -> str:
        state = "released" if self.released else "held"
        return f"<FrameRef {self.camera} {self.sequence}, {self.nbytes} bytes, {state}>"
