"""An analog input card in software with a real card's habits: its own clock and memory, losses when it is not read."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from rdaq_ophyd.errors import CardError, RdaqError
from rdaq_ophyd.frames import Range

from ._driver import AnalogDriver, Transfer
from ._format import CardIdentity, Channel, Coupling, InputRange, StartTrigger
from ._waveforms import Sine, Waveform

# The time base that the sample clock is divided from, Hz, and what one converter for all channels can do, samples/s.
_TIME_BASE, _CONVERSIONS = 10e6, 1e6
_BITS = 16
_RANGES = tuple(InputRange(-high, high) for high in (10.0, 5.0, 1.0, 0.2))
_SERIALS = itertools.count(1)


@dataclass(frozen=True)
class SimInput:
    """What is connected to one input.

    :param waveform: the voltage.
    :param noise: on top of it, V rms.
    """

    waveform: Waveform = field(default_factory=Sine)
    noise: float = 1e-3


class SimAnalogCard:
    """A 16-bit multiplexed card with up to 1 MS/s for all channels together.

    :param inputs: what is connected, by the channels' names.
    :param rate: samples a second of each channel; the nearest that divides 10 MHz.
    :param transfer: seconds of samples that come at once; at the end of a shot what is left.
    :param memory: seconds of samples that the card keeps for who reads late; then the oldest are lost.
    :param jitter: standard deviation, s, of the delay with which a transfer comes.
    :param ppm: how much faster than nominal its clock runs, parts per million.
    :param label: name for messages.
    :ivar lost: samples lost since the card was made: the truth, to compare with.
    :ivar ignored: edges that came within a shot, or when none was waited for.
    """

    def __init__(
        self,
        inputs: Mapping[str, SimInput] | None = None,
        *,
        rate: float = 10_000.0,
        transfer: float = 0.02,
        memory: float = 2.0,
        jitter: float = 0.0,
        ppm: float = 0.0,
        label: str = "simulated card",
    ) -> None:
        self.label = label
        self.lost = self.ignored = 0
        self.jitter, self.ppm = jitter, ppm
        self._inputs = dict(inputs if inputs is not None else {"ai0": SimInput(), "ai1": SimInput(Sine(phase=1.0))})
        self._channels = {
            name: _ranged(Channel(name, "V", 1.0, 0.0, None, Coupling.DC, _RANGES, tuple(Coupling)), _RANGES[0])
            for name in self._inputs
        }
        self._transfer, self.memory = transfer, memory
        self._identity = CardIdentity(
            "rdaq-ophyd", f"Simulated {len(self._inputs)}x{_BITS} bit", f"{next(_SERIALS):04d}"
        )
        self._opened = False
        self._changed = threading.Condition()
        self._random = np.random.default_rng(1)
        self._since = time.monotonic()
        self._shots: list[float] | None = None
        self._read = self._lose = 0
        self._late = 0.0
        self._fail: Exception | None = None
        self.set_rate(rate)

    @classmethod
    def like(cls, driver: AnalogDriver, label: str) -> SimAnalogCard:
        """A card with the channels, units, ranges, couplings and rate of another one, as far as it can have them."""
        channels = driver.channels()
        card = cls({channel.name: SimInput() for channel in channels}, label=label)
        allowed = card.rate_range()
        card.set_rate(min(allowed.high, max(allowed.low, driver.rate())))
        for channel in channels:
            if channel.input_range is not None:
                card._channels[channel.name] = _ranged(channel, channel.input_range)
            else:
                made = card._channels[channel.name]
                card._channels[channel.name] = Channel(channel.name, channel.units, made.scale, made.offset)
        return card

    # -- opening and settings -------------------------------------------------------------------------------

    def open(self) -> CardIdentity:
        """Open the card."""
        self._opened = True
        return self._identity

    def close(self) -> None:
        """Close it."""
        self.stop()
        self._opened = False

    def channels(self) -> tuple[Channel, ...]:
        """The inputs."""
        return tuple(self._channels.values())

    def set_range(self, channel: str, input_range: InputRange) -> None:
        """Use another range."""
        self._channels[channel] = _ranged(self._channels[channel], input_range)

    def set_coupling(self, channel: str, coupling: Coupling) -> None:
        """Use another coupling."""
        self._channels[channel] = replace(self._channels[channel], coupling=coupling)

    def rate(self) -> float:
        """Samples a second of each channel."""
        return self._rate

    def set_rate(self, hertz: float) -> None:
        """Use the nearest rate that divides the time base."""
        self._rate = _TIME_BASE / round(_TIME_BASE / hertz)

    def rate_range(self) -> Range:
        """From 1 Hz to 1 MHz, shared by the channels."""
        return Range(1.0, _CONVERSIONS / len(self._channels))

    def dtype_numpy(self) -> str:
        """16 bits fit into ``<f4``."""
        return "<f4"

    def triggers(self) -> frozenset[StartTrigger]:
        """All of them."""
        return frozenset(StartTrigger)

    # -- what happens to it ---------------------------------------------------------------------------------

    def edge(self) -> None:
        """A rising edge at the trigger input; from any thread."""
        with self._changed:
            now = time.monotonic()
            shots = self._shots
            waiting = shots is not None and self._trigger is StartTrigger.EXTERNAL
            if not waiting or not self._may_begin(now):
                self.ignored += 1
                return
            assert shots is not None
            shots.append(now)
            self._changed.notify_all()

    def _may_begin(self, now: float) -> bool:
        shots = self._shots or []
        if self._count and len(shots) >= self._count:
            return False
        return not shots or (self._samples > 0 and (now - shots[-1]) * self._true_rate >= self._samples)

    def lose(self, samples: int) -> None:
        """Lose the next ``samples`` samples, as a card does whose bus was busy for too long."""
        self._lose += samples

    def fail(self, error: Exception) -> None:
        """Fail with ``error`` at the next transfer, as a card does that is unplugged."""
        with self._changed:
            self._fail = error
            self._changed.notify_all()

    # -- sampling -------------------------------------------------------------------------------------------

    def arm(self, samples: int, shots: int, trigger: StartTrigger) -> None:
        """Sample at once, or wait for the trigger."""
        if not self._opened:
            raise CardError(f"{self.label} is not open", hint="connect the device first")
        with self._changed:
            self._samples, self._count, self._trigger = samples, shots, trigger
            self._true_rate = self._rate * (1 + 1e-6 * self.ppm)
            self._read, self._late, self._shots = 0, 0.0, []
            longest = max(1, math.ceil(self.memory * self._rate))
            self._buffer = np.empty((longest, len(self._channels)), "<i2")
            if trigger is StartTrigger.INTERNAL:
                self._shots.append(time.monotonic())

    def fire(self) -> None:
        """Begin."""
        with self._changed:
            if self._shots is None or self._trigger is not StartTrigger.SOFTWARE:
                raise CardError(f"{self.label} waits for no software trigger", hint="arm it for one first")
            self._shots.append(time.monotonic())
            self._changed.notify_all()

    def stop(self) -> None:
        """Stop, also while waiting."""
        with self._changed:
            self._shots = None
            self._changed.notify_all()

    def next_transfer(self, timeout: float) -> Transfer | None:
        """The next samples, or None when none come within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                if self._fail is not None:
                    error, self._fail = self._fail, None
                    raise error
                now = time.monotonic()
                ready, when = self._ready(now)
                if ready > self._read + self._lose or (when == math.inf and ready > self._read):
                    return self._take(ready)
                if now >= end or self._shots is None:
                    return None
                self._changed.wait(max(0.0, min(end, when) - now))

    def _ready(self, now: float) -> tuple[int, float]:
        """How many samples may be read, counted from arming, and when that changes."""
        if not self._shots:
            return 0, math.inf
        begun, before = self._shots[-1], self._samples * (len(self._shots) - 1)
        part = max(1, round(self._transfer * self._rate))
        taken = max(0, math.floor((now - self._late - begun) * self._true_rate))
        if self._samples and taken >= self._samples:
            return before + self._samples, math.inf
        whole = taken // part * part
        following = min(whole + part, self._samples or math.inf)
        return before + whole, begun + self._late + (following + 0.5) / self._true_rate

    def _take(self, ready: int) -> Transfer:
        first = min(ready, max(self._read + self._lose, ready - len(self._buffer)))
        self.lost += first - self._read
        self._lose = max(0, self._lose - (first - self._read))
        index = np.arange(first, ready)
        when = self._when(index)
        data = self._buffer[: len(index)]
        for column, (channel, connected) in enumerate(zip(self.channels(), self._inputs.values(), strict=True)):
            data[:, column] = self._counts(channel, connected, when, index)
        self._read = ready
        self._late = abs(self._random.normal(0.0, self.jitter)) if self.jitter else 0.0
        return Transfer(first, data, time.time())

    def _when(self, index: np.ndarray) -> np.ndarray:
        """When samples are taken, s: what is connected goes on whether the card samples or not."""
        begun = np.array(self._shots) - self._since
        shot = np.minimum(index // self._samples, len(begun) - 1) if self._samples else np.zeros_like(index)
        return np.asarray(begun[shot] + (index - shot * self._samples) / self._rate)

    def _counts(self, channel: Channel, connected: SimInput, when: np.ndarray, index: np.ndarray) -> np.ndarray:
        volts = np.zeros(len(index))
        if channel.coupling is not Coupling.GROUND:
            volts += connected.waveform(when, index)
        if channel.coupling is Coupling.AC:
            volts -= connected.waveform.level
        if connected.noise:
            volts += self._random.normal(0.0, connected.noise, len(index))
        return np.clip(np.rint((volts - channel.offset) / channel.scale), -(2 ** (_BITS - 1)), 2 ** (_BITS - 1) - 1)


def _ranged(channel: Channel, input_range: InputRange) -> Channel:
    """The channel with another range: counts from the lowest to the highest 16-bit number."""
    if input_range not in channel.ranges:
        raise RdaqError(f"{channel.name}: no range {input_range}", hint="choose one of the channel's ranges")
    scale = (input_range.high - input_range.low) / 2**_BITS
    middle = (input_range.high + input_range.low) / 2
    return replace(channel, input_range=input_range, scale=scale, offset=middle)
