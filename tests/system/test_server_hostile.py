"""Clients that send whatever they like: no call ends in an error of ours, the server stays, and no port is reached."""

from __future__ import annotations

import contextlib
import time

import grpc
import pytest
from google.protobuf import message_factory
from hostile import messages_of
from hypothesis import given, settings
from hypothesis import strategies as st
from optics import no_tiled

from rdaq_ophyd.client import RemoteDevice, connect
from rdaq_ophyd.errors import LimitError, UnknownName
from rdaq_ophyd.link import known_links
from rdaq_ophyd.server import Access, Limits, Role, Server, Token
from rdaq_ophyd.startup import start
from rdaq_ophyd.wire import SERVICE, messages

METHODS = {method.name: method for method in messages.DESCRIPTOR.services_by_name["Daq"].methods}
OURS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
"""What a call ends with when the server did not expect it."""
NAMES = ["x", "y", "stage", "power_meter", "cam", "x.velocity", "x.enabled", "power_meter.filter", "cam.exposure"]
PLANS = ["knife_edge_scan", "image_stack", "raster", "fly_scan", "time_series"]
PARAMETERS = ["stage", "cam", "start", "stop", "num", "exposure", "settle", "light", "power_meter", "md"]
ALICE, BOB = Token("alice", Role.OPERATE, "a" * 40), Token("bob", Role.OBSERVE, "b" * 40)


@pytest.fixture(scope="module")
def session(profile_path, data_dir, nothing_left_by_module):
    with pytest.MonkeyPatch.context() as patch:
        no_tiled(patch)
        with start(str(profile_path), data_dir=data_dir) as made:
            yield made


@pytest.fixture(scope="module")
def server(session):
    with Server(session, Access(tokens=[ALICE, BOB]), Limits(client_rate=1e6, refused_rate=1e6)) as made:
        yield made


@pytest.fixture(scope="module")
def alice(server):
    with connect(server.address, token=ALICE.secret) as made:
        yield made


@pytest.fixture(scope="module")
def channel(server, alice):
    with grpc.insecure_channel(server.address) as made:
        yield made


def call(channel, method, data, token, *, timeout=4.0, answers=3):
    """The status code of a call that sends these bytes; a stream is left after some answers."""
    of = METHODS[method]
    kind = f"{'stream' if of.client_streaming else 'unary'}_{'stream' if of.server_streaming else 'unary'}"
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    request = iter([data, data]) if of.client_streaming else data
    calling = getattr(channel, kind)(f"/{SERVICE}/{method}")
    try:
        if not of.server_streaming:
            calling(request, timeout=timeout, metadata=metadata)
            return grpc.StatusCode.OK
        stream = calling(request, timeout=timeout, metadata=metadata)
        for _, _ in zip(range(answers), stream, strict=False):
            pass
        stream.cancel()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def restore(alice):
    """Ready for the next one: nothing runs, nothing is stopped."""
    end = time.monotonic() + 30
    while (state := alice.state).engine != "idle" or state.moving or state.stopped:
        assert time.monotonic() < end, state
        with contextlib.suppress(Exception):  # it has just ended by itself
            if state.engine != "idle":
                alice.abort("the next one")
        if state.stopped:
            alice.reset("the next one", force=True)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_valid_messages_with_hostile_values(method, channel, alice, server):
    names = st.sampled_from(PLANS + PARAMETERS if method == "RunPlan" else NAMES)
    made = messages_of(METHODS[method].input_type, names)
    endless = method in ("StreamDocuments", "WatchLog", "WatchState", "StreamFrames")

    @settings(max_examples=6 if endless or method in ("Abort", "Halt", "StopAll") else 40, database=None)
    @given(made)
    def hostile(message):
        code = call(
            channel, method, message.SerializeToString(), ALICE.secret, timeout=0.5 if endless else 4.0, answers=1
        )
        assert code not in OURS, message
        restore(alice)

    hostile()
    assert alice.state.rig == "test"


VALUES = [
    messages.Value(text="abc"),
    messages.Value(text=""),
    messages.Value(number=1e300),
    messages.Value(number=float("nan")),
    messages.Value(integer=-(1 << 63)),
    messages.Value(truth=True),
    messages.Value(array=messages.Array(dtype="<f8", shape=[1], data=b"\0" * 8)),
    messages.Value(array=messages.Array(dtype="<f8", shape=[0, 1 << 63], data=b"")),
    messages.Value(texts=messages.Texts(text=["a", "b"])),
    messages.Value(),
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_every_signal_refuses_what_it_cannot_take(channel, alice, value):
    def writable(device):
        for child in device.children.values():
            if isinstance(child, RemoteDevice):
                yield from writable(child)
            elif child.writable:
                yield child.name

    names = [name for device in alice.devices for name in writable(device)]
    assert len(names) > 15
    for name in names:
        request = messages.SetRequest(name=name, value=value, timeout=2.0)
        assert call(channel, "Set", request.SerializeToString(), ALICE.secret) not in OURS, name


@settings(max_examples=40, database=None)
@given(st.sampled_from(sorted(METHODS)), st.binary(max_size=300))
def test_bytes_that_are_no_message(channel, alice, method, data):
    code = call(channel, method, b"\xff" + data, ALICE.secret, timeout=4.0)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert alice.state.engine == "idle"


@settings(max_examples=60, database=None)
@given(st.data())
def test_who_is_nobody_reaches_no_port_whatever_is_sent(channel, alice, bench, data):
    before = {name: len(bench.log(name)) for name in ("esp300", "newport_1830c")}
    method = data.draw(st.sampled_from(sorted(METHODS)))
    message = data.draw(messages_of(METHODS[method].input_type, st.sampled_from(NAMES + PLANS)))
    token = data.draw(st.sampled_from(["", "a" * 39, "A" * 40, "a" * 41, "c" * 40]))
    assert call(channel, method, message.SerializeToString(), token) is grpc.StatusCode.UNAUTHENTICATED
    for name, seen in before.items():
        heard = b"".join(record.data for record in bench.log(name)[seen:] if record.direction == "rx")
        for link in known_links():
            heard = heard.replace(link._heart[0], b"")  # asked by itself, every few seconds
        assert heard == b""
    assert not alice.state.stopped


@settings(max_examples=40, database=None)
@given(st.data())
def test_who_may_only_look_changes_nothing(channel, alice, data):
    method = data.draw(
        st.sampled_from(["Set", "Move", "StopDevice", "Reset", "RunPlan", "Pause", "Resume", "Abort", "Halt"])
    )
    message = data.draw(messages_of(METHODS[method].input_type, st.sampled_from(NAMES + PLANS)))
    assert call(channel, method, message.SerializeToString(), BOB.secret) is grpc.StatusCode.PERMISSION_DENIED
    assert not alice.state.moving


def test_a_message_that_is_too_large_is_refused_and_the_server_stays(channel, alice):
    huge = messages.ReadRequest(names=["x" * (5 << 20)]).SerializeToString()
    assert call(channel, "Read", huge, ALICE.secret) is grpc.StatusCode.RESOURCE_EXHAUSTED
    many = messages.ReadRequest(names=["x"] * 2_000_000).SerializeToString()
    assert call(channel, "Read", many, ALICE.secret) in (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INVALID_ARGUMENT,
    )
    assert alice.state.engine == "idle"


@pytest.mark.parametrize("method", ["Read", "Locate"])
def test_one_call_reads_each_name_once_and_so_many_at_most(alice, bench, method):
    request = getattr(messages, f"{method}Request")
    asked = len(bench.arrivals("esp300", b"1TP?"))
    alice._calls.ask(method, request(names=["x"] * 1000), timeout=20)
    assert len(bench.arrivals("esp300", b"1TP?")) - asked < 10
    with pytest.raises(LimitError, match=r"1001 names at once .* at most 1000"):
        alice._calls.ask(method, request(names=["x"] * 1001), timeout=20)


def test_a_name_of_megabytes_is_refused_in_a_few_words(alice):
    with pytest.raises(UnknownName, match=r"unknown device 'xyxy.*…'") as refused:
        alice.read("xy" * (1 << 19))
    assert len(str(refused.value)) < 1000


def test_names_that_no_service_has_are_refused(channel, alice):
    for method in (f"/{SERVICE}/Sudo", "/rdaq.v9.Daq/Read", "/", "//", "/x" * 500):
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(method)(b"", timeout=5)
        assert refused.value.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INVALID_ARGUMENT), method
    kind = message_factory.GetMessageClass(METHODS["GetState"].input_type)
    assert call(channel, "GetState", kind().SerializeToString(), ALICE.secret) is grpc.StatusCode.OK
