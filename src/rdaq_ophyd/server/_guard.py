"""What stands before each call: who it is, whether they may, the audit log; and behind it: errors in words."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from bluesky.utils import FailedStatus, TransitionError  # type: ignore[attr-defined] # bluesky's own name for it
from google.protobuf.message import DecodeError

from rdaq_ophyd import errors
from rdaq_ophyd.errors import EngineBusy, LimitError, NotAllowed, RdaqError, TooMuch
from rdaq_ophyd.operations import CALL, CallMetrics, CountedCall
from rdaq_ophyd.operations import CALLER as CALLER
from rdaq_ophyd.startup import QUITS as QUITS
from rdaq_ophyd.wire import ERROR_KEY, SERVICE, error_message, messages

from ._access import OBSERVING, Access, Token
from ._arrived import Arrived, Sender
from ._audit import Audit
from ._limits import Gate
from ._refusals import Refusals, address_of

logger = logging.getLogger(__name__)

CODES: tuple[tuple[type[BaseException], grpc.StatusCode], ...] = (
    (errors.NotAllowed, grpc.StatusCode.PERMISSION_DENIED),
    (errors.UnknownName, grpc.StatusCode.NOT_FOUND),
    (errors.LimitError, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.UnitsError, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.MoveInterrupted, grpc.StatusCode.ABORTED),
    (errors.MoveTimeout, grpc.StatusCode.DEADLINE_EXCEEDED),
    (errors.TooMuch, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.QueueFull, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.TooOften, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.FellBehind, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.LinkError, grpc.StatusCode.UNAVAILABLE),
    (errors.RdaqError, grpc.StatusCode.FAILED_PRECONDITION),
    (TimeoutError, grpc.StatusCode.DEADLINE_EXCEEDED),
)
CHANGING = frozenset(method.name for method in messages.DESCRIPTOR.services_by_name["Daq"].methods) - OBSERVING
"""Calls that change something."""
STOP = "StopAll"
NUMBERED = {code.value[0]: code for code in grpc.StatusCode}
"""Codes by their number on the wire, which is what a context knows them by."""
Context = grpc.aio.ServicerContext[Any, Any]
BY_HAND = frozenset({"StreamFrames", "StreamSamples"})
"""Calls whose messages are put together by hand: what is yielded are their bytes."""
AUDITED_CHARACTERS = 2000
"""Of a request, in the audit log."""
AUDITED_BYTES = 64 << 10
"""Of a request that is told there in its own words: to make megabytes a text takes the time of all."""
FIRST_WITHIN = 10.0
"""Seconds in which the request of a call must come; gRPC would wait for it for ever."""


class Guard(grpc.aio.ServerInterceptor):
    """Stands before all calls. Health and reflection need a known caller and room, as ours do, and nothing else.

    :param access: who may call what.
    :param audit: gets what changes something.
    :param gate: how much is let in.
    :param metrics: counts all of it.
    :param refusals: slows down who shows no known token.
    """

    def __init__(self, access: Access, audit: Audit, gate: Gate, metrics: CallMetrics, refusals: Refusals) -> None:
        self._access, self._audit, self._gate, self._metrics = access, audit, gate, metrics
        self._refusals = refusals
        self._arrived = Arrived()
        self._ending = False

    def ends(self) -> None:
        """From now on gRPC cuts calls off: one whose request is not there yet is no stop for that."""
        self._ending = True

    async def close(self) -> None:
        """What is waited for now comes no more; when gRPC's server has stopped."""
        await self._arrived.close()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler of one call."""
        handler: Any = await continuation(details)
        service, _, call = details.method.lstrip("/").rpartition("/")
        if handler is None:
            self._metrics.refused("unknown", grpc.StatusCode.UNIMPLEMENTED.name)
            return handler
        try:
            token = self._access.who({k: v for k, v in details.invocation_metadata if isinstance(v, str)})
        except NotAllowed as error:
            return self._refusing(call, grpc.StatusCode.UNAUTHENTICATED, error, stranger=True)
        try:
            if service == SERVICE:
                self._access.check(token, call)
        except NotAllowed as error:
            return self._refusing(call, grpc.StatusCode.PERMISSION_DENIED, error)
        return self._guarding(handler, token, call, ours=service == SERVICE)

    def _guarding(self, handler: Any, token: Token, call: str, *, ours: bool) -> Any:
        """Begin before the request is there: whoever sends none is counted like everybody, and not for long."""
        behaviour = getattr(handler, _kind(handler))
        many, streams = handler.request_streaming, handler.response_streaming
        if ours and call == STOP:
            behaviour, many = partial(self._stop, behaviour, token), True
        plain = not inspect.isasyncgenfunction(behaviour)
        guarded = (self._single if plain else self._streaming)(behaviour, token, call, many=many, stream=streams)
        made = grpc.stream_stream_rpc_method_handler if streams else grpc.stream_unary_rpc_method_handler
        serializer = None if ours and call in BY_HAND else handler.response_serializer
        return made(guarded, _lenient(handler.request_deserializer), serializer)

    def _single(self, behaviour: Any, token: Token, call: str, *, many: bool, stream: bool) -> Any:
        async def guarded(requests: Any, context: Context) -> Any:
            with self._metrics.call(call, timed=not stream) as counted:
                try:
                    async with self._admitted(token, context, call, requests, many=many, stream=stream) as request:
                        answer = await behaviour(request, context)
                except (Exception, *QUITS) as error:  # noqa: BLE001 each reaches the caller, in words
                    await _abort(context, error, call, counted)
                else:
                    counted.code = grpc.StatusCode.OK.name
                    if answer is not None:
                        counted.sent(answer.ByteSize())
                    return answer

        return guarded

    def _streaming(self, behaviour: Any, token: Token, call: str, *, many: bool, stream: bool) -> Any:
        async def guarded(requests: Any, context: Context) -> AsyncIterator[Any]:
            with self._metrics.call(call, timed=False) as counted:
                try:
                    async with self._admitted(token, context, call, requests, many=many, stream=stream) as request:
                        async for message in behaviour(request, context):
                            if call in OBSERVING:  # a move goes on, as a plan does
                                self._access.check_known(token)
                            counted.sent(len(message) if isinstance(message, bytes) else message.ByteSize())
                            yield message
                except (Exception, *QUITS) as error:  # noqa: BLE001 each reaches the caller, in words
                    await _abort(context, error, call, counted)
                else:
                    counted.code = grpc.StatusCode.OK.name

        return guarded

    async def _stop(self, behaviour: Any, token: Token, requests: AsyncIterator[Any], context: Context) -> Any:
        """A stop does not end with its call, and can do without its request.

        Of a call that is cancelled gRPC mostly throws the request away that came with it, and then says that there is
        no more. One whose request may still come is no stop yet.
        """
        sender, unsaid = Sender(context.peer()), messages.StopAllRequest()

        async def stop() -> Any:
            request = await _only(requests, STOP, otherwise=unsaid)
            if request is unsaid and self._ending:
                hint = "`rdaq stop` on that machine, or the instruments' own stops"
                raise RdaqError(f"{STOP}: the server ended before its request came; nothing was stopped", hint=hint)
            note(self._audit, token, sender.peer(), STOP, request)
            return await behaviour(request, sender)

        return await self._arrived.see_through(stop())

    @asynccontextmanager
    async def _admitted(
        self, token: Token, context: Context, call: str, requests: AsyncIterator[Any], *, many: bool, stream: bool
    ) -> AsyncIterator[Any]:
        """Room for the call, its request (or all of them), and its line in the audit log."""
        # Without tokens all are "local": then each connection is a client.
        who = token.name if self._access.tokens else context.peer()
        with self._gate.admitted(who, call, stream=stream):
            CALLER.set(token.name)
            CALL.set(call)
            if many:
                yield requests if call == STOP else _wellformed(requests, call)
                return
            request = await _only(requests, call)
            self._gate.check_size(call, request.ByteSize())
            note(self._audit, token, context.peer(), call, request)
            yield request

    def _refusing(self, call: str, code: grpc.StatusCode, error: NotAllowed, *, stranger: bool = False) -> Any:
        self._metrics.refused(call, code.name)

        async def refuse(context: Context) -> None:
            if stranger and not await self._refusals.spare(context.peer(), "grpc"):
                what = f"too many calls without a known token from {address_of(context.peer())}"
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, what)
            await context.abort(code, str(error), _trailing(error))

        async def refuse_stream(_requests: Any, context: Context) -> AsyncIterator[Any]:
            await refuse(context)
            yield

        # Whatever kind of call it is: of a stream of requests nothing is read that nobody waits for, so neither their
        # size nor their slowness matters.
        return grpc.stream_stream_rpc_method_handler(refuse_stream)


def note(audit: Audit, token: Token, peer: str, call: str, request: Any) -> None:
    """Write into the audit log what changes something."""
    if call == STOP:
        audit.note_stop(token.name, peer, audited(request)[:AUDITED_CHARACTERS])
    elif call in CHANGING:
        audit.note(token.name, peer, call, audited(request)[:AUDITED_CHARACTERS])


def audited(request: Any) -> str:
    """A request for the audit log; of a script its hash, size and arguments."""
    if not isinstance(request, messages.RunScriptRequest):
        return _short(request)
    short = messages.RunScriptRequest(name=request.name, arguments=request.arguments, md=request.md)
    return f"sha256: {hashlib.sha256(request.source).hexdigest()} bytes: {len(request.source)} {_short(short)}"


def _short(request: Any) -> str:
    size = request.ByteSize() if hasattr(request, "ByteSize") else 0
    return f"{size} bytes for {getattr(request, 'name', '')!r}" if size > AUDITED_BYTES else str(request)


@dataclass(frozen=True)
class _Malformed:
    """Bytes that are no message: let through as far as who sent them can be told so."""

    why: str

    def error(self, call: str) -> LimitError:
        return LimitError(f"{call}: the request is no message of daq.proto: {self.why}", hint="is the client's as new?")


def _lenient(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Else gRPC logs what anybody sends as an error of the server, and answers so."""

    def deserialized(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError as error:
            return _Malformed(str(error))

    return deserialized


async def _only(requests: AsyncIterator[Any], call: str, otherwise: Any = None) -> Any:
    """The one request of a call, or what is taken for it where there is none."""
    try:
        async with asyncio.timeout(FIRST_WITHIN):
            request = await anext(aiter(requests), otherwise)
    except TimeoutError:
        raise TooMuch(f"{call}: its request did not come within {FIRST_WITHIN:g} s", hint="send it at once") from None
    if request is None:
        raise LimitError(f"{call}: there was no request", hint="send one message")
    if isinstance(request, _Malformed):
        raise request.error(call)
    return request


async def _wellformed(requests: AsyncIterator[Any], call: str) -> AsyncIterator[Any]:
    async for request in requests:
        if isinstance(request, _Malformed):
            raise request.error(call)
        yield request


def _kind(handler: Any) -> str:
    """Which of gRPC's four kinds of calls it is."""
    streaming = {False: "unary", True: "stream"}
    return f"{streaming[handler.request_streaming]}_{streaming[handler.response_streaming]}"


def _trailing(error: BaseException) -> tuple[tuple[str, bytes], ...]:
    return ((ERROR_KEY, error_message(error).SerializeToString()),)


async def _abort(context: Context, error: BaseException, call: str, counted: CountedCall) -> None:
    if isinstance(error, grpc.aio.AbortError):
        counted.code = _code_of(context).name
        raise error
    if isinstance(error, grpc.aio.BaseError):  # gRPC's own word that the call is over, as when the server ends
        counted.code = grpc.StatusCode.UNAVAILABLE.name
        raise error
    if isinstance(error, QUITS):
        logger.error("%s wanted to end the server", call, exc_info=error)
    error = in_words(error)
    code = status_of(error)
    counted.code = code.name
    if code is grpc.StatusCode.INTERNAL:
        logger.error("%s failed", call, exc_info=error)
    await context.abort(code, str(error) or type(error).__name__, _trailing(error))


def status_of(error: Exception) -> grpc.StatusCode:
    """With which a call that fails so ends."""
    return next((code for kind, code in CODES if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def _code_of(context: Context) -> grpc.StatusCode:
    """With which a behaviour has ended the call by itself."""
    found: Any = context.code()  # gRPC's own types say that it is no number
    return found if isinstance(found, grpc.StatusCode) else NUMBERED.get(found, grpc.StatusCode.UNKNOWN)


def in_words(error: BaseException) -> Exception:
    """The error that tells most: what bluesky and asyncio wrap is taken out."""
    if isinstance(error, FailedStatus) and error.__cause__ is not None:
        return in_words(error.__cause__)
    if isinstance(error, TransitionError):
        return EngineBusy(str(error), hint="look at the state, and ask again")
    return error if isinstance(error, Exception) else RdaqError(f"{type(error).__name__}: {error}")
