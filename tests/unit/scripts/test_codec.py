"""What travels comes out as what it was, to the last bit; what cannot is named; nonsense is refused, never obeyed."""

import enum
import json
import math

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from ophyd_async.core import DetectorTrigger, FlyMotorInfo, TriggerInfo

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.scripts._codec import DEEPEST, Codec

CODEC = Codec()
keys = st.one_of(st.text(max_size=8), st.integers(), st.tuples(st.text(max_size=4), st.booleans()))
atoms = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary(max_size=50),
    st.sampled_from(DetectorTrigger),
    st.builds(TriggerInfo, number_of_events=st.integers(0, 1000), livetime=st.floats(0, 10)),
    st.builds(FlyMotorInfo, start_position=st.floats(-9, 9), end_position=st.floats(-9, 9), time_for_move=st.just(1.0)),
    st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 3)),
    nps.arrays(st.one_of(nps.integer_dtypes(), nps.unsigned_integer_dtypes(), nps.floating_dtypes(sizes=(16, 32, 64)),
                         nps.boolean_dtypes(), nps.unicode_string_dtypes(max_len=5)), nps.array_shapes(min_dims=0)),
)  # fmt: skip
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.lists(inner, max_size=4).map(tuple), st.dictionaries(keys, inner, max_size=4),
        st.sets(st.one_of(st.integers(), st.text(max_size=5)), max_size=4), st.frozensets(st.text(max_size=5)),
    ),
    max_leaves=12,
)  # fmt: skip


def there_and_back(value, codec=CODEC):
    return codec.decode(orjson.loads(orjson.dumps(codec.encode(value))))


def same(a, b):
    if type(a) is not type(b):
        return False
    match a:
        case np.ndarray() | np.generic():
            return (
                a.dtype == b.dtype.newbyteorder(a.dtype.byteorder)
                and np.asarray(a).tobytes() == np.asarray(b, a.dtype).tobytes()
            )
        case float():
            return (a == b and math.copysign(1, a) == math.copysign(1, b)) or (a != a and b != b)
        case complex():
            return same(a.real, b.real) and same(a.imag, b.imag)
        case list() | tuple():
            return len(a) == len(b) and all(map(same, a, b))
        case dict():
            return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return a == b


@settings(max_examples=60)
@given(values)
def test_it_comes_out_as_what_it_was(value):
    assert same(there_and_back(value), value)


@given(nps.array_shapes(), st.sampled_from(["f8", "i4", "u2", "c16"]))
def test_arrays_of_any_layout_come_out_whole_and_can_be_written(shape, dtype):
    array = np.arange(math.prod(shape)).reshape(shape).astype(dtype).T[::-1]
    found = there_and_back(array)
    assert np.array_equal(found, array)
    found[...] = 0


@pytest.mark.parametrize("value", [np.float32(1.5), np.int16(-3), np.bool_(True), np.str_("µ"), np.complex64(1j)])
def test_a_numpy_scalar_stays_one(value):
    found = there_and_back(value)
    assert found == value
    assert isinstance(found, np.generic) or isinstance(value, str)


class Filter(enum.StrEnum):
    FAST = "fast"


def test_an_enum_that_the_rig_does_not_know_travels_as_its_value():
    assert there_and_back(Filter.FAST) == "fast"
    name = f"{Filter.__module__}:{Filter.__qualname__}"
    assert there_and_back(Filter.FAST, Codec(enums={name: Filter})) is Filter.FAST


class Own:
    def __repr__(self):
        return "an Own"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda: 1, "the function .*<lambda> cannot travel"),
        ([1, {"a": print}], "the function print cannot travel"),
        (Own(), "an Own of type Own cannot travel"),
        (Own, "the class Own cannot travel"),
        (np.array([object()]), "cannot travel"),
        ((n for n in ()), "generator"),
    ],
)
def test_what_cannot_travel_is_named(value, said):
    with pytest.raises(LimitError, match=said):
        CODEC.encode(value)


def test_what_holds_itself_is_refused():
    value: list = []
    value.append(value)
    with pytest.raises(LimitError, match=f"more than {DEEPEST} containers"):
        CODEC.encode(value)


@pytest.mark.parametrize(
    "text",
    [
        '{"$model": ["Popen", {"args": "ls"}]}',
        '{"$model": ["TriggerInfo", {"number_of_events": -1}]}',
        '{"$enum": ["os:_Environ", "x"]}',
        '{"$enum": ["ophyd_async.core._detector:DetectorTrigger", "NONE"]}',
        '{"$array": ["|O8", [1], "AAAAAAAAAAA="]}',
        '{"$array": ["<f8", [2], "AAAAAAAAAAA="]}',
        '{"$array": ["<f8", [-1, -1], "AAAAAAAAAAA="]}',
        '{"$array": 3}',
        '{"$bytes": "*"}',
        '{"$int": "ten"}',
        '{"$dict": [[[], 1]]}',
        '{"$set": [{}]}',
        '{"$tuple": "ab"}',
        '{"$range": [1, 2, 0]}',
        '{"$pickle": "gASVJAAAAAAAAA=="}',
        '{"$tuple": [], "more": 1}',
        '{"$device": "x"}',
    ],
)
def test_nonsense_is_refused(text):
    with pytest.raises(LimitError):
        CODEC.decode(json.loads(text))


TAGS = [
    "$array", "$scalar", "$dict", "$enum", "$model", "$int", "$slice", "$range", "$set", "$float", "$bytes", "a", "$x",
]  # fmt: skip
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False), st.text(max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(
                [
                    "$array",
                    "$scalar",
                    "$dict",
                    "$enum",
                    "$model",
                    "$int",
                    "$slice",
                    "$range",
                    "$set",
                    "$float",
                    "$bytes",
                    "a",
                    "$x",
                ]
            ),
            inner,
            max_size=2,
        ),
    ),
)


@given(json_values)
def test_no_message_does_more_than_be_refused(value):
    try:
        CODEC.decode(value)
    except LimitError:
        return
