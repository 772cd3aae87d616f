"""The log of a port, read while another process writes it."""

import pytest

from rdaq_ophyd.sim import Record, arrivals, read_log
from rdaq_ophyd.sim._log import ByteLog, LogReader

FIRST, SECOND = Record(1, "rx", b"1MO?\r1S"), Record(2, "rx", b"T\r")


def test_each_look_reads_on_and_a_line_that_is_being_written_waits(tmp_path):
    path = tmp_path / "esp300.jsonl"
    reader = LogReader(path)
    with pytest.raises(FileNotFoundError):
        reader.records()
    whole = f"{FIRST.to_json()}\n"
    rest = f"{SECOND.to_json()}\n"
    for text, there in ((whole, [FIRST]), ("", [FIRST]), (rest[:9], [FIRST]), (rest[9:], [FIRST, SECOND])):
        with path.open("a") as file:
            file.write(text)
        assert reader.records() == there
    reader.records().clear()
    assert reader.records() == read_log(path) == [FIRST, SECOND]


def test_what_a_port_wrote_is_read_as_it_was(tmp_path):
    log = ByteLog(tmp_path / "log")
    records = [Record(n, "tx", bytes(range(256))) for n in range(3)]
    log.write(records)
    log.close()
    assert LogReader(tmp_path / "log").records() == records


def test_a_pattern_has_arrived_with_its_last_byte():
    records = [FIRST, Record(5, "tx", b"1ST\r"), SECOND, Record(9, "rx", b"1ST\r1ST\r")]
    assert arrivals(records, b"1ST\r") == [2, 9, 9]
    assert arrivals(records, b"1ST\r", "tx") == [5]
    assert arrivals(records, b"1") == [1, 1, 9, 9]
    assert arrivals(records, b"2ST\r") == []
    assert arrivals([], b"1") == []
