"""The line protocol of an instrument: how a text becomes bytes and back."""

from __future__ import annotations

from dataclasses import dataclass, field

from rdaq_ophyd.errors import BadReply, LimitError
from rdaq_ophyd.link import Framing, Line, SerialSettings
from rdaq_ophyd.wire_text import unfit


@dataclass(frozen=True)
class LineProtocol:
    """Protocol settings that all instruments of a kind share.

    :param command_end: sent after each command.
    :param reply: how a reply ends.
    :param timeout: seconds from a question to the end of its reply.
    :param serial: how the serial line is set, by the manual.
    :param encoding: of commands and replies.
    :param separators: characters that separate commands on a line; a text that is filled in may have none of them.
    :param controls: control characters that belong to the commands themselves; a text that is filled in has none.
    """

    command_end: str = "\r\n"
    reply: Framing = field(default_factory=lambda: Line(b"\r\n"))
    timeout: float = 1.0
    serial: SerialSettings = field(default_factory=SerialSettings)
    encoding: str = "ascii"
    separators: str = ";"
    controls: str = ""

    def encode(self, *commands: str) -> bytes:
        """The bytes of one or more commands, each with its end mark.

        :raises LimitError: one of them holds another end, a control character, or what cannot be encoded.
        """
        for command in commands:
            if why := unfit(command, self.encoding, self.command_end, self.controls):
                raise LimitError(f"{command!r} {why}: nothing was sent", hint="one command at a time, in plain text")
        return "".join(command + self.command_end for command in commands).encode(self.encoding)

    def check_part(self, what: str, text: str) -> None:
        """Refuse a text that cannot be a part of one command.

        :param what: it is, for the error.
        :raises LimitError: it would end the command, begin another one, or cannot be encoded.
        """
        why = unfit(text, self.encoding, self.command_end)
        if not why and (found := next((char for char in text if char in self.separators), None)):
            why = f"has {found!r}, which separates commands"
        if why:
            without = ", ".join(["line ends", "control characters", *map(repr, self.separators)])
            raise LimitError(f"{what}: {text!r} {why}", hint=f"allowed: {self.encoding} text without {without}")

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
