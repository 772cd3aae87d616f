"""The log of `rdaq queue`: what all of its processes say, in one form, and in one file where one is wanted."""

from __future__ import annotations

import json
import re
import signal
from contextlib import contextmanager

import zmq
from queued import idle, queue_process, until

from rdaq_ophyd.queue._control import Control

SPEAKING = """
import logging
from bluesky.plans import count
from bluesky.plan_stubs import trigger_and_read
from bluesky.utils import MsgGenerator

def speaks(power_meter: Newport1830C) -> MsgGenerator[None]:
    "Print and log, within a run."
    def step(detectors, *more):
        print("printed", "in", "parts")
        logging.getLogger("a.plan").info("logged in two\\nlines")
        logging.getLogger("a.plan").debug("too little to tell")
        yield from trigger_and_read(detectors)
    yield from count([power_meter], per_shot=step)
"""
KEYS = {"time", "level", "logger", "message"}


@contextmanager
def spoken(folder, *words):
    """The published console and the run's uid, of a queue in which the plan has run and that was told to end."""
    with queue_process(folder, "--redis", "embedded", *words, more=SPEAKING, delivered=False) as queued:
        info = json.loads((queued.data / "queue" / "manager.yml").read_text())["network"]["zmq_info_addr"]
        with zmq.Context() as context, context.socket(zmq.SUB) as console, Control(queued.control) as control:
            console.connect(info)
            console.subscribe("QS_Console")
            control.ask("queue_item_add", item={"item_type": "plan", "name": "speaks"})
            control.ask("queue_start")
            until(control, lambda s: s["items_in_history"] == 1 and idle(s))
            result = control.ask("history_get")["items"][-1]["result"]
            assert result["exit_status"] == "completed", result
            heard = ""
            while "printed in parts\n" not in heard or "logged in two\nlines\n" not in heard:
                assert console.poll(20_000), heard
                heard += json.loads(console.recv_multipart()[1])["msg"]
        queued.process.send_signal(signal.SIGINT)
        assert queued.process.wait(90) == 0
        yield heard, result["run_uids"][0]


def test_every_process_logs_lines_of_json_and_who_watches_the_console_sees_text(tmp_path):
    with spoken(tmp_path) as (heard, uid):
        lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert all(line.keys() >= KEYS for line in lines)
    loggers = {line["logger"] for line in lines}
    first, manager, worker = (f"bluesky_queueserver.manager.{name}" for name in ("start_manager", "manager", "worker"))
    assert {first, manager, worker, "a.plan", "stdout"} <= loggers
    (printed,) = [line for line in lines if line["message"] == "printed in parts"]
    (logged,) = [line for line in lines if line["logger"] == "a.plan"]
    assert (printed["logger"], printed["level"], printed["run_uid"]) == ("stdout", "info", uid)
    assert (logged["message"], logged["level"], logged["run_uid"]) == ("logged in two\nlines", "info", uid)
    assert re.search(r"^\d{4}-\S+ \S+ INFO a\.plan: logged in two\nlines$", heard, re.MULTILINE)
    assert '"message"' not in heard


def test_one_file_takes_the_text_of_all_processes(tmp_path):
    file = tmp_path / "logs" / "queue.log"
    with spoken(tmp_path, "--log-file", str(file), "--log-format", "text"):
        text = file.read_text()
    assert re.search(r"^\d{4}-\S+ \S+ INFO a\.plan: logged in two\nlines$", text, re.MULTILINE)
    assert "\nprinted in parts\n" in text
    assert re.search(r"^\d{4}-\S+ \S+ INFO bluesky_queueserver\.manager\.worker: ", text, re.MULTILINE)
    assert re.search(r"^\d{4}-\S+ \S+ INFO bluesky_queueserver\.manager\.manager: ", text, re.MULTILINE)
    assert "bluesky_queueserver" not in (tmp_path / "log").read_text()
