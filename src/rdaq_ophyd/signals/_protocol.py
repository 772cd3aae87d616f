"""The line protocol of an instrument: how a text becomes bytes and back."""

from __future__ import annotations

from dataclasses import dataclass, field

from rdaq_ophyd.errors import BadReply
from rdaq_ophyd.link import Framing, Line, SerialSettings


@dataclass(frozen=True)
class LineProtocol:
    """Protocol settings that all instruments of a kind share.

    :param command_end: sent after each command.
    :param reply: how a reply ends.
    :param timeout: seconds from a question to the end of its reply.
    :param serial: how the serial line is set, by the manual.
    :param encoding: of commands and replies.
    """

    command_end: str = "\r\n"
    reply: Framing = field(default_factory=lambda: Line(b"\r\n"))
    timeout: float = 1.0
    serial: SerialSettings = field(default_factory=SerialSettings)
    encoding: str = "ascii"

    def encode(self, *commands: str) -> bytes:
        """The bytes of one or more commands, each with its end mark."""
        return "".join(command + self.command_end for command in commands).encode(self.encoding)

    def framing(self, command: str) -> Framing:  # noqa: ARG002 - for protocols where the command tells
        """How the reply to ``command`` ends; a protocol may tell it by the command."""
        return self.reply

    def decode(self, reply: bytes, command: str) -> str:
        """The text of a reply, without the blanks around it.

        :raises BadReply: the bytes are no text in this encoding (usually a wrong baud rate).
        """
        try:
            return reply.decode(self.encoding).strip()
        except UnicodeDecodeError as error:
            raise BadReply(
                f"{reply!r} in answer to {command!r} is not {self.encoding} text", hint="check the baud rate and parity"
            ) from error
