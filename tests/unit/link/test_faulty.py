"""Each fault does what its description says, the same for the same seed."""

from collections.abc import Callable, Iterator

import pytest
from parts import Echo
from portless import PortlessLink

from rdaq_ophyd.errors import LinkClosed, LinkError, PortNotFound, ReplyTimeout
from rdaq_ophyd.link import FaultyLink, Line, LinkState, SerialLink
from rdaq_ophyd.sim import serve_pty

Make = Callable[..., FaultyLink]


@pytest.fixture
def faulty() -> Iterator[Make]:
    """Makes open links with faults, to an echo without a port."""
    made = []

    def make(seed: int = 1, **faults) -> FaultyLink:
        inner = PortlessLink(Echo(), reply=Line(b"\r\n"), timeout=0.02, late=0.0, quiet=0.001)
        link = FaultyLink(inner, seed, **faults)
        link.open()
        made.append(link)
        return link

    yield make
    for link in made:
        link.close()


def outcome(link: FaultyLink, text: bytes) -> bytes | type[Exception]:
    """The reply to one question, or the kind of error; a link that was lost is opened again."""
    try:
        return link.submit(b"Q" + text + b"\r").result(10)
    except (LinkError, ReplyTimeout) as error:
        if isinstance(error, LinkClosed):
            link.open()
        return type(error)


def outcomes(link: FaultyLink, n: int = 20) -> list[bytes | type[Exception]]:
    return [outcome(link, b"%03d" % i) for i in range(n)]


def dropped(link: FaultyLink) -> list[bytes]:
    return [entry.data for entry in link.trace() if entry.kind == "drop"]


def heard(link: FaultyLink) -> list[bytes]:
    return bytes(link._inner.heard).split(b"\r")[:-1]


def test_without_faults_it_is_the_link_that_it_wraps():
    with serve_pty(Echo(), lift_baud=True) as port:
        link = FaultyLink(SerialLink(port.url, reply=Line(b"\r\n"), timeout=5.0), 1)
        link.open()
        try:
            assert link.submit(b"Qa\r").result(10) == b"a"
            link.preempt(b"Tstop\r")
            assert link.submit(b"Qb\r").result(10) == b"b"
            assert port.log.bytes() == b"Qa\rTstop\rQb\r"
        finally:
            link.close()


def test_the_same_seed_makes_the_same_faults(faulty: Make):
    faults = {"drop": 0.2, "duplicate": 0.2, "split": 0.3, "flip": 0.2, "echo": 0.2, "mute": 0.1, "disconnect": 0.1}
    first = outcomes(faulty(5, **faults))
    assert first == outcomes(faulty(5, **faults))
    assert first != outcomes(faulty(6, **faults))


def test_one_setting_does_not_change_when_the_others_strike(faulty: Make):
    alone, together = outcomes(faulty(3, mute=0.3)), outcomes(faulty(3, mute=0.3, duplicate=0.5, split=0.5))
    assert alone == together
    assert ReplyTimeout in alone


def test_its_name_gives_seed_and_settings(faulty: Make):
    assert repr(faulty(7, drop=0.5, delay=(0.1, 0.2))) == (
        "FaultyLink(PortlessLink 'portless', seed=7, delay=(0.1, 0.2), drop=0.5, duplicate=0.0, split=0.0, flip=0.0, "
        "echo=0.0, mute=0.0, disconnect=0.0)"
    )


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"drop": 1.5}, r"drop=1\.5: a probability is from 0 to 1"),
        ({"mute": -0.1}, r"mute=-0\.1"),
        ({"delay": (0.2, 0.1)}, r"delay=\(0\.2, 0\.1\): give \(at least, at most\)"),
        ({"delay": (0.0, float("nan"))}, "delay"),
    ],
)
def test_settings_out_of_range_are_refused(faults: dict, message: str):
    with pytest.raises(ValueError, match=message):
        FaultyLink(PortlessLink(Echo()), 1, **faults)


def test_drop_loses_the_command_or_the_end_of_its_answer(faulty: Make):
    link = faulty(drop=1.0)
    assert outcomes(link) == [ReplyTimeout] * 20
    assert 0 < len(heard(link)) < 20
    assert all(b"\r\n" not in entry.data for entry in link.trace() if entry.kind == "in")


def test_duplicates_come_before_the_next_question(faulty: Make):
    link = faulty(duplicate=1.0)
    assert outcomes(link, 3) == [b"000", b"001", b"002"]
    assert dropped(link) == [b"000\r\n", b"001\r\n"]


def test_split_answers_come_in_parts(faulty: Make):
    link = faulty(split=1.0)
    assert outcomes(link, 3) == [b"000", b"001", b"002"]
    parts = [entry.data for entry in link.trace() if entry.kind == "in"]
    assert len(parts) == 6
    assert b"".join(parts) == b"000\r\n001\r\n002\r\n"


def test_flip_inverts_one_bit(faulty: Make):
    for seed in range(20):
        link = faulty(seed, flip=1.0)
        outcome(link, b"000000")
        sent, came = b"000000\r\n", b"".join(entry.data for entry in link.trace() if entry.kind == "in")
        assert sum((a ^ b).bit_count() for a, b in zip(sent, came, strict=True)) == 1


def test_echo_comes_before_the_answer(faulty: Make):
    assert outcomes(faulty(echo=1.0), 2) == [b"Q000\r000", b"Q001\r001"]


def test_a_mute_instrument_hears_the_command(faulty: Make):
    link = faulty(mute=1.0)
    assert outcomes(link, 3) == [ReplyTimeout] * 3
    assert heard(link) == [b"Q000", b"Q001", b"Q002"]


def test_muting_the_next_commands(faulty: Make):
    link = faulty()
    link.mute_next(2)
    assert outcomes(link, 4) == [ReplyTimeout, ReplyTimeout, b"002", b"003"]
    assert len(heard(link)) == 4
    link.mute_next(5)
    link.mute_next(0)
    assert outcome(link, b"x") == b"x"


def test_delay_holds_answers_back_in_their_order():
    link = FaultyLink(PortlessLink(Echo(), reply=Line(b"\r\n"), timeout=5.0), 1, delay=(0.02, 0.05))
    link.open()
    try:
        assert outcomes(link, 3) == [b"000", b"001", b"002"]
        assert link.last_exchange.seconds >= 0.02
    finally:
        link.close()


def test_a_lost_port_may_be_opened_again_at_once(faulty: Make):
    link = faulty(disconnect=1.0)
    assert outcomes(link) == [LinkClosed] * 20
    assert 0 < len(heard(link)) < 20


def test_unplugging_is_noticed_at_once_and_lasts_until_it_is_plugged_in(faulty: Make):
    link = faulty()
    link.unplug()
    assert link.state is LinkState.LOST
    with pytest.raises(LinkClosed, match="unplugged"):
        link.submit(b"Qa\r")
    with pytest.raises(PortNotFound, match="unplugged.*replug"):
        link.open()
    link.replug()
    link.open()
    assert outcome(link, b"a") == b"a"


def test_unplugging_ends_the_exchange_in_flight(faulty: Make):
    link = faulty(delay=(60.0, 60.0))
    pending = link.submit(b"Qa\r", timeout=60.0)
    waiting = link.submit(b"Qb\r", timeout=60.0)
    link.unplug()
    for future in (pending, waiting):
        with pytest.raises(LinkClosed):
            future.result(10)


def test_a_link_that_reopens_finds_the_port_again(faulty: Make):
    link = faulty()
    link.watch(lambda state: link.accept() if state is LinkState.CHECKING else None)
    link.reopening = True
    link.unplug()
    link.replug()
    link._reopener.join()
    assert link.state is LinkState.CONNECTED
    assert outcome(link, b"a") == b"a"


def test_a_wrapped_link_that_is_open_itself_is_left_alone():
    with serve_pty(Echo(), lift_baud=True) as port:
        inner = SerialLink(port.url, reply=Line(b"\r\n"), timeout=5.0)
        inner.open()
        try:
            with pytest.raises(LinkError, match="open only the FaultyLink"):
                FaultyLink(inner, 1).open()
            assert inner.submit(b"Qa\r").result(10) == b"a"
        finally:
            inner.close()
