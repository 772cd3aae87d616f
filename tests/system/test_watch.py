"""`rdaq watch` on streams: a program of its own, which ends cleanly whoever ends it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from bluesky import plans as bp
from bluesky.run_engine import call_in_bluesky_event_loop
from cutproxy import CutProxy
from ophyd_async.core import (
    Array1D,
    StaticPathProvider,
    TriggerInfo,
    UUIDFilenameProvider,
    init_devices,
    soft_signal_rw,
)

from rdaq_ophyd.devices.sim_analog import Counter, SimAnalogInput, SimInput
from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.rig import Rig
from rdaq_ophyd.server import Server
from rdaq_ophyd.startup import stop_loop
from rdaq_ophyd.startup._run_engine import make_run_engine

RATE, BLOCK = 2000.0, 100
COMMAND = [sys.executable, "-m", "rdaq_ophyd.cli", "watch"]


@pytest.fixture(scope="module")
def devices(tmp_path_factory, nothing_left_by_module):
    engine = make_run_engine({}, scan_id_source=lambda md: 1, devices=list, person=False)
    paths = StaticPathProvider(UUIDFilenameProvider(), tmp_path_factory.mktemp("data"))
    with init_devices():
        adc = SimAnalogInput(paths, inputs={"number": SimInput(Counter(), noise=0.0)}, rate=RATE, samples=BLOCK)
        cam = SyntheticCamera(paths, width=64, height=48)
    adc.driver.memory = 60.0
    made = {"adc": adc, "cam": cam}
    yield SimpleNamespace(RE=engine, **made)
    for device in made.values():
        call_in_bluesky_event_loop(device.close(), 10)
    stop_loop(engine)


@pytest.fixture(scope="module")
def server(devices, tmp_path_factory):
    rig = Rig("watched")
    rig.devices.update(adc=devices.adc, cam=devices.cam)
    settings = SimpleNamespace(data_dir=tmp_path_factory.mktemp("session"))
    session = SimpleNamespace(RE=devices.RE, rig=rig, settings=settings, at_close=lambda call: None)
    with Server(session) as made:
        yield made


def fly(device, number, **info):
    """Take so many frames or blocks."""

    async def flight():
        await device.stage()
        await device.prepare(TriggerInfo(number_of_events=number, **info))
        await device.kickoff()
        await device.complete()
        await device.unstage()

    call_in_bluesky_event_loop(flight(), 60)


class Watch:
    """``rdaq watch`` in a process of its own; its lines as they come."""

    def __init__(self, address, *words):
        self.process = subprocess.Popen(
            [*COMMAND, "--host", address, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.lines, self._news = [], threading.Condition()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()

    def until(self, condition):
        with self._news:
            assert self._news.wait_for(lambda: condition(self.lines), 60), self.lines[-5:]

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        if self.process.poll() is None:  # the test has failed
            self.process.kill()
            self.close()

    def end(self):
        """As Ctrl-C does; its exit code and what it complained of."""
        self.process.send_signal(signal.SIGINT)
        return self.close()

    def close(self):
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self._thread.join(20)
            self.process.stdout.close()
        with self.process.stderr:
            return self.process.returncode, self.process.stderr.read()


def listening(devices, device, *, still=True):
    """Wait until somebody listens, or nobody does any more."""
    fan = getattr(devices, device)._pipeline.fan
    for _ in range(12_000):
        if bool(fan._taps) is still:
            return
        threading.Event().wait(0.005)
    raise AssertionError("it never came to that")


def test_every_sample_as_csv(server, devices):
    with Watch(server.address, "--samples", "adc", "--csv") as watch:
        listening(devices, "adc")
        fly(devices.adc, 20)
        watch.until(lambda lines: len(lines) >= 20 * BLOCK + 1)
        assert watch.end() == (130, "interrupted\n")
        assert watch.lines[0] == "time (s),number,number (V)"
        rows = np.array([line.split(",") for line in watch.lines[1:]], float)
        assert list(np.diff(rows[:, 1])) == [1.0] * (len(rows) - 1)
        assert list(np.rint(np.diff(rows[:, 2]) * 1000)) == [1.0] * (len(rows) - 1)


def test_statistics_of_short_shots_come_in_time_although_nothing_follows(server, devices):
    with Watch(server.address, "--samples", "adc", "--every", "0.2") as watch:
        listening(devices, "adc")
        fly(devices.adc, 3)
        watch.until(lambda lines: sum(int(line.split(" + ")[1].split()[0]) for line in lines[1:]) >= 3 * BLOCK)
        assert watch.lines[0] == "adc: number (V) at 2000 samples/s"
        assert watch.end() == (130, "interrupted\n")


def test_blocks_as_json(server, devices):
    with Watch(server.address, "--samples", "adc", "--json") as watch:
        listening(devices, "adc")
        fly(devices.adc, 5)
        watch.until(lambda lines: sum(len(json.loads(line)["samples"]["number"]) for line in lines) >= 5 * BLOCK)
        assert watch.end() == (130, "interrupted\n")
        first = json.loads(watch.lines[0])
        assert (first["device"], first["rate"], first["units"]) == ("adc", RATE, {"number": "V"})


def test_frames_in_short(server, devices):
    with Watch(server.address, "--frames", "cam", "--every", "0.05", "--scale", "2") as watch:
        listening(devices, "cam")
        fly(devices.cam, 60, livetime=0.01)
        watch.until(lambda lines: len(lines) >= 3)
        assert watch.end() == (130, "interrupted\n")
        assert all("  32 × 24  pixels " in line for line in watch.lines)
        assert watch.lines[1].endswith(" frames/s")


def test_the_log_as_text_and_as_json(server):
    logger = logging.getLogger("rdaq_ophyd.test")
    logger.error("the chiller\nis hot")
    with Watch(server.address, "--log", "--level", "WARNING") as watch:
        watch.until(lambda lines: lines[-1:] == ["    is hot"])
        assert watch.lines[-2].endswith("  ERROR    rdaq_ophyd.test  the chiller")
        logger.info("it is quiet")
        logger.warning("it is warm")
        watch.until(lambda lines: lines[-1].endswith("it is warm"))
        assert not any("it is quiet" in line for line in watch.lines)
        assert watch.end() == (130, "interrupted\n")
    with Watch(server.address, "--log", "--json") as watch:
        watch.until(lambda lines: any("it is warm" in line for line in lines))
        assert watch.end() == (130, "interrupted\n")
        found = [json.loads(line) for line in watch.lines]
        texts = [line["text"] for line in found if line["logger"] == "rdaq_ophyd.test"]
        assert texts == ["the chiller\nis hot", "it is quiet", "it is warm"]
        assert [line["number"] for line in found] == list(range(1, len(found) + 1))


def test_documents_with_arrays_are_a_line_of_json_each(server, devices):
    spectrum = soft_signal_rw(Array1D[np.float32], np.array([0.5, np.nan, np.inf], np.float32), name="spectrum")
    call_in_bluesky_event_loop(spectrum.connect(), 10)
    with Watch(server.address, "--documents") as watch:
        while not watch.lines:  # until it listens
            devices.RE(bp.count([spectrum]))
        (uid,) = devices.RE(bp.count([spectrum], md={"shape": np.array([3, 4])})).run_start_uids
        watch.until(lambda lines: uid in lines[-1] and json.loads(lines[-1])[0] == "stop")
        assert watch.end() == (130, "interrupted\n")
    told = [json.loads(line) for line in watch.lines]
    run = told[next(n for n, (_, document) in enumerate(told) if document["uid"] == uid) :]
    start, event, stop = (document for name, document in run if name != "descriptor")
    assert start["shape"] == [3, 4]
    assert event["data"]["spectrum"][0] == 0.5
    assert [str(value) for value in event["data"]["spectrum"][1:]] == ["nan", "inf"]
    assert stop["run_start"] == uid


def test_a_cut_is_a_line_among_the_others(server, devices):
    with CutProxy(server.address) as proxy, Watch(proxy.address, "--samples", "adc", "--json") as watch:
        listening(devices, "adc")
        fly(devices.adc, 2)
        watch.until(lambda lines: lines)
        proxy.cut()
        listening(devices, "adc", still=False)
        proxy.mend()
        listening(devices, "adc")
        fly(devices.adc, 2)
        watch.until(lambda lines: any("note" in json.loads(line) for line in lines) and "samples" in lines[-1])
        code, _ = watch.end()
    assert code == 130
    (note,) = [json.loads(line) for line in watch.lines if "note" in json.loads(line)]
    assert note["note"].startswith("gap: samples of adc: cut for ")
    assert note["until"] > note["since"]


def test_whoever_has_read_enough_ends_it_without_a_complaint(server, devices):
    watch = subprocess.Popen(
        [*COMMAND, "--host", server.address, "--samples", "adc", "--csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with watch.stdout, watch.stderr:
        listening(devices, "adc")
        fly(devices.adc, 2)
        assert watch.stdout.readline().startswith("time (s)")
        watch.stdout.close()  # as `head` does
        fly(devices.adc, 4)
        assert watch.wait(60) == 0
        assert watch.stderr.read() == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--samples", "cam"], "cam is no analog input"),
        (["--frames", "nobody"], "nobody"),
        (["--csv"], "--csv of what? → add --samples NAME, --frames NAME or --log"),
        (["--samples", "adc", "--every", "nan"], "--every nan"),
    ],
)
def test_what_cannot_be_watched_is_told(server, words, said):
    with Watch(server.address, *words) as watch:
        code, err = watch.close()
    assert code in (1, 2)
    assert said in err
    assert "Traceback" not in err
