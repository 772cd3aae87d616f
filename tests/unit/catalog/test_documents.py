import dataclasses
import datetime
import enum
import json
import math
import pathlib
import uuid

import numpy as np
import pytest

from rdaq_ophyd.document_lines import decode, encode
from rdaq_ophyd.errors import CatalogError


class Colour(enum.Enum):
    RED = "red"


class Strange:
    pass


@dataclasses.dataclass
class Limits:
    low: float
    high: float


def back(value):
    line = encode("event", {"data": {"x": value}})
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    name, document = decode(line)
    assert name == "event"
    return document["data"]["x"]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (np.float32(0.5), 0.5),
        (np.int16(-3), -3),
        (np.bool_(True), True),
        (np.arange(6, dtype=np.uint16).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
        (np.arange(8)[::2], [0, 2, 4, 6]),
        (np.array(["a", "µ"]), ["a", "µ"]),
        (np.arange(3, dtype=">i4"), [0, 1, 2]),
        (np.zeros((0, 3)), []),
        (2**70, 2**70),
        (None, None),
        (["null", {"a": None}], ["null", {"a": None}]),
        ((1, 2), [1, 2]),
        ({3, 1, 2}, [1, 2, 3]),
        (datetime.datetime(2026, 11, 23, 15, 31), "2026-11-23T15:31:00"),
        (datetime.date(2026, 11, 23), "2026-11-23"),
        (pathlib.PurePosixPath("/data/x.h5"), "/data/x.h5"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        (Limits(0, 1.5), {"low": 0, "high": 1.5}),
        (b"OK\xff", "OK\\xff"),
        ("two\nlines\r\u2028end", "two\nlines\r\u2028end"),
        ({1: "int key"}, {"1": "int key"}),
    ],
)
def test_a_value_comes_back(value, stored):
    assert back(value) == stored


@pytest.mark.parametrize("value", [math.nan, np.float32("nan"), np.float64("nan")])
def test_nan_comes_back_as_nan_and_not_as_nothing(value):
    assert math.isnan(back(value))


def test_non_finite_numbers_inside_containers_come_back():
    array = np.array([[1.0, np.inf], [-np.inf, np.nan]])
    ((a, b), (c, d)) = back(array)
    assert (a, b, c) == (1.0, math.inf, -math.inf)
    assert math.isnan(d)
    assert back([None, (math.inf, {"x": np.float32("-inf")})]) == [None, [math.inf, {"x": -math.inf}]]
    assert back({math.inf}) == [math.inf]
    assert back(Limits(-math.inf, None)) == {"low": -math.inf, "high": None}
    assert back({"when": datetime.time(1), "path": pathlib.PurePosixPath("/"), "x": math.inf, "e": Colour.RED}) == {
        "when": "01:00:00",
        "path": "/",
        "x": math.inf,
        "e": "red",
    }


def test_ordinary_lines_are_plain_json():
    assert json.loads(encode("stop", {"uid": "u", "n": None}))[1] == {"uid": "u", "n": None}


@pytest.mark.parametrize("value", [Strange(), 1 + 2j, np.array([1j]), Strange, {"x": Strange(), "y": math.nan}])
def test_what_no_catalog_could_store_is_refused_by_name(value):
    with pytest.raises(CatalogError, match=r"descriptor document.*cannot be stored.*(Strange|complex)"):
        encode("descriptor", {"data": value})


@pytest.mark.parametrize("line", [b"{}", b"[1]", b'["event", 3]', b'["event", {"x"', b"\x00\x00\n"])
def test_a_line_that_is_no_document_is_refused(line):
    with pytest.raises(ValueError, match=r".+"):
        decode(line)
