"""Who shows no known token: a few refusals in words by address and in all, then late ones; and memory is bounded."""

import asyncio
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.server import Limits, _refusals
from rdaq_ophyd.server._refusals import HELD, KNOWN_ADDRESSES, Refusals, address_of


@pytest.fixture
def clock():
    """Time stands still until it is told to go on."""
    return [1000.0]


@pytest.fixture
def doors(monkeypatch):
    """Of those that were one too many; none of them waits."""
    monkeypatch.setattr(_refusals, "HOLD", 0.0)
    return []


@pytest.fixture
def refusals(clock, doors):
    return Refusals(Limits(refused_rate=2.0, refused_burst=5, refused_share=3), doors.append, lambda: clock[0])


async def spared(refusals, address, number, door="grpc"):
    return sum([await refusals.spare(address, door) for _ in range(number)])


async def test_an_address_that_asks_too_often_gets_no_words_and_others_do(refusals, clock, doors, caplog):
    assert await spared(refusals, "ipv4:10.0.0.7:4711", 9) == 5
    assert await spared(refusals, "ipv4:10.0.0.7:4712", 3, "page") == 0, "another port is nobody else"
    assert await spared(refusals, "10.0.0.8", 4) == 4
    assert doors == ["grpc"] * 4 + ["page"] * 3
    clock[0] += 1.0
    assert await spared(refusals, "ipv4:10.0.0.7:4711", 9) == 2
    (line,) = [record.message for record in caplog.records]
    assert "from 10.0.0.7" in line


async def test_all_addresses_together(refusals, clock):
    assert sum([await spared(refusals, f"10.0.0.{n}", 5) for n in range(10)]) == 15
    clock[0] += 1.0
    assert sum([await spared(refusals, f"10.0.1.{n}", 5) for n in range(10)]) == 6


async def test_whoever_goes_on_in_silence_is_told_of_once_a_minute(refusals, clock, caplog):
    for _ in range(5):
        await spared(refusals, "10.0.0.7", 100)
        clock[0] += 20.0
    assert len(caplog.records) == 2


async def test_as_many_addresses_as_there_are_take_no_more_memory(refusals):
    for number in range(KNOWN_ADDRESSES + 500):
        await refusals.spare(str(ipaddress.ip_address(number)), "grpc")
    assert len(refusals._addresses) == KNOWN_ADDRESSES


async def test_of_those_that_are_held_back_there_are_few(monkeypatch):
    monkeypatch.setattr(_refusals, "HOLD", 60.0)
    refusals = Refusals(Limits(refused_burst=1), list, lambda: 0.0)
    assert await refusals.spare("10.0.0.7", "grpc")
    held = [asyncio.ensure_future(refusals.spare("10.0.0.7", "grpc")) for _ in range(HELD)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert not await refusals.spare("10.0.0.7", "grpc"), "one more is sent at once"
    assert not any(one.done() for one in held)
    for one in held:
        one.cancel()  # as when the client goes
    await asyncio.wait(held)
    assert refusals._held == 0


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:4711", "127.0.0.1"),
        ("ipv6:[::1]:4711", "::/64"),
        ("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:4711", "2001:db8:1:2::/64"),
        ("ipv6:%5B::ffff:10.0.0.7%5D:4711", "10.0.0.7"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("10.0.0.7", "10.0.0.7"),
        ("unix:/run/rdaq", "unix:/run/rdaq"),
        ("", ""),
    ],
)
def test_addresses(peer, address):
    assert address_of(peer) == address


@given(st.text(max_size=60))
def test_whatever_a_peer_is_called(peer):
    assert isinstance(address_of(peer), str)


@given(st.ip_addresses(), st.integers(1, 65535))
def test_a_port_is_no_part_of_an_address(address, port):
    peer = f"ipv4:{address}:{port}" if address.version == 4 else f"ipv6:%5B{address}%5D:{port}"
    assert address_of(peer) == address_of(str(address))
