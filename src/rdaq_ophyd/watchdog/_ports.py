"""The ports that the watchdog holds for its session, and what it writes to them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.link import Link, SerialSettings, make_link, writable
from rdaq_ophyd.stop import Outcome, SafeState, StopReport, Verdict, stop_all

from ._shared_link import SharedLink


@dataclass
class Port:
    """One port of the session.

    :param url: of the port.
    :param fd: our duplicate of its descriptor; None where there is none to be had.
    :param states: how its devices are made safe.
    :param settings: of the line, to open it ourselves where there is no descriptor.
    """

    url: str
    fd: int | None
    states: list[SafeState] = field(default_factory=list)
    settings: SerialSettings | None = None

    def halt(self) -> str:
        """Write the halts that may be written at any time; what cannot be done, in words.

        Twice: if the session was ended within a line, the first one completes that line to nonsense.
        """
        command = b"".join(dict.fromkeys(state.halt for state in self.states if state.preempt))
        if not command:
            return "" if not self.states else "its instrument takes no stop while its session holds the port"
        if self.fd is None:
            return "it cannot be written to while its session lives"
        try:
            if not writable(self.fd, 0.2):
                return "the port takes no bytes"
            os.write(self.fd, command * 2)
        except OSError as error:
            return f"the port stopped working: {error}"
        return ""

    def link(self) -> Link:
        """A link to rescue its devices with."""
        return make_link(self.url, self.settings) if self.fd is None else SharedLink(self.url, self.fd)

    def unlock(self) -> None:
        """Let others open the port, also while a duplicate of the descriptor is still in use somewhere."""
        if self.fd is not None:
            with contextlib.suppress(OSError):  # no port that can be locked
                fcntl.flock(self.fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the descriptor up."""
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)


class Ports:
    """All ports of the session, as it told of them."""

    def __init__(self) -> None:
        self._ports: dict[str, Port] = {}
        # Requests from outside come in threads of their own; a descriptor must not be closed under a halt.
        self._lock = threading.RLock()
        self._others: list[str] = []
        self._passive: list[str] = []

    def note(self, message: Mapping[str, Any], fd: int | None) -> None:
        """A port was opened, or its devices are made safe in another way from now on."""
        with self._lock:
            port = self._ports.get(message["id"])
            if port is None:
                settings = message.get("settings")
                port = Port(message["url"], fd, settings=SerialSettings(**settings) if settings else None)
                self._ports[message["id"]] = port
            port.states = [SafeState.from_json(state) for state in message["states"]]

    def drop(self, number: str) -> None:
        """A port was closed."""
        with self._lock:
            if (port := self._ports.pop(number, None)) is not None:
                port.close()

    def note_others(self, others: list[str], passive: list[str]) -> None:
        """Devices without a link: those that nobody can reach later, and those that end with their process."""
        self._others, self._passive = others, passive

    def urls(self) -> list[str]:
        """The ports that can be served."""
        return [port.url for port in list(self._ports.values())]

    def halt(self) -> list[str]:
        """Write the halts on every port, past its session; what could not be done."""
        with self._lock:
            troubles = [(port.url, port.halt()) for port in self._ports.values()]
        return [f"{url}: {trouble}" for url, trouble in troubles if trouble]

    def rescue(self, reason: str, by: str) -> StopReport:
        """Make every device safe, now that its session is gone: latch, halts, confirmation by readback."""
        links, lost = self._open()
        report = stop_all(reason, by=by)
        for link in links:
            link.safety.retract(link)
            link.close()
        with self._lock:
            for port in self._ports.values():
                port.unlock()
                port.close()
            self._ports.clear()
        verdicts = [*report.verdicts, *lost, *self._without_link()]
        return StopReport(report.reason, report.by, report.at, tuple(verdicts))

    def _open(self) -> tuple[list[Link], list[Verdict]]:
        links: list[Link] = []
        lost: list[Verdict] = []
        # The halts first, for all: opening a link takes longer than writing to it.
        self.halt()
        for port in self._ports.values():
            if not port.states:
                continue
            start, link, states = time.monotonic(), port.link(), port.states
            try:
                link.open()
            except RdaqError as error:
                seconds = time.monotonic() - start
                lost += [Verdict(s.device, Outcome.UNREACHABLE, seconds=seconds, detail=str(error)) for s in states]
                continue
            # What the session asked last may still be answered: that is not for us.
            link.resync()
            link.safety.declare(link, lambda states=states: states)  # type: ignore[misc]
            links.append(link)
        return links, lost

    def _without_link(self) -> list[Verdict]:
        gone = "has no link of ours, and its process is gone"
        return [
            *(Verdict(name, Outcome.UNREACHABLE, latched=False, detail=gone) for name in self._others),
            *(Verdict(name, Outcome.CONFIRMED, detail="ended with its process") for name in self._passive),
        ]
