"""Files of instruments with one defect each, and the tests that find it."""

from typing import ClassVar

from declaredstage import MOVED

from rdaq_ophyd.declaration import parse, shipped
from rdaq_ophyd.declaration.commands import STARTER
from rdaq_ophyd.testing import declared_suite

PITAYA = shipped()["red_pitaya"].read_text()
LAMP = STARTER.read_text().replace("NAME", "lamp")
#: Of the stage.
NO_WORD = {"word": "the empty one that it begins with is not understood"}


def with_defect(text: str, right: str, wrong: str):
    assert text.count(right) == 1, right
    return declared_suite(parse(text.replace(right, wrong)))


class TestAnyIdentity(with_defect(LAMP, "(?P<model>MODEL 1),(?P<serial>[^,]+),(?P<firmware>.+)", "(?P<said>.*)")):
    meant: ClassVar = {"test_other_instruments_are_refused"}
    says: ClassVar = "refused with BadReply|was accepted"


class TestSafeStateLeavesTheLight(with_defect(LAMP, 'tell = ["OUT 0"]', 'tell = ["CLF"]')):
    meant: ClassVar = {"test_stop_all_ends_emission"}
    says: ClassVar = "not confirmed: .*does the reply to the question in `safe_states` match `safe`"


class TestLightMayBeSwitchedOn(with_defect(LAMP, "safe = [false]", "safe = true")):
    meant: ClassVar = {"test_what_it_can_do_is_hinted"}
    says: ClassVar = "it emits: give `emissions` an Emission for emission"


class TestSetpointReadElsewhere(with_defect(LAMP, 'ask = "SP?"', 'ask = "PW?"')):
    meant: ClassVar = {"test_a_setting_reads_back"}
    says: ClassVar = "setpoint: .* was written, .* is read back"


class TestNoDoc(with_defect(LAMP, 'doc = "Whether there is light."', "")):
    meant: ClassVar = {"test_signals_and_commands_are_documented"}
    says: ClassVar = r"say .* what they mean \(in a file: `doc`\): \{'emission'\}"


class TestMoveNotTriedOut(declared_suite(parse(MOVED.partition("[[sim.move]]")[0]))):
    meant: ClassVar = {"test_what_it_can_do_is_hinted"}
    says: ClassVar = r"it moves: give `motions`, one Motion for each of \['itself'\]"
    skip: ClassVar = NO_WORD


class TestStopTellsSomethingElse(with_defect(MOVED, '[stop]\ntell = "{node}H"', '[stop]\ntell = "{node}CL"')):
    meant: ClassVar = {
        "test_stop_ends_a_move",
        "test_stop_goes_ahead_of_all_that_waits",
        "test_a_cancelled_move_stops",
        "test_a_pause_in_mid_move",
        "test_an_abort_in_mid_move",
        "test_a_move_is_never_repeated",
        "test_what_is_not_safe_is_refused",
    }
    says: ClassVar = "stop was sent, but not confirmed"
    skip: ClassVar = NO_WORD


class TestChannelForgotten(with_defect(PITAYA, 'ask = "ANALOG:PIN? AIN{channel}"', 'ask = "ANALOG:PIN? AIN1"')):
    meant: ClassVar = {"test_parts_of_a_kind_ask_for_different_things"}
    says: ClassVar = r"analog_in_1\.voltage and analog_in_0\.voltage have the same source, .*AIN1: put into its text"
