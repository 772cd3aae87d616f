"""Thorlabs ELL14 rotation mounts on their bus, simulated from the Elliptec protocol manual: packets, moves, status."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from rdaq_ophyd.sim import _ell14_rotator as codes
from rdaq_ophyd.sim._ell14_packets import ADDRESSES, HOME, UNFINISHED, WRONG, PacketReader
from rdaq_ophyd.sim._ell14_rotator import Rotator, number, signed
from rdaq_ophyd.sim._instrument import Instrument, Reply

__all__ = ["Rotator", "SimEll14"]

#: What starts a motion: it ends a group, and needs the supply.
MOTIONS = {"ma", "mr", HOME, "fw", "bw", "s1", "s2", "om", "cm"}
#: Questions, which a busy device answers.
QUESTIONS = {"in", "gs", "gp", "gv", "gj", "go", "i1", "i2"}


@dataclass
class _Place:
    """A device on the bus."""

    address: str
    rotator: Rotator
    saved: str
    group: str = ""
    deaf_until: float = float("-inf")

    def hears(self, address: str) -> bool:
        """In a group it answers to that address only."""
        return address == (self.group or self.address)


class SimEll14(Instrument):
    """Rotation mounts on one line; 9600 baud, packets with or without CR or LF, replies end with CR LF.

    :param rotators: the devices, or their addresses.
    :param movers: how many the supply feeds at once; one more and ``overload`` happens to it.
    :param overload: it reports an over-current at once, or stalls and reports a mechanical time-out.
    :param answers_while_busy: False for a firmware that hears nothing but ``st`` while its motor turns.
    :param stop_reply: what answers ``st``, and a jog without an end with it: a status, a position, nothing.
    :param speed: factor on velocities, where ``rotators`` are addresses.
    :param latency: seconds per command.
    """

    name = "ell14"
    baud: ClassVar[int] = 9600
    terminator = b"\r"

    def __init__(
        self,
        rotators: Mapping[str, Rotator] | Iterable[str] = "03A",
        *,
        movers: int = 2,
        overload: Literal["over-current", "mechanical time-out"] = "over-current",
        answers_while_busy: bool = True,
        stop_reply: Literal["GS", "PO", ""] = "GS",
        speed: float = 1.0,
        latency: float = 0.0,
    ) -> None:
        super().__init__(latency=latency)
        if not isinstance(rotators, Mapping):
            rotators = {a: Rotator(f"{11400517 + i}", speed=speed) for i, a in enumerate(rotators)}
        if not rotators or not set(rotators) <= set(ADDRESSES):
            raise ValueError(f"addresses {list(rotators)}: give one or more of {ADDRESSES}")
        self._places = [_Place(address, rotator, saved=address) for address, rotator in rotators.items()]
        self.movers, self.overload = movers, overload
        self.answers_while_busy, self.stop_reply = answers_while_busy, stop_reply
        #: Seconds in a minute of ``is``; less for a test that does not want to wait for one.
        self.minute = 60.0
        self._packets = PacketReader()
        self._unasked: list[Reply] = []

    @property
    def rotators(self) -> dict[str, Rotator]:
        """The devices by the address that they have now; of two at one address, the first."""
        return {place.address: place.rotator for place in reversed(self._places)}

    def angle(self, address: str, t: float) -> float:
        """Degrees from its home switch at which the mount at ``address`` stands at ``t`` s."""
        return self.rotators[address].degrees(t)

    # -- disturbances, to be caused through ``Port.call``

    def press(self, address: str, now: float, *, forward: bool = True) -> None:
        """Somebody presses a button of the hand-held keypad: it jogs, and says so unasked."""
        for place in self._at(address):
            if place.rotator.motion is None:
                self._say(now, place, f"BS{codes.BUSY:02X}")
                place.rotator.jog(1 if forward else -1, now, place.rotator.by_button)

    def cause(self, address: str, code: int, now: float) -> None:
        """The motion in progress ends here and now with an error."""
        for place in self._at(address):
            place.rotator.freeze(now)
            self._say(now, place, place.rotator.refuse(code))

    def power_cycle(self, now: float) -> None:
        """The supply is switched off and on: what was not saved is lost, and where zero is."""
        self._packets = PacketReader()
        self._waiting.clear()
        for place in self._places:
            place.rotator.power_cycle(now)
            place.address, place.group, place.deaf_until = place.saved, "", float("-inf")

    # -- bytes and time

    def feed(self, data: bytes, now: float) -> list[Reply]:
        """Take ``data`` that arrived at ``now``; return the replies that are due by then."""
        replies = self.advance(now)
        for value in data:
            for packet in self._packets.take(value, now):
                self.enqueue(packet, now)
        return replies + self.advance(now)

    def advance(self, now: float) -> list[Reply]:
        """Let time pass until ``now``; return what became due, in order."""
        if (due := self._packets.due()) is not None and due <= now:
            for packet in self._packets.idle(now):
                self.enqueue(packet, due)
        replies = super().advance(now)
        unasked, self._unasked = self._unasked, []
        return sorted(replies + unasked, key=lambda reply: reply.at)

    def wake_at(self) -> float | None:
        """The next end of a motion, of a pause, or of a command's latency."""
        ends = [place.rotator.done_at() for place in self._places if place.rotator.motion is not None]
        times = [super().wake_at(), self._packets.due(), *(end for end in ends if end < float("inf"))]
        if self._unasked:
            times.append(self._unasked[0].at)
        return min((t for t in times if t is not None), default=None)

    def elapse(self, now: float) -> None:
        """Motions end."""
        for place in self._places:
            for t, text in place.rotator.elapse(now):
                self._say(t, place, text)
            if float("-inf") < place.deaf_until <= now:
                place.deaf_until, place.rotator.status = float("-inf"), codes.RELEASED

    def split(self, line: str) -> list[str]:
        """Not asked: packets are no lines."""
        raise NotImplementedError(line)

    def overlong(self, now: float) -> None:
        """Not asked: packets have their lengths."""
        raise NotImplementedError(now)

    def mnemonic(self, command: str) -> str:
        """The two letters."""
        return command[1:3]

    def execute(self, command: str, now: float) -> bytes | None:
        """Carry out a packet on each device that hears it; two that answer together spoil each other's bytes."""
        address, name, data = command[0], command[1:3], command[3:]
        answers = [
            f"{place.address}{said}\r\n".encode()
            for place in self._at(address)
            if self._hears(place, name, now) and (said := self._answer(place, command[1:], name, data, now))
        ]
        return functools.reduce(_collide, answers) if answers else None

    def _hears(self, place: _Place, name: str, now: float) -> bool:
        if now < place.deaf_until:
            return False
        cleaner = next((p for p in self._places if p.rotator.motion and p.rotator.motion.kind == "clean"), None)
        if cleaner is not None:  # it occupies the whole bus
            return cleaner is place and name == "st"
        return place.rotator.motion is None or self.answers_while_busy or name == "st"

    def _answer(self, place: _Place, what: str, name: str, data: str, now: float) -> str | None:
        rotator = place.rotator
        if what == UNFINISHED:
            rotator.status = codes.TIMED_OUT  # nobody waits for an answer any more
            return None
        if what == WRONG:
            return rotator.refuse(codes.WRONG_COMMAND)
        if name in QUESTIONS:
            return self._tell(rotator, name, now)
        if name == "st":
            return self._stop(rotator, now)
        if rotator.motion is not None:
            return f"GS{codes.BUSY:02X}"
        if name in MOTIONS:
            return self._start(place, name, data, now)
        return self._set(place, name, data, now)

    @staticmethod
    def _tell(rotator: Rotator, name: str, now: float) -> str:
        match name:
            case "in":
                return rotator.information()
            case "gs":
                return rotator.report()
            case "gp":
                return rotator.position(now)
            case "gv":
                return f"GV{rotator.settings['gv']:02X}"
            case "gj" | "go":
                return {"gj": "GJ", "go": "HO"}[name] + number(rotator.settings[name])
            case _:
                return rotator.motor(name[1])

    def _stop(self, rotator: Rotator, now: float) -> str | None:
        cleaned = rotator.motion is not None and rotator.motion.kind == "clean"
        if not rotator.stop(now) and rotator.motion is not None:
            return f"GS{codes.BUSY:02X}" if self.stop_reply == "GS" else None  # a bounded move goes on
        if self.stop_reply == "PO":
            return rotator.position(now)
        return f"GS{codes.OK:02X}" if self.stop_reply or cleaned else None

    def _start(self, place: _Place, name: str, data: str, now: float) -> str | None:
        place.group = ""
        rotator = place.rotator
        if sum(p.rotator.moving for p in self._places) >= self.movers:
            if self.overload == "over-current":
                return rotator.refuse(codes.OVER_CURRENT)
            rotator.stall(now)
            return None
        match name:
            case "ma":
                rotator.to_reading(signed(data), now)
            case "mr":
                rotator.to_reading(rotator.reading(now) + signed(data), now)
            case "fw" | "bw":
                rotator.jog(1 if name == "fw" else -1, now)
            case "ho":
                if data not in {"", "0", "1", "00", "01"}:
                    return rotator.refuse(codes.BAD_VALUE)
                rotator.home(data.endswith("1"), now)
            case "s1" | "s2":
                rotator.occupy("search", codes.SEARCH_TIME / rotator.speed, now)
            case _:
                rotator.occupy("clean", codes.CLEAN_TIME / rotator.speed, now)
                return f"GS{codes.BUSY:02X}"
        return None

    def _set(self, place: _Place, name: str, data: str, now: float) -> str:
        rotator = place.rotator
        match name:
            case "sv" if int(data, 16) > 100:
                return rotator.refuse(codes.BAD_VALUE)
            case "sv":
                rotator.settings["gv"] = int(data, 16)
            case "sj" if signed(data) < 0:
                return rotator.refuse(codes.BAD_VALUE)
            case "sj" | "so":
                rotator.settings["g" + name[1]] = signed(data)
            case "us":
                rotator.saved, place.saved = dict(rotator.settings), place.address
            case "ca":
                place.address = data
            case "ga":
                place.group = data
            case _:
                place.deaf_until = now + int(data, 16) * self.minute
        return f"GS{codes.OK:02X}"

    def _at(self, address: str) -> list[_Place]:
        return [place for place in self._places if place.hears(address)]

    def _say(self, t: float, place: _Place, text: str) -> None:
        self._unasked.append(Reply(t, f"{place.address}{text}\r\n".encode()))


def _collide(one: bytes, other: bytes) -> bytes:
    """Open collectors on one line: a low bit of either wins; the longer one goes on alone."""
    shorter, longer = sorted((one, other), key=len)
    return bytes(a & b for a, b in zip(shorter, longer, strict=False)) + longer[len(shorter) :]
