"""Lines of a script: all of them while they are few; counted where they are too many, cut where they are too long."""

import os

from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.scripts import _output
from rdaq_ophyd.scripts._output import BURST, LONGEST, Lines


def told(*chunks):
    found = []
    lines = Lines(found.append)
    for chunk in chunks:
        lines.feed(chunk)
    lines.close()
    return found


@given(st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=50)), st.data())
def test_lines_come_whole_however_they_arrive(texts, data):
    whole = "".join(f"{text}\n" for text in texts).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    chunks = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert told(*chunks) == texts


def test_a_last_line_without_its_end_and_bytes_that_are_no_text_are_told():
    assert told(b"one\r\ntw", b"o\xff") == ["one", "two\ufffd"]


def test_a_line_without_end_is_told_once_and_cut():
    (line, after) = told(*[b"a" * 50_000] * 20, b"\nafter\n")
    assert line.startswith("a" * LONGEST + "… ")
    assert len(line) < LONGEST + 30
    assert after == "after"


def test_too_many_lines_are_counted(monkeypatch):
    monkeypatch.setattr(_output, "A_SECOND", 0)
    found = told(b"x\n" * (BURST + 500))
    assert found[:-1] == ["x"] * BURST
    assert found[-1] == "[500 lines were left out]"


def test_a_pipe_is_read_until_its_end():
    read, write = os.pipe()
    os.set_blocking(read, False)
    found = []
    lines = Lines(found.append)
    with open(read, "rb", buffering=0) as pipe:
        assert not lines.read(pipe)
        assert lines.is_open
        os.write(write, b"one\ntwo\n")
        assert lines.read(pipe)
        os.close(write)
        assert not lines.read(pipe)
    assert not lines.is_open
    assert found == ["one", "two"]
    assert lines.tail == "one\ntwo"
