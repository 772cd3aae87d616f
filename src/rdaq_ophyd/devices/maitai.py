"""Spectra-Physics Mai Tai: tunable femtosecond laser, its wavelength, shutter and emission.

Manual: *Mai Tai User's Manual* (Spectra-Physics), chapter 6.

Run against: own simulator; not on hardware.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
from bluesky.protocols import Stoppable
from ophyd_async.core import (
    Command,
    DeviceMock,
    SignalR,
    SignalRW,
    StandardReadable,
    TriggerableCommand,
    callback_on_mock_put,
    default_mock_class,
)
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.devices._maitai_arming import Arming
from rdaq_ophyd.devices._maitai_base import MaiTaiDevice
from rdaq_ophyd.devices._maitai_errors import ErrorBits
from rdaq_ophyd.devices._maitai_replies import (
    parse_code,
    parse_emitting,
    parse_history,
    parse_mode_locked,
    parse_percent,
    parse_status,
    parse_watts,
)
from rdaq_ophyd.devices._maitai_switch import Switch
from rdaq_ophyd.devices._maitai_wavelength import MaiTaiWavelength
from rdaq_ophyd.errors import EmissionRefused, LimitError, ReplyTimeout, WrongInstrument
from rdaq_ophyd.link import Lane, Link, SerialSettings
from rdaq_ophyd.signals import INVALID, Ask, Do, Measure, Sample, parse_bool
from rdaq_ophyd.stop import SafeState, latch

logger = logging.getLogger(__name__)

__all__ = ["MaiTai", "MaiTaiWavelength"]

SHUTTER_SECONDS = 3.0
"""In which ``SHUTter?`` must tell what ``SHUTter`` did; about one by the manual."""
EMISSION_SECONDS = 5.0
"""In which the emission bit must follow ``ON`` or ``OFF``."""


class MaiTaiMock(DeviceMock["MaiTai"]):
    """A warm laser that wants to be armed too: a plan that forgets it fails in rehearsal already."""

    async def connect(self, device: MaiTai) -> None:
        """An emission uses up its arming."""

        async def emit(value: bool) -> None:
            if value and not await device.armed.get_value():
                raise device.not_armed()
            await device.armed.set(False)

        callback_on_mock_put(device.emission, emit)


@default_mock_class(MaiTaiMock)
class MaiTai(MaiTaiDevice, StandardReadable, Stoppable):
    """The laser: wavelength, shutter, emission, and what it tells of itself.

    Nothing is ever switched on or opened by itself. Light takes two deliberate steps: ``armed`` set to True, and within
    ``armed_for`` seconds ``emission`` set to True; the first is used up by the second, also where the laser emits
    already, and by switching off. Switching off and closing always work.

    The laser's own watchdog is armed when connecting: without a sign of life from this process for ``watchdog`` seconds
    it switches its pump off. It is never taken back, so the laser goes off when the session ends.

    :param link: URL of the laser's port, or a link.
    :param name: of the device.
    :param watchdog: whole seconds, more than three times ``feed_period``.
    :param armed_for: seconds that an arming is valid.
    :param off_on_stop: stop-all also switches the laser off; it always closes the shutter.
    :param rated_power: watts that are 100 %, for heads that tell their power in percent.
    :param tolerance: nm between a target and the actual wavelength.
    :param tuning_timeout: seconds that tuning may take.
    :param limits: shortest and longest wavelength that the profile allows, nm.
    :param serial: line settings other than 9600 8N1.
    :raises LimitError: a number that cannot be meant, such as a watchdog too short for its feed; RTS/CTS, which the
        laser does not have.
    """

    feed: ClassVar[str] = "*STB?"

    power: Annotated[
        SignalR[float],
        Measure("_read_power", units="W", precision=3, poll=0.5, initial=0.0),
        Format.HINTED_UNCACHED_SIGNAL,
    ]
    """Output before the shutter, in W, whether the head tells W, mW or a percentage of ``rated_power``."""
    shutter: Annotated[
        SignalRW[bool],
        Measure("_read_shutter", write="_set_shutter", poll=0.5, initial=False),
        Format.UNCACHED_SIGNAL,
    ]
    """True open. A set is done when the laser says that it followed."""
    emission: Annotated[
        SignalRW[bool],
        Measure("_read_emission", write="_set_emission", poll=0.5, initial=False),
        Format.UNCACHED_SIGNAL,
    ]
    """True on, shutter open or not. A set is done when the laser says that it followed."""
    armed: Annotated[SignalRW[bool], Measure("_read_armed", write="_set_armed", initial=False)]
    """True: for a while, ``emission`` may be switched on, once."""
    mode_locked: Annotated[SignalR[bool], Ask("*STB?", parse=parse_mode_locked, initial=True), Format.UNCACHED_SIGNAL]
    """Whether the laser is pulsing, by its own status byte."""
    pump_power: Annotated[
        SignalR[float],
        Ask("READ:PLASer:POWer?", parse=parse_watts, units="W", precision=2, initial=0.0),
        Format.UNCACHED_SIGNAL,
    ]
    """Of the pump laser. It can be read, not set: the manual forbids that."""
    warmup: Annotated[
        SignalR[float],
        Ask("READ:PCTWarmedup?", parse=parse_percent, units="%", precision=0, initial=100.0),
        Format.CONFIG_SIGNAL,
    ]
    """100: warm, and light may be switched on; 0: cold, and ``warm_up`` begins it."""
    humidity: Annotated[
        SignalR[float], Measure("_read_humidity", units="%", precision=2, poll=5.0, initial=5.0), Format.CONFIG_SIGNAL
    ]
    """In the head. Heads without a sensor: NaN.

    :alarm invalid: the head has no sensor.
    """
    pump_mode: Annotated[SignalR[str], Ask("MODE?", initial="POW"), Format.CONFIG_SIGNAL]
    """How the pump laser is held: by its power (``POW``) or by its current. It can be read, not set."""
    pump_code: Annotated[SignalR[str], Ask("PLASer:ERRCode?", parse=parse_code, initial="0"), Format.CONFIG_SIGNAL]
    """The power supply's status code, in words where they are known; the manual's chapter on service lists all."""
    status: Annotated[SignalR[int], Ask("*STB?", parse=parse_status, limits=(0, 255), initial=0)]
    """Bit 0 emission, bit 1 pulsing; what the other bits mean, the manual does not tell."""
    faults: Annotated[SignalR[str], Measure("_read_faults", poll=2.0, initial="")]
    """The last errors that the laser told anybody here, with their times; empties its buffer."""
    warm_up: Annotated[TriggerableCommand, Do("_warm_up")]
    """Start the warm-up of a cold laser (about 2 min; needs ``armed``, since it is the same command as for light)."""
    history: Annotated[Command[[], str], Do("_read_history")]
    """The power supply's last 16 status codes, the latest first."""

    stop_capability: ClassVar[StopCapability] = StopCapability(
        StopMeans.SOFTWARE,
        None,
        "ends the wait for a wavelength and keeps the light; stop-all closes the shutter, past all that waits",
    )

    def __init__(
        self,
        link: Link | str,
        name: str = "",
        *,
        watchdog: int = 10,
        armed_for: float = 60.0,
        off_on_stop: bool = False,
        rated_power: float | None = None,
        tolerance: float = 1.0,
        tuning_timeout: float = 60.0,
        limits: tuple[float, float] | None = None,
        serial: SerialSettings | None = None,
    ) -> None:
        if not isinstance(watchdog, int) or watchdog <= 3 * self.feed_period:
            raise LimitError(
                f"watchdog {watchdog} s",
                hint=f"whole seconds, more than {3 * self.feed_period:g}: it is fed every {self.feed_period:g} s",
            )
        for what, value in (("armed_for", armed_for), ("rated_power", rated_power)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise LimitError(f"{what} {value}", hint="give a number above 0")
        if serial is not None and serial.rtscts:
            raise LimitError(f"serial {serial}: a Mai Tai has no RTS/CTS", hint="give XON/XOFF or no flow control")
        self.watchdog, self.off_on_stop = watchdog, off_on_stop
        self._arming, self._rated_power = Arming(armed_for), rated_power
        self._has_humidity: bool | None = None
        self.wavelength = MaiTaiWavelength(
            link, tolerance=tolerance, tuning_timeout=tuning_timeout, limits=limits, serial=serial
        )
        self.add_readables([self.wavelength])
        super().__init__(link, None, name, serial=serial)
        self.shutter_switch = Switch(self, self.shutter, "SHUTter 1", "SHUTter 0", SHUTTER_SECONDS)
        self.emission_switch = Switch(self, self.emission, "ON", "OFF", EMISSION_SECONDS)

    # Connecting.

    async def handshake(self) -> None:
        """Make sure that it is a Mai Tai, forget errors from before, arm its watchdog.

        :raises WrongInstrument: something else answers.
        :raises InstrumentError: it does not take the watchdog.
        """
        self._arming.disarm()
        # An empty line first: what an earlier program left unfinished must not spoil the question.
        await self.channel.tell("", safe=True)
        said = await self.channel.ask("*IDN?")
        if not re.match(r"spectra.physics\s*,\s*mai\s*tai", said, re.IGNORECASE):
            raise WrongInstrument(
                f"{self.name}: {self.channel.url} is no Mai Tai; to '*IDN?' it said {said!r}",
                hint="is the port the right one? `rdaq doctor` lists what answers where",
            )
        await self.empty_errors()
        if self.starts_watchdog:
            await self.tell_checked(f"TIMer:WATChdog {self.watchdog}", safe=True)
        if self._has_humidity is None:
            self._has_humidity = await self._knows("READ:HUM?")

    async def _knows(self, question: str) -> bool:
        """Whether the head understands ``question``; before anybody else may empty its error buffer."""
        try:
            await self.channel.ask(question)
        except ReplyTimeout:
            if not any(fault.code & ErrorBits.COMMAND for fault in await self.empty_errors()):
                raise
            logger.info("%s: this head does not know %s; it is not asked again", self.name, question)
            return False
        return True

    async def identity(self) -> Mapping[str, str]:
        """Model, serial numbers and firmware, as ``*IDN?`` has them."""
        _, model, serial, firmware = ((await self.channel.ask("*IDN?")) + ",,,").split(",")[:4]
        return {"model": model.strip(), "serial number": serial.strip(), "firmware": firmware.strip()}

    async def after_reconnect(self) -> None:
        """Switch nothing on and open nothing; take back what was under way; tell what is different since."""
        await self.shutter_switch.after_reconnect()
        await self.emission_switch.after_reconnect()

    # Stopping.

    def note_stop(self) -> None:
        """What waits for a wavelength ends as interrupted; light has to be armed anew."""
        self._arming.disarm()
        self.wavelength.note_stop()

    def safe_states(self) -> Sequence[SafeState]:
        """Shutter closed; then off, where the profile wants it."""
        closed = self.shutter_switch.safe_state(self.name, "SHUTter?", "0")
        off = self.emission_switch.safe_state(f"{self.name}-emission", "*STB?", r"\d*[02468]")  # bit 0 is clear
        return (closed, off) if self.off_on_stop else (closed,)

    async def stop(self, success: bool = False) -> None:
        """End the wait for a wavelength. Sends nothing: the shutter stays as it is, and so does the emission.

        :param success: whether a tuning in progress then counts as succeeded.
        """
        self._arming.disarm()
        await self.wavelength.stop(success)

    # Light.

    async def _read_armed(self, _: Lane) -> Sample:
        return Sample(self._arming.valid)

    async def _set_armed(self, value: bool) -> None:
        """True: light may be made for a while.

        :raises LimitError: neither True nor False.
        :raises StopLatched: everything was stopped.
        """
        if _flag(self.armed.name, value):
            latch.check(f"{self.name}: arming")
            self._arming.arm()
        else:
            self._arming.disarm()

    async def _read_emission(self, lane: Lane) -> Sample:
        return Sample(await self.channel.value(self.emission.name, "*STB?", parse_emitting, lane=lane, share=True))

    async def _set_emission(self, value: bool) -> None:
        """Switch on, where it is armed and warm, or off.

        :raises ChangeUnconfirmed: it did not follow in time; what makes light is taken back.
        :raises EmissionRefused: not armed, or not warmed up; nothing was sent.
        :raises InstrumentError: the laser complained: 1 command, 2 execution, 32 system (an interlock).
        :raises LimitError: neither True nor False.
        :raises StopLatched: everything was stopped, and this makes light; nothing was sent.
        """
        if not _flag(self.emission.name, value):
            self._arming.disarm()
            await self.emission_switch.dark()
            return
        if latch.tripped:
            self._arming.disarm()  # also one that came a moment before the stop
            latch.check(f"{self.name}: emission")
        if await self.emission.get_value(cached=False):
            self._arming.disarm()  # nothing is left to be armed for
            return
        await self._check_ready()
        self._arming.disarm()
        await self.emission_switch.light()

    async def _check_ready(self) -> None:
        self._check_armed()
        warm = await self.warmup.get_value(cached=False)
        if warm < 100:
            cold = f"trigger {self.warm_up.name} first" if warm == 0 else "wait until it is 100 %"
            raise EmissionRefused(
                f"{self.emission.name}: the laser is {warm:g} % warmed up", hint=f"{cold}, about 2 min"
            )
        self._check_armed()  # a stop may have come meanwhile

    def _check_armed(self) -> None:
        if not self._arming.valid:
            raise self.not_armed()

    def not_armed(self) -> EmissionRefused:
        """The error for light that nobody armed."""
        return EmissionRefused(
            f"{self.emission.name}: not armed",
            hint=f"set {self.armed.name} to True, then within {self._arming.seconds:g} s the emission; it is good for "
            "one emission, and a stop or a lost link takes it back",
        )

    async def _warm_up(self) -> None:
        """Only from 0 %: on the way ``ON`` is an error, and at 100 % it is light.

        :raises EmissionRefused: not armed; nothing was sent.
        """
        self._check_armed()
        if await self.warmup.get_value(cached=False) == 0:
            self._check_armed()
            self._arming.disarm()
            await self.tell_checked("ON")

    async def _read_shutter(self, lane: Lane) -> Sample:
        return Sample(await self.channel.value(self.shutter.name, "SHUTter?", parse_bool, lane=lane, share=True))

    async def _set_shutter(self, value: bool) -> None:
        """Open or close, and wait until it followed.

        :raises ChangeUnconfirmed: it did not follow in time; what makes light is taken back.
        :raises InstrumentError: the laser complained: 1 command, 2 execution, 32 system (an interlock).
        :raises LimitError: neither True nor False.
        :raises StopLatched: everything was stopped, and this makes light; nothing was sent.
        """
        if not _flag(self.shutter.name, value):
            await self.shutter_switch.dark()
        else:
            await self.shutter_switch.light()

    # What it tells.

    async def _read_power(self, lane: Lane) -> Sample:
        rated = self._rated_power
        return Sample(
            await self.channel.value(self.power.name, "READ:POWer?", lambda text: parse_watts(text, rated), lane=lane)
        )

    async def _read_humidity(self, lane: Lane) -> Sample:
        if self._has_humidity is False:
            return Sample(math.nan, INVALID)
        return Sample(await self.channel.value(self.humidity.name, "READ:HUM?", parse_percent, lane=lane))

    async def _read_faults(self, _: Lane) -> Sample:
        await self.empty_errors()
        return Sample(str(self.errors))

    async def _read_history(self) -> str:
        return await self.channel.value(self.history.name, "PLASer:AHISTory?", parse_history)


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise LimitError(f"{name}: {value!r} is neither True nor False")
    return bool(value)
