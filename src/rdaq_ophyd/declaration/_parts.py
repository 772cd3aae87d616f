"""The tables of a declared instrument that describe how to talk to it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from ._model import Table

Scalar = bool | int | float | str


class Instrument(Table):
    """What the file is about."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="short name, as in the file's own: `keithley_2450`")
    manufacturer: str = Field(description="as people write it")
    model: str = Field(description="as the manufacturer writes it")
    manual: str = Field(description="manual and chapter that the texts come from")
    description: str = Field("", description="what it is, in a few words")
    notes: str = Field("", description="what its user must know; shown on its page")
    run_against: str = Field("", description="what the file was run against; shown on its page")


class Serial(Table):
    """How the serial line is set."""

    baudrate: PositiveInt = Field(9600, description="bits per second")
    bytesize: Literal[5, 6, 7, 8] = Field(8, description="data bits")
    parity: Literal["N", "E", "O", "M", "S"] = Field("N", description="none, even, odd, mark, space")
    stopbits: float = Field(1, description="stop bits: 1, 1.5 or 2")
    rtscts: bool = Field(False, description="hardware flow control")
    xonxoff: bool = Field(False, description="software flow control")

    @field_validator("stopbits")
    @classmethod
    def _possible(cls, value: float) -> float:
        if value not in {1, 1.5, 2}:
            raise ValueError("a line has 1, 1.5 or 2 stop bits")
        return value


class Link(Table):
    """How texts become bytes, and what carries them."""

    command_end: str = Field("\n", min_length=1, description="sent after each command")
    reply_end: str = Field("\n", description="mark at the end of each reply")
    reply_length: PositiveInt | None = Field(None, description="bytes of each reply, in place of `reply_end`")
    timeout: PositiveFloat = Field(1.0, description="seconds from a question to the end of its reply")
    encoding: Literal["ascii", "latin-1", "utf-8"] = Field("ascii", description="of commands and replies")
    separators: str = Field(
        ";", description="characters between commands on a line; a text that is filled in may have none of them"
    )
    controls: str = Field(
        "",
        description='control characters that texts of this file need, such as `"\\u0005"`; all others are refused',
    )
    serial: Serial | None = Field(None, description="how a serial line is set")
    tcp_port: int | None = Field(None, ge=1, le=65535, description="where it listens, for the docs")
    visa: str = Field("", description="an example of its VISA resource, for the docs")
    address: str = Field("", description="name of the address in the texts, on a bus: `{address}`")
    heartbeat: str = Field("", description="question that changes nothing, asked when the link was idle")
    heartbeat_period: PositiveFloat = Field(2.0, description="seconds without an exchange until it is asked")

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if not self.reply_end and self.reply_length is None:
            raise ValueError("a reply needs an end: give 'reply_end' or 'reply_length'")
        return self


class Identity(Table):
    """The question that tells this instrument from another, asked first on every connection."""

    ask: str = Field(min_length=1, description="the question")
    pattern: str = Field(
        description="regular expression of the whole reply; its named groups (`model`, `serial`, `firmware`) must "
        "stay the same while the instrument is used"
    )
    prepare: list[str] = Field([], description="harmless commands sent before, such as one that clears an error queue")


class Errors(Table):
    """The question after each write by which the instrument says whether it took it."""

    ask: str = Field(min_length=1, description="asked in one piece with the command")
    ok: str = Field("", description="regular expression of the reply that means no error")
    pattern: str = Field("", description="regular expression of any other reply, with the groups `code` and `message`")
    bits: dict[str, str] = Field(
        {}, description='in place of `ok` and `pattern`: what each bit of a number means, `"32" = "command error"`'
    )
    queue: PositiveInt = Field(20, description="most entries that are read to empty the queue; 1 for a register")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.bits) == bool(self.ok):
            raise ValueError("give either 'ok' and 'pattern', or 'bits'")
        if self.ok and not self.pattern:
            raise ValueError("'ok' needs a 'pattern' for the other replies, with the groups 'code' and 'message'")
        return self


class Stop(Table):
    """The command that stops what is under way."""

    tell: str = Field(min_length=1, description="the command; it may be sent again at any time without harm")
    reply: str = Field("", description="regular expression of its reply, where it has one")
    preempt: bool = Field(
        False,
        description="written past all that waits; only where the instrument takes input while it owes a reply, and "
        "does not answer this command",
    )
    ask: str = Field("", description="question that proves the stop; the one of `movable.done` unless given")
    safe: str = Field("", description="regular expression of its reply once stopped")
    seconds: PositiveFloat = Field(2.0, description="until the reply must say so")

    @model_validator(mode="after")
    def _silent_if_preempting(self) -> Self:
        if self.preempt and self.reply:
            raise ValueError("a command with a reply cannot preempt: leave 'preempt' out")
        if bool(self.ask) != bool(self.safe):
            raise ValueError("'ask' and 'safe' belong together")
        return self


class SafeState(Table):
    """How stop-all and the watchdog make the instrument safe."""

    tell: list[str] = Field(min_length=1, description="commands, which may be sent again at any time without harm")
    ask: str = Field("", description="question that proves it")
    safe: str = Field("", description="regular expression of its reply once safe")
    preempt: bool = Field(False, description="as in `stop`")
    answered: bool = Field(False, description="the instrument answers it; then it is one, which never preempts")
    first: bool = Field(False, description="light, shutters, high voltage: before everything that moves")
    seconds: PositiveFloat = Field(2.0, description="for each attempt, until the reply must say so")
    abort: str = Field("", description="stronger command, when the first was not confirmed")
    power_off: str = Field(
        "", description="the last resort; sent only where the rig allows it by `safe = { may_power_off = true }`"
    )

    @model_validator(mode="after")
    def _proof(self) -> Self:
        if self.answered and (self.preempt or len(self.tell) > 1):
            raise ValueError("a command that is answered stands alone and cannot preempt")
        if bool(self.ask) != bool(self.safe):
            raise ValueError("'ask' and 'safe' belong together")
        return self
