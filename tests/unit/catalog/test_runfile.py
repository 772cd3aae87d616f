import pytest

from rdaq_ophyd.catalog._runfile import RunFileReader
from rdaq_ophyd.errors import CatalogError

HEADER = b'{"rdaq_spool":1,"run":"u","owner":"o","created":1.5}\n'


@pytest.fixture
def path(tmp_path):
    return tmp_path / "u.jsonl"


def test_a_torn_last_line_is_left_until_it_is_whole(path):
    path.write_bytes(HEADER + b'["start",{"a":1}]\n["event",{"b"')
    reader = RunFileReader(path)
    assert reader.read() == [("start", {"a": 1})]
    assert reader.read() == []
    with path.open("ab") as file:
        file.write(b':2}]\n["ev')
    assert reader.read() == [("event", {"b": 2})]
    assert reader.documents == 2
    assert reader.read() == []


def test_a_torn_header_is_no_header_yet(path):
    path.write_bytes(HEADER[:-5])
    reader = RunFileReader(path)
    assert reader.header is None
    assert reader.read() == []
    path.write_bytes(HEADER)
    assert reader.header.created == 1.5


def test_lines_longer_than_a_block_and_blocks_of_many_lines(path):
    long = b'["event",{"x":"' + b"y" * 1000 + b'"}]\n'
    path.write_bytes(HEADER + long + b'["event",{}]\n' * 3)
    reader = RunFileReader(path)
    found = [reader.read(100), reader.read(30), reader.read(100)]
    assert [len(block) for block in found] == [3, 1, 0] or sum(map(len, found)) == 4
    assert reader.offset == path.stat().st_size


def test_a_damaged_line_is_named(path):
    path.write_bytes(HEADER + b'["start",{}]\n\x00\x00\x00\n["stop",{}]\n')
    with pytest.raises(CatalogError, match="line 3"):
        RunFileReader(path).read()


@pytest.mark.parametrize("first", [b"hello\n", b"{}\n", b"3\n", b'["start",{}]\n'])
def test_a_foreign_file_is_refused(path, first):
    path.write_bytes(first)
    with pytest.raises(CatalogError, match="no file of the spool"):
        RunFileReader(path).read()


def test_a_later_format_is_refused_with_its_version(path):
    path.write_bytes(HEADER.replace(b":1,", b":2,", 1))
    with pytest.raises(CatalogError, match="version 2"):
        RunFileReader(path).read()
