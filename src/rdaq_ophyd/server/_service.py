"""The calls of ``daq.proto``."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import grpc

from rdaq_ophyd.errors import EngineBusy, LimitError, UnknownName
from rdaq_ophyd.operations import CALLER
from rdaq_ophyd.scripts import ScriptLimits
from rdaq_ophyd.startup import Session, bind, check_run_metadata
from rdaq_ophyd.stop import StopReport, latch, reset
from rdaq_ophyd.wire import DaqServicer, from_value, messages

from ._apart import apart
from ._devices import Devices
from ._documents import Documents
from ._facts import Facts
from ._frames import Frames
from ._listed_plans import listed_plans
from ._log import LogLines
from ._runs import Runs
from ._samples import Samples
from ._scripts import Scripts, check_not_stopped_since
from ._session_plans import find_any_plan, known_plans
from ._stops import Stops

WATCH = 0.25
"""Seconds between two looks at what does not tell by itself: a stop by another process."""
REASON_CHARACTERS = 1000
Context = grpc.aio.ServicerContext[Any, Any]


class DaqService(DaqServicer):
    """One rig.

    :param session: that owns it.
    :param loop: on which this is served.
    :param scripts: how much a script may have.
    """

    def __init__(self, session: Session, loop: asyncio.AbstractEventLoop, scripts: ScriptLimits | None = None) -> None:
        self._session = session
        self._devices = Devices(session)
        self._instance = uuid.uuid4().hex
        self._runs = Runs(session.RE, loop)
        self._scripts = Scripts(session, self._runs, scripts or ScriptLimits())
        self._documents = Documents(loop, self._instance)
        self._facts = Facts(session)
        self._frames = Frames(session)
        self._samples = Samples(session)
        self._token = session.RE.subscribe(self._documents)
        self._log = LogLines(loop, self._instance)
        self._stops = Stops()

    @property
    def moving(self) -> list[str]:
        """What clients move or set by hand now."""
        return self._devices.moving

    async def ended(self) -> None:
        """No call can arrive any more."""
        await self._devices.close()

    def close(self) -> None:
        """Listen no more."""
        self._log.close()
        self._session.RE.unsubscribe(self._token)
        self._runs.close()
        self._stops.close()

    # -- devices --------------------------------------------------------------------------------------------

    async def ListDevices(self, request: Any, context: Context) -> messages.ListDevicesReply:
        return await self._devices.listed()

    async def DescribeDevice(self, request: messages.DescribeDeviceRequest, context: Context) -> messages.Device:
        return await self._devices.described(request.name)

    async def Read(self, request: messages.ReadRequest, context: Context) -> messages.ReadReply:
        return await self._devices.read(list(request.names))

    async def Set(self, request: messages.SetRequest, context: Context) -> messages.SetReply:
        return await self._devices.set(request)

    async def Move(self, request: messages.MoveRequest, context: Context) -> AsyncIterator[messages.MoveProgress]:
        async for progress in self._devices.move(request):
            yield progress

    async def StopDevice(
        self,
        request: messages.StopDeviceRequest,
        context: Context,
    ) -> messages.StopDeviceReply:
        await self._devices.stop(request.name)
        return messages.StopDeviceReply()

    async def Locate(self, request: messages.LocateRequest, context: Context) -> messages.LocateReply:
        return await self._devices.located(list(request.names))

    async def Trigger(self, request: messages.TriggerRequest, context: Context) -> messages.ReadReply:
        return await self._devices.trigger(request)

    async def Reconnect(self, request: messages.ReconnectRequest, context: Context) -> messages.Device:
        return await self._devices.reconnect(request.name)

    # -- the session ----------------------------------------------------------------------------------------

    async def GetSession(self, request: Any, context: Context) -> messages.SessionFacts:
        return await asyncio.to_thread(self._facts.now)

    async def ChangeSession(self, request: messages.SessionChange, context: Context) -> messages.SessionFacts:
        await asyncio.to_thread(self._facts.change, request, CALLER.get())
        return await asyncio.to_thread(self._facts.now)

    async def OpenCatalog(self, request: Any, context: Context) -> messages.Catalog:
        return await asyncio.to_thread(self._facts.catalog)

    async def WatchLog(self, request: messages.WatchLogRequest, context: Context) -> AsyncIterator[messages.LogLine]:
        await context.send_initial_metadata((*self._begun(), *_where(*self._log.where(request))))
        async with contextlib.aclosing(self._log.follow(request)) as lines:
            async for line in lines:
                yield line

    # -- stop -----------------------------------------------------------------------------------------------

    async def StopAll(self, request: messages.StopAllRequest, context: Context) -> messages.StopReport:
        reason = request.reason.strip()[:REASON_CHARACTERS] or "asked for by a client"
        return _report(await self._stops.stop(reason, _caller(context)))

    async def Reset(self, request: messages.ResetRequest, context: Context) -> messages.ResetReply:
        if not request.reason.strip():
            raise LimitError("a reset needs a reason", hint="say what was found at the bench; it is recorded")
        reason = request.reason.strip()[:REASON_CHARACTERS]
        by = _caller(context)  # here: of a call that is over, gRPC's context crashes the process
        await self._stops.apart(lambda: reset(reason, by=by, force=request.force))
        return messages.ResetReply()

    # -- runs -----------------------------------------------------------------------------------------------

    async def ListPlans(self, request: Any, context: Context) -> messages.ListPlansReply:
        return await apart(partial(listed_plans, self._session))

    async def RunPlan(self, request: messages.RunPlanRequest, context: Context) -> AsyncIterator[messages.RunEvent]:
        known = await apart(partial(known_plans, self._session))
        if request.name not in known:
            raise UnknownName.among("plan", request.name, known)
        if self._session.plans_by:
            what = f"{request.name} was not begun: {self._session.plans_by} begins all plans of this rig"
            raise EngineBusy(what, hint=f"`rdaq queue add {request.name} ...` puts it there")
        latch.check(request.name)
        self._session.RE.turns.check(request.name)
        md, trips = _metadata(request.md), latch.trips
        await context.send_initial_metadata(self._begun())
        given = {name: from_value(value) for name, value in request.arguments.items()}
        plan = await apart(lambda: bind(find_any_plan(self._session, request.name), self._session.rig, given))
        check_not_stopped_since(trips, request.name)
        async for event in self._runs.run(request.name, plan, md):
            yield event

    async def RunScript(self, request: messages.RunScriptRequest, context: Context) -> AsyncIterator[messages.RunEvent]:
        md = _metadata(request.md)
        await context.send_initial_metadata(self._begun())
        async for event in self._scripts.run(request, md):
            yield event

    async def FollowPlan(self, request: messages.FollowPlanRequest, context: Context) -> AsyncIterator[Any]:
        await context.send_initial_metadata(self._begun())
        async for event in self._runs.follow(request.id, request.since):
            yield event

    async def Pause(self, request: messages.PauseRequest, context: Context) -> messages.State:
        await self._runs.pause(at_checkpoint=request.at_checkpoint)
        return self._state()

    async def Resume(self, request: messages.ResumeRequest, context: Context) -> messages.State:
        await self._runs.resume(request.accept_changes or None, request.told or None)
        return self._state()

    async def Finish(self, request: messages.EndRequest, context: Context) -> messages.State:
        await self._runs.end(self._session.RE.stop)
        return self._state()

    async def Abort(self, request: messages.EndRequest, context: Context) -> messages.State:
        reason = request.reason.strip()[:REASON_CHARACTERS] or f"aborted by {_caller(context)}"
        await self._runs.end(lambda: self._session.RE.abort(reason))
        return self._state()

    async def Halt(self, request: messages.EndRequest, context: Context) -> messages.State:
        await self._runs.end(self._session.RE.halt)
        return self._state()

    async def GetState(self, request: Any, context: Context) -> messages.State:
        return self._state()

    async def WatchState(self, request: Any, context: Context) -> AsyncIterator[messages.State]:
        await context.send_initial_metadata(self._begun())
        last = None
        while True:
            state = self._state()
            if state != last:
                last = state
                yield state
            await self._runs.changed(WATCH)

    async def StreamDocuments(self, request: Any, context: Context) -> AsyncIterator[messages.Document]:
        with self._documents.going_on(request) as (held, documents):
            # From now on none is missed.
            await context.send_initial_metadata((*self._begun(), *_where(held.position, held.lost)))
            async for document in documents:
                yield document

    async def StreamFrames(self, requests: AsyncIterator[messages.FrameCredit], context: Context) -> AsyncIterator[Any]:
        await context.send_initial_metadata(self._begun())
        async for message in self._frames.stream(requests, _caller(context)):
            yield message

    async def StreamSamples(self, request: messages.StreamSamplesRequest, context: Context) -> AsyncIterator[Any]:
        async with contextlib.aclosing(self._samples.stream(request)) as stream:
            first = await anext(stream)  # what the samples are: from here on none is missed
            await context.send_initial_metadata(self._begun())
            yield first
            async for message in stream:
                yield message

    def _begun(self) -> tuple[tuple[str, str], ...]:
        """Initial metadata of a stream: a client whose connection was cut sees whether it is the same server."""
        return (("rdaq-instance", self._instance),)

    def _state(self) -> messages.State:
        stopped = latch.tripped
        return messages.State(
            rig=self._session.rig.name,
            instance=self._instance,
            engine=self._runs.engine_state,
            plan=self._runs.plan,
            run_uid=self._runs.run_uid,
            scan_id=self._runs.scan_id,
            stopped=stopped,
            why=latch.why if stopped else "",
            verdicts=[_verdict(v) for v in (latch.verdicts or ()) if stopped],
            moving=self._devices.moving,
            failures={name: str(error) for name, error in dict(self._session.rig.failures).items()},
        )


def _where(position: int, lost: int) -> tuple[tuple[str, str], ...]:
    """Initial metadata of a stream that can go on where it was."""
    return (("rdaq-position", str(position)), ("rdaq-lost", str(lost)))


def _metadata(given: Mapping[str, str]) -> dict[str, Any]:
    """Of a run that a client begins."""
    check_run_metadata(given)
    return {**given, "submitted_by": CALLER.get()}


def _caller(context: Context) -> str:
    return f"{CALLER.get()} ({context.peer()})"


def _verdict(verdict: Any) -> messages.Verdict:
    return messages.Verdict(**verdict.as_json())


def _report(report: StopReport) -> messages.StopReport:
    return messages.StopReport(
        reason=report.reason, by=report.by, at=report.at, verdicts=[_verdict(v) for v in report.verdicts]
    )
