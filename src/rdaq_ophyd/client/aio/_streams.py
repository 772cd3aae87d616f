"""Streams on an event loop that come back after their connection was cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any

from rdaq_ophyd.client._backoff import Backoff
from rdaq_ophyd.client._call import told
from rdaq_ophyd.client._course import INSTANCE, Course
from rdaq_ophyd.client._frames import Come, Frame, FrameCourse, taken_apart
from rdaq_ophyd.client._gap import Gap
from rdaq_ophyd.client._samples import SampleBlock, SampleCourse, SampleSchema
from rdaq_ophyd.errors import RdaqError, ServerGone
from rdaq_ophyd.wire import SERVICE, messages

from ._ahead import AsyncAhead
from ._call import AsyncCalls


class AsyncLastingStream[T]:
    """Items one after another, over as many calls as it takes; ``await close()`` ends it, and so does a cancellation.

    When the connection breaks it is opened again, for as long as the client's ``patience`` lasts; what was missed is
    told to ``on_gap`` and kept in ``gaps``.
    """

    def __init__(self, calls: AsyncCalls, course: Course[T]) -> None:
        self._calls, self._course = calls, course
        self._tries = Backoff(calls.patience)
        self._call: Any = None
        self._closed = asyncio.Event()
        self._items: Any = self._followed()

    @property
    def gaps(self) -> list[Gap]:
        """All so far."""
        return list(self._course.gaps)

    async def begin(self) -> None:
        """Open it now, and wait until the other side has begun: from then on nothing is missed."""
        with told(self._calls.address):
            self._call = await self._open()
            begun = {key: value for key, value in await self._call.initial_metadata() if isinstance(value, str)}
        if INSTANCE in begun:  # else it was refused, which iterating tells
            self._tries.well()
            await self._calls.met_again(begun[INSTANCE])
            self._course.begun(begun)

    async def _open(self) -> Any:
        return self._calls.open(self._course.call, self._course.request())

    async def _messages(self, call: Any) -> AsyncGenerator[Any]:
        """What comes over a call."""
        async for message in call:
            yield message

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if self._closed.is_set():  # the generator may be at its end just now, and takes no second call
            raise StopAsyncIteration
        return await self._next()

    async def _next(self) -> T:
        item: T = await anext(self._items)
        return item

    async def _followed(self) -> AsyncGenerator[T]:
        try:
            while not self._closed.is_set():
                try:
                    async with contextlib.aclosing(self._once()) as items:
                        async for item in items:
                            yield item
                            del item  # whoever took it has its memory alone
                    return
                except ServerGone as error:
                    await self._wait(error)
        except RdaqError:
            if not self._is_over():
                raise
        except asyncio.CancelledError:  # gRPC raises it too where a call was closed
            if not self._is_over() or _is_cancelled():
                raise
        finally:
            self._shut()

    async def _once(self) -> AsyncGenerator[T]:
        """The items of one call."""
        if self._call is None:
            await self.begin()
        with told(self._calls.address):
            async with contextlib.aclosing(self._messages(self._call)) as arrived:
                async for message in arrived:
                    for item in self._course.items(message):
                        yield item
                        del item
                    del message

    async def _wait(self, error: ServerGone) -> None:
        """Before the next try.

        :raises ServerGone: there is none.
        """
        self._shut()
        self._calls.broken = True
        if not self._course.may_reopen or self._is_over():
            raise error
        self._course.cut()
        if (wait := self._tries.failed()) is None:
            raise error
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), wait)

    def _is_over(self) -> bool:
        return self._closed.is_set() or self._calls.over.is_set()

    def _shut(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    async def close(self) -> None:
        """End it; who is iterating comes to an end."""
        self._closed.set()
        if self._call is not None:
            self._call.cancel()
        if not self._items.ag_running:  # else somebody is iterating, and comes to an end
            await self._items.aclose()


def _is_cancelled() -> bool:
    """Whether somebody cancelled the task that runs here."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class AsyncFrames(AsyncLastingStream[Frame]):
    """The newest frames of a camera, for as long as it is iterated over; ``await close()`` ends it.

    Each frame that is taken grants the next one, which comes while this one is drawn: a slow reader gets fewer, and
    none that is old. A quick one far away has as many on their way as the line holds.
    """

    def __init__(self, calls: AsyncCalls, course: FrameCourse) -> None:
        self._frames = course
        super().__init__(calls, course)

    async def _open(self) -> Any:
        self._calls.check_open()
        call = self._calls.channel.stream_stream(
            f"/{SERVICE}/StreamFrames",
            request_serializer=messages.FrameCredit.SerializeToString,
            response_deserializer=None,  # the pixels are not copied
        )(metadata=self._calls.metadata)
        with contextlib.suppress(asyncio.InvalidStateError):  # it ended already: reading tells why
            await call.write(self._frames.request())
        return call

    @property
    def credits(self) -> int:
        """Frames that may be on their way, or lie ready, at the moment."""
        return self._frames.window.size

    async def _messages(self, call: Any) -> AsyncGenerator[Come]:
        async def grant(number: int) -> None:
            with contextlib.suppress(asyncio.InvalidStateError):  # it ended: reading tells why
                await call.write(messages.FrameCredit(credits=number))

        async with AsyncAhead(call, self._frames.window, grant, taken_apart) as ahead:
            while (data := await ahead.next()) is not None:
                yield data
                del data


class AsyncSamples(AsyncLastingStream[SampleBlock]):
    """The samples of an analog input, for as long as it is iterated over; ``await close()`` ends it.

    A reader that is slow loses the oldest samples, counted. It ends by itself when the device is closed.
    """

    def __init__(self, calls: AsyncCalls, course: SampleCourse) -> None:
        self._samples = course
        self._early: deque[SampleBlock] = deque()
        super().__init__(calls, course)

    @property
    def schema(self) -> Coroutine[Any, Any, SampleSchema]:
        """What the samples are: ``await samples.schema``. From then on none is missed."""
        return self._known()

    async def _known(self) -> SampleSchema:
        while self._samples.schema is None:
            if (block := await anext(self._items, None)) is None:
                raise ServerGone(f"{self._calls.address}: the {self._samples.stream} ended", hint="ask for them anew")
            self._early.append(block)
        return self._samples.schema

    async def _next(self) -> SampleBlock:
        while True:
            block = self._early.popleft() if self._early else await anext(self._items)
            if len(block):
                return block

    async def _open(self) -> Any:
        self._calls.check_open()
        call = self._calls.channel.unary_stream(
            f"/{SERVICE}/{self._samples.call}",
            request_serializer=messages.StreamSamplesRequest.SerializeToString,
            response_deserializer=None,  # the samples are not copied
        )
        return call(self._samples.request(), metadata=self._calls.metadata)
