"""A link came back: its devices make sure that their instrument is there, and put back what it lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable

from rdaq_ophyd.errors import WrongInstrument
from rdaq_ophyd.link import Link, LinkState

from ._member import Member

logger = logging.getLogger(__name__)
FIRST_PAUSE = 0.2
"""Seconds before an instrument that did not answer is asked again, doubled each time: it may be starting up."""
LONGEST_PAUSE = 2.0
"""Seconds between two attempts at most."""


class Reunion:
    """The devices on one link. When it comes back they all have to know their instrument, or none may use it.

    :param link: opened again by itself whenever its port vanished.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._members: list[Member] = []
        self._task: asyncio.Task[None] | None = None
        self._warned = False
        self._unwatch = link.watch(self._changed)

    def join(self, member: Member) -> None:
        """A device connected; those that connected first are asked first."""
        member.opening = self._link.openings
        self._members.append(member)
        self._warned = False

    def leave(self, member: Member) -> bool:
        """A device was closed. Whether it was the last."""
        if member in self._members:
            self._members.remove(member)
        if not self._members:
            self._unwatch()
            self._cancel()
        return not self._members

    async def catch_up(self) -> None:
        """One device was connected again by hand after a loss: the others have to know their instrument too.

        :raises WrongInstrument: one does not; the link is closed then.
        """
        late = [member for member in self._members if member.opening != self._link.openings]
        try:
            await self._each(lambda member: member.recognise(self._link), late)
        except WrongInstrument:
            await asyncio.to_thread(self._link.close)
            raise
        await self._settle(late)

    # -- from any thread of the link, which must live whatever became of the event loops -------------------------

    def _changed(self, new: LinkState) -> None:
        if new is LinkState.CHECKING:
            self._start()
        elif new in {LinkState.LOST, LinkState.CLOSED}:
            self._cancel()
        if new is LinkState.LOST:
            for member in list(self._members):
                member.remember()

    def _start(self) -> None:
        # The loops that run first: one that stands still may do so for ever.
        loops = sorted({member.loop for member in list(self._members)}, key=lambda loop: not loop.is_running())
        for loop in loops:
            with contextlib.suppress(RuntimeError):  # it was closed: try the next
                loop.call_soon_threadsafe(self._begin)
                return
        if loops and not self._warned:
            self._warned = True
            logger.warning(
                "%s: the port is back, but the event loop of its devices is gone: connect them again", self._link.url
            )

    def _cancel(self) -> None:
        task = self._task
        if task is not None and not task.done():
            with contextlib.suppress(RuntimeError):  # the loop is closed, and its tasks with it
                task.get_loop().call_soon_threadsafe(task.cancel)

    # -- on an event loop ----------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._cancel()
        self._task = asyncio.get_running_loop().create_task(self._check())

    async def _check(self) -> None:
        pause, failures = FIRST_PAUSE, 0
        while self._link.state is LinkState.CHECKING:
            try:
                opening = self._link.openings
                await self._each(lambda member: member.recognise(self._link), self._members)
                if opening == self._link.openings and self._link.state is LinkState.CHECKING:
                    await self._accept(opening)
                    return
            except WrongInstrument as error:
                logger.error("%s", error)
                await asyncio.to_thread(self._link.reject, error)
                return
            except Exception as error:  # noqa: BLE001  a driver's too: as long as it fails, nobody may use the link
                level = logging.DEBUG if failures else logging.WARNING
                logger.log(level, "%s: the port is back, but not its instrument: %s", self._link.url, error)
                failures += 1
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _accept(self, opening: int) -> None:
        self._link.accept(opening)
        logger.info("%s: the port and its instrument are back", self._link.url)
        await self._settle(self._members)

    async def _settle(self, members: Iterable[Member]) -> None:
        for member in members:
            member.opening = self._link.openings
        for step in (Member.settle, Member.restore):
            await self._each(step, members)

    async def _each(self, call: Callable[[Member], Awaitable[None]], members: Iterable[Member]) -> None:
        """Call it for one device after the other, each on its own event loop, as they connected."""
        here = asyncio.get_running_loop()
        for member in list(members):
            if member.loop is here:
                await call(member)
            elif member.loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(call, member), member.loop))
            else:
                logger.warning("%s: not asked, since its event loop stands still; connect it again", member.name)


async def _awaited(call: Callable[[Member], Awaitable[None]], member: Member) -> None:
    await call(member)


_reunions: dict[Link, Reunion] = {}
_lock = threading.Lock()


def join(link: Link, member: Member) -> None:
    """From now on ``member`` has to recognise its instrument whenever ``link`` comes back."""
    with _lock:
        reunion = _reunions.get(link)
        if reunion is None:
            reunion = _reunions[link] = Reunion(link)
        reunion.join(member)


async def catch_up(link: Link) -> None:
    """``link`` was opened by a device that connected; see ``Reunion.catch_up``."""
    with _lock:
        reunion = _reunions.get(link)
    if reunion is not None:
        await reunion.catch_up()


def leave(link: Link, member: Member) -> None:
    """It was closed."""
    with _lock:
        reunion = _reunions.get(link)
        if reunion is not None and reunion.leave(member):
            del _reunions[link]
