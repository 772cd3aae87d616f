"""Streams that come back after their connection was cut."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import Any

import grpc

from rdaq_ophyd.errors import RdaqError, ServerGone
from rdaq_ophyd.wire import SERVICE, messages

from ._ahead import Ahead
from ._backoff import Backoff
from ._call import Calls, told
from ._channel import over
from ._course import INSTANCE, Course
from ._frames import Come, Frame, FrameCourse, taken_apart
from ._gap import Gap
from ._samples import SampleBlock, SampleCourse, SampleSchema


class LastingStream[T]:
    """Items one after another, over as many calls as it takes; ``close()`` ends it from any thread.

    When the connection breaks it is opened again, for as long as the client's ``patience`` lasts; what was missed is
    told to ``on_gap`` and kept in ``gaps``.
    """

    def __init__(self, calls: Calls, course: Course[T]) -> None:
        self._calls, self._course = calls, course
        self._tries = Backoff(calls.patience)
        self._call: Any = None
        self._closed = threading.Event()
        self._items = self._followed()

    @property
    def gaps(self) -> list[Gap]:
        """All so far."""
        return list(self._course.gaps)

    def begin(self) -> None:
        """Open it now, and wait until the other side has begun: from then on nothing is missed."""
        with told(self._calls.address):
            self._call = self._open()
            if self._closed.is_set():
                self._call.cancel()  # closed in this very moment
            told_first = self._wait_begun(self._call)
            begun = {key: value for key, value in told_first if isinstance(value, str)}
            if INSTANCE in begun:  # else it was refused, which iterating tells
                self._tries.well()
                self._calls.met(begun[INSTANCE])
                self._course.begun(begun)

    def _open(self) -> Any:
        return self._calls.open(self._course.call, self._course.request())

    def _wait_begun(self, call: Any) -> Iterable[tuple[str, str | bytes]]:
        """The other side's first metadata."""
        return call.initial_metadata() or ()

    def _messages(self, call: Any) -> Iterator[Any]:
        """What comes over a call."""
        yield from call

    def __iter__(self) -> Iterator[T]:
        return self._items

    def __next__(self) -> T:
        return next(self._items)

    def _followed(self) -> Generator[T]:
        try:
            while not self._closed.is_set():
                try:
                    yield from self._once()
                    return
                except ServerGone as error:
                    self._wait(error)
        except RdaqError:
            if not self._is_over():
                raise
        finally:
            self.close()

    def _once(self) -> Iterator[T]:
        """The items of one call."""
        if self._call is None:
            self.begin()
        with told(self._calls.address):
            for message in self._messages(self._call):
                yield from self._course.items(message)
                del message  # whoever took it has its memory alone

    def _wait(self, error: ServerGone) -> None:
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
        self._closed.wait(wait)

    def _is_over(self) -> bool:
        return self._closed.is_set() or self._calls.over.is_set()

    def _shut(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def close(self) -> None:
        """End it; who is iterating comes to an end."""
        self._closed.set()
        if (call := self._call) is not None:
            call.cancel()


class Frames(LastingStream[Frame]):
    """The newest frames of a camera, for as long as it is iterated over; ``close()`` ends it from any thread.

    Each frame that is taken grants the next one, which comes while this one is drawn: a slow reader gets fewer, and
    none that is old. A quick one far away has as many on their way as the line holds.
    """

    def __init__(self, calls: Calls, course: FrameCourse) -> None:
        self._frames = course
        self._grants: queue.SimpleQueue[messages.FrameCredit | None] = queue.SimpleQueue()
        super().__init__(calls, course)

    def _open(self) -> Any:
        self._grants = queue.SimpleQueue()
        self._grants.put(self._frames.request())
        self._calls.check_open()
        call: Any = self._calls.channels.main.stream_stream(
            f"/{SERVICE}/StreamFrames",
            request_serializer=messages.FrameCredit.SerializeToString,
            response_deserializer=None,  # the pixels are not copied
        )
        return call(iter(self._grants.get, None), metadata=self._calls.metadata)

    @property
    def credits(self) -> int:
        """Frames that may be on their way, or lie ready, at the moment."""
        return self._frames.window.size

    def _messages(self, call: Any) -> Iterator[Come]:
        grants = self._grants
        ahead = Ahead(call, self._frames.window, lambda n: grants.put(messages.FrameCredit(credits=n)), taken_apart)
        try:
            while not self._closed.is_set() and (data := ahead.next()) is not None:
                yield data
                del data
        finally:
            grants.put(None)
            call.cancel()
            ahead.join()

    def _shut(self) -> None:
        self._grants.put(None)
        super()._shut()

    def close(self) -> None:
        """End it."""
        self._grants.put(None)
        super().close()


class Samples(LastingStream[SampleBlock]):
    """The samples of an analog input, for as long as it is iterated over; ``close()`` ends it from any thread.

    A reader that is slow loses the oldest samples, counted. It ends by itself when the device is closed.
    """

    def __init__(self, calls: Calls, course: SampleCourse) -> None:
        self._samples = course
        self._early: deque[SampleBlock] = deque()
        self._first: list[bytes] = []
        self._channel: grpc.Channel | None = None
        super().__init__(calls, course)

    @property
    def schema(self) -> SampleSchema:
        """What the samples are. Waits until the rig says so; from then on none is missed.

        :raises UnknownName: there is no such analog input.
        :raises ServerGone: the stream ended before.
        """
        while self._samples.schema is None:
            if (block := next(self._items, None)) is None:
                raise ServerGone(f"{self._calls.address}: the {self._samples.stream} ended", hint="ask for them anew")
            self._early.append(block)
        return self._samples.schema

    def __iter__(self) -> Iterator[SampleBlock]:
        return self

    def __next__(self) -> SampleBlock:
        while True:
            block = self._early.popleft() if self._early else next(self._items)
            if len(block):
                return block

    def _open(self) -> Any:
        self._calls.check_open()
        if self._channel is None:
            self._channel = self._calls.channels.lone()
        call: Any = self._channel.unary_stream(
            f"/{SERVICE}/{self._samples.call}",
            request_serializer=messages.StreamSamplesRequest.SerializeToString,
            response_deserializer=None,  # the samples are not copied
        )
        return call(self._samples.request(), metadata=self._calls.metadata)

    def _wait_begun(self, call: Any) -> Iterable[tuple[str, str | bytes]]:
        # To wait for metadata alone would keep the call's lock, and with it whoever wants to end the call.
        try:
            self._first = list(islice(call, 1))  # none: it is over
        except BaseException:  # it is refused, as a rule
            over(call)
            raise
        return call.initial_metadata() or ()

    def _messages(self, call: Any) -> Iterator[bytes]:
        try:
            while self._first:
                yield self._first.pop()
            yield from call
        finally:
            over(call)

    def close(self) -> None:
        """End it."""
        super().close()
        with contextlib.suppress(ValueError):  # somebody is iterating, and comes to an end
            self._items.close()
            if self._first and self._call is not None:  # begun, and nobody iterated
                over(self._call)
        if self._channel is not None:
            self._channel.close()
