"""The two clients have the same methods with the same parameters; what differs is who awaits."""

from __future__ import annotations

import inspect

import pytest

from rdaq_ophyd import client
from rdaq_ophyd.client import aio

PAIRS = [
    (client.Client, aio.AsyncClient),
    (client.RemoteDevice, aio.AsyncDevice),
    (client.RemoteSignal, aio.AsyncSignal),
    (client.Run, aio.AsyncRun),
    (client.LastingStream, aio.AsyncLastingStream),
    (client.Frames, aio.AsyncFrames),
    (client.Subscription, aio.AsyncSubscription),
]
AT_ONCE = {"devices", "children", "check", "gaps", "behind", "log", "watch", "frames", "moving", "samples"}
"""What asks nobody, or is iterated over."""


def surface(cls: type) -> dict[str, object]:
    return {name: getattr(cls, name) for name in dir(cls) if not name.startswith("_")}


def parameters(member: object) -> list[tuple[str, object, object]]:
    return [(p.name, p.kind, p.default) for p in inspect.signature(member).parameters.values()]


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=lambda cls: cls.__name__)
def test_they_have_the_same_names(one, other):
    assert surface(one).keys() == surface(other).keys() - {"trouble"}


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=lambda cls: cls.__name__)
def test_their_methods_take_the_same_and_say_the_same(one, other):
    theirs = surface(other)
    for name, member in surface(one).items():
        if callable(member):
            assert parameters(member) == parameters(theirs[name]), name
        else:
            assert isinstance(member, property) == isinstance(theirs[name], property), name
        if callable(member) or isinstance(member, property):
            assert inspect.getdoc(theirs[name]), name


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=lambda cls: cls.__name__)
def test_what_asks_the_server_is_awaited(one, other):
    for name, member in surface(other).items():
        if callable(member) and not isinstance(member, type) and name in surface(one):
            assert inspect.iscoroutinefunction(member) != (name in AT_ONCE), name


def test_they_connect_the_same_way():
    assert parameters(client.connect) == parameters(client.aconnect)
