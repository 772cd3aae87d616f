"""The session's side: starts the watchdog, tells it of every port, and gives signs of life."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.link import LinkSafety, SerialLink
from rdaq_ophyd.stop import Halted, Target, follow_foreign, halt_all, latch, observe, targets

from ._wire import ACK, BEAT, tell

logger = logging.getLogger(__name__)
BOUND = 10.0
"""Seconds of silence of the whole process after which the watchdog makes the rig safe."""
LOOP_BOUND = 30.0
"""Seconds in which the event loop must have run once; then the session stops everything by itself."""
PATIENCE = 5.0
"""Seconds for the watchdog to take a message."""


def bound_from_environment() -> float | None:
    """``$RDAQ_WATCHDOG``: seconds, or ``off``; None for off.

    :raises RdaqError: it is neither.
    """
    text = os.environ.get("RDAQ_WATCHDOG", "").strip().lower()
    if text in ("off", "0"):
        return None
    try:
        seconds = float(text or BOUND)
    except ValueError:
        seconds = -1.0
    if not 1.0 <= seconds <= 3600.0:
        raise RdaqError(f"RDAQ_WATCHDOG={text!r} is no bound", hint="give 1 to 3600 seconds, or off")
    return seconds


class Guard:
    """Keeps a watchdog beside this process, from ``start`` to ``close``.

    If the process dies in between, or all of it hangs, the watchdog stops every device that is connected then.

    :param bound: seconds of silence that count as hanging, 1 to 3600; None for ``$RDAQ_WATCHDOG``, else 10 s.
    :param loop: the event loop that moves things; when it hangs for 30 s, everything is stopped.
    """

    def __init__(self, bound: float | None = None, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._bound = bound if bound is not None else bound_from_environment()
        self._loop = loop
        self._told: dict[str, tuple[int, Any]] = {}
        self._others: tuple[list[str], list[str]] = ([], [])
        self._latch: Path | None = None
        self._lock = threading.Lock()
        self._wake, self._closing = threading.Event(), False
        self._peer: socket.socket | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._unobserve: Callable[[], None] = lambda: None
        self._loop_ran = time.monotonic()
        self._loop_reported = False

    @property
    def pid(self) -> int | None:
        """The watchdog's process; None while there is none."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start the watchdog. Off by ``RDAQ_WATCHDOG=off``, and on Windows, which cannot hand ports to it."""
        if self._bound is None or sys.platform == "win32":
            logger.warning("no watchdog: if this process dies, nothing stops what it set in motion")
            return
        self._spawn()
        self._thread = threading.Thread(target=self._feed, name="rdaq-watchdog-feed", daemon=True)
        self._thread.start()
        # Only a nudge: whoever connects a device must not wait for another process.
        self._unobserve = observe(self._wake.set)

    def close(self) -> None:
        """Say goodbye, and wait until the watchdog ended. Close the devices before. Idempotent."""
        self._unobserve()
        self._unobserve = lambda: None
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
            self._thread = None
        with self._lock:
            peer, self._peer = self._peer, None
            child, self._child = self._child, None
            if peer is not None:
                with contextlib.suppress(OSError):  # it ended before
                    self._send(peer, {"do": "bye"})
                peer.close()
        if child is not None:
            try:
                child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                logger.error("the watchdog did not end; it was killed")
                child.kill()
                child.wait()

    def __enter__(self) -> Guard:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def sync(self) -> None:
        """Tell the watchdog now of what was opened, closed or set since the last time."""
        with self._lock:
            if self._peer is None:
                return
            try:
                self._tell_all(self._peer)
            except OSError as error:
                self._restart(error)

    # -- the watchdog's process ----------------------------------------------------------------------------------

    def _spawn(self) -> None:
        mine, theirs = socket.socketpair()
        mine.settimeout(PATIENCE)
        command = [sys.executable, "-m", "rdaq_ophyd.watchdog", "--fd", str(theirs.fileno()), "--pid", str(os.getpid())]
        with theirs:
            self._child = subprocess.Popen(
                [*command, "--bound", str(self._bound)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._peer = mine
        self._told.clear()
        self._others = ([], [])
        self._latch = None

    def _restart(self, error: OSError) -> None:
        if self._closing:
            return
        logger.error("the watchdog does not answer (%s); another one is started", error)
        peer, child = self._peer, self._child
        try:
            self._spawn()
        except OSError as again:  # no descriptor, no memory: the old one may still see a death
            logger.error("no other watchdog could be started: %s", again)
            return
        if peer is not None:
            peer.close()
        if child is not None:
            child.kill()
            child.wait()

    # -- what it is told -----------------------------------------------------------------------------------------

    def _feed(self) -> None:
        while True:
            self._wake.clear()
            if self._closing:
                return
            for step in (self.sync, self._beat, self._check_loop, self._check_latch):
                try:
                    step()
                except Exception:  # without signs of life from here, a healthy session would be ended
                    logger.exception("a step of the watchdog's feed failed")
            self._wake.wait(BEAT)

    def _beat(self) -> None:
        with self._lock:
            if self._peer is not None:
                try:
                    tell(self._peer, {"do": "beat"})
                except OSError as error:
                    self._restart(error)

    def _tell_all(self, peer: socket.socket) -> None:
        if latch.path != self._latch:
            self._latch = latch.path
            self._send(peer, {"do": "latch", "path": str(latch.path or "")})
        found = targets()
        # A port that is gone is given up by the watchdog too: it would keep the device's name busy.
        links = [target for target in found if isinstance(target, LinkSafety) and target.link.is_open]
        now = {str(target.number): target for target in links}
        for number in [number for number in self._told if number not in now]:
            del self._told[number]
            self._send(peer, {"do": "drop", "id": number})
        for number, target in now.items():
            self._tell_port(peer, number, target)
        others = _others(found)
        if others != self._others:
            self._others = others
            self._send(peer, {"do": "others", "others": others[0], "passive": others[1]})

    def _tell_port(self, peer: socket.socket, number: str, target: LinkSafety) -> None:
        link, states = target.link, [state.as_json() for state in target.states()]
        news = (link.openings, states)
        if self._told.get(number) == news or not link.is_open:
            return
        known = self._told.get(number)
        message: dict[str, Any] = {"do": "port", "id": number, "url": link.url, "states": states}
        if isinstance(link, SerialLink):
            message["settings"] = asdict(link.settings)
        if known is not None and known[0] != link.openings:
            self._send(peer, {"do": "drop", "id": number})
            known = None
        fd = link.duplicate() if known is None else None
        if fd is None:
            if known is None and link.fileno() is not None:
                return  # being opened or closed at this moment: next time
            self._send(peer, message)
        else:
            try:
                self._send(peer, {**message, "fd": True}, fd)
            finally:
                os.close(fd)
        self._told[number] = news

    def _send(self, peer: socket.socket, message: dict[str, Any], fd: int | None = None) -> None:
        tell(peer, message, fd)
        self._acknowledged(peer)

    @staticmethod
    def _acknowledged(peer: socket.socket) -> None:
        if peer.recv(1) != ACK:
            raise ConnectionError("the watchdog hung up")

    # -- the event loop ------------------------------------------------------------------------------------------

    def _check_loop(self) -> None:
        if self._loop is None or self._loop.is_closed():
            return
        silent = time.monotonic() - self._loop_ran
        if silent > LOOP_BOUND and not self._loop_reported:
            self._loop_reported = True
            logger.error("the event loop has hung for %.0f s: everything is stopped", silent)
            _confirm_apart(halt_all(f"the event loop hung for {silent:.0f} s"))
        with contextlib.suppress(RuntimeError):  # it was closed just now
            self._loop.call_soon_threadsafe(self._note_loop)

    def _check_latch(self) -> None:
        """Somebody else tripped the latch: halt what began in that instant, and find out what is known of each."""
        if (halted := follow_foreign()) is not None:
            _confirm_apart(halted)

    def _note_loop(self) -> None:
        self._loop_ran, self._loop_reported = time.monotonic(), False


def _confirm_apart(halted: Halted) -> None:
    """In a thread of its own: waiting for verdicts here, we would give no sign of life."""
    threading.Thread(target=halted.confirm, name="rdaq-stop", daemon=True).start()


def _others(found: list[Target]) -> tuple[list[str], list[str]]:
    """Names of the devices without a link: those nobody reaches later, and those that end with this process."""
    rest = [target for target in found if not isinstance(target, LinkSafety)]
    passive = [name for target in rest if getattr(target, "ends_with_process", False) for name in target.devices()]
    return [name for target in rest for name in target.devices() if name not in passive], passive
