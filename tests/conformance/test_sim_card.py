"""The simulated card, and cards with a mistake each: the suite for drivers of cards finds it."""

import dataclasses
import time

import pytest

from rdaq_ophyd.errors import CardError
from rdaq_ophyd.samples import SimAnalogCard, SimInput, StartTrigger
from rdaq_ophyd.testing import CardConformance


class TestSimAnalogCard(CardConformance):
    seconds = 0.02

    def make(self):
        return SimAnalogCard(rate=50_000.0, transfer=0.005)

    def edge(self, card):
        card.edge()


class TestACardWithoutTriggers(CardConformance):
    seconds = 0.02

    def make(self):
        card = SimAnalogCard({"pd": SimInput()}, rate=50_000.0)
        card.triggers = lambda: frozenset({StartTrigger.INTERNAL})
        return card


class Loses(SimAnalogCard):
    def arm(self, samples, shots, trigger):
        super().arm(samples, shots, trigger)
        self.lose(3)


class CountsAllChannels(SimAnalogCard):
    def next_transfer(self, timeout):
        found = super().next_transfer(timeout)
        return found and dataclasses.replace(found, index=found.index * 2)


class CountsOn(SimAnalogCard):
    armed = 0

    def arm(self, samples, shots, trigger):
        self.armed += 1
        super().arm(samples, shots, trigger)

    def next_transfer(self, timeout):
        found = super().next_transfer(timeout)
        return found and dataclasses.replace(found, index=found.index + 1000 * (self.armed - 1))


class Transposes(SimAnalogCard):
    def next_transfer(self, timeout):
        found = super().next_transfer(timeout)
        return found and dataclasses.replace(found, data=found.data.T)


class OneTooMany(SimAnalogCard):
    def arm(self, samples, shots, trigger):
        super().arm(samples and samples + 1, shots, trigger)


class StopsSlowly(SimAnalogCard):
    def stop(self):
        super().stop()
        time.sleep(1.1)


class StartsAtOnce(SimAnalogCard):
    def arm(self, samples, shots, trigger):
        super().arm(samples, shots, StartTrigger.INTERNAL)

    def fire(self):
        pass


class Ticks(SimAnalogCard):
    def next_transfer(self, timeout):
        found = super().next_transfer(timeout)
        return found and dataclasses.replace(found, host_time=time.monotonic())


class StaysAtItsRate(SimAnalogCard):
    def set_rate(self, hertz):
        super().set_rate(50_000.0)


class ForgetsItsRange(SimAnalogCard):
    def set_range(self, channel, input_range):
        pass


class GrowsAChannel(SimAnalogCard):
    def open(self):
        self._channels["more"] = self._channels["ai0"]
        return super().open()


class NeverCloses(SimAnalogCard):
    def close(self):
        self.stop()


SHOT = CardConformance.test_a_shot_has_every_sample_and_no_more
MISTAKES = [
    (Loses, SHOT, "sample 0 is missing or doubled: it counts 3"),
    (CountsAllChannels, SHOT, "missing or doubled"),
    (CountsOn, SHOT, "sample 0 is missing or doubled: it counts 1000"),
    (Transposes, SHOT, "is not .samples, channels."),
    (OneTooMany, SHOT, "1001 samples came instead of 1000|came after the last"),
    (Ticks, SHOT, "seconds since 1970"),
    (StopsSlowly, CardConformance.test_without_end_it_goes_on_until_stopped, "too long to stop"),
    (StartsAtOnce, CardConformance.test_a_wait_for_samples_ends_in_time, "without the external trigger"),
    (StaysAtItsRate, CardConformance.test_the_rate_it_tells_is_the_one_it_has, "became 50000 Hz"),
    (ForgetsItsRange, CardConformance.test_ranges_and_couplings_are_taken, "another range"),
]


@pytest.mark.parametrize(("broken", "test", "said"), MISTAKES)
def test_a_mistake_is_found(broken, test, said):
    suite, card = TestSimAnalogCard(), broken(rate=50_000.0, transfer=0.005)
    card.open()
    with pytest.raises(AssertionError, match=said):
        test(suite, card)
    card.close()


def test_mistakes_in_opening_are_found(monkeypatch):
    suite = TestSimAnalogCard()
    monkeypatch.setattr(suite, "make", GrowsAChannel)
    with pytest.raises(AssertionError, match="became"):
        suite.test_it_is_a_driver_whose_channels_are_known_before_it_is_open()
    monkeypatch.setattr(suite, "make", NeverCloses)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        suite.test_it_opens_and_closes_as_often_as_asked()
    monkeypatch.setattr(suite, "make", object)
    with pytest.raises(AssertionError, match="a method of AnalogDriver is missing"):
        suite.test_it_is_a_driver_whose_channels_are_known_before_it_is_open()


def test_without_a_way_to_make_edges_their_test_skips_itself():
    card = SimAnalogCard()
    with pytest.raises(CardError):
        card.arm(1, 1, StartTrigger.EXTERNAL)
    with pytest.raises(pytest.skip.Exception, match="has no `edge`"):
        TestACardWithoutTriggers().edge(card)
