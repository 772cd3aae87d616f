"""Samples to other processes: blocks as they come, each accounted for, whatever the card and the client do."""

from __future__ import annotations

import subprocess
import sys
import threading
from itertools import pairwise
from types import SimpleNamespace

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import grpc
import h5py
import numpy as np
import pytest
from bluesky.run_engine import call_in_bluesky_event_loop
from ophyd_async.core import DetectorTrigger, StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices

from rdaq_ophyd.client import connect
from rdaq_ophyd.devices.sim_analog import Counter, SimAnalogInput, SimInput, Sine
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.errors import LimitError, NotAllowed, UnknownName
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.samples import Calibration, Piece, PolledSamples
from rdaq_ophyd.samples._tap import LARGEST, ROOM
from rdaq_ophyd.server import Access, Role, Server, Token
from rdaq_ophyd.startup import stop_loop
from rdaq_ophyd.startup._run_engine import make_run_engine
from rdaq_ophyd.wire import SERVICE

RATE, BLOCK = 10_000.0, 100
INPUTS = {"number": SimInput(Counter(), noise=0.0), "wave": SimInput(Sine(1000.0, 2.0, 1.0), noise=0.0)}


@pytest.fixture(scope="module")
def rig(tmp_path_factory, nothing_left_by_module):
    """All of a session that a server needs, without catalog and instruments."""
    engine = make_run_engine({}, scan_id_source=lambda md: 1, devices=list, person=False)
    data_dir = tmp_path_factory.mktemp("data")
    paths = StaticPathProvider(UUIDFilenameProvider(), data_dir)
    with init_devices():
        calibrations = {"wave": Calibration("mW", 2.5, -0.5)}
        adc = SimAnalogInput(paths, inputs=INPUTS, rate=RATE, samples=BLOCK, calibrations=calibrations)
        cam = SyntheticCamera(paths, width=64, height=48)
    with init_devices():
        polled = PolledSamples({"place": adc.rate}, paths, rate=200.0, samples=20)
    adc.driver.memory = 60.0  # a busy machine must not lose samples where a test counts them
    made = Rig("samples")
    made.devices.update(adc=adc, cam=cam, polled=polled)
    settings = SimpleNamespace(data_dir=data_dir)
    yield SimpleNamespace(RE=engine, rig=made, settings=settings, at_close=lambda call: None)
    for device in (adc, cam, polled):
        call_in_bluesky_event_loop(device.close(), 10)
    stop_loop(engine)


@pytest.fixture(scope="module")
def server(rig):
    with Server(rig) as made:
        yield made


@pytest.fixture(scope="module")
def module_client(server):
    with connect(server.address) as made:
        yield made


@pytest.fixture
def client(module_client, adc):
    yield module_client
    until(lambda: not adc._pipeline.fan.listening)  # who has gone costs nothing


@pytest.fixture
def adc(rig):
    return rig.rig["adc"]


def until(condition):
    for _ in range(4000):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it never came to that")


def fly(rig, blocks, name="adc", **info):
    device = rig.rig[name]

    @bpp.stage_decorator([device])
    @bpp.run_decorator()
    def plan():
        yield from bps.prepare(device, TriggerInfo(number_of_events=blocks, **info), wait=True)
        yield from bps.declare_stream(device, name="primary", collect=True)
        yield from bps.kickoff(device, wait=True)
        yield from bps.collect_while_completing([device], [device], flush_period=0.1, stream_name="primary")

    rig.RE(plan())


class Listener(threading.Thread):
    """Takes blocks until it is closed."""

    def __init__(self, samples):
        super().__init__(name="listener")
        self.samples, self.blocks = samples, []
        self.schema = samples.schema  # from now on none is missed
        self.start()

    def run(self):
        for block in self.samples:
            self.blocks.append(block)

    @property
    def count(self):
        return sum(map(len, self.blocks))

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.samples.close()
        self.join(20)
        assert not self.is_alive()


def numbers(blocks):
    """Which samples came, by what they tell themselves."""
    return np.rint(np.concatenate([block["number"] for block in blocks]) * 1000)


def test_samples_come_as_the_file_has_them_with_times_and_units(client, rig, adc):
    with Listener(client.samples("adc")) as listener:
        schema = listener.schema
        assert (schema.device, schema.rate, schema.channels) == ("adc", RATE, ("number", "wave"))
        assert schema.units == {"number": "V", "wave": "mW"}
        assert schema.dtype == np.dtype([("number", "<f4"), ("wave", "<f4")])
        ((name, calibration),) = schema.calibrations.items()
        assert (name, calibration.scale, calibration.offset, calibration.measured_units) == ("wave", 2.5, -0.5, "V")
        fly(rig, 40)
        until(lambda: listener.count >= 40 * BLOCK)
    blocks = listener.blocks
    path = max(rig.settings.data_dir.glob("*.h5"), key=lambda p: p.stat().st_mtime)
    with h5py.File(path) as file:
        kept = {name: file[f"/entry/data/{name}"][:].ravel() for name in ("number", "wave")}
        start = file["/entry/data/timestamps"][0]
    for channel, values in kept.items():
        np.testing.assert_array_equal(np.concatenate([block[channel] for block in blocks])[: len(values)], values)
    first = blocks[0].first
    assert [b.first - first for b in blocks] == list(np.cumsum([0, *map(len, blocks)][:-1]))
    assert {b.shot for b in blocks} == {blocks[0].shot}
    assert {b.dropped for b in blocks} == {0}
    assert abs(blocks[0].time - start) < 0.05
    assert blocks[0].times[1] - blocks[0].times[0] == pytest.approx(1 / RATE, abs=1e-6)
    assert blocks[-1].time - blocks[0].time == pytest.approx((blocks[-1].first - first) / RATE, abs=0.05)
    assert blocks[0].values.shape == (2, len(blocks[0]))
    assert not blocks[0].rows.flags.writeable


def test_an_idle_card_says_what_it_will_sample_and_a_new_start_is_another_shot(client, rig, adc):
    with Listener(client.samples("adc")) as listener:
        assert listener.schema.rate == RATE
        fly(rig, 5)
        until(lambda: listener.count >= 5 * BLOCK)
        until(lambda: not adc._pipeline.acquiring)
        before = len(listener.blocks)
        fly(rig, 5)
        until(lambda: sum(map(len, listener.blocks[before:])) >= 5 * BLOCK)
    shots = sorted({block.shot for block in listener.blocks})
    assert len(shots) == 2
    ends = [block.first + len(block) for block in listener.blocks]
    assert [block.first for block in listener.blocks[1:]] == ends[:-1]  # the count goes on
    assert listener.blocks[-1].dropped == 0


def test_a_new_rate_is_another_schema_before_its_first_sample(client, rig, adc):
    def rate(hertz):
        rig.RE(bps.mv(adc.rate, hertz))

    with Listener(client.samples("adc")) as listener:
        first = listener.schema
        fly(rig, 3)
        rate(5000.0)
        try:
            fly(rig, 3)
            until(lambda: listener.count >= 6 * BLOCK)
        finally:
            rate(RATE)
    rates = [block.schema.rate for block in listener.blocks]
    assert rates == sorted(rates, reverse=True)
    assert set(rates) == {RATE, 5000.0}
    last = listener.blocks[-1]
    assert last.schema.number != first.number
    assert np.diff(last.times)[0] == pytest.approx(1 / 5000, abs=1e-6)


def test_each_edge_begins_a_shot_with_a_time_of_its_own(client, rig, adc):
    edges = threading.Event()

    def pulse():
        while not edges.wait(0.02):
            adc.driver.edge()

    pulsing = threading.Thread(target=pulse)
    with Listener(client.samples("adc")) as listener:
        pulsing.start()
        try:
            fly(rig, 5, trigger=DetectorTrigger.EXTERNAL_EDGE)
            until(lambda: listener.count >= 5 * BLOCK)
        finally:
            edges.set()
            pulsing.join(10)
    shots = {}
    for block in listener.blocks:
        shots.setdefault(block.shot, []).append(block)
    assert [sum(map(len, blocks)) for blocks in shots.values()] == [BLOCK] * 5
    begun = [blocks[0].time for blocks in shots.values()]
    assert all(later - earlier > BLOCK / RATE for earlier, later in pairwise(begun))


def test_what_the_card_loses_is_a_gap_and_not_dropped(client, rig, adc):
    with Listener(client.samples("adc")) as listener:
        adc.driver.lose(50)
        fly(rig, 10)
        until(lambda: listener.count >= 10 * BLOCK - 50)
    came = sum(map(len, listener.blocks))
    last = listener.blocks[-1]
    assert last.first + len(last) - listener.blocks[0].first + 50 >= came
    assert {block.dropped for block in listener.blocks} == {0}


def test_a_client_that_stalls_loses_the_oldest_and_knows_how_many_and_the_file_none(client, rig, adc):
    samples = client.samples("adc")
    assert samples.schema.rate == RATE
    until(lambda: adc._pipeline.fan.listening)
    (tap,) = adc._pipeline.fan._taps
    rows = np.zeros((LARGEST // 8, 2), "<f4")
    schema = adc.sample_schema()
    total = 4 * ROOM
    for number in range(total):
        adc._pipeline.fan.publish(Piece(schema, number * len(rows), 0, 1.0, rows))
    assert tap.counts.pending <= ROOM * len(rows)
    lost = tap.counts.dropped
    assert lost > 0
    came, block = 0, None
    for block in samples:
        came += len(block)
        if block.first + len(block) == total * len(rows):
            break
    samples.close()
    assert came + block.dropped == total * len(rows)
    assert block.dropped >= lost
    fly(rig, 10)
    assert call_in_bluesky_event_loop(adc.samples_lost.get_value(), 5) == 0
    adc._pipeline.fan.end = 0


def test_all_listeners_share_one_ring_and_each_has_everything(client, rig, adc):
    listeners = [Listener(client.samples("adc", flush=flush)) for flush in (0.001, 0.005, 0.02, 0.1, 0.0)]
    assert len(adc._pipeline.fan._taps) == 5
    assert len({id(tap._ring) for tap in adc._pipeline.fan._taps}) == 1
    try:
        fly(rig, 30)
        for listener in listeners:
            until(lambda listener=listener: listener.count >= 30 * BLOCK)
    finally:
        for listener in listeners:
            with listener:
                pass
    for listener in listeners:
        assert listener.blocks[-1].dropped == 0
        np.testing.assert_array_equal(
            numbers(listener.blocks)[: 30 * BLOCK], numbers(listeners[0].blocks)[: 30 * BLOCK]
        )
    assert len(listeners[3].blocks) < len(listeners[0].blocks)  # a longer time, fewer messages


def test_polled_signals_are_samples_too(client, rig):
    polled = rig.rig["polled"]
    with Listener(client.samples("polled")) as listener:
        assert listener.schema.channels == ("place", "host_time", "uncertainty")
        assert listener.schema.units["host_time"] == "s"
        fly(rig, 2, "polled")
        until(lambda: listener.count >= 5)  # of 40: a busy machine polls less often, which is told as lost
    assert {value for block in listener.blocks for value in block["place"]} == {RATE}
    assert np.all(np.diff(np.concatenate([block["host_time"] for block in listener.blocks])) > 0)
    until(lambda: not polled._pipeline.fan.listening)


def test_a_device_that_is_closed_ends_its_streams(client, rig, adc):
    with Listener(client.samples("adc")) as listener:
        call_in_bluesky_event_loop(adc.close(), 10)
        try:
            listener.join(20)
            assert not listener.is_alive()
        finally:
            call_in_bluesky_event_loop(adc.connect(force_reconnect=True), 10)
    with Listener(client.samples("adc")) as listener:
        fly(rig, 2)
        until(lambda: listener.count >= 2 * BLOCK)


def test_what_is_no_analog_input_and_no_time_for_a_block(client):
    with pytest.raises(UnknownName, match="did you mean adc"):
        list(client.samples("adx"))
    with pytest.raises(UnknownName, match="cam is no analog input → analog inputs: adc, polled"):
        _ = client.samples("cam").schema
    for flush in (0.0009, 10.1, -1.0, float("nan"), float("inf")):
        with pytest.raises(LimitError, match=r"flush = .* → 0.001 to 10 s"):
            list(client.samples("adc", flush=flush))


def test_what_is_refused_on_a_busy_machine_leaves_no_connection(client):
    """No socket stays, which is looked for after each test: gRPC may get to the call's last events late."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        for _ in range(200):
            with pytest.raises(UnknownName):
                list(client.samples("adx"))
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_what_was_begun_and_not_iterated_leaves_no_connection(client):
    for _ in range(3):
        samples = client.samples("adc")
        samples.begin()
        samples.close()
        samples.close()


@pytest.mark.parametrize("data", [b"\xff\xff", b"\x0a\xff", b"\x0a\x03\xff\xfe\xfd", b"\x11" + bytes(5), b"\x0a\x00"])
def test_hostile_requests_are_refused(client, server, data):
    with grpc.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            list(channel.unary_stream(f"/{SERVICE}/StreamSamples")(data, timeout=20))
        assert caught.value.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
    assert client.state.engine == "idle"


def test_who_may_observe_may_listen(rig):
    tokens = [Token("bob", Role.OBSERVE, "b" * 40)]
    with Server(rig, Access(tokens=tokens)) as server:
        with connect(server.address, token="b" * 40) as bob:
            samples = bob.samples("adc")
            assert samples.schema.device == "adc"
            samples.close()
        with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as caught:
            list(channel.unary_stream(f"/{SERVICE}/StreamSamples")(b"", timeout=20))
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(NotAllowed):
            connect(server.address)
    until(lambda: not rig.rig["adc"]._pipeline.fan.listening)
