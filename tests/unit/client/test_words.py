"""Words of a command line as values for a plan elsewhere: what is read here, and what the server reads."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter

from rdaq_ophyd.client._channel import check_address
from rdaq_ophyd.client.commands import Where, _arguments
from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.wire import messages


def value(kind, word):
    """As `rdaq run` makes it for a parameter whose schema the server tells as it does for all."""
    parameter = messages.Parameter(name="x", schema=json.dumps(TypeAdapter(kind).json_schema()))
    return _arguments(messages.Plan(name="plan", parameters=[parameter]), ["--x", word])["x"]


@pytest.mark.parametrize(
    ("kind", "word", "expected"),
    [
        (float, "1", "1"),
        (str, "a,b", "a,b"),
        (list[float], "1", [1.0]),
        (list[float] | None, "1,0.5", [1.0, 0.5]),
        (list[str], "x", ["x"]),
        (str | list[str], "x,y", "x,y"),
        (float | list[float], "1", "1"),
        (float | list[float] | None, "1,2", [1.0, 2.0]),
        (float | list[float], "1,", [1.0]),
        (int | list[int], "3", "3"),
        (bool | list[str], "true", "true"),
    ],
)
def test_a_list_is_made_where_only_a_list_fits_or_there_is_a_comma(kind, word, expected):
    assert value(kind, word) == expected
    TypeAdapter(kind).validate_python(value(kind, word))


def test_a_word_that_does_not_fit_is_refused_in_words(capsys):
    with pytest.raises(SystemExit):
        value(float | list[float], "1,far")
    assert "'far' is no number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("rig", "rig:50051"),
        ("rig:1", "rig:1"),
        ("[::1]", "[::1]:50051"),
        ("[::1]:2", "[::1]:2"),
        ("dns:///rig:3", "dns:///rig:3"),
        ("unix:/run/rig", "unix:/run/rig"),
        (None, "elsewhere:50051"),
    ],
)
def test_a_host_without_a_port_has_the_usual_one(monkeypatch, host, address):
    monkeypatch.setenv("RDAQ_HOST", "elsewhere")
    assert Where(host).address == address


@pytest.mark.parametrize("address", ["rig:1", "[::1]:2", "[fe80::1%br-5a.7]:2", "my_host.lab-3:4", "unix:/run/rig"])
def test_what_is_an_address_is_taken(address):
    check_address(address)


def test_an_empty_host_is_no_other_one(monkeypatch):
    monkeypatch.setenv("RDAQ_HOST", "elsewhere")
    with pytest.raises(LimitError, match="--host '' names no server → give HOST:PORT"):
        _ = Where("").address


def test_a_command_to_the_same_server_is_one_that_can_be_typed():
    where = Where("rig:1", token_file="my token", certificate="ca.pem")
    line = where.command("resume", "--told", "it's off")
    assert line == """rdaq resume --told 'it'"'"'s off' --host rig:1 --token-file 'my token' --ca ca.pem"""
    assert Where().command("resume") == "rdaq resume"
