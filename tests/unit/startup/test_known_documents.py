"""Documents of a known kind: what event_model would refuse is refused, whatever was allowed before."""

import copy
import json
import math
import uuid

import event_model
import numpy as np
import pytest
from event_model import DocumentNames, compose_run
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import ValidationError

from rdaq_ophyd.startup import _known_documents
from rdaq_ophyd.startup._known_documents import KnownDescriptors, schemas_are_known

POWER = {
    "dtype": "number", "shape": [], "dtype_numpy": "<f8", "source": "link:/dev/ttyUSB0#D?", "units": "W",
    "precision": 4, "limits": {"control": {"low": 0.0, "high": 1.0}}, "object_name": "meter",
}  # fmt: skip
FRAME = {"dtype": "array", "shape": [1, 4, 6], "source": "file", "external": "STREAM:"}
LINKED = {"dtype": "array", "shape": [4, 6], "source": "file", "external": "FILESTORE:"}
FACTS = {
    "data_keys": {"power": POWER, "frame": FRAME, "linked": LINKED},
    "hints": {"meter": {"fields": ["power"]}},
    "object_keys": {"meter": ["power"], "cam": ["frame", "linked"]},
    "configuration": {
        "meter": {
            "data": {"filter": "slow", "range": 3},
            "timestamps": {"filter": 1.0, "range": 2.0},
            "data_keys": {"filter": {"dtype": "string", "shape": [], "source": "x", "choices": ["slow", "fast"]}},
        },
        "cam": {"data": {}, "timestamps": {}, "data_keys": {}},
    },
}


@pytest.fixture
def asked(monkeypatch):
    """What event_model's validators were asked."""
    documents = []

    class Asked:
        def __init__(self, validator):
            self.validator = validator

        def validate(self, document):
            documents.append(document)
            self.validator.validate(document)

    for name in (DocumentNames.descriptor, DocumentNames.event):
        monkeypatch.setitem(event_model.schema_validators, name, Asked(event_model.schema_validators[name]))
    return documents


def known(allowed):
    """What composes the descriptors of a new run."""
    return KnownDescriptors(compose_run().compose_descriptor, allowed)


def changed(path, value):
    """The facts with something else at one place."""
    facts = copy.deepcopy(FACTS)
    *way, last = path
    place = facts
    for key in way:
        place = place[key]
    place[last] = value
    return facts


def outcome(compose, facts):
    """What is composed of them, or the kind of error."""
    try:
        return compose("primary", **copy.deepcopy(facts)).descriptor_doc["data_keys"]
    except (ValidationError, event_model.EventModelError, TypeError, AttributeError, KeyError) as error:
        return type(error)


def places(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))


PLACES = [path for path in places(FACTS) if path]
VALUES = st.sampled_from([
    None, True, 1, 1.0, 1.5, math.nan, math.inf, -1, "", "number", "x", b"", b"x", [], (), ["x"], ("x",), [1], [1.0],
    [True], [None], np.int64(1), np.float64(1.5), np.array([]), np.array([1]), {}, {"a": 1}, {"a.b": 1}, {"a/b": 1},
    {"a": {"b.c": 1}}, {1: 1}, {"dtype": "number", "shape": [], "source": "x"}, uuid.UUID(int=1), {"fields": ["x"]},
    {"control": {"low": None, "high": 1}}, {"control": {"low": "x", "high": 1}}, "STREAM:", "stream", "|S40", set(),
])  # fmt: skip


class Own(str):
    """A text of a kind of its own."""


def test_event_models_schemas_are_the_known_ones():
    """If not, all is still checked, and the new ones have to be read."""
    assert schemas_are_known()


def test_a_descriptor_is_checked_once(asked):
    allowed = set()
    known(allowed)("primary", **FACTS)
    assert len(asked) == 1
    for other in (
        FACTS,
        changed(("configuration", "meter", "data", "range"), [3.0, 4.0]),
        changed(("configuration", "meter", "data", "filter"), Own("fast")),
        changed(("configuration", "meter", "timestamps", "range"), 5.0),
    ):
        made = known(allowed)("primary", **other).descriptor_doc
        assert made["configuration"] == other["configuration"]
    known(allowed)(uid=str(uuid.uuid4()), name="primary", **FACTS)
    assert len(asked) == 1


@pytest.mark.parametrize("path", PLACES, ids=".".join)
def test_one_that_differs_otherwise_is_checked_itself(asked, path):
    allowed = set()
    known(allowed)("primary", **FACTS)
    free = path[0] == "configuration" and len(path) == 4 and path[2] != "data_keys"
    outcome(known(allowed), changed(path, {"a": 1} if free else "else"))
    assert len(asked) == 2


def test_names_are_looked_at(asked):
    allowed = set()
    known(allowed)("primary", **FACTS)
    with pytest.raises(ValidationError):
        known(allowed)("primary", **changed(("configuration", "meter", "data", "a.b"), 1))
    known(allowed)("other", **FACTS)
    assert len(asked) == 3


@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=4))
def test_the_verdict_is_event_models_whatever_was_allowed_before(changes):
    allowed = set()
    for path, value in [*changes, *changes]:
        facts = changed(path, value)
        theirs = outcome(compose_run().compose_descriptor, facts)
        ours = outcome(known(allowed), facts)
        assert repr(ours) == repr(theirs)  # NaN and arrays are equal to nothing


def test_a_stream_keeps_its_names():
    allowed = set()
    compose = known(allowed)
    compose("primary", **FACTS)
    known(allowed)("primary", **changed(("data_keys", "more"), POWER))
    with pytest.raises(event_model.EventModelValidationError, match="must have the same data_keys"):
        compose("primary", **changed(("data_keys", "more"), POWER))


def test_what_is_remembered_is_bounded(monkeypatch, asked):
    monkeypatch.setattr(_known_documents, "MOST", 3)
    allowed = set()
    for number in range(7):
        known(allowed)(f"stream{number}", **FACTS)
        assert len(allowed) <= 3
    known(allowed)("stream6", **FACTS)
    assert len(asked) == 7


def test_with_other_schemas_everything_is_checked(monkeypatch, asked):
    monkeypatch.setattr(_known_documents, "schemas_are_known", lambda: False)
    allowed = set()
    for _ in range(2):
        made = known(allowed)("primary", **FACTS)
        made.compose_event({"power": 1.0, "linked": "x"}, {"power": 1.0, "linked": 1.0})
    assert len(asked) == 4
    assert not allowed


def events():
    """The composer of events, ours and event_model's, of one descriptor."""
    ours = known(set())("primary", **FACTS).compose_event
    return ours, compose_run().compose_descriptor("primary", **FACTS).compose_event


def test_an_event_as_most_are_needs_no_validator(asked):
    ours, theirs = events()
    asked.clear()
    for number in (1, 2):
        event = ours({"power": 1.0, "linked": "x"}, {"power": 1.0, "linked": 1.0}, filled={"linked": False})
        assert event["seq_num"] == number
    assert not asked
    other = theirs({"power": 1.0, "linked": "x"}, {"power": 1.0, "linked": 1.0}, filled={"linked": False})
    assert event.keys() == other.keys()
    assert {key: type(value) for key, value in event.items()} == {key: type(value) for key, value in other.items()}


NAMES = st.sampled_from(["power", "frame", "linked", "unknown", "a.b"])
READINGS = st.dictionaries(NAMES, st.sampled_from([1.0, "x", {"a.b": 1}, None]), max_size=4) | VALUES
FILLED = st.none() | st.dictionaries(NAMES, st.sampled_from([True, False, "x", 1, None, Own("x")]), max_size=3) | VALUES
WHOLE = st.just({"power": 1.0, "linked": "x"})
OWN = st.fixed_dictionaries({}, optional={
    "seq_num": st.sampled_from([None, 3, 3.0, "3"]),
    "uid": st.sampled_from([None, "x", 1]),
    "time": st.sampled_from([None, 1.0, "now"]),
    "validate": st.booleans(),
})  # fmt: skip


@given(st.lists(st.tuples(WHOLE | READINGS, WHOLE | READINGS, FILLED, OWN), max_size=6))
def test_an_event_is_refused_where_event_model_refuses_it(several):
    ours, theirs = events()

    def made(compose, data, times, filled, own):
        try:
            event = compose(data, times, filled=filled, **own)
        except Exception as error:  # noqa: BLE001  whichever it is
            return type(error)
        return [repr(event[key]) for key in ("data", "timestamps", "filled", "seq_num")]

    for data, times, filled, own in several:
        assert made(ours, data, times, filled, own) == made(theirs, data, times, filled, own)


def test_documents_of_an_engine_are_sound(rig, documents):
    """As a session makes them, and read by somebody who trusts nobody."""
    import bluesky.plans as bp
    import bluesky.preprocessors as bpp

    for _ in range(2):
        rig.RE(bpp.baseline_wrapper(bp.scan([rig.y], rig.x, 0, 1, 3), [rig.x]))
    for name, document in documents:
        event_model.schema_validators[DocumentNames[name]].validate(json.loads(json.dumps(document, default=str)))
    assert sum(name == "event" for name, _ in documents) == 10
