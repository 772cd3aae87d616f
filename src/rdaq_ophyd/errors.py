"""Every exception of rdaq-ophyd. Each message says what happened, to what, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN = 200
"""Characters of a name in a message."""


class RdaqError(Exception):
    """Base of all errors raised by rdaq-ophyd.

    :param what: what happened, naming the thing and the value.
    :param hint: the next step for the person who reads it; printed after the message.
    :ivar about: the parameter that it is about: of a plan, the one that is wrong.
    """

    exit_code = 1
    about = ""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what} → {self.hint}" if self.hint else self.what


class LinkError(RdaqError, ConnectionError):
    """The bytes to or from an instrument failed."""


class PortNotFound(LinkError):
    """The port does not exist (unplugged, renamed, misspelt)."""


class PortBusy(LinkError):
    """Another process holds the port."""


class PortNotPermitted(LinkError):
    """The user may not open the port."""


class LinkClosed(LinkError):
    """The link was closed, or its port vanished, with this exchange in flight or queued."""


class QueueFull(LinkError):
    """More exchanges are waiting for the port than its queue is allowed to hold."""


class ReplyTimeout(LinkError):
    """The instrument did not answer in time.

    No TimeoutError: ophyd-async replaces each of those by one of its own, which says nothing but the signal's source.
    """


class BadReply(LinkError, ValueError):
    """The instrument answered something that the declared reply format does not allow."""


class WrongInstrument(LinkError):
    """Another instrument than the declared one answers on the port."""


class InstrumentError(RdaqError):
    """The instrument itself reported an error.

    :param device: name of the device, with the axis where there is one.
    :param code: the instrument's own error code.
    :param cause: the manual's text for it.
    """

    def __init__(self, device: str, code: int, cause: str, *, hint: str = "") -> None:
        super().__init__(f"{device}: instrument error {code}: {cause}", hint=hint)
        self.device = device
        self.code = code
        self.cause = cause


class LimitError(RdaqError, ValueError):
    """A value outside its allowed range, or not a finite number."""


class UnitsError(RdaqError, ValueError):
    """A value given in a unit that the signal does not have."""


class UnknownName(RdaqError, LookupError):
    """No device, plan, profile or position has that name."""

    exit_code = 2

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> UnknownName:
        """Make the error for ``name``, naming the nearest of the ``known`` ones."""
        names = sorted(known)
        if len(name) > SHOWN:  # one of megabytes would take a second to compare, and be said in full
            name = name[:SHOWN] + "…"
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        if near:
            guess = "did you mean " + " or ".join(near) + "?"
        else:
            guess = "known: " + (", ".join(names) if names else "none")
        return cls(f"unknown {kind} {name!r}", hint=f"{guess} {hint}".strip())


class ProfileError(RdaqError):
    """A profile or a rig file that cannot be loaded; names file and line."""

    exit_code = 2


class DeclarationError(RdaqError):
    """A declared instrument whose file is not what it must be; names file, line and reason."""

    exit_code = 2


class DataDirectoryError(RdaqError, OSError):
    """The data directory cannot be written, or has too little room left."""


class CameraError(RdaqError):
    """A camera or its SDK failed."""


class MicroManagerError(CameraError):
    """Micro-Manager's core or one of its device adapters failed: a camera's, a stage's, a shutter's."""


class AcquisitionInterrupted(CameraError):
    """An acquisition ended early, without an error of the camera: it was stopped, or a plan is paused."""


class CardError(RdaqError):
    """A data acquisition card or its SDK failed, or it is asked for something that it cannot do."""


class FrameReleased(RdaqError):
    """A frame was used after its buffer went back to the camera."""


class FrameStreamError(RdaqError, OSError):
    """A stream of frames ended early, or nobody reads it any more."""


class CatalogError(RdaqError):
    """Tiled or the spool of documents failed."""


class PublishError(RdaqError):
    """Documents cannot be published to others as a profile or the environment asks for it."""

    exit_code = 2


class MoveInterrupted(RdaqError):
    """A move ended somewhere else than at its target, without an error of the instrument: it was stopped."""


class MoveTimeout(RdaqError):
    """A move did not end in time; it was told to stop. No TimeoutError, for the reason given at ReplyTimeout."""


class ReadingInterrupted(RdaqError):
    """A triggered reading ended without a value: it was stopped."""


class StopUnconfirmed(RdaqError):
    """A stop was sent, but the instrument did not confirm in time that the motion ended."""


class EmissionRefused(RdaqError):
    """Light was not switched on: nobody armed it just before, or the laser is not ready. Nothing was sent."""


class ChangeUnconfirmed(RdaqError):
    """An instrument was told to open, close or switch, and does not say in time that it did."""


class StopLatched(RdaqError):
    """Refused: everything was stopped, and nobody has reset that yet."""


class EngineBusy(RdaqError):
    """It cannot be done while a plan runs or is paused, or while a device is moved by hand."""


class QueueError(RdaqError):
    """A queue of plans cannot be reached, or does not take what it is asked for."""


class FellBehind(RdaqError):
    """A listener did not take what is never left out, until there was no more room for it."""


class ServerGone(RdaqError, ConnectionError):
    """A server cannot be reached, or the connection broke; what was asked for last may have been done."""


class NotAllowed(RdaqError):
    """Whoever calls a server is not known to it, or has no right to do that."""


class TooMuch(RdaqError):
    """A server's limit was reached: calls a second, calls or streams at a time, the size of a request."""


class ResumeRefused(RdaqError):
    """A paused plan is not resumed: something that it relies on changed meanwhile.

    :ivar about: ``accept_changes``, where a reason for that would let it go on.
    """

    @property
    def may_be_accepted(self) -> bool:
        """Whether it goes on when somebody says why that is right."""
        return self.about == "accept_changes"


class ScriptFailed(RdaqError):
    """A script's process ended before its plan, did not answer in time, or broke the rules of its pipe."""


class TooOften(RdaqError):
    """It is asked for more often than is allowed."""
