"""What others may put into start documents."""

import pytest
from bluesky import RunEngine
from bluesky.plan_stubs import close_run, open_run
from bluesky.preprocessors import pchain
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.errors import LimitError
from rdaq_ophyd.startup import check_metadata, check_run_metadata


@pytest.fixture(scope="module")
def RE():
    from rdaq_ophyd.startup import stop_loop

    engine = RunEngine({}, context_managers=[], call_returns_result=True)
    yield engine
    stop_loop(engine)


@pytest.mark.parametrize("key", ["uid", "time", "scan_id", "rig", "versions", "plans_git", "submitted_by", "script"])
def test_what_bluesky_and_the_session_write_is_nobody_elses(key):
    for check in (check_metadata, check_run_metadata):
        with pytest.raises(LimitError, match=f"metadata '{key}' is the .*'s own → choose another key"):
            check({"sample": "GaAs", key: "mine"})


@pytest.mark.parametrize("key", ["operator", "plan_name", "plan_type", "plan_args", "detectors", "num_points"])
def test_of_one_run_the_plan_and_the_session_say_more(key):
    check_metadata({key: ["1"] if key == "plan_args" else "1"})  # for all runs: what a plan says of itself wins over it
    with pytest.raises(LimitError, match=f"metadata '{key}' of a run is the session's or its plan's own"):
        check_run_metadata({key: "1"})


@pytest.mark.parametrize(("key", "value", "said"), [
    ("", 1, "without dots"), ("a.b", 1, "without dots"), ("a/b", 1, "without dots and slashes"),
    ("hints", "x", "'x' is not of type 'object'"), ("group", 1, "1 is not of type 'string'"),
    ("sample", {"b.c": 1}, "no start document takes that"),
])  # fmt: skip
def test_what_no_start_document_takes_is_refused_at_once(key, value, said):
    with pytest.raises(LimitError, match=said):
        check_metadata({key: value})


KEYS = st.sampled_from(["uid", "time", "scan_id", "hints", "sample", "group", "plan_name", "data_groups", "owner"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(KEYS | st.text(max_size=5), VALUES)
def test_a_run_begins_with_whatever_is_let_in(RE, key, value):
    try:
        check_metadata({key: value})
    except LimitError:
        return
    RE.md.clear()
    RE.md[key] = value
    documents = []
    assert RE(pchain(open_run(), close_run()), lambda name, doc: documents.append(name)).exit_status == "success"
    assert documents == ["start", "stop"]
