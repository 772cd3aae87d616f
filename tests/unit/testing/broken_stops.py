"""Drivers with one defect each in knowing their instrument or in stopping it, and the tests that find it."""

import asyncio
from typing import Annotated, ClassVar

from labdevices import InSteps, Lamp, Stage
from labsuites import OfLamp, OfStage
from ophyd_async.core import AsyncStatus, SignalRW, TriggerableCommand
from ophyd_async.core import StandardReadableFormat as Format

from rdaq_ophyd.signals import Ask, Tell
from rdaq_ophyd.stop import SafeState

# -- identity and reconnection --------------------------------------------------------------------------------------


class TestAnyInstrumentIsAccepted(OfStage):
    meant: ClassVar = {"test_other_instruments_are_refused"}
    says: ClassVar = "refused with BadReply.*raise that in `handshake`"

    class Driver(Stage):
        """Does not look at what answers."""

        async def handshake(self):
            await self.channel.ask("ID?")


class TestAnySerialNumberIsAccepted(OfStage):
    meant: ClassVar = {"test_another_one_of_the_same_kind_is_refused"}
    says: ClassVar = "another instrument was accepted when its port came back; see `handshake` and `identity`"

    class Driver(Stage):
        """Knows its kind only."""

        async def identity(self):
            return {}


class TestSettingsBeforeQuestions(OfLamp):
    meant: ClassVar = {
        "test_other_instruments_are_refused",
        "test_a_loopback_plug_is_refused",
        "test_a_silent_port_is_refused",
        "test_a_lost_port_is_an_error_and_comes_back",
        "test_another_instrument_on_the_port_is_refused",
        "test_light_is_never_switched_on_again",
    }
    says: ClassVar = r"got \['PW10.0'\] before it was known who it is; ask first"

    class Driver(Lamp):
        """Writes a setting to whatever is there."""

        async def handshake(self):
            await self.channel.tell("PW10.0")
            await super().handshake()


class TestMoveIsRepeated(OfStage):
    meant: ClassVar = {"test_a_move_is_never_repeated"}
    says: ClassVar = r"still moves or emits since its port came back|without anybody asking it sent \['MV30.000'\]"

    class Driver(Stage):
        """Goes on where it was interrupted."""

        target = 0.0

        async def send_move(self, value):
            self.target = value
            await super().send_move(value)

        async def after_reconnect(self):
            if self.adrift:
                await self.send_move(self.target)


class TestLightIsRestored(OfLamp):
    meant: ClassVar = {"test_light_is_never_switched_on_again"}
    says: ClassVar = "it came back dark and was switched on by itself"

    class Driver(Lamp):
        """Takes light for a harmless setting."""

        on: Annotated[
            SignalRW[bool], Ask("ST?", {True: "ON", False: "OF"}, safe=(False,), restore=True), Format.CONFIG_SIGNAL
        ]
        """Whether it is lit."""


# -- stops ----------------------------------------------------------------------------------------------------------


class TestStopDoesNothing(OfStage):
    meant: ClassVar = {"test_stop_ends_a_move", "test_stop_goes_ahead_of_all_that_waits"}
    says: ClassVar = r"still moves when stop\(\) has returned: does it reach the instrument"

    class Driver(Stage):
        """Only says that it stops."""

        async def stop(self, success=False):
            self.note_stop()


class TestStopWaitsItsTurn(OfStage):
    meant: ClassVar = {"test_stop_goes_ahead_of_all_that_waits"}
    says: ClassVar = r"(19|20)\d exchanges went out before the stop; use Tell\(..., preempt=True\)"

    class Driver(Stage):
        """Queues its stop behind everything."""

        async def stop(self, success=False):
            self.note_stop()
            if self._mock is None:
                await self.channel.tell("ST", safe=True)
            while await self.now(self.moving):
                pass


class TestSecondStopFails(OfStage):
    meant: ClassVar = {
        "test_stop_does_no_harm_when_idle",
        "test_a_stop_that_comes_at_once",
        "test_what_is_safe_is_allowed",
        "test_mocked_settings_and_moves",
    }

    class Driver(Stage):
        """Complains when there is nothing to stop."""

        async def stop(self, success=False):
            if not await self.now(self.moving):
                raise RuntimeError("nothing to stop")
            await super().stop(success)


class TestStoppedMoveSucceeds(OfStage):
    meant: ClassVar = {"test_stop_ends_a_move", "test_a_stop_that_comes_at_once"}
    says: ClassVar = "a move that was stopped counts as done; its status must fail"

    class Driver(Stage):
        """Does not notice that it was stopped."""

        async def go(self, value, halts):
            await super().go(value, halts) if self._mock is not None else await self._blindly(value)

        async def _blindly(self, value):
            self.check(value)
            self.adrift = True
            try:
                await self.send_move(value)
                while await self.moving.get_value(cached=False):
                    pass
            except BaseException:
                self.give_up()
                raise
            self.adrift = False


class TestCancelledMoveGoesOn(OfStage):
    meant: ClassVar = {"test_a_cancelled_move_stops"}
    says: ClassVar = "went on to its target after its move was cancelled: stop it"

    class Driver(Stage):
        """Forgets what it started when its task is cancelled."""

        def give_up(self):
            pass


class TestNoSafeStates(OfStage):
    meant: ClassVar = {
        "test_stop_is_declared",
        "test_stop_goes_ahead_of_all_that_waits",
        "test_stop_all_ends_a_move",
    }
    says: ClassVar = "declare in `safe_states` which bytes make it safe"

    class Driver(Stage):
        """Unknown to a stop-all."""

        def safe_states(self):
            return []


class TestSafeStateNeverConfirmed(OfLamp):
    meant: ClassVar = {"test_stop_all_ends_emission", "test_a_reset_starts_nothing"}
    says: ClassVar = "does the reply to the question in `safe_states` match `safe`"

    class Driver(Lamp):
        """Takes light for darkness."""

        def safe_states(self):
            return [
                SafeState(self.name, b"OF\r\n", preempt=True, question=b"ST?\r\n", end=b"\r\n", safe="1", seconds=0.1)
            ]


class TestLightIsSafe(OfLamp):
    meant: ClassVar = {"test_what_is_not_safe_is_refused"}
    says: ClassVar = "on = True was accepted while everything was stopped; is it declared safe by mistake"

    class Driver(Lamp):
        """Allows light while everything is stopped."""

        on: Annotated[SignalRW[bool], Ask("ST?", {True: "ON", False: "OF"}, safe=True), Format.CONFIG_SIGNAL]
        """Whether it is lit."""


class TestLightByASafeCommand(OfLamp):
    meant: ClassVar = {"test_what_is_safe_is_allowed"}
    says: ClassVar = r"\['on'\]: it moves or emits after commands that are declared safe"

    class Driver(Lamp):
        """Declares the wrong command as a stop."""

        flash: Annotated[TriggerableCommand, Tell("ON", safe=True)]
        """Light."""


class TestMoveOvertakesAStop(OfStage):
    meant: ClassVar = {"test_a_stop_that_comes_at_once"}
    says: ClassVar = "a stop right after set\\(\\) was overtaken by the move|went on to its target"

    class Driver(Stage):
        """Begins to look for stops when it has set out."""

        def set(self, value):
            return AsyncStatus(self._late(value), self.name)

        async def _late(self, value):
            await self.go(value, self.halts)


class TestStopBetweenMovesOnPaper(OfStage):
    meant: ClassVar = {"test_stop_ends_a_move"}
    says: ClassVar = r"still moves when stop\(\) has returned"

    class Driver(InSteps):
        """Says that moves run to their end, and does not wait for that."""

        async def stop(self, success=False):
            self.note_stop()


class TestNextStepInSpiteOfAStop(OfStage):
    meant: ClassVar = {"test_stop_ends_a_move"}
    says: ClassVar = r"when stop\(\) had returned, \['MV.*'\] was sent: a stop ends the whole move"

    class Driver(InSteps):
        """Goes on with the next step of its way, as soon as its stop has returned."""

        stopping = False

        def given_up(self, halts):
            return False

        async def stop(self, success=False):
            self.stopping = True
            try:
                await super().stop(success)
            finally:
                self.stopping = False

        async def send_move(self, value):
            # Else the stop might look only while a step goes on, and return after the last one.
            while self.stopping:  # noqa: ASYNC110 a class attribute is all that a driver of these suites has
                await asyncio.sleep(0.001)
            await super().send_move(value)
