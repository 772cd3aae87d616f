"""A line with faults, and an instrument that answers nonsense."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.link import FaultyLink
from rdaq_ophyd.sim import Faults

from ._bench import ANSWER, Bench
from ._benched import Benched
from ._impostors import spoiled
from ._loops import BOUND
from ._members import link_backend, one_of_each_kind

MANY = 1_000_000


def _nonsense(reply: bytes) -> bytes:
    return b"?%~ " + reply[-2:]


def _empty(reply: bytes) -> bytes:
    return reply[len(reply.rstrip(b"\r\n")) :] or b"\0" * len(reply)


def _not_a_number(reply: bytes) -> bytes:
    return b"nan" + reply[len(reply.rstrip(b"\r\n")) :]


SPOILS: Mapping[str, Callable[[bytes], bytes]] = {"nonsense": _nonsense, "nothing": _empty, "nan": _not_a_number}


class FaultTests(Benched):
    """A reply is the reply to its own question, or an error says why not."""

    def test_replies_that_come_in_parts_twice_and_late(self, tmp_path: Path) -> None:
        """What a link hides: the same values as over a good line."""
        with Bench(self, tmp_path) as good:
            good.connect()
            expected = good.run(good.steady())
        with self.faulty(tmp_path, split=1.0, duplicate=0.5, delay=(0.0, 0.002)) as bench:
            bench.connect()
            for _ in range(3):
                bench.run(bench.check_values(expected, "replies that came in parts and twice"))

    def test_a_mute_instrument_is_an_error(self, tmp_path: Path) -> None:
        """Each reading fails, none is served from memory; when the instrument is back they work at once."""
        with self.faulty(tmp_path) as bench:
            bench.connect()
            expected = bench.run(bench.steady())
            link = bench.link
            assert isinstance(link, FaultyLink)
            link.mute_next(MANY)
            with bench.impatient():
                bench.run(_all_fail("the instrument was mute", bench.readable))
            bench.answered()
            link.mute_next(0)
            bench.run(bench.check_values(expected, "an instrument that was mute for a while"))

    def test_one_lost_reply_spoils_no_other(self, tmp_path: Path) -> None:
        """The reply to each question in turn is lost: the next question gets its own."""
        with self.faulty(tmp_path) as bench:
            bench.connect()
            expected = bench.run(bench.steady())
            link = bench.link
            assert isinstance(link, FaultyLink)
            signals = bench.readable
            for path in one_of_each_kind(signals):
                link.mute_next(1)
                with bench.impatient():
                    bench.run(_value_or_error(path, signals[path], expected))
                bench.answered()
                link.mute_next(0)
                bench.run(bench.check_others(expected, path, f"the reply to {path} was lost"))
            bench.run(bench.check_values(expected, "the reply to each question was lost once"))

    def test_half_a_reply_is_no_reply(self, tmp_path: Path) -> None:
        """Nor is its other half, when that comes later, a reply to the next question."""
        with self.faulty(tmp_path) as bench:
            bench.connect()
            expected = bench.run(bench.steady())
            signals = bench.readable
            for path in one_of_each_kind(signals):
                bench.port.faults = Faults(half_reply=1)
                with bench.impatient():
                    bench.run(_all_fail("half a reply came", {path: signals[path]}))
                bench.port.faults = Faults()
                bench.run(bench.check_others(expected, path, f"half a reply to {path}"))
            bench.run(bench.check_values(expected, "half a reply to each question"))

    def test_an_echo_is_not_taken_for_a_reply(self, tmp_path: Path) -> None:
        """The link sends back each command before its answer: refused, or read past."""
        with Bench(self, tmp_path) as good:
            good.connect()
            expected = good.run(good.steady())
        with self.faulty(tmp_path, echo=1.0) as bench, bench.impatient(ANSWER):
            try:
                bench.run(bench.device.connect(timeout=BOUND))
            except RdaqError:
                return
            for path, signal in bench.readable.items():
                bench.run(_value_or_error(path, signal, expected))

    def test_nonsense_is_not_taken_for_a_value(self, tmp_path: Path) -> None:
        """A number, a switch or a choice that the instrument does not answer is an error; nothing becomes 0 or NaN."""
        with self.faulty(tmp_path) as bench:
            bench.connect()
            expected = bench.run(bench.steady())
            typed = {path: signal for path, signal in bench.readable.items() if _is_typed(signal)}
            signals = {path: typed[path] for path in one_of_each_kind(typed)}
            for name, spoil in SPOILS.items():
                restore = bench.port.call(partial(_spoil, bench, spoil))
                with bench.impatient():
                    bench.run(_all_fail(f"the instrument answered {name}", signals))
                bench.port.call(lambda _: restore())  # noqa: B023 - called at once
                bench.run(bench.check_values(expected, f"an instrument that answered {name} for a while"))


async def _all_fail(when: str, signals: dict[str, Any]) -> None:
    for path, signal in signals.items():
        try:
            value = await signal.get_value(cached=False)
        except RdaqError:
            continue
        except Exception as error:  # noqa: BLE001 (the test fails with it)
            pytest.fail(f"{path}: raised {error!r} when {when}; raise an RdaqError that names the signal")
        pytest.fail(f"{path}: gave {value!r} when {when}: not from memory, never a value by default")


async def _value_or_error(path: str, signal: Any, expected: dict[str, Any]) -> None:
    try:
        value = await signal.get_value(cached=False)
    except RdaqError:
        return
    assert path not in expected or value == expected[path], f"{path}: reads {value!r} instead of {expected[path]!r}"


def _spoil(bench: Bench, spoil: Callable[[bytes], bytes], now: float) -> Callable[[], None]:  # noqa: ARG001 - a port's call
    return spoiled(bench.port.instrument, spoil)


def _is_typed(signal: Any) -> bool:
    backend = link_backend(signal)
    return backend is not None and backend.datatype is not str
