"""The tables of a declared instrument that become signals, commands and moves."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Strict, model_validator

from ._model import Table
from ._parts import SafeState, Scalar, Stop

NAME = r"^[a-z][a-z0-9_]*$"
# TOML has arrays, and no tuples.
Range = Annotated[tuple[Annotated[float, Strict()], Annotated[float, Strict()]], Strict(False)]


class AskedLimits(Table):
    """Limits that the instrument itself tells."""

    low: str = Field(min_length=1, description="question for the lowest value")
    high: str = Field(min_length=1, description="question for the highest value")


class Signal(Table):
    """A value of the instrument: read with `ask`, written with `tell`."""

    type: Literal["float", "int", "bool", "str", "enum"] = Field("float", description="of the value")
    ask: str = Field("", description="the question; without one, the value written last is shown")
    tell: str | dict[str, str] = Field(
        "", description="the command with `{value}` (formatted as in Python: `{value:.3f}`), or one for each value"
    )
    reply: str = Field("", description="regular expression of the reply to `tell`, where setting commands are answered")
    codes: dict[str, str | list[str]] = Field(
        {}, description="the value's text on the wire; of a list, the first is sent and all are understood"
    )
    pattern: str = Field("", description="regular expression of the whole reply, with the group `value`")
    field: PositiveInt | None = Field(None, description="which part of a reply with commas, counted from 1")
    units: str | None = Field(None, description="as recorded; empty for a number without one")
    precision: NonNegativeInt | None = Field(None, description="digits after the point when displayed")
    limits: Range | AskedLimits | None = Field(
        None, description="lowest and highest value: two numbers, or `{ low = question, high = question }`"
    )
    format: Literal["hinted", "config", "uncached", "none"] | None = Field(
        None,
        description="`hinted` reading shown in tables and plots, `uncached` reading, `config` setting, `none` neither; "
        "unless given, `config` for what can be set and `uncached` for what cannot",
    )
    poll: PositiveFloat = Field(0.5, description="seconds between two reads while somebody is subscribed")
    timeout: PositiveFloat | None = Field(None, description="seconds to wait for its reply, unless the link's")
    initial: Scalar | None = Field(None, description="value in mock mode, and until the first write without `ask`")
    safe: bool | list[Scalar] = Field(
        False, description="may be written while everything is stopped: true, or those values that may"
    )
    restore: bool = Field(
        False, description="written again when the instrument lost it; only what moves, opens, emits and powers nothing"
    )
    settle: NonNegativeFloat = Field(0.0, description="seconds after a write until it is taken")
    check: bool = Field(True, description="ask the question of `errors` after a write")
    doc: str = Field("", description="what it is; shown on the page")


class Argument(Table):
    """An argument of a command."""

    type: Literal["float", "int", "bool", "str"] = Field("float", description="of the value")
    limits: Range | None = Field(None, description="lowest and highest value")


class Command(Table):
    """Something that the instrument does when told."""

    tell: str = Field(min_length=1, description="the command; arguments stand in it by their names: `{rate:.2f}`")
    args: dict[str, Argument] = Field({}, description="its arguments, in the order in which they are given")
    reply: str = Field("", description="regular expression of its reply, where it is answered")
    safe: bool = Field(False, description="allowed while everything is stopped; never what moves, opens or emits")
    preempt: bool = Field(False, description="as in `stop`")
    lane: Literal["urgent", "normal"] = Field("normal", description="priority on the link")
    check: bool = Field(True, description="ask the question of `errors` afterwards")
    doc: str = Field("", description="what it does; shown on the page")

    @model_validator(mode="after")
    def _silent_if_preempting(self) -> Self:
        if self.preempt and (self.reply or self.args):
            raise ValueError("a command that preempts has neither reply nor arguments")
        return self


class Done(Table):
    """How the instrument says that a move ended."""

    ask: str = Field(min_length=1, description="the question")
    reply: str = Field(description="regular expression of the reply when nothing moves any more")


class Movable(Table):
    """Makes the device (or each channel) movable: `bps.mv(device, 77.0)`."""

    setpoint: str = Field(description="name of the signal that is written")
    readback: str = Field(description="name of the signal that follows; it gets the device's own name")
    done: Done | None = Field(None, description="the move ended; then `tolerance`, if given, must hold")
    tolerance: PositiveFloat | None = Field(None, description="how far readback and setpoint may be apart")
    dwell: NonNegativeFloat = Field(0.0, description="seconds for which they must stay within `tolerance`")
    timeout: PositiveFloat = Field(description="seconds after which the move fails")
    poll: PositiveFloat = Field(0.1, description="seconds between two looks")
    require: dict[str, Scalar] = Field(
        {}, description="values that other signals must have before a move is sent: `{ control_input = '{input}' }`"
    )

    @model_validator(mode="after")
    def _some_end(self) -> Self:
        if self.done is None and self.tolerance is None:
            raise ValueError("a move needs an end: give 'done', 'tolerance' or both")
        return self


class Capabilities(Table):
    """Which signal is what a plan looks for; not needed where a signal has the capability's own name."""

    wavelength: str | None = Field(None, description="signal in nanometres")
    exposure: str | None = Field(None, description="signal in seconds")
    shutter: str | None = Field(None, description="signal")
    emission: str | None = Field(None, description="signal")


class Scope(Table):
    """What an instrument and a channel of it have in common."""

    signal: dict[str, Signal] = Field({}, description="signals, by name")
    command: dict[str, Command] = Field({}, description="commands, by name")
    movable: Movable | None = Field(None, description="how it moves")
    stop: Stop | None = Field(None, description="how it is stopped")
    safe_state: SafeState | None = Field(None, description="how stop-all makes it safe")
    capabilities: Capabilities = Field(Capabilities(), description="which signal is what")


class Group(Scope):
    """Inputs, outputs, axes: channels that are alike. Each becomes a part of the device, `output_1`."""

    channels: dict[str, dict[str, str]] = Field(
        min_length=1, description="by what stands for `{channel}` in the texts; each may name more texts of its own"
    )
    doc: str = Field("", description="what they are; shown on the page")
