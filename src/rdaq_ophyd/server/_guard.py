"""What stands before each call: who it is, whether they may, the audit log; and behind it: errors in words."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import grpc
from bluesky.utils import FailedStatus, TransitionError  # type: ignore[attr-defined] # bluesky's own name for it

from rdaq_ophyd import errors
from rdaq_ophyd.errors import EngineBusy, NotAllowed, RdaqError
from rdaq_ophyd.wire import ERROR_KEY, SERVICE, error_message

from ._access import OBSERVING, Access, Token
from ._audit import Audit

logger = logging.getLogger(__name__)

CODES: tuple[tuple[type[BaseException], grpc.StatusCode], ...] = (
    (errors.NotAllowed, grpc.StatusCode.PERMISSION_DENIED),
    (errors.UnknownName, grpc.StatusCode.NOT_FOUND),
    (errors.LimitError, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.UnitsError, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.MoveInterrupted, grpc.StatusCode.ABORTED),
    (errors.MoveTimeout, grpc.StatusCode.DEADLINE_EXCEEDED),
    (errors.QueueFull, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.FellBehind, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.LinkError, grpc.StatusCode.UNAVAILABLE),
    (errors.RdaqError, grpc.StatusCode.FAILED_PRECONDITION),
    (TimeoutError, grpc.StatusCode.DEADLINE_EXCEEDED),
)
CALLER: ContextVar[str] = ContextVar("caller", default="nobody")
"""Whose call is being served."""
BY_HAND = frozenset({"StreamFrames", "StreamSamples"})
"""Calls whose messages are put together by hand: what is yielded are their bytes."""
AUDITED_CHARACTERS = 2000
"""Of a request, in the audit log."""


class Guard(grpc.aio.ServerInterceptor):
    """Stands before all calls of our service; others (health, reflection) only need a known caller."""

    def __init__(self, access: Access, audit: Audit) -> None:
        self._access, self._audit = access, audit

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler of one call."""
        handler: Any = await continuation(details)
        if handler is None:
            return handler
        service, _, call = details.method.lstrip("/").rpartition("/")
        try:
            token = self._access.who({k: v for k, v in details.invocation_metadata if isinstance(v, str)})
        except NotAllowed as error:
            return _refusing(handler, grpc.StatusCode.UNAUTHENTICATED, error)
        try:
            if service == SERVICE:
                self._access.check(token, call)
        except NotAllowed as error:
            return _refusing(handler, grpc.StatusCode.PERMISSION_DENIED, error)
        if service != SERVICE:
            return handler
        if call in BY_HAND:
            handler = handler._replace(response_serializer=None)
        if handler.request_streaming:
            return handler._replace(stream_stream=self._streaming(handler.stream_stream, token, call))
        if handler.response_streaming:
            return handler._replace(unary_stream=self._streaming(handler.unary_stream, token, call))
        return handler._replace(unary_unary=self._unary(handler.unary_unary, token, call))

    def _unary(self, behaviour: Any, token: Token, call: str) -> Any:
        async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            self._note(token, context, call, request)
            try:
                return await behaviour(request, context)
            except Exception as error:  # noqa: BLE001 each reaches the caller, in words
                await _abort(context, error, call)

        return guarded

    def _streaming(self, behaviour: Any, token: Token, call: str) -> Any:
        async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            self._note(token, context, call, request)
            try:
                async for message in behaviour(request, context):
                    yield message
            except Exception as error:  # noqa: BLE001 each reaches the caller, in words
                await _abort(context, error, call)

        return guarded

    def _note(self, token: Token, context: grpc.aio.ServicerContext[Any, Any], call: str, request: Any) -> None:
        CALLER.set(token.name)
        if call not in OBSERVING or call == "StopAll":
            self._audit.note(token.name, context.peer(), call, str(request)[:AUDITED_CHARACTERS])


def _refusing(handler: Any, code: grpc.StatusCode, error: NotAllowed) -> Any:
    async def refuse(_request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await context.abort(code, str(error), _trailing(error))

    async def refuse_stream(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        await refuse(request, context)
        yield

    kinds: dict[str, Any] = {"unary_unary": refuse, "stream_unary": refuse}
    kinds |= {"unary_stream": refuse_stream, "stream_stream": refuse_stream}
    return handler._replace(**{name: kind for name, kind in kinds.items() if getattr(handler, name) is not None})


def _trailing(error: BaseException) -> tuple[tuple[str, bytes], ...]:
    return ((ERROR_KEY, error_message(error).SerializeToString()),)


async def _abort(context: grpc.aio.ServicerContext[Any, Any], error: Exception, call: str) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    error = in_words(error)
    code = next((code for kind, code in CODES if isinstance(error, kind)), grpc.StatusCode.INTERNAL)
    if code is grpc.StatusCode.INTERNAL:
        logger.error("%s failed", call, exc_info=error)
    await context.abort(code, str(error) or type(error).__name__, _trailing(error))


def in_words(error: BaseException) -> Exception:
    """The error that tells most: what bluesky and asyncio wrap is taken out."""
    if isinstance(error, FailedStatus) and isinstance(error.__cause__, Exception):
        return in_words(error.__cause__)
    if isinstance(error, TransitionError):
        return EngineBusy(str(error), hint="look at the state, and ask again")
    return error if isinstance(error, Exception) else RdaqError(f"{type(error).__name__}: {error}")
