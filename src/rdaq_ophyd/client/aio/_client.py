"""The client of a server, on an event loop."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

import grpc

from rdaq_ophyd.client import _ask
from rdaq_ophyd.client._catalog import open_catalog
from rdaq_ophyd.client._channel import OPTIONS, PATIENCE, check_address, check_patience, credentials
from rdaq_ophyd.client._client import SHOWN, Client
from rdaq_ophyd.client._course import RunCourse, StateCourse
from rdaq_ophyd.client._documents import Document, DocumentCourse
from rdaq_ophyd.client._facts import Location
from rdaq_ophyd.client._frames import FrameCourse
from rdaq_ophyd.client._gap import OnGap
from rdaq_ophyd.client._lag import Callback, OnBehind
from rdaq_ophyd.client._log import LogCourse
from rdaq_ophyd.client._names import Devices
from rdaq_ophyd.client._samples import SampleCourse
from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.progress import Bars
from rdaq_ophyd.wire import FLUSH, DaqStub, messages

from ._call import AsyncCalls
from ._device import AsyncDevice
from ._keeping import AsyncKeeping
from ._runs import AsyncRun
from ._streams import AsyncFrames, AsyncLastingStream, AsyncSamples
from ._subscription import AsyncSubscription
from ._words import same_words


async def aconnect(
    address: str,
    *,
    token: str | None = None,
    certificate: str | Path | None = None,
    timeout: float = 10.0,
    patience: float = PATIENCE,
) -> AsyncClient:
    """Connect to a server, on the event loop that runs; see :func:`rdaq_ophyd.client.connect`.

    All devices are asked what signals they have, so that those are attributes.

    :raises ServerGone: nothing answers there.
    :raises NotAllowed: the token is not known.
    """
    client = AsyncClient(address, token=token, certificate=certificate, patience=patience)
    try:
        state = await client._calls.ask("GetState", messages.GetStateRequest(), timeout=timeout)
        client._calls.met(state.instance)
        await client.refresh()
    except BaseException:
        await client.close()
        raise
    return client


@same_words(Client)
class AsyncClient(AsyncKeeping):
    """A rig elsewhere; see :func:`aconnect`. Close it, or use it as an async context manager."""

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        certificate: str | Path | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.address = address
        check_address(address)
        check_patience(patience)
        secure = credentials(certificate)
        if secure is None:
            self._channel = grpc.aio.insecure_channel(address, OPTIONS)
        else:
            self._channel = grpc.aio.secure_channel(address, secure, OPTIONS)
        stub = DaqStub(self._channel)  # type: ignore[no-untyped-call]
        self._calls = AsyncCalls(stub, address, token, channel=self._channel, patience=patience)
        self._calls.renew = self.refresh
        self._devices: Devices[AsyncDevice] = Devices(lambda message: AsyncDevice(self._calls, message))
        self._subscriptions: weakref.WeakSet[AsyncSubscription] = weakref.WeakSet()

    async def close(self) -> None:
        self._calls.over.set()
        for subscription in list(self._subscriptions):
            await subscription()
        await self._channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    # -- devices --------------------------------------------------------------------------------------------

    @property
    def devices(self) -> Devices[AsyncDevice]:
        """All devices, as ``refresh()`` found them: when it connected, and when the server was started anew."""
        return self._devices

    async def refresh(self) -> Devices[AsyncDevice]:
        """Ask what devices there are, and what signals they have."""
        self._devices._note(await self._calls.do(_ask.devices()))
        found = list(self._devices)
        told = await asyncio.gather(*(self._calls.do(_ask.device(each.name)) for each in found), return_exceptions=True)
        for device, message in zip(found, told, strict=True):
            if isinstance(message, RdaqError):
                device.trouble = str(message)
            elif isinstance(message, BaseException):
                raise message
            else:
                device._take(message)
        return self._devices

    async def reconnect(self, name: str) -> None:
        await self._calls.do(_ask.reconnect(name))
        await self.refresh()

    async def read(self, *names: str) -> dict[str, Any]:
        return await self._calls.do(_ask.read(*names))

    async def where(self, *names: str) -> dict[str, Location]:
        return await self._calls.do(_ask.locate(*names))

    # -- stop -----------------------------------------------------------------------------------------------

    async def stop_all(self, reason: str = "") -> messages.StopReport:
        return await self._calls.do(_ask.stop_all(reason))

    async def reset(self, reason: str, *, force: bool = False) -> None:
        await self._calls.do(_ask.reset(reason, force))

    # -- runs -----------------------------------------------------------------------------------------------

    async def plans(self) -> dict[str, messages.Plan]:
        return await self._calls.do(_ask.plans())

    async def begin(
        self,
        plan: str,
        md: Mapping[str, str] | None = None,
        *,
        progress: bool = False,
        on_gap: OnGap | None = None,
        **arguments: Any,
    ) -> AsyncRun:
        return await self._begun(RunCourse(_ask.plan(plan, md, arguments), on_gap), progress)

    async def _begun(self, course: RunCourse, progress: bool) -> AsyncRun:
        bars = Bars(sys.stderr) if progress else None
        run = AsyncRun(course.stream, AsyncLastingStream(self._calls, course), bars=bars, delivered=self._delivered)
        await anext(aiter(run))  # it was taken
        return run

    async def run(
        self,
        plan: str,
        md: Mapping[str, str] | None = None,
        *,
        progress: bool = False,
        on_gap: OnGap | None = None,
        **arguments: Any,
    ) -> AsyncRun:
        return await (await self.begin(plan, md, progress=progress, on_gap=on_gap, **arguments)).wait()

    async def begin_script(
        self,
        script: str | Path,
        *arguments: str,
        name: str = "script.py",
        md: Mapping[str, str] | None = None,
        progress: bool = False,
        on_gap: OnGap | None = None,
    ) -> AsyncRun:
        return await self._begun(RunCourse(_ask.script(script, name, arguments, md), on_gap), progress)

    async def run_script(
        self,
        script: str | Path,
        *arguments: str,
        name: str = "script.py",
        md: Mapping[str, str] | None = None,
        progress: bool = False,
        on_gap: OnGap | None = None,
    ) -> AsyncRun:
        begun = await self.begin_script(script, *arguments, name=name, md=md, progress=progress, on_gap=on_gap)
        return await begun.wait()

    async def _delivered(self, uids: list[str]) -> None:
        for subscription in list(self._subscriptions):
            for uid in uids:
                await subscription.wait(uid, SHOWN)

    async def pause(self, *, at_checkpoint: bool = False) -> messages.State:
        return await self._calls.do(_ask.pause(at_checkpoint))

    async def resume(self, *, accept_changes: str | None = None, told: str = "") -> messages.State:
        with _ask.resumed_from_here():
            return await self._calls.do(_ask.resume(accept_changes, told))

    async def finish(self) -> messages.State:
        return await self._calls.do(_ask.end("Finish"))

    async def abort(self, reason: str = "") -> messages.State:
        return await self._calls.do(_ask.end("Abort", reason))

    async def halt(self) -> messages.State:
        return await self._calls.do(_ask.end("Halt"))

    @property
    def state(self) -> Coroutine[Any, Any, messages.State]:
        """How it is now: ``await client.state``."""
        return self._calls.do(_ask.state())

    # -- streams --------------------------------------------------------------------------------------------

    def watch(self, *, on_gap: OnGap | None = None) -> AsyncLastingStream[messages.State]:
        return AsyncLastingStream(self._calls, StateCourse(on_gap))

    def log(self, *, level: str = "INFO", on_gap: OnGap | None = None) -> AsyncLastingStream[messages.LogLine]:
        return AsyncLastingStream(self._calls, LogCourse(level, on_gap))

    async def documents(self, *, from_start: bool = False, on_gap: OnGap | None = None) -> AsyncLastingStream[Document]:
        stream = AsyncLastingStream(self._calls, DocumentCourse(from_start=from_start, on_gap=on_gap))
        await stream.begin()
        return stream

    async def subscribe(
        self,
        callback: Callback,
        *,
        from_start: bool = False,
        on_gap: OnGap | None = None,
        on_behind: OnBehind | None = None,
    ) -> AsyncSubscription:
        """Give all documents to a bluesky callback (a table, a plot) in a thread of its own, or a coroutine function.

        :param from_start: also those of the run that is open, from its start.
        :param on_gap: called with each gap.
        :param on_behind: called with the number of documents that wait, when there are many; else that is logged.
        :return: await its call to end that.
        """
        stream = await self.documents(from_start=from_start, on_gap=on_gap)
        subscription = AsyncSubscription(stream, callback, on_behind)
        self._subscriptions.add(subscription)
        return subscription

    def samples(self, name: str, *, flush: float = FLUSH, on_gap: OnGap | None = None) -> AsyncSamples:
        return AsyncSamples(self._calls, SampleCourse(name, flush, on_gap))

    def frames(
        self,
        camera: str,
        *,
        scale: int = 1,
        credits: int | None = None,  # noqa: A002 as the messages call them
        on_gap: OnGap | None = None,
    ) -> AsyncFrames:
        return AsyncFrames(self._calls, FrameCourse(camera, scale, credits, on_gap))

    async def catalog(self, uri: str | None = None) -> Any:
        told = await self._calls.do(_ask.catalog())
        return await asyncio.to_thread(open_catalog, told, uri)
