"""How the processes of a queue log, and how what they say comes into one log."""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.operations import LogFormat, set_up_logs
from rdaq_ophyd.operations._json_lines import LONGEST
from rdaq_ophyd.queue._logs import LOG, LinePublisher, Publisher, last_words, log_as_we_do
from rdaq_ophyd.queue._options import WorkerOptions
from rdaq_ophyd.queue._relay import relayed, relaying

LINE = '{"time": "2026-05-12T14:41:05.123+00:00", "level": "warning", "logger": "there", "message": "whole"}'
DEEP = "[" * 100_000


@pytest.fixture
def streams(monkeypatch):
    """Whatever a test puts in place of the standard ones, and of the hooks, is put back."""
    put_back = set_up_logs(LogFormat.TEXT, handler=logging.NullHandler())
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    own = logging.getLogger("bluesky_queueserver")
    monkeypatch.setattr(own, "level", own.level)
    yield
    put_back()


@pytest.fixture
def begun(streams):
    """What a process of queueserver puts into its queue after it has begun, by channel."""

    def begin(form, context=dict):
        module, messages = SimpleNamespace(), queue.SimpleQueue()
        log_as_we_do(module, form, context)
        module.setup_console_output_redirection(msg_queue=messages)
        module.setup_loggers(log_level=logging.INFO)

        def told():
            found = {"console": "", LOG: []}
            while not messages.empty():
                message = messages.get()
                text = message["msg"]
                if message["channel"] == LOG:
                    assert text.endswith("\n")
                    found[LOG].append(json.loads(text))
                else:
                    found["console"] += text
            return found

        return told

    return begin


def test_as_json_a_record_is_a_line_and_text_for_the_console(begun):
    told = begun(LogFormat.JSON, lambda: {"run_uid": "u"})
    logging.getLogger("bluesky_queueserver.manager").info("two\nlines")
    found = told()
    assert found["console"].endswith(" INFO bluesky_queueserver.manager: two\nlines\n")
    (line,) = found[LOG]
    assert (line["level"], line["message"], line["run_uid"]) == ("info", "two\nlines", "u")


def test_as_json_what_is_printed_is_published_as_it_comes_and_logged_by_lines(begun):
    told = begun(LogFormat.JSON, lambda: {"scan_id": 3})
    sys.stdout.write("printed 1")
    assert told() == {"console": "printed 1", LOG: []}
    sys.stdout.write(" more\n\nand")
    found = told()
    assert found["console"] == " more\n\nand"
    (line,) = found[LOG]
    assert (line["logger"], line["message"], line["scan_id"]) == ("stdout", "printed 1 more", 3)
    sys.stderr.write("complaint\n")
    found = told()
    assert found["console"].endswith(" WARNING stderr: complaint\n")
    assert [(line["logger"], line["message"]) for line in found[LOG]] == [("stderr", "complaint")]


def test_as_json_a_progress_bar_is_logged_as_it_goes(begun):
    told = begun(LogFormat.JSON)
    sys.stdout.write("\r 1%\r 2%")
    found = told()
    assert found["console"] == "\r 1%\r 2%"
    assert [line["message"] for line in found[LOG]] == [" 1%"]


SETTINGS = """RE Manager configuration:
    redis_addr: 'lab:p@ss "w/ord@redis.lab:6379/1'
    redis_name_prefix: 'rdaq_bench'
"""


@pytest.mark.parametrize("form", LogFormat)
def test_redis_password_is_neither_logged_nor_published(begun, form):
    told, log = begun(form), logging.getLogger("bluesky_queueserver.manager.start_manager")
    log.info("%s", SETTINGS)
    try:
        raise OSError("may not be available at 'lab:p@ss-w/ord@redis.lab'. Exception: redis://:p@ss-w/ord@redis.lab no")
    except OSError as error:
        log.exception(error)
    found = told()
    every = found["console"] + json.dumps(found[LOG])
    assert "redis_addr: '***@redis.lab:6379/1'" in every
    assert "redis_name_prefix: 'rdaq_bench'" in every
    assert "OSError: may not be available at '***@redis.lab'" in every
    assert "p@ss" not in every
    assert "w/ord" not in every


def test_what_a_plan_logs_of_the_same_form_stays(begun):
    told = begun(LogFormat.JSON)
    logging.getLogger("a.plan").info("from %r", "x:1@2")
    (line,) = told()[LOG]
    assert line["message"] == "from 'x:1@2'"


def test_as_text_all_is_printed_and_published_in_one_form(begun):
    told = begun(LogFormat.TEXT)
    sys.stdout.write("printed\n")
    logging.getLogger("bluesky_queueserver.manager").info("logged")
    logging.getLogger("a.plan").debug("too little")
    first, second = told()["console"].splitlines()
    assert first == "printed"
    assert second.endswith(" INFO bluesky_queueserver.manager: logged")


def test_what_a_process_dies_of_is_logged_before_it_dies(begun):
    told = begun(LogFormat.JSON)
    with pytest.raises(ZeroDivisionError), last_words():
        raise ZeroDivisionError("half of nothing")
    (line,) = told()[LOG]
    assert (line["level"], line["message"]) == ("critical", "uncaught: half of nothing")
    assert "in test_what_a_process_dies_of" in line["exception"]


def test_the_first_process_prints_lines_of_the_log_and_publishes_the_others(monkeypatch, capsys):
    monkeypatch.setattr(sys, "__stdout__", sys.stdout)
    publisher = LinePublisher(msg_queue=None, console_output_on=True, zmq_publish_on=False)
    publisher._zmq_publish_on, sent = True, []
    publisher._socket = SimpleNamespace(send_multipart=sent.append, close=lambda: None)
    for channel, text in (("console", "text\n"), (LOG, "line\n"), ("info", {"status": {}})):
        publisher._publish({"channel": channel, "time": 1.0, "msg": text})
    assert capsys.readouterr().out == "line\n"
    assert [topic for topic, _ in sent] == [b"QS_Console", b"QS_Info"]


class Said(queue.Queue):
    """A queue of queueserver, as far as it is asked."""

    let_go = False

    def cancel_join_thread(self):
        self.let_go = True


@pytest.mark.parametrize("kind", [Publisher, LinePublisher])
def test_what_was_said_last_is_out_when_it_is_drained(kind, monkeypatch, capsys):
    monkeypatch.setattr(sys, "__stdout__", sys.stdout)
    said = Said()
    publisher = kind(msg_queue=said, console_output_on=True, zmq_publish_on=False)
    channel = LOG if kind is LinePublisher else "console"
    for number in range(50):
        said.put({"channel": channel, "time": 1.0, "msg": f"{number}\n"})
    publisher.start()
    try:
        Publisher.newest.drain(20)
    finally:
        publisher.stop()
    assert capsys.readouterr().out.split() == [str(number) for number in range(50)]
    assert not said.let_go


def test_a_queue_that_is_stuck_holds_up_no_end():
    said = Said()
    publisher = Publisher(msg_queue=said, zmq_publish_on=False)  # whose thread nobody started
    publisher.drain(0.01)
    assert said.let_go


DIES = """
import sys
from multiprocessing import Queue
from bluesky_queueserver.manager import start_manager
said = Queue()
def start():
    start_manager.setup_console_output_redirection(said)
    publisher = start_manager.PublishZMQStreamOutput(msg_queue=said, console_output_on=True, zmq_publish_on=False)
    if "publishes" in sys.argv:
        publisher.start()
    raise OSError("no memory left")
start_manager.start_manager = start
from rdaq_ophyd.queue import __main__ as queue_process
queue_process.ParentWatch = lambda: queue_process
sys.exit(queue_process.main())
"""


@pytest.mark.parametrize("form", LogFormat)
@pytest.mark.parametrize("publishes", [True, False])
def test_what_the_first_process_dies_of_is_in_its_log_and_on_its_standard_error(form, publishes, tmp_path):
    variables = os.environ | WorkerOptions("p", str(tmp_path), log_format=form.value).environment()
    done = subprocess.run(
        [sys.executable, "-c", DIES, *["publishes"] * publishes],
        env=variables, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.endswith("\nOSError: no memory left\n")
    assert ("uncaught: no memory left" in done.stdout) == publishes
    if form is LogFormat.JSON and publishes:
        (line,) = map(json.loads, done.stdout.splitlines())
        assert line["level"] == "critical"


@pytest.fixture
def log(tmp_path):
    """A log in a file; the lines that it has."""
    ends = []

    def begin(form):
        ends.append(set_up_logs(form, tmp_path / "log"))
        return lambda: (tmp_path / "log").read_text().splitlines()

    yield begin
    for end in ends:
        end()


def says(program, descriptor):
    subprocess.run([sys.executable, "-c", program], stdout=descriptor, stderr=descriptor, check=True, timeout=60)


def test_lines_of_a_log_stay_as_they_are_and_others_become_records(log):
    lines = log(LogFormat.JSON)
    said = [
        LINE,
        "printed",
        "",
        '{"time": 1}',
        "[1]",
        DEEP,
        "INFO:     as uvicorn says it",
        "[E 2026-05-12 x] as queueserver",
    ]
    with relaying(), relayed("child") as descriptor:
        says(f"print({chr(10).join(said)!r}); import os; os.write(1, bytes([255]))", descriptor)
    assert lines()[0] == LINE
    found = [json.loads(line) for line in lines()]
    assert [(line["logger"], line["level"], line["message"]) for line in found] == [
        ("there", "warning", "whole"),
        ("child", "info", "printed"),
        ("child", "info", '{"time": 1}'),
        ("child", "info", "[1]"),
        ("child", "info", DEEP[:LONGEST]),
        ("child", "info", "INFO:     as uvicorn says it"),
        ("child", "error", "[E 2026-05-12 x] as queueserver"),
        ("child", "info", "\\xff"),
    ]


def test_text_is_not_touched_and_our_own_records_are_as_ever(log):
    lines = log(LogFormat.TEXT)
    with relaying():
        logging.getLogger("here").warning("ours")
        with relayed("child", as_they_are=True) as descriptor:
            os.write(descriptor, b"as it is\n\n  indented\n")
    first, *others = lines()
    assert first.endswith(" WARNING here: ours")
    assert others == ["as it is", "", "  indented"]
    logging.getLogger("rdaq_ophyd.queue._relay.whole").info("no longer")
    assert lines()[-1].endswith(" INFO rdaq_ophyd.queue._relay.whole: no longer")


LEVELS = {"WARNING:  x": "warning", "CRITICAL: x": "critical", "[W 1 y] x": "warning", "WARNINGS: x": "info"}


@pytest.mark.parametrize(("line", "level"), LEVELS.items())
def test_the_level_is_read_where_a_line_tells_it(log, line, level):
    lines = log(LogFormat.JSON)
    with relaying(), relayed("child") as descriptor:
        os.write(descriptor, f"{line}\n".encode())
    assert json.loads(lines()[0])["level"] == level


@given(st.binary(max_size=200))
def test_whatever_a_child_says_every_line_is_an_object(tmp_path_factory, said):
    file = tmp_path_factory.mktemp("said") / "log"
    put_back = set_up_logs(LogFormat.JSON, file)
    try:
        with relaying(), relayed("child") as descriptor:
            os.write(descriptor, said)
    finally:
        put_back()
    assert all(
        json.loads(line).keys() >= {"time", "level", "logger", "message"} for line in file.read_text().splitlines()
    )
