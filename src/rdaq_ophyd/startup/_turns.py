"""Whose turn it is at a rig: one plan's, or that of hands, each of which moves something else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rdaq_ophyd.errors import EngineBusy

__all__ = ["Hand", "Turns"]


@dataclass(eq=False)
class Hand:
    """Who moves or sets something now.

    :ivar stopped: what it moves was told to stop meanwhile: a move that has not begun yet must not begin any more.
    """

    name: str
    who: str
    device: Any
    alone: bool
    stopped: bool = False

    def bears(self, other: Hand) -> bool:
        """Whether both may go on at once."""
        return not (self.alone or other.alone) or not _holds(self.device, other.device)


class Turns:
    """Gives out turns; from any thread, and each in one step.

    :param state: of the engine, in words.
    :ivar observers: called, in whatever thread, after a move by hand has begun or ended.
    """

    def __init__(self, state: Callable[[], str]) -> None:
        self._state = state
        self._changed = threading.Condition()
        self._plan = ""
        self._calls = 0
        self._over = True
        self._ending = False
        self._hands: list[Hand] = []
        self.observers: list[Callable[[], object]] = []

    # -- plans ----------------------------------------------------------------------------------------------

    @property
    def plan(self) -> str:
        """The plan whose turn it is, from when it is taken until the engine is at rest; empty: none."""
        return "" if self._over else self._plan

    @property
    def is_returning(self) -> bool:
        """Whether a plan is over, and the call that ran it has yet to return."""
        return self._over and bool(self._plan)

    def wait_over(self, seconds: float) -> bool:
        """Wait until there is no plan, running or paused; whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self._over, seconds)

    def check(self, name: str) -> None:
        """Refuse a plan that cannot begin now.

        :raises EngineBusy: another plan, or a hand, has its turn.
        """
        with self._changed:
            self._check(name, self.plan)

    def take(self, name: str, *, wait: float = 0.0) -> None:
        """Take the turn for a plan, which has it until it is over and the call that ran it has returned.

        :param wait: seconds for the call of another one that is over to return.
        :raises EngineBusy: another plan, or a hand, has its turn.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self.is_returning, wait)
            self._check(name, self._plan)
            self._plan, self._over = name, False

    def _check(self, name: str, plan: str) -> None:
        if plan:
            raise EngineBusy(f"{name} was not begun: {plan} is {self._now()}", hint="wait, or end that one")
        if self._hands:
            told = ", ".join(f"{hand.name} is set by hand, by {hand.who}" for hand in self._hands)
            raise EngineBusy(f"{name} was not begun: {told}", hint="wait, or stop that")

    def _now(self) -> str:
        state = self._state()
        return "beginning or ending" if state == "idle" else state

    @contextmanager
    def call(self, is_over: Callable[[], bool]) -> Iterator[None]:
        """A call of the engine for the plan whose turn it is.

        :param is_over: told when it returns whether the plan is over, should the engine not have said so: it never ran.
        """
        with self._changed:
            self._calls += 1
        try:
            yield
        finally:
            with self._changed:
                self._calls -= 1
                self._over = self._over or (is_over() and not self._ending)
                self._free()

    def end_with(self, task: Future[Any]) -> None:
        """The engine's plan is over as soon as all have heard of it who wait for its task, bluesky first.

        Else what wakes the call of one that ended unattended, as in a pause, would wake the call of the next.
        """
        self._ending = True
        task.add_done_callback(lambda _: self.at_rest())

    def at_rest(self) -> None:
        """The engine's plan is over."""
        with self._changed:
            self._over, self._ending = True, False
            self._free()

    def give_back(self) -> None:
        """The plan for which it was taken will not be run."""
        self.at_rest()

    def _free(self) -> None:
        if self._over and not self._calls:
            self._plan = ""
        self._changed.notify_all()

    # -- hands ----------------------------------------------------------------------------------------------

    @property
    def moving(self) -> list[str]:
        """What is moved or set by hand now."""
        return sorted({hand.name for hand in list(self._hands)})

    def stopped(self, device: Any) -> None:
        """A device is told to stop: so are the hands at it, at its parts, or at what it is a part of."""
        for hand in list(self._hands):
            hand.stopped = hand.stopped or _holds(hand.device, device)

    @contextmanager
    def by_hand(self, name: str, who: str, device: Any = None, *, alone: bool = False) -> Iterator[Hand]:
        """Move or set something by hand while the block runs; no plan begins meanwhile.

        :param device: what is acted on, where that matters to others.
        :param alone: nobody else acts on it or its parts, or on what it is a part of.
        :raises EngineBusy: a plan is under way, or another hand is at the same device.
        """
        hand = Hand(name, who, device, alone)
        with self._changed:
            if self.plan or self._state() != "idle":
                hint = "wait for its end, or end it: finish, abort"
                raise EngineBusy(f"{name} was not touched: {self.plan or 'a plan'} is {self._now()}", hint=hint)
            for other in self._hands:
                if not hand.bears(other):
                    hint = "wait for the end of that, or stop it"
                    raise EngineBusy(f"{name} was not touched: {other.who} moves {other.name}", hint=hint)
            self._hands.append(hand)
        try:
            self._tell(hand)
            yield hand
        finally:
            with self._changed:
                self._hands.remove(hand)
            self._tell(hand)

    def _tell(self, hand: Hand) -> None:
        """A set of a signal takes milliseconds, and is told by nobody: there may be hundreds a second."""
        if hand.alone:
            for observer in list(self.observers):
                observer()


def _holds(one: Any, other: Any) -> bool:
    """Whether one is the other, or a part of it."""
    return any(each is other for each in _line(one)) or any(each is one for each in _line(other))


def _line(device: Any) -> Iterator[Any]:
    """It, what it is a part of, and so on."""
    while device is not None:
        yield device
        device = getattr(device, "parent", None)
