"""What is set is of the signal's type, and a text is a part of one command: else nothing is sent."""

import math
from decimal import Decimal
from enum import Enum
from typing import Annotated

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ophyd_async.core import Command, SignalW, StrictEnum, SubsetEnum
from parts import Echo

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.link import Line
from rdaq_ophyd.signals import Ask, LineProtocol, LinkDevice, Tell, typed
from rdaq_ophyd.sim import serve_pty
from rdaq_ophyd.wire_text import unfit


class Speed(StrictEnum):
    """How fast."""

    SLOW = "slow"
    FAST = "fast"


class Some(SubsetEnum):
    """Of more than these."""

    A = "a"


@pytest.mark.parametrize(
    ("value", "kind", "taken"),
    [
        (np.float64(1.5), float, 1.5),
        (np.int16(3), float, 3.0),
        (Decimal("0.5"), float, 0.5),
        (np.array(2.0), float, 2.0),
        (np.float64(3.0), int, 3),
        (np.int64(3), int, 3),
        (2**70, int, 2**70),
        (np.True_, bool, True),
        (np.str_("a"), str, "a"),
        ("slow", Speed, Speed.SLOW),
        (Speed.FAST, Speed, Speed.FAST),
        ("another", Some, "another"),
        ([1.0], list, [1.0]),
        (None, None, None),
    ],
    ids=repr,
)
def test_what_is_taken_and_as_what(value, kind, taken):
    found = typed("x", value, kind)
    assert found == taken
    assert type(found) is type(taken)


@pytest.mark.parametrize(
    ("value", "kind", "allowed"),
    [
        (2, bool, "True or False"),
        (1, bool, "True or False"),
        (np.float64(0.0), bool, "True or False"),
        (None, bool, "True or False"),
        ("1", bool, "True or False"),
        (True, float, "a number"),
        ("5", float, "a number"),
        (None, float, "a number"),
        (1j, float, "a number"),
        (2.5, int, "a whole number"),
        (math.nan, int, "a whole number"),
        (np.float64("inf"), int, "a whole number"),
        (True, int, "a whole number"),
        (5, str, "a text"),
        (None, str, "a text"),
        (b"a", str, "a text"),
        ("medium", Speed, "one of 'slow', 'fast'"),
        (1, Some, "one of 'a'"),
    ],
    ids=repr,
)
def test_what_is_of_another_type(value, kind, allowed):
    with pytest.raises(LimitError) as caught:
        typed("lamp-x", value, kind)
    assert str(caught.value).startswith("lamp-x: ")
    shown = value.item() if isinstance(value, np.generic) else value
    assert str(shown) in str(caught.value)
    assert allowed in str(caught.value)


@given(st.text())
def test_a_text_that_fits_is_one_line_and_can_be_sent(text: str):
    why = unfit(text, "latin-1", "\r\n")
    if not why:
        assert text.encode("latin-1").splitlines() in ([], [text.encode("latin-1")])
    assert bool(why) == (any(ord(c) < 32 or 127 <= ord(c) < 160 or ord(c) > 255 for c in text))


def test_an_end_that_is_no_control_character_is_found_too():
    assert unfit("A#B", "ascii", "#") == "has '#', which ends a command"
    assert unfit("\x05A", "ascii", "\r", controls="\x05") == ""
    assert unfit("A\rB", "ascii", "\r", controls="\r") != ""


class Panel(LinkDevice):
    """Takes texts."""

    protocol = LineProtocol(command_end="\r", reply=Line(b"\r\n"), timeout=1.0)

    label: Annotated[SignalW[str], Ask(write="L{value}")]
    on: Annotated[SignalW[bool], Ask(write="O{value:d}", safe=(False,))]
    count: Annotated[SignalW[int], Ask(write="N{value:d}")]
    speed: Annotated[SignalW[Speed], Ask(write="S{value}")]
    say: Annotated[Command[[str], None], Tell("T{arg0}", safe=True)]
    hurry: Annotated[Command[[str], None], Tell("H{arg0}", preempt=True)]
    ask: Annotated[Command[[str], str], Tell("Q{arg0}")]


BAD = ["a\rO1", "a\nO1", "a;O1", "a\x00", "a\x1b", "a\x85", "ä", "\u2028"]


async def test_no_text_ends_a_command_or_begins_another():
    with serve_pty(Echo(), lift_baud=True) as port:
        panel = Panel(port.url, name="panel")
        await panel.connect()
        for bad in BAD:
            with pytest.raises(LimitError, match="panel-label: .* has "):
                await panel.label.set(bad)
            for command in (panel.say, panel.hurry, panel.ask):
                with pytest.raises(LimitError, match="arg0"):
                    await command.execute(bad)
            if bad != "a;O1":
                with pytest.raises(LimitError, match="nothing was sent"):
                    await panel.channel.tell("X" + bad)
                with pytest.raises(LimitError, match="nothing was sent"):
                    await panel.channel.ask("Q" + bad)
        assert port.log.bytes() == b""
        await panel.label.set("a b")
        assert await panel.ask.execute("two; no".replace(";", ",")) == "two, no"
        assert port.log.bytes() == b"La b\rQtwo, no\r"
        panel.close()


async def test_nothing_of_another_type_is_sent():
    with serve_pty(Echo(), lift_baud=True) as port:
        panel = Panel(port.url, name="panel")
        await panel.connect()
        wrong = [(panel.on, 2), (panel.on, None), (panel.count, 2.5), (panel.speed, "warp"), (panel.label, 5)]
        for signal, value in wrong:
            with pytest.raises(LimitError, match=signal.name):
                await signal.set(value)
        with pytest.raises(LimitError, match="panel-say"):
            await panel.say.execute(5)
        await panel.count.set(np.float64(3.0))
        await panel.on.set(np.True_)
        await panel.speed.set("fast")
        assert await panel.ask.execute("x") == "x"
        assert port.log.bytes() == b"N3\rO1\rSfast\rQx\r"
        panel.close()


def test_enums_of_other_kinds_are_checked_too():
    class Plain(Enum):
        """As Python has it."""

        ONE = 1

    assert typed("x", 1, Plain) is Plain.ONE
    with pytest.raises(LimitError):
        typed("x", 2, Plain)
