"""The files that the how-to shows are right."""

import re
from pathlib import Path

import pytest

from rdaq_ophyd.declaration import Declaration, parse
from rdaq_ophyd.sim import SimDeclared

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "declare-an-instrument.md"
WHOLE, MOVING, CHANNELS, SIMULATED, TRIED = re.findall(
    r"^```toml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
)
PARTS = {"whole": "", "moving": MOVING, "channels": CHANNELS, "simulated": SIMULATED, "tried": MOVING + TRIED}


@pytest.mark.parametrize("more", PARTS.values(), ids=PARTS)
def test_each_part_fits_the_first(more):
    assert isinstance(parse(WHOLE + more), Declaration)


def test_the_simulation_answers_as_the_page_says():
    sim = SimDeclared(parse(WHOLE + SIMULATED))
    said = [*sim.feed(b"PW 12.5\nPW?\nPW 101\nXX\nSYST:ERR?\nSYST:ERR?\nSYST:ERR?\n", 0.0), *sim.advance(1.0)]
    assert [reply.data.decode().strip() for reply in said] == [
        "12.50",
        '-222,"Data out of range"',
        '-113,"Undefined header"',
        '0,"No error"',
    ]
