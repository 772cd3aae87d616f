"""The watchdog itself: waits for its session to die or to fall silent, and then makes the rig safe."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rdaq_ophyd.stop import Listener, Outcome, StopReport, keep, latch, speak_for

from ._ports import Ports
from ._wire import ACK, Inbox

PARENT_LOOK = 0.25
"""Seconds between two looks whether the session is still our parent."""
GRACE = 2.0
"""Seconds that a hung session has, after its instruments were stopped, to show that it lives; then it is ended."""


@dataclass
class Charge:
    """The session that is watched.

    :param pid: its process.
    :param bound: seconds of silence that count as hanging.
    """

    pid: int
    bound: float


class Watchdog:
    """One session's watchdog; ``run`` returns its exit code.

    :param peer: our end of the socket pair; its end of file means that the session died.
    """

    def __init__(self, peer: socket.socket, charge: Charge) -> None:
        self._peer, self._charge = peer, charge
        self._inbox = Inbox(peer)
        self._ports = Ports()
        self._last = time.monotonic()
        self._ended = False
        self._by = f"watchdog of process {charge.pid}"
        speak_for(charge.pid)
        self._listener = Listener({"halt": self._on_halt, "status": self._on_status}, watches=charge.pid)

    def run(self) -> int:
        """Watch until the session says goodbye, dies, or must be ended."""
        try:
            while True:
                silence = time.monotonic() - self._last
                if not self._listen(max(0.0, self._charge.bound - silence)):
                    return 0 if self._ended else self._rescue("its session died")
                if time.monotonic() - self._last >= self._charge.bound and not self._revive():
                    return self._rescue(f"its session was silent for {self._charge.bound:g} s and was ended")
        finally:
            self._listener.close()

    def _listen(self, seconds: float) -> bool:
        """Take what the session says within ``seconds``; False when there will be nothing more."""
        # A process that the session forked keeps the other end open: its death shows in who our parent is, too.
        if not select.select([self._peer], [], [], min(seconds, PARENT_LOOK))[0]:
            return os.getppid() == self._charge.pid
        messages = self._inbox.take()
        for message, fd in messages or ():
            self._last = time.monotonic()
            self._handle(message, fd)
        return messages is not None and not self._ended

    def _handle(self, message: Mapping[str, Any], fd: int | None) -> None:
        match message["do"]:
            case "port":
                self._ports.note(message, fd)
            case "drop":
                self._ports.drop(message["id"])
            case "others":
                self._ports.note_others(message["others"], message["passive"])
            case "latch":
                latch.attach(Path(message["path"])) if message["path"] else latch.detach()
                self._listener.keep(message["path"])
            case "bye":
                self._ended = True
        if message["do"] != "beat":
            with contextlib.suppress(OSError):  # it died while it waited: the end of file tells that
                self._peer.sendall(ACK)

    def _on_halt(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Somebody asks from outside: the latch first, then the halts, whatever the session is doing."""
        latch.trip(str(request["reason"]), str(request["by"]))
        return {"troubles": self._ports.halt()}

    def _on_status(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"ports": self._ports.urls(), "bound": self._charge.bound}

    def _revive(self) -> bool:
        """The session is silent: latch, halts; then it has some time to show that it lives. False when it does not."""
        latch.trip(f"its session was silent for {self._charge.bound:g} s", self._by)
        for trouble in self._ports.halt():
            say(trouble)
        silent_since, end = self._last, time.monotonic() + GRACE
        while self._last == silent_since and (left := end - time.monotonic()) > 0:
            if not self._listen(left):
                return True  # it died or ended: the loop sees that next
        if self._last != silent_since:
            say(f"process {self._charge.pid} was silent for {self._charge.bound:g} s; its instruments were stopped")
            return True
        self._end_session()
        return False

    def _end_session(self) -> None:
        if os.getppid() == self._charge.pid:  # else it has died, and its number may be another's
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._charge.pid, signal.SIGKILL)
        end = time.monotonic() + GRACE
        while (left := end - time.monotonic()) > 0 and self._listen(left):
            pass

    def _rescue(self, why: str) -> int:
        report = self._ports.rescue(why, self._by)
        say(str(report))
        keep(report)
        if report.unconfirmed:
            say("not everything could be made safe: look at the bench")
        return 1 if any(v.outcome is not Outcome.CONFIRMED for v in report.verdicts) else 0


def say(text: str) -> None:
    """To whoever still reads the session's terminal."""
    with contextlib.suppress(OSError):  # nobody may be there any more
        sys.stderr.write(f"rdaq watchdog: {text}\n")
        sys.stderr.flush()


__all__ = ["Charge", "StopReport", "Watchdog"]
