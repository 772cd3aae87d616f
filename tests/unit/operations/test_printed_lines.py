"""Lines out of what is printed in pieces."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.operations._json_lines import LONGEST
from rdaq_ophyd.operations._printed_lines import PrintedLines


@given(st.lists(st.text("ab \r\n")))
def test_in_whatever_pieces_the_lines_are_the_same(pieces):
    lines = PrintedLines()
    *whole, _rest = re.split(r"[\r\n]", "".join(pieces))
    assert [line for piece in pieces for line in lines.of(piece)] == [line for line in whole if line.strip()]


def test_a_line_without_end_keeps_its_beginning_and_no_more():
    lines = PrintedLines()
    for _ in range(3):
        assert lines.of("." * LONGEST) == []
        assert len(lines._rest) == LONGEST
    assert lines.of("rest\nnext") == ["." * LONGEST]
    assert lines.of("\n") == ["next"]


def test_a_long_piece_behind_a_line_is_cut_too():
    lines = PrintedLines()
    assert lines.of("one\r" + "." * (2 * LONGEST)) == ["one"]
    assert len(lines._rest) == LONGEST
