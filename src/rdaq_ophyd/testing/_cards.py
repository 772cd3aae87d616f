"""The suite for the driver of an analog input card."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pytest

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.samples import AnalogDriver, Channel, StartTrigger, Transfer

BOUND = 1.0
"""Seconds in which a card must stop, and by which a wait for samples may be longer than asked for."""
SLACK = 5.0
"""Seconds by which samples may be late."""


class CardConformance(ABC):
    """The tests that every ``AnalogDriver`` has to pass, with its card or a simulated one.

    Subclass it in a test file, with a name that pytest collects (``TestMyCard``), and give it ``make``.

    :cvar seconds: length of the shots that are taken.
    """

    seconds: ClassVar[float] = 0.1

    @abstractmethod
    def make(self) -> AnalogDriver:
        """The driver, not opened."""

    def edge(self, card: AnalogDriver) -> None:  # noqa: ARG002  the interface's
        """Make an edge at the card's trigger input; tests with edges skip themselves where this is not overridden."""
        pytest.skip("the suite has no `edge`: no edge can be made")

    @pytest.fixture
    def card(self) -> Iterator[AnalogDriver]:
        """An open card."""
        made = self.make()
        made.open()
        yield made
        made.close()

    # -- opening and settings -------------------------------------------------------------------------------

    def test_it_is_a_driver_whose_channels_are_known_before_it_is_open(self) -> None:
        """Names, order and number stay."""
        made = self.make()
        assert isinstance(made, AnalogDriver), "a method of AnalogDriver is missing"
        before = [channel.name for channel in made.channels()]
        made.open()
        after = [channel.name for channel in made.channels()]
        made.close()
        assert before, "no channel is in use"
        assert before == after, f"{before} became {after} when it was opened"
        assert len(set(before)) == len(before), f"two channels have one name: {before}"

    def test_it_opens_and_closes_as_often_as_asked(self) -> None:
        """A second opening answers the same; after closing nothing is armed."""
        made = self.make()
        assert made.open() == made.open()
        made.stop()
        made.stop()
        made.close()
        made.close()
        with pytest.raises(RdaqError):
            made.arm(10, 1, self.host_trigger(made))

    def test_the_rate_it_tells_is_the_one_it_has(self, card: AnalogDriver) -> None:
        """Within its range; as near to what was asked for as a divided clock can be."""
        allowed = card.rate_range()
        assert 0 < allowed.low <= card.rate() <= allowed.high * (1 + 1e-9)
        for wanted in (allowed.low, math.sqrt(allowed.low * allowed.high), allowed.high):
            card.set_rate(wanted)
            assert card.rate() == pytest.approx(wanted, rel=0.1), f"{wanted:g} Hz became {card.rate():g} Hz"
        assert card.dtype_numpy() in ("<f4", "<f8")

    def test_ranges_and_couplings_are_taken(self, card: AnalogDriver) -> None:
        """And told, with a scale that can be used."""
        for channel in card.channels():
            assert math.isfinite(channel.scale)
            assert channel.scale != 0
            for chosen in channel.ranges:
                card.set_range(channel.name, chosen)
                assert self.channel(card, channel.name).input_range == chosen, "another range was set than asked for"
            for coupling in channel.couplings:
                card.set_coupling(channel.name, coupling)
                assert self.channel(card, channel.name).coupling is coupling, "another coupling was set"

    # -- sampling -------------------------------------------------------------------------------------------

    def test_a_shot_has_every_sample_and_no_more(self, card: AnalogDriver) -> None:
        """Numbered from 0 without a gap, each time anew."""
        for _ in range(2):
            count = self.count(card)
            self.begin(card, count)
            self.check(self.take(card, count), 0, count)
            assert card.next_transfer(0.05) is None, "samples came after the last"
            card.stop()

    def test_without_end_it_goes_on_until_stopped(self, card: AnalogDriver) -> None:
        """Stopped within the bound, and armed again from 0."""
        for _ in range(2):
            count = self.count(card)
            self.begin(card, 0)
            transfers = self.take(card, 2 * count)
            self.check(transfers, 0, transfers[-1].index + len(transfers[-1].data))
            began = time.monotonic()
            card.stop()
            assert time.monotonic() - began < BOUND, "it takes too long to stop"

    def test_a_wait_for_samples_ends_in_time(self, card: AnalogDriver) -> None:
        """While the card waits for its trigger."""
        waiting = sorted({StartTrigger.SOFTWARE, StartTrigger.EXTERNAL} & card.triggers())
        if not waiting:
            pytest.skip("it waits for no trigger")
        for trigger in waiting:
            card.arm(self.count(card), 1, trigger)
            began = time.monotonic()
            assert card.next_transfer(0.1) is None, f"samples came without the {trigger.value} trigger"
            card.stop()
            assert time.monotonic() - began < 0.1 + BOUND, "next_transfer or stop takes too long"

    def test_each_edge_gives_one_shot(self, card: AnalogDriver) -> None:
        """As long as all others, numbered on."""
        if StartTrigger.EXTERNAL not in card.triggers():
            pytest.skip("it has no external trigger")
        count = self.count(card)
        card.arm(count, 2, StartTrigger.EXTERNAL)
        for shot in range(2):
            self.edge(card)
            self.check(self.take(card, count * (shot + 1)), count * shot, count * (shot + 1))
            assert card.next_transfer(0.05) is None, "an edge gave more than one shot"

    # -- helpers --------------------------------------------------------------------------------------------

    def host_trigger(self, card: AnalogDriver) -> StartTrigger:
        """The trigger with which the host begins."""
        found = {StartTrigger.SOFTWARE, StartTrigger.INTERNAL} & card.triggers()
        assert found, "it needs a software trigger, or an internal one"
        return StartTrigger.SOFTWARE if StartTrigger.SOFTWARE in found else StartTrigger.INTERNAL

    def begin(self, card: AnalogDriver, count: int) -> None:
        """Sample from now on."""
        trigger = self.host_trigger(card)
        card.arm(count, 1, trigger)
        if trigger is StartTrigger.SOFTWARE:
            card.fire()

    def count(self, card: AnalogDriver) -> int:
        """Samples of a shot."""
        return max(2, round(self.seconds * card.rate()))

    def channel(self, card: AnalogDriver, name: str) -> Channel:
        """A channel as it is now."""
        return next(channel for channel in card.channels() if channel.name == name)

    def take(self, card: AnalogDriver, until: int) -> list[Transfer]:
        """Transfers up to a sample, with copies of their data."""
        found: list[Transfer] = []
        end = time.monotonic() + until / card.rate() + SLACK
        while not found or found[-1].index + len(found[-1].data) < until:
            assert time.monotonic() < end, f"sample {until - 1} has not come in time"
            if (transfer := card.next_transfer(0.5)) is not None:
                shape = transfer.data.shape
                assert shape == (len(transfer.data), len(card.channels())), f"{shape} is not (samples, channels)"
                found.append(Transfer(transfer.index, np.array(transfer.data), transfer.host_time))
        return found

    def check(self, transfers: list[Transfer], first: int, last: int) -> None:
        """Transfers have all samples from ``first`` on, before ``last``, in order and on time."""
        expected = first
        for transfer in transfers:
            assert transfer.index == expected, f"sample {expected} is missing or doubled: it counts {transfer.index}"
            assert abs(transfer.host_time - time.time()) < 60 + SLACK, "host_time is to be seconds since 1970"
            expected += len(transfer.data)
        assert expected == last, f"{expected - first} samples came instead of {last - first}"
