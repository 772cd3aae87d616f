"""The tables of a declared instrument from which it is simulated."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, PositiveInt

from ._model import Table
from ._parts import Scalar

Value = Scalar | dict[str, Scalar]


class Action(Table):
    """What the simulated instrument does."""

    answer: str | None = Field(None, description="its reply; expressions in braces: `{voltage:.3f}`")
    set: dict[str, Scalar] = Field(
        {}, description="what becomes of the state after the answer: a number, or a text that is an expression"
    )
    error: str | None = Field(None, description="entry that is added to the queue of `sim.errors`")


class Rule(Action):
    """What is received, and what is done then."""

    receive: str = Field(
        min_length=1, description="the text, with `{name:float}`, `int`, `bool`, `text` or alternatives `{name:A|B}`"
    )
    check: str | None = Field(None, description="expression that must hold; else `refused`")
    refused: Action = Field(Action(), description="what is done where `check` does not hold")
    latency: NonNegativeFloat | None = Field(None, description="seconds that it takes, unless `sim.latency`")


class Ramp(Table):
    """A number of the state that follows another one with time."""

    state: str = Field(description="the number: `position`, or `kelvin.A` of a table")
    target: str = Field(description="expression of where it goes")
    rate: str = Field(description="expression of how fast, per second; 0: it stays")


class ErrorQueue(Table):
    """A queue of errors that a question empties, oldest first."""

    receive: str = Field(min_length=1, description="the question")
    empty: str = Field(description="its answer when there is no error")
    clear: list[str] = Field([], description="commands that empty it")
    limit: PositiveInt = Field(20, description="entries that it holds")
    overflow: str = Field("", description="what stands in place of the last entry when it is full")


class Move(Table):
    """How a part that moves is tried out: by the conformance suite, against the simulation."""

    part: str = Field("", description="which: `output_1` for a channel of the group `output`; empty: the instrument")
    near: float = Field(description="target that is reached in a moment, not where it stands after power-up")
    far: float = Field(description="target so far that the move takes one to three seconds")
    moving: str = Field(description="expression of the state that holds while it moves")


class Sim(Table):
    """The simulated instrument, written from the manual and not from the signals above it."""

    latency: NonNegativeFloat = Field(0.0, description="seconds from a command to its effect and reply")
    scpi: bool = Field(
        False,
        description="texts are SCPI headers: `:SOURce:VOLTage[:LEVel]` stands for each of its forms, in any case; "
        "commands on a line are separated by semicolons",
    )
    separator: str = Field("", max_length=1, description="character between commands on a line, where not SCPI")
    ignore_case: bool = Field(False, description="texts match in upper and lower case")
    state: dict[str, Value] = Field({}, description="what it remembers, with its values after power-up")
    derived: dict[str, str] = Field({}, description="names for expressions of the state")
    ramp: list[Ramp] = Field([], description="what changes with time")
    ready: dict[str, Scalar] = Field(
        {}, description="settings that are written before it is tried out, by their dotted names: `output_1.range`"
    )
    move: list[Move] = Field([], description="how what moves is tried out")
    on: list[Rule] = Field([], description="what it understands; the first that fits is taken")
    unknown: Action = Field(Action(), description="what it does with anything else")
    errors: ErrorQueue | None = Field(None, description="its error queue")
