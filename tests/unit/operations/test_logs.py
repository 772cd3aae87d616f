"""Log records as JSON, and all that is to become one."""

import asyncio
import io
import json
import logging
import sys
import threading
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ophyd_async.core import Device

from rdaq_ophyd.errors import RdaqError
from rdaq_ophyd.operations import CALL, CALLER, LogFormat, RunUnderWay, set_up_logs
from rdaq_ophyd.operations import _logs as logs
from rdaq_ophyd.operations._json_lines import LONGEST, JsonLines


@pytest.fixture
def begin(tmp_path):
    """Sets logs up as JSON; pytest puts its own standard error in place after each fixture."""
    ends = []

    def set_up(context=dict):
        ends.append(set_up_logs(LogFormat.JSON, tmp_path / "printed", context))
        return lambda: [json.loads(line) for line in (tmp_path / "printed").read_text().splitlines()]

    yield set_up
    for end in ends:
        end()


@pytest.fixture
def lines(tmp_path):
    """What was logged since the last call, parsed; whatever is not JSON fails."""
    run = RunUnderWay()
    put_back = set_up_logs(LogFormat.JSON, tmp_path / "deep" / "log", run.fields)
    file = (tmp_path / "deep" / "log").open()

    def read():
        return [json.loads(line) for line in file]

    read.run = run
    yield read
    put_back()
    file.close()


def record(message, *args, **extra):
    made = logging.LogRecord("a.logger", logging.WARNING, __file__, 1, message, args, None)
    made.__dict__.update(extra)
    return made


@given(st.text(), st.text())
def test_any_message_is_one_line_of_json(text, argument):
    line = JsonLines().format(record("%s and %s", text, argument))
    assert "\n" not in line
    found = json.loads(line)
    assert found["message"] == f"{text} and {argument}"
    assert (found["level"], found["logger"]) == ("warning", "a.logger")


def test_a_lone_surrogate_and_an_endless_message_are_no_trouble():
    assert json.loads(JsonLines().format(record("\ud800 %s", "x")))["message"].endswith(" x")
    assert len(json.loads(JsonLines().format(record("x" * (LONGEST + 5))))["message"]) == LONGEST


def test_what_is_known_stands_in_fields_of_its_own(lines):
    log = logging.getLogger("here")
    lines.run("start", {"uid": "u1", "scan_id": 7})
    CALLER.set("alice")
    CALL.set("Move")
    log.info("moved")
    log.info("%s is slow", Device("x"))
    log.info("theirs", extra={"ophyd_async_device_name": "y"})
    lines.run("stop", {"run_start": "u1"})
    CALLER.set("nobody")
    CALL.set("")
    log.info("after")
    first, slow, theirs, after = lines()
    assert (first["run_uid"], first["scan_id"], first["client"], first["call"]) == ("u1", 7, "alice", "Move")
    assert (slow["device"], theirs["device"]) == ("x", "y")
    assert not {"run_uid", "scan_id", "client", "call", "device"} & after.keys()


def test_the_fields_follow_a_call_to_another_loop(lines):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    CALLER.set("bob")

    async def there():
        logging.getLogger("there").info("set")

    asyncio.run_coroutine_threadsafe(there(), loop).result(5)
    CALLER.set("nobody")
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()
    assert lines()[0]["client"] == "bob"


def test_warnings_prints_and_what_threads_die_of_go_the_same_way(begin):
    lines = begin()
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(True)
        warnings.warn("mind the gap", stacklevel=1)
    sys.stderr.write("one\ntwo")
    sys.stderr.write(" goes on\n\n")
    thread = threading.Thread(target=lambda: 1 / 0, name="doomed")
    thread.start()
    thread.join()
    sys.excepthook(ValueError, ValueError("nobody caught it"), None)
    gap, one, two, died, uncaught = lines()
    assert (gap["logger"], "mind the gap" in gap["message"]) == ("py.warnings", True)
    assert [(line["logger"], line["message"]) for line in (one, two)] == [("stderr", "one"), ("stderr", "two goes on")]
    assert died["message"] == "uncaught in thread doomed: division by zero"
    assert "ZeroDivisionError" in died["exception"]
    assert (uncaught["level"], uncaught["message"]) == ("critical", "uncaught: nobody caught it")


def test_a_log_that_cannot_be_written_ends_in_words_not_in_itself(begin, monkeypatch):
    begin()
    handler = logging.getLogger().handlers[0]
    monkeypatch.setattr(handler, "emit", lambda record: handler.handleError(record))
    said = io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", said)
    try:
        raise OSError(28, "no space left")
    except OSError:
        logging.getLogger("full").error("lost")
    assert "no space left" in said.getvalue()


def test_everything_is_put_back(tmp_path):
    before = logging.getLogger().handlers[:], logging.getLogger().level, sys.stderr, sys.excepthook
    set_up_logs(LogFormat.JSON, tmp_path / "log")()
    assert (logging.getLogger().handlers, logging.getLogger().level, sys.stderr, sys.excepthook) == before


def test_a_file_is_for_its_owner_and_keeps_another_mode(tmp_path):
    for mode in (0o600, 0o640):
        set_up_logs(LogFormat.TEXT, tmp_path / "log")()
        assert (tmp_path / "log").stat().st_mode & 0o777 == mode
        (tmp_path / "log").chmod(0o640)


def test_a_progress_bar_on_standard_error_is_logged_as_it_goes(begin):
    lines = begin()
    sys.stderr.write("\r 1%\r 2%")
    assert [(line["logger"], line["message"]) for line in lines()] == [("stderr", " 1%")]


def test_a_file_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "FILE_BYTES", 2000)
    put_back = set_up_logs(LogFormat.TEXT, tmp_path / "log")
    for number in range(400):
        logging.getLogger("much").info("line %d", number)
    put_back()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["log", *(f"log.{n}" for n in range(1, logs.FILES))]
    assert all(file.stat().st_size <= 2000 for file in files)
    assert "INFO much: line 399" in (tmp_path / "log").read_text()


def test_a_file_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RdaqError, match="give a file that this user may write"):
        set_up_logs(LogFormat.TEXT, tmp_path / "file" / "log")
