"""Exceptions to a script and back: the class that it knows, the cause, and the very object when it comes back."""

from __future__ import annotations

import pytest
from bluesky.utils import FailedStatus, RequestAbort

from rdaq_ophyd.errors import InstrumentError, LimitError, ScriptFailed
from rdaq_ophyd.scripts._codec import Codec
from rdaq_ophyd.scripts._thrown import caught, failure, thrown, told

CODEC = Codec(lambda value: {"$opaque": repr(value)}, lambda tag, content: f"{tag} {content}")


def there(error):
    return caught(thrown(error, 5, CODEC.encode), CODEC.decode)


def raised(error, cause=None):
    try:
        raise error from cause
    except BaseException as found:  # noqa: BLE001 whatever it is
        return found


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no", 3), KeyError("k"), OSError(2, "none", "/x"), RequestAbort(), TimeoutError(),
        LimitError("x = 3", hint="give 2"), InstrumentError("x", 9, "stalled", hint="look"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    ],
)  # fmt: skip
def test_it_is_the_same_class_with_the_same_words(error):
    found = there(error)
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert vars(error).items() <= vars(found).items()
    assert told(found, "") == {"same": 5}


def test_a_cause_comes_along_and_what_cannot_travel_is_its_text():
    found = there(raised(FailedStatus(object()), raised(RuntimeError("deep"), ValueError("deepest"))))
    assert isinstance(found, FailedStatus)
    assert "$opaque <object object" in str(found)
    assert isinstance(found.__cause__, RuntimeError)
    assert isinstance(found.__cause__.__cause__, ValueError)


def test_a_class_that_the_script_does_not_know_is_its_nearest_base():
    message = thrown(ValueError("x"), 1, CODEC.encode)
    message["classes"] = ["vendor.sdk:TemperatureError", *message["classes"]]
    assert type(caught(message, CODEC.decode)) is ValueError
    message["classes"] = ["os:system", "builtins:print", "builtins:Exception"]
    assert type(caught(message, CODEC.decode)) is Exception


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (LimitError("n = 3", hint="give 2"), LimitError, "n = 3 → give 2"),
        (InstrumentError("x", 9, "stalled"), InstrumentError, "x: instrument error 9: stalled"),
        (
            SystemExit(3),
            ScriptFailed,
            "scan.py: it called exit(3) (scan.py:1: boom; scan.py:2: bang) → mend the script",
        ),
        (ZeroDivisionError("no"), ScriptFailed, "scan.py: ZeroDivisionError: no (scan.py:1: boom; scan.py:2: bang)"),
    ],
)
def test_what_ends_the_plan_is_raised_in_the_rig(error, kind, said):
    found = failure("scan.py", told(error, "scan.py:1: boom\nscan.py:2: bang"))
    assert type(found) is kind
    assert str(found).startswith(said)


@pytest.mark.parametrize("message", [{}, {"kind": "os"}, {"kind": 3, "what": ["x"]}, {"kind": "RigError" * 100}])
def test_nonsense_is_a_failure_too(message):
    assert type(failure("scan.py", message)) is ScriptFailed
