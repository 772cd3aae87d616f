"""The conversation with the rig: what the rig asks is done, what the script asks is waited for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from bluesky import Msg

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.scripts._codec import HINT, Codec, told
from rdaq_ophyd.scripts._thrown import caught
from rdaq_ophyd.scripts._vocabulary import COMMANDS_LOCAL, REFUSED, WITHOUT

from ._enums import Enums
from ._local import Local
from ._pipe import Pipe
from ._proxies import Devices, Proxy
from ._statuses import RemoteStatus, Statuses


class Opaque:
    """Something of the rig's that has no meaning here."""

    def __init__(self, said: str) -> None:
        self._said = said

    def __repr__(self) -> str:
        return self._said


class Conversation:
    """One pipe, two sides; this one does one thing at a time.

    :param pipe: to the rig.
    :param about: the rig, as it described itself.
    :ivar thinks: whether the plan runs, so that it can be interrupted.
    """

    def __init__(self, pipe: Pipe, about: dict[str, Any]) -> None:
        self._pipe = pipe
        enums = Enums(about["enums"])
        self.codec = Codec(self._outside, self._inside, enums, (Proxy, RemoteStatus))
        self.devices = Devices(self._ask_device, enums)
        self.devices.add(about["devices"])
        self._statuses = Statuses(lambda number: self._ask(status=number))
        self._local = Local()
        self._steps = 1  # to be loaded was the first one
        self._asked = 0
        self._waiting: deque[dict[str, Any]] = deque()
        self._factories: list[Callable[[], Any]] = []
        self._awaited: list[asyncio.Future[Any]] = []
        self._runner = asyncio.Runner()
        self._task: asyncio.Task[Any] | None = None
        self._asks = self._look_again = False
        self.thinks: Callable[[], bool] = lambda: False

    def close(self) -> None:
        """Tidy up."""
        self._runner.close()

    # -- steps ------------------------------------------------------------------------------------------------

    def tell(self, **frame: Any) -> None:
        """What was asked for: that it is loaded, or that the plan is over."""
        self._pipe.send(**frame, step=self._steps)

    def do(self, message: Msg) -> Any:
        """Have a message done, and return the response.

        :raises LimitError: it cannot travel; names what.
        :raises BaseException: what the rig throws into the plan.
        """
        content = self._encoded(message)
        self._pipe.send(message=content, step=self._steps, released=self._statuses.released())
        response = self.follow()
        return list(self._awaited) if message.command == "wait_for" else response

    def follow(self) -> Any:
        """Serve the rig until it says how the plan goes on.

        :raises BaseException: what it throws.
        """
        while True:
            frame = self._waiting.popleft() if self._waiting else self._pipe.receive()
            if "response" in frame:
                self._steps = frame["step"]
                return self.codec.decode(frame["response"])
            self._serve(frame)

    def _serve(self, frame: dict[str, Any]) -> None:
        """What may come at any time but a response.

        :raises BaseException: what the rig throws into the plan.
        """
        if "throw" in frame:
            self._steps = frame["step"]
            raise caught(frame["throw"], self.codec.decode)
        if "close" in frame:
            raise GeneratorExit
        if "call" in frame:
            self._call(frame)
        elif "document" in frame:
            number, name, document = frame["document"]
            self._local.tell(number, name, self.codec.decode(document))

    def interrupted(self, *_signal: object) -> None:
        """Something waits on the pipe that is not to wait for the plan's next message (a signal handler)."""
        if self.thinks() and self._asks:
            self._look_again = True
        elif self.thinks():
            self._look()
        elif self._task is not None:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def _look(self) -> None:
        while self._pipe.has_news():  # else a question has met it already
            frame = self._pipe.receive()
            if "document" in frame:
                self._waiting.append(frame)
            else:
                self._serve(frame)

    # -- what the rig asks ------------------------------------------------------------------------------------

    def _call(self, frame: dict[str, Any]) -> None:
        try:
            if "awaited" in frame:
                result = self._run(self._await_all())
            else:
                args = self.codec.decode(frame["args"])
                result = self._run(self._local.do(frame["local"], frame["method"], args))
            reply = {"result": self.codec.encode(result)}
        except asyncio.CancelledError:
            reply = {"error": "it was interrupted"}
        except Exception as error:  # noqa: BLE001 it is raised in the rig
            reply = {"error": f"{type(error).__name__}: {error}"}
        self._pipe.send(**reply, done=frame["call"])

    def _run(self, work: Any) -> Any:
        async def run() -> Any:
            self._task = asyncio.current_task()
            try:
                return await work
            finally:
                self._task = None

        return self._runner.run(run())

    async def _await_all(self) -> None:
        self._awaited = [asyncio.ensure_future(factory()) for factory in self._factories]
        try:
            await asyncio.wait(self._awaited)
        finally:
            for each in self._awaited:
                each.cancel()

    # -- what the script asks ---------------------------------------------------------------------------------

    def _ask_device(self, path: str, attribute: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._ask(
            path=path, attribute=attribute, args=self.codec.encode(list(args)), kwargs=self.codec.encode(kwargs)
        )

    def _ask(self, **question: Any) -> Any:
        self._asks = True
        try:
            self._asked += 1
            self._pipe.send(**question, ask=self._asked)
            while True:
                frame = self._pipe.receive()
                if frame.get("answer") == self._asked:
                    break
                if self.thinks() and frame.keys() & {"throw", "close", "call"}:
                    self._serve(frame)
                elif "answer" not in frame:  # of a question that was interrupted
                    self._waiting.append(frame)
        finally:
            self._asks = False
        if self._look_again:
            self._look_again = False
            self._look()
        if "error" in frame:
            raise caught(frame["error"], self.codec.decode)
        return self.codec.decode(frame["value"])

    # -- what travels -----------------------------------------------------------------------------------------

    def _encoded(self, message: Msg) -> list[Any]:
        command, obj, args, kwargs, run = message
        if command in REFUSED:
            raise LimitError(f"the message {command!r} is for plans beside the engine", hint="leave it to the rig")
        if not isinstance(obj, Proxy) and self._local.is_device(obj) and _is_beyond(obj, command):
            raise LimitError(
                f"{command!r} of {obj.name}, a {type(obj).__name__} that the script made itself",
                hint="such a device can be read, and no more; what moves or triggers belongs into the profile",
            )
        if command == "wait_for":
            (factories,) = args
            self._factories = list(factories)
            args = (len(self._factories),)
        elif command == "subscribe":
            function, *rest = args
            args = (self._local.callback(function), *rest)
        parts = {"the device": obj, "argument": args, "keyword": kwargs, "run": run}
        return [command, *(self._part(command, what, part) for what, part in parts.items())]

    def _part(self, command: str, what: str, part: Any) -> Any:
        try:
            return self.codec.encode(part)
        except LimitError as error:
            raise LimitError(f"message {command!r}, {what}: {error.what}", hint=error.hint) from error

    def _outside(self, value: Any) -> Any:
        if isinstance(value, Proxy):
            return {"$device": value._path}
        if isinstance(value, RemoteStatus):
            return {"$status": value.number}
        if self._local.is_device(value):
            number, name, methods, hints = self._local.described(value)
            return {"$local": [number, name, methods, self.codec.encode(hints)]}
        raise LimitError(f"{told(value)} cannot travel", hint=HINT)

    def _inside(self, tag: str, content: Any) -> Any:
        match tag:
            case "$device":
                return self.devices[content]
            case "$status":
                return self._statuses.make(content)
            case "$mine":
                return self._local[content]
            case "$kept":
                self.devices.add([content])
                return self.devices[content["path"]]
            case "$exception":
                return caught(content, self.codec.decode)
        return Opaque(str(content))


def _is_beyond(device: Any, command: str) -> bool:
    """Whether the engine could not do that with a device of the script's."""
    return command not in COMMANDS_LOCAL or (command in WITHOUT and hasattr(device, command))
