"""Drivers with one defect each in their values or in what they say of themselves, and the tests that find it."""

import asyncio
import contextlib
from typing import Annotated, ClassVar

from labdevices import Lamp, Stage
from labsuites import OfLamp, OfStage
from ophyd_async.core import Command, SignalR, SignalRW, TriggerableCommand
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.errors import LimitError, ReplyTimeout
from rdaq_ophyd.link import Lane, Line
from rdaq_ophyd.signals import Ask, LineProtocol, Measure, Sample, Tell, parse_float

# -- values ---------------------------------------------------------------------------------------------------------


class TestNanIsSent(OfStage):
    meant: ClassVar = {"test_targets_that_are_no_numbers_are_refused"}
    says: ClassVar = r"set\(nan\) sent \['MVnan'\]; refuse it with a LimitError"

    class Driver(Stage):
        """Moves wherever it is told."""

        def check(self, value):
            pass


class TestSentBeforeRefused(OfStage):
    meant: ClassVar = {"test_targets_that_are_no_numbers_are_refused"}
    says: ClassVar = r"set\(nan\) sent \['MV0.000'\]; refuse it with a LimitError"

    class Driver(Stage):
        """Looks at the target when it has set out."""

        def check(self, value):
            pass

        async def send_move(self, value):
            await super().send_move(0.0 if abs(value) > 50 or value != value else value)
            if abs(value) > 50 or value != value:
                raise LimitError(f"{value} is no target")


class TestWrittenInAnotherUnit(OfLamp):
    meant: ClassVar = {"test_a_setting_reads_back", "test_a_cancelled_setting_leaves_nothing_behind"}
    says: ClassVar = "was written, .* is read back; do the two texts of its Ask belong together"

    class Driver(Lamp):
        """Writes watts, reads milliwatts."""

        power: Annotated[
            SignalRW[float],
            Ask(
                "PW?",
                "PW{value:.1f}",
                units="W",
                limits=(0, 100),
                initial=1.0,
                parse=lambda text: parse_float(text) / 1000,
            ),
            Format.HINTED_UNCACHED_SIGNAL,
        ]


class Lax(LineProtocol):
    """Sends whatever it is given."""

    def check_part(self, what, text):
        pass

    def encode(self, *commands):
        return "".join(command + self.command_end for command in commands).encode("latin-1")


class TestTextsAreCommands(OfLamp):
    meant: ClassVar = {"test_a_text_stays_one_command", "test_arguments_stay_one_command"}
    says: ClassVar = r"label: '.*' was accepted although it would be more than one command|say: '.*' was sent as"

    class Driver(Lamp):
        """Takes texts as they are."""

        protocol = Lax(command_end="\r\n", reply=Line(b"\r\n"))

        label: Annotated[SignalRW[str], Ask("ID?", "LB{value}", safe=True, initial="mock"), Format.CONFIG_SIGNAL]
        """What it is called."""
        say: Annotated[Command[[str], None], Tell("SY{arg0}", safe=True)]
        """Show a text."""


class TestNonsenseBecomesZero(OfLamp):
    meant: ClassVar = {"test_nonsense_is_not_taken_for_a_value"}
    says: ClassVar = "power: gave 0.0 when the instrument answered"

    class Driver(Lamp):
        """Finds a number in everything."""

        power: Annotated[
            SignalRW[float],
            Ask(
                "PW?",
                "PW{value:.1f}",
                units="W",
                limits=(0, 100),
                initial=1.0,
                parse=lambda text: float(text) if text[:1].isdigit() else 0.0,
            ),
            Format.HINTED_UNCACHED_SIGNAL,
        ]


class TestSilenceIsFilledIn(OfLamp):
    meant: ClassVar = {"test_a_mute_instrument_is_an_error", "test_half_a_reply_is_no_reply"}
    says: ClassVar = "level: gave 10.0 when the instrument was mute: not from memory"

    class Driver(Lamp):
        """Gives the last value when there is none."""

        level: Annotated[SignalR[float], Measure("_level", units="W", initial=0.0), Format.UNCACHED_SIGNAL]
        known = 0.0

        async def _level(self, lane: Lane) -> Sample:
            with contextlib.suppress(ReplyTimeout):
                self.known = await self.channel.value(self.level.name, "PW?", parse_float)
            return Sample(self.known)


class TestReplyOfAnother(OfLamp):
    meant: ClassVar = {"test_a_cancelled_reading_leaves_nothing_behind"}
    says: ClassVar = "was it given another's reply"

    class Driver(Lamp):
        """An answer that a cancelled reading left is taken for that to the next question."""

        level: Annotated[SignalR[float], Measure("_level", units="W", initial=0.0), Format.UNCACHED_SIGNAL]
        lit: Annotated[SignalR[float], Measure("_lit", units="", initial=0.0), Format.UNCACHED_SIGNAL]
        pending = None

        def __init__(self, *args, **options):
            self.turn = asyncio.Lock()
            super().__init__(*args, **options)

        async def _answer(self, question: str) -> Sample:
            async with self.turn:
                if self.pending is None:
                    self.pending = asyncio.ensure_future(self.channel.value(self.name, question, parse_float))
                try:
                    return Sample(await asyncio.shield(self.pending))
                finally:
                    if self.pending.done():
                        self.pending = None

        async def _level(self, lane: Lane) -> Sample:
            return await self._answer("PW?")

        async def _lit(self, lane: Lane) -> Sample:
            return await self._answer("ST?")


# -- descriptions ---------------------------------------------------------------------------------------------------


class TestNoUnit(OfLamp):
    meant: ClassVar = {"test_numbers_have_units"}
    says: ClassVar = r"no units: \['power'\]; write Ask\(..., units='mm'\)"

    class Driver(Lamp):
        """A number of what?"""

        power: Annotated[
            SignalRW[float],
            Ask("PW?", "PW{value:.1f}", precision=1, limits=(0, 100), initial=0.0),
            Format.HINTED_UNCACHED_SIGNAL,
        ]


class TestNoWords(OfLamp):
    meant: ClassVar = {"test_signals_and_commands_are_documented"}
    says: ClassVar = r"say under the declaration what they mean .*: \{'dark'\}"

    class Driver(Lamp):
        """Does not say what its command does."""

        dark: Annotated[TriggerableCommand, Tell("OF", safe=True)]


class TestNothingHinted(OfLamp):
    meant: ClassVar = {"test_hints_are_readings"}
    says: ClassVar = "nothing is hinted: give one reading a HINTED format"

    class Driver(Lamp):
        """Shows nothing."""

        power: Annotated[
            SignalRW[float],
            Ask("PW?", "PW{value:.1f}", units="W", precision=1, limits=(0, 100), initial=0.0),
            Format.UNCACHED_SIGNAL,
        ]


class TestReadsWhatItDoesNotDescribe(OfLamp):
    meant: ClassVar = {
        "test_the_description_fits_the_readings",
        "test_documents_are_valid",
        "test_a_pause_between_points",
        "test_mock_mode_needs_no_instrument",
    }

    class Driver(Lamp):
        """Has a reading too many."""

        async def read(self):
            return {**await super().read(), "extra": {"value": 1.0, "timestamp": 1.0}}


class TestNameless(OfLamp):
    meant: ClassVar = {"test_names_follow_the_device"}
    says: ClassVar = "set_name has to reach every part"

    class Driver(Lamp):
        """Keeps the names of its parts."""

        def set_name(self, name, *, child_name_separator=None):
            super().set_name("lamp", child_name_separator=child_name_separator)


class TestWrongInitialValue(OfLamp):
    meant: ClassVar = {"test_mocked_settings_and_moves"}
    says: ClassVar = "its initial value 500.0 is outside its limits"

    class Driver(Lamp):
        """Mocked, it is brighter than it can be."""

        power: Annotated[
            SignalRW[float],
            Ask("PW?", "PW{value:.1f}", units="W", precision=1, limits=(0, 100), initial=500.0),
            Format.HINTED_UNCACHED_SIGNAL,
        ]


class TestNoMotionsGiven(OfStage):
    meant: ClassVar = {"test_what_it_can_do_is_hinted"}
    says: ClassVar = r"it moves: give `motions`, one Motion for each of \['itself'\]"
    motions: ClassVar = []
