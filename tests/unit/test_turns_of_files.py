"""The order in which files of tests are begun, and which of them one worker takes together."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

import pytest
from turns import BUSY, LONGEST, TOGETHER, TogetherScheduling, in_turns, together

TESTS = Path(__file__).parents[1]
NAMES = [str(path.relative_to(TESTS)) for path in sorted(TESTS.rglob("test_*.py"))]
ITEMS = [SimpleNamespace(nodeid=f"tests/{name}::test_{number}") for name in NAMES for number in range(2)]


def scope(nodeid: str) -> str:
    return TogetherScheduling._split_scope(TogetherScheduling.__new__(TogetherScheduling), nodeid)


@pytest.mark.parametrize("name", [*LONGEST, *TOGETHER])
def test_what_is_listed_is_there(name):
    assert (TESTS / name).exists()


def test_files_that_share_a_laboratory_go_to_one_worker_and_others_each_to_theirs():
    assert scope("tests/system/scaled/test_check.py::test_one") == scope("tests/system/scaled/test_move.py::A::test")
    assert scope("tests/system/test_check.py::test_one[a/b::c]") == "tests/system/test_check.py"
    assert len({scope(f"tests/{name}::test") for name in NAMES}) < len(NAMES)


def test_each_test_is_begun_once_and_in_its_files_order():
    found = in_turns(ITEMS, "tests/")
    assert sorted(found, key=lambda item: item.nodeid) == sorted(ITEMS, key=lambda item: item.nodeid)
    scopes = [key for key, _ in groupby(found, lambda item: scope(item.nodeid))]
    assert len(scopes) == len(set(scopes)), "what belongs together was taken apart"
    for name in NAMES:
        mine = [item.nodeid for item in found if item.nodeid.startswith(f"tests/{name}::")]
        assert mine == sorted(mine)


def test_the_longest_come_first_and_the_busy_in_turn_with_those_that_wait():
    order = [key.removeprefix("tests/") for key, _ in groupby(in_turns(ITEMS, "tests/"), lambda i: scope(i.nodeid))]
    for busy in (True, False):
        listed = [name for name in LONGEST if name.startswith(BUSY) is busy]
        assert [name for name in order if name.startswith(BUSY) is busy][: len(listed)] == listed
    first = [name.startswith(BUSY) for name in order[: len(LONGEST)]]
    assert 0 < sum(first) < len(first)
    assert together("unit/test_rig.py") == "unit/test_rig.py"
