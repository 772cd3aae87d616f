"""The client of a server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

from rdaq_ophyd.document_lines import decode
from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.wire import DaqStub, messages, to_value

from ._call import Calls, Stream
from ._device import Devices, readings
from ._frames import Frames
from ._runs import Run

logger = logging.getLogger(__name__)
LARGEST_REPLY = 80 << 20
"""Bytes; an array of a signal may have 64 MiB."""


def connect(
    address: str, *, token: str | None = None, certificate: str | Path | None = None, timeout: float = 10.0
) -> Client:
    """Connect to a server.

    :param address: ``host:port``.
    :param token: what the server's owner gave you.
    :param certificate: file of the authority that signed the server's certificate; needed for TLS.
    :param timeout: seconds to wait for it.
    :raises ServerGone: nothing answers there.
    :raises NotAllowed: the token is not known.
    """
    return Client(address, token=token, certificate=certificate, timeout=timeout)


class Client:
    """A rig elsewhere; see ``connect``. Close it, or use it as a context manager."""

    def __init__(
        self, address: str, *, token: str | None = None, certificate: str | Path | None = None, timeout: float = 10.0
    ) -> None:
        self.address = address
        options = [("grpc.max_receive_message_length", LARGEST_REPLY)]
        if certificate is None:
            self._channel = grpc.insecure_channel(address, options)
        else:
            credentials = grpc.ssl_channel_credentials(Path(certificate).read_bytes())
            self._channel = grpc.secure_channel(address, credentials, options)
        self._calls = Calls(DaqStub(self._channel), address, token)  # type: ignore[no-untyped-call]
        self._devices: Devices | None = None
        try:
            self._calls.ask("GetState", messages.GetStateRequest(), timeout=timeout)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection; a plan goes on, a move by hand stops. Idempotent."""
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # -- devices --------------------------------------------------------------------------------------------

    @property
    def devices(self) -> Devices:
        """All devices, asked for once; ``refresh()`` asks anew."""
        return self._devices or self.refresh()

    def refresh(self) -> Devices:
        """Ask what devices there are."""
        self._devices = Devices(
            self._calls, self._calls.ask("ListDevices", messages.ListDevicesRequest(), timeout=None)
        )
        return self._devices

    def read(self, *names: str) -> dict[str, Any]:
        """Readings of devices and signals, by data key."""
        return readings(self._calls.ask("Read", messages.ReadRequest(names=names), timeout=None))

    # -- stop -----------------------------------------------------------------------------------------------

    def stop_all(self, reason: str = "") -> messages.StopReport:
        """Stop everything now and refuse everything else until ``reset``. A software stop is no safety function.

        :return: a verdict for each device.
        """
        report: messages.StopReport = self._calls.ask("StopAll", messages.StopAllRequest(reason=reason), timeout=None)
        return report

    def reset(self, reason: str, *, force: bool = False) -> None:
        """Accept commands again; nothing starts by itself.

        :param reason: what was found at the bench; recorded.
        :param force: also when a device is not confirmed to be safe.
        :raises StopUnconfirmed: a device is not confirmed.
        """
        self._calls.ask("Reset", messages.ResetRequest(reason=reason, force=force), timeout=None)

    # -- runs -----------------------------------------------------------------------------------------------

    def plans(self) -> dict[str, messages.Plan]:
        """The plans that can be run, with their parameters."""
        reply = self._calls.ask("ListPlans", messages.ListPlansRequest(), timeout=None)
        return {plan.name: plan for plan in reply.plans}

    def begin(self, plan: str, md: dict[str, str] | None = None, **arguments: Any) -> Run:
        """Begin a plan; devices are given by name.

        :raises UnknownName: no such plan, parameter or device.
        :raises LimitError: a value that the plan does not take.
        :raises EngineBusy: another one is under way.
        :raises StopLatched: everything was stopped.
        """
        given = {name: to_value(value) for name, value in arguments.items() if value is not None}
        request = messages.RunPlanRequest(name=plan, arguments=given, md=md or {})
        stream = self._calls.follow("RunPlan", request)
        run = Run(plan, stream)
        next(iter(run))  # it was taken
        return run

    def run(self, plan: str, md: dict[str, str] | None = None, **arguments: Any) -> Run:
        """Run a plan to its end; as ``begin`` and ``Run.wait``."""
        return self.begin(plan, md, **arguments).wait()

    def pause(self, *, at_checkpoint: bool = False) -> messages.State:
        """Stop the axes and pause."""
        return self._state("Pause", messages.PauseRequest(at_checkpoint=at_checkpoint))

    def resume(self, *, accept_changes: str = "") -> messages.State:
        """Go on after a pause.

        :raises ResumeRefused: a shutter or a laser changed since.
        """
        return self._state("Resume", messages.ResumeRequest(accept_changes=accept_changes))

    def finish(self) -> messages.State:
        """End the plan early and in order; its run counts as a success."""
        return self._state("Finish", messages.EndRequest())

    def abort(self, reason: str = "") -> messages.State:
        """End the plan with its clean-up; its run counts as aborted."""
        return self._state("Abort", messages.EndRequest(reason=reason))

    def halt(self) -> messages.State:
        """End the plan without its clean-up."""
        return self._state("Halt", messages.EndRequest())

    @property
    def state(self) -> messages.State:
        """How it is now."""
        return self._state("GetState", messages.GetStateRequest())

    def watch(self) -> Iterator[messages.State]:
        """The state now, and after each change."""
        return iter(self._calls.follow("WatchState", messages.GetStateRequest()))

    def documents(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Documents as they are made, from now on, none left out.

        :raises FellBehind: they were taken too slowly.
        """
        return self._documents(self._listening())

    def subscribe(self, callback: Callable[[str, dict[str, Any]], object]) -> Callable[[], None]:
        """Give all documents to a bluesky callback (a table, a plot), in a thread of its own.

        :return: ends that.
        """
        stream = self._listening()
        thread = threading.Thread(target=self._give, args=(stream, callback), name="remote-documents", daemon=True)
        thread.start()

        def end() -> None:
            stream.close()
            thread.join(10)

        return end

    def frames(
        self,
        camera: str,
        *,
        scale: int = 1,
        credits: int | None = None,  # noqa: A002 as the messages call them
    ) -> Frames:
        """The newest frames of a camera while it acquires; iterate, and ``close()``.

        :param camera: its name.
        :param scale: 1: all pixels; 2 or 4: every second or fourth of each row and column.
        :param credits: frames on their way while one is drawn, 1 to 64. Unless given, as few as keep the line busy:
            one for a viewer that draws slower than frames come, more for a quick reader far away.
        :raises UnknownName: (when iterated) no such camera.
        :raises LimitError: ``credits`` out of range; (when iterated) no such scale.
        """
        return Frames(self._calls, self._channel, camera, scale, credits)

    def _listening(self) -> Stream:
        stream = self._calls.follow("StreamDocuments", messages.StreamDocumentsRequest())
        stream.begun()
        return stream

    @staticmethod
    def _documents(stream: Stream) -> Iterator[tuple[str, dict[str, Any]]]:
        for message in stream:
            yield decode(message.line)

    def _give(self, stream: Stream, callback: Callable[[str, dict[str, Any]], object]) -> None:
        try:
            for name, document in self._documents(stream):
                callback(name, document)
        except RdaqError as error:
            logger.error("no more documents: %s", error)

    def _state(self, call: str, request: Any) -> messages.State:
        state: messages.State = self._calls.ask(call, request, timeout=None)
        return state
