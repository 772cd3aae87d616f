"""The simulated card's habits: its clock, transfers, triggers, memory, losses and faults."""

import threading
import time

import numpy as np
import pytest

from rdaq_ophyd.devices.sim_analog import Counter, SimAnalogCard, SimInput, Sine, Square
from rdaq_ophyd.errors import CardError, RdaqError
from rdaq_ophyd.samples import AnalogDriver, Channel, Coupling, InputRange, StartTrigger


@pytest.fixture
def card():
    made = SimAnalogCard({"number": SimInput(Counter(), noise=0.0)}, rate=100_000.0, transfer=0.001)
    made.open()
    yield made
    made.close()


def take(card, number):
    """Numbers that the samples tell, and the card's own count, until it has counted ``number``."""
    told, counted = [], []
    channel = card.channels()[0]
    while not counted or counted[-1] < number - 1:
        transfer = card.next_transfer(5.0)
        assert transfer is not None
        told += list(np.rint(transfer.data[:, 0] * channel.scale * 1000).astype(int))
        counted += range(transfer.index, transfer.index + len(transfer.data))
    return told, counted


def test_it_is_a_driver_with_a_serial_number_of_its_own(card):
    assert isinstance(card, AnalogDriver)
    assert SimAnalogCard().open().serial != SimAnalogCard().open().serial
    with pytest.raises(CardError, match="is not open"):
        SimAnalogCard().arm(10, 1, StartTrigger.INTERNAL)


def test_the_rate_is_what_its_time_base_gives(card):
    card.set_rate(3e5)
    assert card.rate() == pytest.approx(10e6 / 33)
    assert SimAnalogCard({f"i{n}": SimInput() for n in range(8)}).rate_range().high == 125_000


@pytest.mark.parametrize("trigger", [StartTrigger.INTERNAL, StartTrigger.SOFTWARE])
def test_a_shot_has_every_sample_once_and_takes_its_time(card, trigger):
    began = time.monotonic()
    card.arm(3050, 1, trigger)
    if trigger is StartTrigger.SOFTWARE:
        assert card.next_transfer(0.01) is None
        began = time.monotonic()
        card.fire()
    told, counted = take(card, 3050)
    assert time.monotonic() - began >= 0.0305
    assert told == counted == list(range(3050))
    assert card.next_transfer(0.01) is None
    card.arm(1, 1, StartTrigger.INTERNAL)
    with pytest.raises(CardError, match="waits for no software trigger"):
        card.fire()


def test_each_edge_gives_a_shot_and_edges_within_one_are_ignored(card):
    card.arm(5000, 2, StartTrigger.EXTERNAL)
    assert card.next_transfer(0.01) is None
    card.edge()
    card.edge()
    assert card.ignored == 1
    told, _ = take(card, 5000)
    assert card.next_transfer(0.01) is None
    card.edge()
    told += take(card, 10_000)[0]
    assert told == [n % 8192 for n in range(10_000)]
    card.edge()
    assert card.ignored == 2, "it answers two"


def test_who_reads_late_finds_the_oldest_lost_and_the_count_tells(card):
    card = SimAnalogCard({"number": SimInput(Counter(), noise=0.0)}, rate=100_000.0, transfer=0.001, memory=0.01)
    card.open()
    card.arm(5000, 1, StartTrigger.INTERNAL)
    threading.Event().wait(0.06)
    told, counted = take(card, 5000)
    assert told == counted
    assert len(counted) == 1000
    assert card.lost == counted[0] == 4000
    card.close()


def test_losses_are_gaps_in_the_count(card):
    card.lose(123)
    card.arm(3000, 1, StartTrigger.INTERNAL)
    told, counted = take(card, 3000)
    assert told == counted == list(range(123, 3000))
    assert card.lost == 123


def test_late_transfers_lose_nothing(card):
    card.jitter = 0.003
    card.arm(5000, 1, StartTrigger.INTERNAL)
    told, _ = take(card, 5000)
    assert told == list(range(5000))


def test_a_slow_clock_takes_longer(card):
    card.ppm = -500_000
    began = time.monotonic()
    card.arm(3000, 1, StartTrigger.INTERNAL)
    take(card, 3000)
    assert time.monotonic() - began >= 0.06, "twice as long as by its nominal rate"


def test_stop_ends_the_wait_for_a_trigger(card):
    card.arm(100, 0, StartTrigger.EXTERNAL)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(card.next_transfer(30.0)))
    thread.start()
    card.stop()
    thread.join(5)
    assert answers == [None]
    card.stop()


def test_a_fault_comes_with_the_next_transfer(card):
    card.arm(0, 1, StartTrigger.INTERNAL)
    card.fail(RuntimeError("unplugged"))
    with pytest.raises(RuntimeError, match="unplugged"):
        card.next_transfer(1.0)


def volts(card):
    card.arm(2000, 1, StartTrigger.INTERNAL)
    found = []
    while sum(map(len, found)) < 2000:
        transfer = card.next_transfer(5.0)
        found.append([c.scale * transfer.data[:, i] + c.offset for i, c in enumerate(card.channels())])
        found[-1] = np.array(found[-1]).T
    return np.concatenate(found).T


def test_waveforms_couplings_ranges_and_noise():
    card = SimAnalogCard(
        {
            "sine": SimInput(Sine(1000.0, 2.0, level=1.0), noise=0.0),
            "chopper": SimInput(Square(1000.0, 0.5, level=0.5), noise=0.0),
            "noise": SimInput(Sine(amplitude=0.0), noise=0.01),
        },
        rate=100_000.0,
    )
    card.open()
    sine, chopper, noise = volts(card)
    assert (sine.mean(), sine.max(), sine.min()) == pytest.approx((1.0, 3.0, -1.0), abs=3e-3)
    assert set(np.round(chopper, 3)) == {0.0, 1.0}
    assert noise.std() == pytest.approx(0.01, rel=0.1)
    card.set_coupling("sine", Coupling.AC)
    card.set_coupling("chopper", Coupling.GROUND)
    sine, chopper, _ = volts(card)
    assert sine.mean() == pytest.approx(0.0, abs=1e-3)
    assert not chopper.any()
    card.set_range("sine", InputRange(-1.0, 1.0))
    sine, _, _ = volts(card)
    assert (sine.min(), sine.max()) == pytest.approx((-1.0, 1.0), abs=1e-4), "it saturates"
    assert card.channels()[0].coupling is Coupling.AC
    with pytest.raises(RdaqError, match="no range -3 to 3"):
        card.set_range("sine", InputRange(-3.0, 3.0))
    card.close()


def test_a_stand_in_has_the_channels_units_ranges_and_rate_of_the_other():
    other = SimAnalogCard({"a": SimInput(), "b": SimInput()}, rate=5000.0)
    ranges = (InputRange(0.0, 2.5), InputRange(0.0, 20.0))
    other._channels["a"] = Channel("a", "mA", 0.1, 0.0, ranges[1], None, ranges)
    other._channels["b"] = Channel("b", "degC", 0.1, 0.0)
    card = SimAnalogCard.like(other, "mock adc")
    a, b = card.channels()
    assert (a.name, a.units, a.input_range, a.ranges, a.couplings) == ("a", "mA", ranges[1], ranges, ())
    assert (b.units, b.input_range, b.ranges) == ("degC", None, ())
    assert card.rate() == 5000.0
    card.open()
    current, _ = volts(card)
    assert 0.0 <= current.min() < 1e-3, "it measures nothing below 0 mA"
    assert current.max() == pytest.approx(1.0, abs=0.01)
    card.set_range("a", ranges[0])
    assert card.channels()[0].offset == 1.25
    with pytest.raises(RdaqError, match="no range"):
        card.set_range("b", ranges[0])
    card.close()


def test_what_is_connected_goes_on_while_the_card_does_not_sample():
    card = SimAnalogCard({"ramp": SimInput(lambda time, index: time, noise=0.0)}, rate=10_000.0)
    card.open()
    for samples, shots, trigger in ((100, 1, StartTrigger.INTERNAL), (0, 1, StartTrigger.INTERNAL)):
        card.arm(samples, shots, trigger)
        first = card.next_transfer(5.0).data[0, 0]
        card.stop()
        threading.Event().wait(0.02)
        card.arm(samples, shots, trigger)
        second = card.next_transfer(5.0).data
        assert (second[0, 0] - first) * card.channels()[0].scale > 0.02
        assert np.all(np.diff(second[:, 0]) >= 0)
    card.close()
