"""A refused resume from elsewhere: what changed is told, and a reason accepts what was told, and nothing else."""

from __future__ import annotations

import shlex

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bare import bare_session
from bluesky import RunEngineInterrupted
from bluesky.run_engine import call_in_bluesky_event_loop
from softaxis import SoftLaser

from rdaq_ophyd.cli import main
from rdaq_ophyd.client import aconnect, connect
from rdaq_ophyd.errors import LimitError, ResumeRefused
from rdaq_ophyd.server import Server


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    with bare_session(tmp_path_factory.mktemp("data")) as made:
        laser = SoftLaser()
        laser.set_name("laser")
        call_in_bluesky_event_loop(laser.connect(), timeout=20)
        made.rig.devices["laser"] = laser
        made.RE._devices = made.rig.devices.values
        yield made


@pytest.fixture(scope="module")
def server(session):
    with Server(session) as made:
        yield made


@pytest.fixture
def turn(session):
    """Somebody at the bench turns something on or off."""

    def set_to(what, value):
        async def put():
            await getattr(session.rig["laser"], what).set(value)

        call_in_bluesky_event_loop(put(), timeout=20)

    return set_to


@pytest.fixture
def paused(session, turn):
    """A plan that is paused, with light; the emission went off since. Also: what its run recorded of interruptions."""
    recorded = []
    token = session.RE.subscribe(
        lambda name, document: recorded.append(document["data"].get("interruption", "")) if name == "event" else None
    )
    for what in ("shutter", "emission"):
        turn(what, True)
    with pytest.raises(RunEngineInterrupted):
        session.RE(bpp.run_wrapper(bps.pause()))
    turn("emission", False)
    yield recorded
    session.RE.unsubscribe(token)
    if session.RE.state == "paused":
        session.RE.abort()


def accepted(recorded):
    return [text for text in recorded if "dark frames" in text]


def test_a_client_answers_a_refusal_with_it(server, paused, turn):
    with connect(server.address) as client:
        with pytest.raises(ResumeRefused, match=r"laser.emission was True .*accept_changes=.*told=error\.what") as told:
            client.resume()
        assert "RE." not in str(told.value)
        turn("shutter", False)
        with pytest.raises(ResumeRefused, match=r"laser.emission was True.*; laser.shutter was True") as told_more:
            client.resume(accept_changes="dark frames wanted", told=told.value.what)
        assert client.state.engine == "paused"
        client.resume(accept_changes="dark frames wanted", told=told_more.value.what)
    (text,) = accepted(paused)
    assert "laser.shutter was True" in text


async def test_so_does_one_in_async_code(server, paused):
    async with await aconnect(server.address) as client:
        with pytest.raises(ResumeRefused, match=r"told=error\.what") as told:
            await client.resume()
        await client.resume(accept_changes="dark frames wanted", told=told.value.what)
    assert accepted(paused)


def test_without_what_was_told_whatever_changed_is_accepted(server, paused, turn):
    turn("shutter", False)
    with connect(server.address) as client:
        client.resume(accept_changes="dark frames wanted")
    assert accepted(paused)


def test_a_reason_without_a_word_and_an_answer_without_a_reason_are_refused_here(server, paused):
    with connect(server.address) as client:
        with pytest.raises(LimitError, match="accept_changes needs a reason"):
            client.resume(accept_changes=" ")
        with pytest.raises(LimitError, match="told without accept_changes"):
            client.resume(told="not resumed: laser.emission is off")
        assert client.state.engine == "paused"


def test_the_command_line_says_the_line_that_accepts_it(server, paused, turn, capsys):
    def rdaq(*words):
        code = main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    code, out, refused = rdaq("resume", "--host", server.address)
    assert (code, out) == (1, "")
    assert "rdaq: not resumed: laser.emission was True when the plan paused and is False now" in refused
    assert f"put it back and `rdaq resume --host {server.address}`, or " in refused
    (line,) = [part for part in refused.split("`") if "--told" in part]
    _, *words = shlex.split(line)
    words[words.index("WHY")] = "dark frames wanted"
    turn("shutter", False)
    code, _, refused = rdaq(*words)
    assert (code, "laser.shutter was True" in refused) == (1, True)
    (line,) = [part for part in refused.split("`") if "--told" in part]
    _, *words = shlex.split(line)
    assert rdaq("resume", "--told", "any", "--host", server.address)[2] == (
        "rdaq: --told without --accept-changes → add --accept-changes WHY\n"
    )
    words[words.index("WHY")] = "dark frames wanted"
    code, out, _ = rdaq(*words)
    assert (code, out.startswith("bare: ")) == (0, True)
    assert accepted(paused)
