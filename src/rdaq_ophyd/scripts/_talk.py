"""What the rig and a script's process say to each other, on the event loop of the RunEngine."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any

from bluesky import Msg
from ophyd_async.core import Device

from rdaq_ophyd.errors import LimitError, ScriptFailed

from ._answers import Statuses, answer, status_facts
from ._channel import CLOSED, Channel
from ._codec import Codec
from ._limits import ScriptLimits
from ._messages import Messages
from ._process import Process
from ._table import Table
from ._thrown import thrown

MOST_THROWN = 64
"""Exceptions of the rig that a plan may hold back and raise later."""
EXITING = 2.0
"""Seconds that a process which closed its pipe gets to exit: it ends a moment later, and its exit code tells why."""
STEPS = frozenset({"loaded", "message", "returned", "raised"})
"""Frames of which the process owes one after each that it is given."""


class Talk:
    """One script.

    :param process: its process.
    :param table: devices that it may name.
    :param name: of the script.
    :ivar steps: frames that it was given and has to follow.
    :ivar step: what it owes, once that is there.
    :ivar dead: why nothing more will come; empty while something may.
    """

    def __init__(self, process: Process, table: Table, limits: ScriptLimits, name: str) -> None:
        self.process, self.limits, self.name = process, limits, name
        self._loop = asyncio.get_running_loop()
        self._table = table
        self.statuses = Statuses()
        self._messages = Messages(self, table)
        self.codec = Codec(self._outside, self._messages.inside, table.enums, (Device,))
        self._channel = Channel(self._take, self.die)
        self.steps = 0
        self.step: dict[str, Any] | None = None
        self.dead = ""
        self._news = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._thrown: dict[int, BaseException] = {}
        self._answering: asyncio.Task[None] | None = None
        self._under_way: set[int] = set()
        self._late = 0  # frames that may still come although nobody waits for them any more
        process.when_over(self._over)

    async def open(self) -> None:
        """Begin."""
        await self._channel.open(self.process.socket)

    # -- to the process ---------------------------------------------------------------------------------------

    def give(self, seconds: float, **frame: Any) -> None:
        """Something that it follows with a step, within ``seconds``."""
        self.steps += 1
        self.step = None
        self._set_timer(seconds)
        self._channel.send({**frame, "step": self.steps})

    def expect_begin(self) -> None:
        """It is loaded; where nobody begins its plan, its process does not wait for ever."""
        self._set_timer(self.limits.loading)

    def respond(self, response: Any) -> None:
        """Let the plan go on with the response to its message."""
        self.give(self.limits.thinking, response=self.codec.encode(response))

    def throw(self, error: BaseException) -> None:
        """Raise in the plan; where it thinks just now, at once."""
        thinking = self._is_occupied
        self._number += 1
        self._thrown[self._number] = error
        self._thrown.pop(next(iter(self._thrown)) if len(self._thrown) > MOST_THROWN else -1, None)
        limit = min(self.limits.thinking, self.limits.ending) if thinking else self.limits.thinking
        self.give(limit, throw=thrown(error, self._number, self.codec.encode))
        if thinking:
            self._late += 1  # the step that it may have sent just now
            if self._answering is not None:
                self._answering.cancel()
            self.process.interrupt()

    def close(self) -> None:
        """The plan is over, whatever it thinks."""
        self._cancel_timer()
        self._channel.send({"close": True})
        self.process.interrupt()
        self.process.end(self.limits.ending)

    async def call(self, **frame: Any) -> Any:
        """Have something done there, such as reading a device that the script made.

        :raises ScriptFailed: it was not done in time, or not at all.
        """
        self._number += 1
        number, future = self._number, self._loop.create_future()
        self._calls[number] = future
        thinks = self._is_occupied
        # What a plan waits for by itself may take as long as it likes: the engine can leave it at any time.
        limit = None if "awaited" in frame else self.limits.ending if thinks else self.limits.thinking
        try:
            self._channel.send({**frame, "call": number})
            self._under_way.add(number)
            if thinks:
                self.process.interrupt()
            async with asyncio.timeout(limit):
                return await future
        except TimeoutError:
            self.die(f"did not answer within {limit:g} s")
            raise ScriptFailed(f"{self.name} {self.dead}") from None
        finally:
            del self._calls[number]
            self._late += not future.done()

    def document(self, number: int, name: str, document: dict[str, Any]) -> None:
        """Give a document to one of the plan's callbacks."""
        self._channel.send({"document": [number, name, self.codec.encode(document)]})

    @property
    def _is_occupied(self) -> bool:
        """Whether it does something else than to wait for us."""
        return self.step is None or bool(self._under_way)

    # -- waiting ----------------------------------------------------------------------------------------------

    def has_step(self, number: int) -> bool:
        """Whether the step is there that follows, or a later one, or none will come."""
        return bool(self.dead) or self.steps > number or (self.steps == number and self.step is not None)

    async def until_step(self, number: int) -> None:
        """Wait for that."""
        while not self.has_step(number):
            await self._news.wait()

    def end(self) -> None:
        """The plan is over, and the process will be."""
        self._cancel_timer()
        self.process.end(self.limits.ending)

    async def until_over(self) -> None:
        """Wait until the process is over; it is ended where it does not end by itself."""
        self.end()
        while not self.process.over:
            await self._news.wait()

    def same(self, number: Any) -> BaseException | None:
        """What was thrown under that number."""
        return self._thrown.get(number)

    # -- from the process -------------------------------------------------------------------------------------

    def _take(self, frame: dict[str, Any]) -> None:
        if self.dead:
            return
        if "ask" in frame:
            if self._answering is not None and not self._answering.done():
                raise LimitError("a question before the answer to the one before")
            self._answering = self._loop.create_task(self._answer(frame))
        elif "done" in frame:
            self._done(frame)
        elif frame.keys() & STEPS:
            if frame["step"] == self.steps and self.step is None:
                self._cancel_timer()
                self.statuses.release(frame.get("released"))
                self.step = frame
                self._tell()
            else:
                self._too_late()
        else:
            raise LimitError(f"{sorted(frame)[:3]}")

    def message(self) -> Msg:
        """The plan's message, of the step that is there.

        :raises LimitError: it is none.
        """
        assert self.step is not None
        return self._messages.decode(self.step["message"])

    def _done(self, frame: dict[str, Any]) -> None:
        self._under_way.discard(frame["done"])
        future = self._calls.get(frame["done"])
        if future is None or future.done():
            self._too_late()
            return
        if (error := frame.get("error")) is not None:
            future.set_exception(ScriptFailed(f"{self.name}: {error!s:.2000}"))
        else:
            future.set_result(self.codec.decode(frame.get("result")))

    def _too_late(self) -> None:
        """What crossed an interruption on its way; more than that is nonsense."""
        self._late -= 1
        if self._late < 0:
            raise LimitError("a message that nobody asked for")

    async def _answer(self, frame: dict[str, Any]) -> None:
        left = self._cancel_timer()
        try:
            reply = {"value": self.codec.encode(await self._asked(frame))}
        except Exception as error:  # noqa: BLE001 it is raised in the script
            reply = {"error": thrown(error, -1, self.codec.encode)}
        if left is not None:
            self._set_timer(left)
        try:
            self._channel.send({**reply, "answer": frame["ask"]})
        except LimitError as error:
            self._channel.send({"error": thrown(error, -1, self.codec.encode), "answer": frame["ask"]})

    async def _asked(self, frame: dict[str, Any]) -> Any:
        if "status" in frame:
            return status_facts(self.statuses[frame["status"]], lambda error: error)
        args, kwargs = self.codec.decode(frame["args"]), self.codec.decode(frame["kwargs"])
        return await answer(self._table, frame["path"], frame["attribute"], args, kwargs)

    def _outside(self, value: Any) -> Any:
        return self._messages.outside(value, partial(thrown, number=-1, encode=self.codec.encode))

    # -- its end ----------------------------------------------------------------------------------------------

    def die(self, why: str) -> None:
        """Nothing more will come; its process is ended."""
        if self.dead:
            return
        self.dead = why
        self._cancel_timer()
        self.process.end(EXITING if why == CLOSED else 0.0)
        for future in self._calls.values():
            if not future.done():
                future.set_exception(ScriptFailed(f"{self.name} {why}"))
        self._channel.close()
        self._tell()

    def _over(self) -> None:
        with contextlib.suppress(RuntimeError):  # the session is over, too
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _set_timer(self, seconds: float) -> None:
        self._cancel_timer()
        if not self.dead:
            self._timer = self._loop.call_later(seconds, self.die, f"did not go on within {seconds:g} s")

    def _cancel_timer(self) -> float | None:
        """The seconds that were left."""
        timer, self._timer = self._timer, None
        if timer is None:
            return None
        timer.cancel()
        return max(0.0, timer.when() - self._loop.time())
