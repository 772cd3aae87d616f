"""Words of a command line as values: what is taken, and what is refused in which words."""

from __future__ import annotations

import argparse
import math

import pytest

from rdaq_ophyd.option_words import OptionParser, number, numbers, pair, texts


@pytest.mark.parametrize(
    ("word", "expected"), [("x", ["x"]), ("x,y", ["x", "y"]), (" x , y ", ["x", "y"]), ("x,", ["x"])]
)
def test_texts(word, expected):
    assert texts(word) == expected


@pytest.mark.parametrize("word", ["", " ", ",", "x,,y", ",x", "x,,"])
def test_nothing_between_commas_is_refused(word):
    with pytest.raises(argparse.ArgumentTypeError, match="has an empty part: write values apart by single commas"):
        texts(word)


def test_numbers():
    assert numbers("1, -5e-1,") == [1.0, -0.5]
    assert math.isinf(number("-inf"))
    with pytest.raises(argparse.ArgumentTypeError, match="'2 mm' is no number: write it as 0.5 or -1e-3, without unit"):
        numbers("1,2 mm")


def test_pairs():
    assert pair(str)("note=a=b") == ("note", "a=b")
    assert pair(str)(" note =") == ("note", "")
    assert pair(number)("x=-1e-3") == ("x", -1e-3)
    for word in ("", "x", "=1", " =1"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no KEY=VALUE"):
            pair(str)(word)


@pytest.fixture
def parser():
    made = OptionParser(prog="rdaq")
    made.add_argument("place", nargs="?", type=number)
    made.add_argument("--targets", type=numbers)
    made.add_argument("-o", "--other")
    return made


@pytest.mark.parametrize("word", ["-1", "-1e-3", "-.5", "-1,-2", "-inf", "-INF"])
def test_what_is_below_0_is_no_option(parser, word):
    assert parser.parse_args(["--targets", word]).targets == numbers(word)
    if "," not in word:
        assert parser.parse_args([word]).place == number(word)


def test_options_are_whole_and_those_of_one_letter_stay(parser):
    assert parser.parse_args(["-o", "a"]).other == "a"
    assert parser.parse_known_args(["--targ=1"])[1] == ["--targ=1"]
    assert parser.parse_known_args(["-infinite"])[1] == ["-infinite"]


@pytest.mark.parametrize(
    "words",
    [
        ["-1", "-o", "a", "smoke", "--targets=-1,2", "--", "-over", "there"],
        ["--targets", "-1,2", "-1", "smoke", "-o", "a", "--", "-over", "there"],
        ["-1", "smoke", "--targets", "-1,2", "-o", "a", "--", "-over", "there"],
    ],
)
def test_options_stand_anywhere(words):
    outer = OptionParser(prog="rdaq")
    inner = outer.add_subparsers(required=True).add_parser("stop")
    inner.add_argument("place", type=number)
    inner.add_argument("reason", nargs="*")
    inner.add_argument("--targets", type=numbers, required=True)
    inner.add_argument("-o", "--other")
    for _ in range(2):
        found = outer.parse_args(["stop", *words])
        assert vars(found) == {"place": -1, "reason": ["smoke", "-over", "there"], "targets": [-1, 2], "other": "a"}
    assert outer.parse_known_args(["stop", *words, "--more", "-o", "b"])[1] == []  # behind -- there are no options
    assert outer.parse_known_args(["stop", "--more", *words])[1] == ["--more"]
