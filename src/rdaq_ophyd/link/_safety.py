"""What makes the devices on one link safe: the link's part of a stop-all."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rdaq_ophyd.errors import LinkClosed, RdaqError, ReplyTimeout
from rdaq_ophyd.stop import Outcome, SafeState, Verdict, register, unregister

from ._framing import Line
from ._lane import Lane

if TYPE_CHECKING:
    from ._link import Link

logger = logging.getLogger(__name__)
PAUSE = 0.01
"""Seconds between two rounds of questions."""


@dataclass
class _Declared:
    states: Callable[[], Sequence[SafeState]]
    note: Callable[[], None]
    known: Sequence[SafeState] = ()

    def now(self) -> Sequence[SafeState]:
        """As it is now; as it was known last where the driver fails to say."""
        try:
            self.known = tuple(self.states())
        except Exception:  # the other devices must be stopped whatever this driver does
            logger.exception("how a device is made safe")
        return self.known


@dataclass
class _Case:
    """One device on its way to a verdict."""

    state: SafeState
    begun: float
    steps: list[tuple[str, bytes]]
    taken: list[str] = field(default_factory=list)
    deadline: float = 0.0
    answered: bool = False
    silences: int = 0
    agreed: int = 0
    trouble: str = ""
    verdict: Verdict | None = None

    def conclude(self, outcome: Outcome, detail: str) -> None:
        seconds = time.monotonic() - self.begun
        self.verdict = Verdict(self.state.device, outcome, seconds=seconds, detail=detail)


_NUMBERS = itertools.count(1)


class LinkSafety:
    """A target of stop-all: halts what the devices on a link declared, and asks them whether they are safe."""

    def __init__(self, link: Link) -> None:
        self.number = next(_NUMBERS)
        self._link = link
        self._declared: dict[object, _Declared] = {}
        self._begun = 0.0
        self._missed = False

    def declare(
        self, owner: object, states: Callable[[], Sequence[SafeState]], note: Callable[[], None] = lambda: None
    ) -> None:
        """From now on stop-all makes ``owner`` safe.

        :param states: how; asked each time, since it may depend on settings.
        :param note: called before the halt is written; must not wait.
        """
        self._declared[owner] = _Declared(states, note)
        register(self)

    def retract(self, owner: object) -> None:
        """It is closed."""
        self._declared.pop(owner, None)
        if not self._declared:
            unregister(self)

    @property
    def link(self) -> Link:
        """The link of these devices."""
        return self._link

    def states(self) -> list[SafeState]:
        """What is declared now, light and shutters first."""
        found = [state for declared in list(self._declared.values()) for state in declared.now()]
        return sorted(found, key=lambda state: not state.first)

    @property
    def first(self) -> bool:
        """Whether there is light or a shutter on this link."""
        return any(state.first for state in self.states())

    @property
    def bound(self) -> float:
        """Seconds within which ``confirm`` ends."""
        states = self.states()
        # They are asked one after another. A reply that does not come costs its time-out, and as long again in which
        # it may still come late.
        one_round = sum(3 * state.reply_timeout for state in states)
        return max((len(state.steps()) * (state.seconds + one_round) for state in states), default=0.0)

    def devices(self) -> list[str]:
        """Names of the devices that are made safe."""
        return [state.device for state in self.states()]

    def note_stop(self) -> None:
        """Tell every device on the link that a stop is about to be written. Any thread; waits for nothing.

        For a device whose own stop is one for its neighbours too.
        """
        for declared in list(self._declared.values()):
            try:
                declared.note()
            except Exception:  # the halt must be written whatever this driver does
                logger.exception("telling a device of a stop")

    def halt(self) -> None:
        """Write every halt, each once, past everything that waits."""
        self._begun = time.monotonic()
        self._missed = False
        self.note_stop()
        states = self.states()
        preempting = b"".join(_distinct(state.halt for state in states if state.preempt and not state.answered))
        queued = list({state.halt: state for state in states if state.answered or not state.preempt}.values())
        try:
            if preempting and not self._link.preempt_soon(preempting):
                # Somebody is writing to this port, or it does not take bytes: the other links must not wait for that.
                threading.Thread(target=self._write, args=(preempting,), name="rdaq-halt", daemon=True).start()
            if queued:
                # A signal handler may have interrupted whoever holds the queue's lock: never wait for it here.
                threading.Thread(target=self._queue, args=(queued,), name="rdaq-halt", daemon=True).start()
        except RdaqError as error:
            self._note_missed(error)

    def _queue(self, states: list[SafeState]) -> None:
        try:
            for state in states:
                # It may still wait when the port vanishes.
                self._submit(state, state.halt).add_done_callback(self._sent)
        except RdaqError as error:
            self._note_missed(error)

    def _submit(self, state: SafeState, command: bytes) -> Future[bytes]:
        """Queue a halt; its answer, where it has one, must not be taken for that of the question that follows."""
        reply = Line(state.end) if state.answered else False
        return self._link.submit(command, reply=reply, lane=Lane.URGENT, timeout=state.reply_timeout, safe=True)

    def _sent(self, done: Future[bytes]) -> None:
        error = None if done.cancelled() else done.exception()
        if isinstance(error, RdaqError) and not isinstance(error, ReplyTimeout):
            self._note_missed(error)

    def catch_up(self) -> None:
        """The port is back: write a halt that it missed, before anything else is accepted."""
        if self._missed:
            self.halt()

    def _note_missed(self, error: RdaqError) -> None:
        self._missed = True
        logger.error("%s: the halt was not written: %s", self._link.url, error)

    def _write(self, command: bytes) -> None:
        try:
            self._link.preempt(command)
        except RdaqError as error:
            self._note_missed(error)

    def confirm(self) -> list[Verdict]:
        """Ask each device until it is safe; then the stronger means that it declares, one after another."""
        return self._judge([_Case(s, self._begun or time.monotonic(), s.steps()) for s in self.states()])

    def recheck(self) -> list[Verdict]:
        """Ask each device again, and write nothing."""
        return self._judge([_Case(s, time.monotonic(), s.steps()[:1]) for s in self.states()])

    def _judge(self, cases: list[_Case]) -> list[Verdict]:
        for case in cases:
            self._next_step(case, write=False)  # `halt` has written the first
        while open_cases := [case for case in cases if case.verdict is None]:
            for case in sorted(open_cases, key=lambda case: case.silences):
                if case.verdict is None and not self._ask(case) and self._learn_from_silence(cases, case):
                    break
                self._hurry(open_cases)
            if any(case.verdict is None for case in cases):
                time.sleep(PAUSE)
        return [case.verdict for case in cases if case.verdict is not None]

    def _next_step(self, case: _Case, *, write: bool) -> None:
        name, command = case.steps.pop(0)
        case.taken.append(name)
        case.deadline = time.monotonic() + case.state.seconds
        if write:
            try:
                if case.state.preempt and not case.state.answered:
                    self._link.preempt(command)
                else:
                    self._submit(case.state, command)
            except RdaqError as error:
                case.trouble = str(error)

    def _hurry(self, cases: list[_Case]) -> None:
        """On a bus, stronger means for a silent device do not wait until the others were asked."""
        for case in cases:
            if case.verdict is None and case.silences and case.steps:
                self._judge_time(case)

    def _learn_from_silence(self, cases: list[_Case], silent: _Case) -> bool:
        """On a link that has been mute since the halt, one time-out is enough for all; whether it was such a one."""
        silent.silences += 1
        mute = not any(case.answered for case in cases)
        for case in cases if mute else [silent]:
            if case.verdict is None:
                case.trouble = silent.trouble
                self._judge_time(case)
        return mute

    def _ask(self, case: _Case) -> bool:
        """Ask once; False when nothing came back."""
        state = case.state
        if not state.question:
            case.conclude(Outcome.UNCONFIRMED, "it was told to stop, but has no way to tell whether it did")
            return True
        try:
            reply = self._link.submit(
                state.question, reply=Line(state.end), lane=Lane.URGENT, timeout=state.reply_timeout, safe=True
            ).result(state.reply_timeout * 2 + 1)
        except LinkClosed as error:
            case.conclude(Outcome.UNREACHABLE, str(error))
            return True
        except (RdaqError, TimeoutError) as error:
            case.trouble = str(error) or "the question found no turn"
            return False
        case.answered = True
        case.agreed = case.agreed + 1 if state.is_safe(reply) else 0
        if case.agreed >= state.agree:
            case.conclude(Outcome.CONFIRMED, _how(case.taken))
        elif not case.agreed:
            case.trouble = f"to {state.question!r} it said {reply!r}"
            self._judge_time(case)
        return True

    def _judge_time(self, case: _Case) -> None:
        if time.monotonic() > case.deadline:
            self._escalate(case)

    def _escalate(self, case: _Case) -> None:
        if case.steps:
            logger.warning("%s: not safe after %s (%s)", case.state.device, case.taken[-1], case.trouble)
            self._next_step(case, write=True)
            return
        if not case.answered and not case.silences:
            return  # a bus is not mute before each of its devices was asked
        outcome = Outcome.UNCONFIRMED if case.answered else Outcome.UNREACHABLE
        case.conclude(outcome, f"after {', '.join(case.taken)}: {case.trouble}")


def _how(taken: list[str]) -> str:
    return "" if len(taken) == 1 else "after " + ", ".join(taken)


def _distinct(commands: Iterable[bytes]) -> list[bytes]:
    return list(dict.fromkeys(commands))
