"""The life of a port: opened, lost, opened again, checked, closed."""

from __future__ import annotations

import contextlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from rdaq_ophyd.errors import LinkClosed, RdaqError

from ._exchanger import SLICE, Exchanger, Patience, closed
from ._framing import Framing
from ._heart import Heart
from ._port_errors import vanished
from ._queue import LaneQueue
from ._record import Record
from ._reopen import Reopener
from ._state import LinkState
from ._watch import watch

_HANDSHAKE: ContextVar[object] = ContextVar("port whose instrument is being checked", default=None)


class Port(ABC):
    """A port with an owner thread while it is open; a transport provides the bytes.

    :param url: where the instrument is; used in messages.
    :param patience: with an instrument that is out of step.
    :param bound: how many exchanges may wait in each lane.
    :ivar reopening: open the port again when it vanished. Whoever sets it must watch the state and answer
        ``CHECKING`` with ``accept`` or ``reject``.
    """

    def __init__(self, url: str, patience: Patience, bound: int) -> None:
        self.url = url
        self.reopening = False
        self._patience, self._bound = patience, bound
        self._record = Record()
        self._exchanger: Exchanger | None = None
        self._thread: threading.Thread | None = None
        self._watched: int | None = None
        self._openings = 0
        self._state = LinkState.CLOSED
        self._checking = False
        self._rejected = ""
        self._lost: LinkClosed | None = None
        self._heart: tuple[bytes, Framing | None, float] = (b"", None, 0.0)
        self._watchers: list[Callable[[LinkState], None]] = []
        # Held while the port is opened or closed; the other one while somebody is told of a new state. Never both.
        self._state_lock = threading.Lock()
        self._telling = threading.RLock()
        self._reopener = Reopener(url, self._reopen)

    # -- what a transport provides; `_read` is called by the owner thread alone, `_write` by one thread at a time -----

    @abstractmethod
    def _open(self) -> None:
        """Open the port."""

    @abstractmethod
    def _read(self, seconds: float) -> bytes:
        """Return what arrived, waiting for it up to ``seconds``; ``b""`` when nothing came."""

    @abstractmethod
    def _write(self, data: bytes) -> None:
        """Write all of ``data``."""

    @abstractmethod
    def _shut(self) -> None:
        """Close the port; harmless when it is closed."""

    def _stray(self, seconds: float) -> bytes:
        """The same, when nothing was asked; a transport of messages must not read then."""
        return self._read(seconds)

    _slice = SLICE
    """Longest single ``_read``, in seconds: how soon a close is noticed."""

    def _ready(self) -> bool:
        """Whether a write would return at once; True where the transport cannot tell."""
        return True

    def fileno(self) -> int | None:
        """The descriptor of the open port; None where there is none that another process could use."""
        return None

    # -- state --------------------------------------------------------------------------------------------------

    @property
    def state(self) -> LinkState:
        """What is known of the instrument at the other end."""
        return self._state

    @property
    def is_open(self) -> bool:
        """Whether exchanges are accepted."""
        exchanger = self._exchanger
        return exchanger is not None and exchanger.lost is None and not self._checking

    @property
    def openings(self) -> int:
        """How often the port was opened: another number means another descriptor, whatever its value."""
        return self._openings

    def watch(self, watcher: Callable[[LinkState], None]) -> Callable[[], None]:
        """Call ``watcher`` at each change of the state, from whatever thread changes it; it must not wait.

        :return: ends that.
        """
        self._watchers.append(watcher)

        def end() -> None:
            with contextlib.suppress(ValueError):  # ended before
                self._watchers.remove(watcher)

        return end

    def _change(self, new: LinkState) -> None:
        with self._telling:
            if new is self._state:
                return
            self._state = new
            self._record.trace.add("state", new.encode())
            for watcher in list(self._watchers):
                watcher(new)

    # -- opening and closing ------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the port and start its owner thread; nothing happens when it is open. Blocks: call it in a thread.

        :raises PortNotFound: there is no such port, or nobody listens at the address.
        :raises PortBusy: somebody else holds the port.
        :raises PortNotPermitted: the user may not open it.
        """
        self._reopener.give_up()
        try:
            with self._state_lock:
                if self.is_open:
                    return
                self._close_port()
                self._checking = False
                self._open_port()
        finally:
            self._reopener.allow()
            self._go_on_trying()
        self._reopener.succeeded()
        self._catch_up()
        self._tell_open(LinkState.CONNECTED)

    def close(self) -> None:
        """Close the port; what waits, or is not answered within 0.1 s more, fails with LinkClosed. May be repeated."""
        self._reopener.give_up()
        with self._state_lock:
            self._close_port()
            self._checking = False
        self._change(LinkState.CLOSED)
        self._reopener.join()

    def heartbeat(self, question: bytes, framing: Framing, every: float) -> None:
        """Ask ``question`` when nothing else was asked for ``every`` seconds.

        From the next opening on; of one that has a heartbeat, the question changes at once.

        Two in a row without an answer make the state MUTE, any answer CONNECTED.

        :param question: whole lines; a pure question.
        """
        self._heart = (question, framing, every)
        if (exchanger := self._exchanger) is not None:
            exchanger.heart.question, exchanger.heart.framing = question, framing

    def duplicate(self) -> int | None:
        """A duplicate of the open port's descriptor, for another process; whoever asks closes it.

        None where there is none to be had, or while the port is being opened or closed.
        """
        if not self._state_lock.acquire(timeout=0.1):
            return None
        try:
            fd = self.fileno() if self.is_open else None
            return None if fd is None else os.dup(fd)
        finally:
            self._state_lock.release()

    def _open_port(self) -> None:
        self._open()
        self._openings += 1
        exchanger = Exchanger(
            self.url,
            self._read,
            self._write,
            LaneQueue(self.url, self._bound),
            self._patience,
            self._record,
            lambda: self._on_lost(exchanger),
            Heart(
                *self._heart,
                mute=lambda: self._tell_open(LinkState.MUTE),
                back=lambda: self._tell_open(LinkState.CONNECTED),
            ),
            self._stray,
            self._slice,
        )
        self._exchanger = exchanger
        self._thread = threading.Thread(target=exchanger.run, daemon=True, name=f"rdaq-link {self.url}")
        self._thread.start()
        self._watched = self.fileno()
        if self._watched is not None:
            watch.add(self._watched, lambda: self._hung_up(exchanger))

    def _hung_up(self, exchanger: Exchanger) -> None:
        exchanger.lose(vanished(self.url, OSError("the other end is gone")))

    def _close_port(self) -> None:
        exchanger, self._exchanger = self._exchanger, None
        thread, self._thread = self._thread, None
        fd, self._watched = self._watched, None
        if exchanger is not None:
            self._record.counters.coalesced += exchanger.queue.coalesced
            exchanger.close()
        if thread is not None:
            thread.join()
        if fd is not None:
            watch.remove(fd)
        with contextlib.suppress(OSError):  # a port that vanished may refuse to be closed
            self._shut()

    def _tell_open(self, new: LinkState) -> None:
        """The port is open and ``new`` is known of it; unless it vanished meanwhile, which is told by who noticed."""
        with self._telling:
            exchanger = self._exchanger
            if exchanger is not None and exchanger.lost is None and not (self._checking and new is LinkState.MUTE):
                self._change(LinkState.CHECKING if self._checking else new)

    # -- lost and found -----------------------------------------------------------------------------------------

    def _on_lost(self, exchanger: Exchanger) -> None:
        with self._telling:
            if self._exchanger is not exchanger:
                return  # closed in this very moment, or opened again since
            self._record.counters.lost += 1
            self._lost = exchanger.lost
            try:
                self._change(LinkState.LOST)
            finally:  # whatever a watcher does, the port is looked for
                if self.reopening:
                    self._reopener.start()

    def _go_on_trying(self) -> None:
        """Opening by hand failed, or the port vanished again meanwhile: it is looked for as before."""
        if not self.is_open and self._state is not LinkState.CLOSED:
            self._change(LinkState.LOST)
            if self.reopening:
                self._reopener.start()

    def _reopen(self, wanted: Callable[[], bool]) -> None:
        with self._state_lock:
            if not wanted() or self.is_open:
                return
            self._close_port()
            self._checking = True
            self._open_port()
        self._tell_open(LinkState.CHECKING)

    @contextlib.contextmanager
    def handshake(self) -> Iterator[None]:
        """Exchanges asked for within, also by tasks made within, pass while the instrument is being checked."""
        token = _HANDSHAKE.set(self)
        try:
            yield
        finally:
            _HANDSHAKE.reset(token)

    def accept(self, opening: int | None = None) -> None:
        """The instrument is the one it should be: halts that could not be written go first, then all may be asked.

        :param opening: the number of ``openings`` when it was asked; a port that was lost and opened again since is
            not accepted. None: as it is now.
        """
        exchanger = self._exchanger
        if not self._checking or exchanger is None or opening not in (None, self._openings):
            return
        self._catch_up()
        with self._telling:
            if self._exchanger is not exchanger or exchanger.lost is not None:
                return  # gone again meanwhile
            self._checking = False
        self._record.counters.reopened += 1
        self._reopener.succeeded()
        self._tell_open(LinkState.CONNECTED)

    def reject(self, error: RdaqError) -> None:
        """Another instrument is behind the port: it is closed, and tried again now and then."""
        with self._state_lock:
            if not self._checking or self._exchanger is None:
                return
            self._rejected = error.what
            self._close_port()
        with self._telling:
            if self._state is LinkState.CLOSED:
                return  # closed in this very moment
            self._change(LinkState.WRONG)
        self._reopener.start(slowly=True)

    @abstractmethod
    def _catch_up(self) -> None:
        """Write the halts that the port missed."""

    def _alive(self, *, halt: bool = False) -> Exchanger:
        """What takes exchanges now.

        :param halt: a halt passes also before the instrument was checked.
        """
        exchanger = self._exchanger
        if exchanger is None:
            if self._state is LinkState.WRONG:
                raise LinkClosed(
                    f"{self.url}: another instrument is behind this port: {self._rejected}",
                    hint="plug the right one in; it is noticed within a few seconds",
                )
            if self._state is LinkState.LOST and self._lost is not None:
                raise LinkClosed(self._lost.what, hint="plug it in again; what was asked before is not asked again")
            raise closed(self.url)
        exchanger.check_alive()
        if self._checking and not halt and _HANDSHAKE.get() is not self:
            raise LinkClosed(
                f"{self.url}: the port is back, but whether the same instrument is behind it is not known yet "
                f"({exchanger.last()})",
                hint="try again in a moment",
            )
        return exchanger
