"""An exception is the same on the other side."""

import inspect

import pytest

from rdaq_ophyd import errors
from rdaq_ophyd.errors import InstrumentError, RdaqError
from rdaq_ophyd.wire import error_from, error_message

CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, RdaqError)]


@pytest.mark.parametrize("cls", CLASSES)
def test_class_message_and_hint_arrive(cls):
    error = InstrumentError("x", 7, "range", hint="home it") if cls is InstrumentError else cls("bad", hint="mend it")
    back = error_from(type(error_message(error)).FromString(error_message(error).SerializeToString()))
    assert type(back) is cls
    assert (back.what, back.hint, str(back)) == (error.what, error.hint, str(error))


@pytest.mark.parametrize("kind", ["", "NoSuchError", "difflib", "Iterable"])
def test_a_class_that_is_not_known_becomes_a_plain_one(kind):
    message = error_message(KeyError("x"))
    assert message.what == "KeyError: 'x'"
    message.kind = kind
    assert type(error_from(message)) is RdaqError
