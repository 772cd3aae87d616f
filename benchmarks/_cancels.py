"""Questions with a mark of their own, some of them cancelled: whose reply do the others get, and what is sent?"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from benchmarks._locked import LockedPort
from benchmarks._stops import open_link

LATENCY = 0.010
QUEUED = 25
"""Questions that are cancelled while they wait; five before them are not."""


@dataclass
class Tally:
    """What became of the questions."""

    cancelled: int = 0
    right: int = 0
    wrong: int = 0
    mute: int = 0
    sent: int = 0

    def __str__(self) -> str:
        asked = self.right + self.wrong + self.mute
        mute = f", {self.mute} got none" if self.mute else ""
        return (
            f"{self.cancelled} cancelled; of the other {asked}, {self.wrong} got the reply to another question{mute}; "
            f"of {QUEUED} cancelled while they waited for their turn, {self.sent} were sent all the same"
        )


async def _ask_all(ask: Callable[[bytes], Awaitable[bytes]], number: int) -> Tally:
    tally = Tally()
    for mark in range(number):
        text = b"%06d" % mark
        question = asyncio.ensure_future(ask(b"ID" + text + b"?\r"))
        if random.random() < 0.2:
            await asyncio.sleep(random.uniform(0, 0.9 * LATENCY))
            question.cancel()
            await asyncio.gather(question, return_exceptions=True)
            tally.cancelled += 1
            continue
        try:
            reply = (await asyncio.wait_for(question, 2)).strip()
        except (TimeoutError, ConnectionError):
            tally.mute += 1
        else:
            tally.right += reply == text
            tally.wrong += reply != text
    return tally


async def _sent_all_the_same(ask: Callable[[bytes], Awaitable[bytes]]) -> int:
    """Of questions that were cancelled before their turn, how many arrived at the instrument; on a line in step."""
    questions = [asyncio.ensure_future(ask(b"ID%d?\r" % number)) for number in range(5 + QUEUED)]
    await asyncio.sleep(LATENCY / 2)
    for question in questions[5:]:
        question.cancel()
    await asyncio.gather(*questions, return_exceptions=True)
    return int(await ask(b"1NC?\r")) - 5


async def _both(ask: Callable[[bytes], Awaitable[bytes]], number: int) -> Tally:
    sent = await _sent_all_the_same(ask)
    return replace(await _ask_all(ask, number), sent=sent)


def through_link(url: str, number: int) -> Tally:
    """One owner."""

    async def run() -> Tally:
        link = open_link(url)
        try:
            return await _both(link.ask, number)
        finally:
            await asyncio.to_thread(link.close)

    return asyncio.run(run())


def through_lock(url: str, number: int, **options: bool) -> Tally:
    """A lock in everybody's hands."""

    async def run() -> Tally:
        port = LockedPort(url, **options)
        try:
            return await _both(port.ask, number)
        finally:
            port.close()

    return asyncio.run(run())
