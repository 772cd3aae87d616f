"""One datagram to whoever started this process, as sd_notify(3) has it."""

import os
import resource
import socket
from contextlib import closing

import pytest

from rdaq_ophyd.operations import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """The manager's socket, and its name as the environment gives it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        name = str(tmp_path / "notify") if request.param == "path" else f"\0rdaq-test-{os.getpid()}"
        made.bind(name)
        made.settimeout(5)
        yield made, name.replace("\0", "@")


def test_what_is_told_is_one_datagram_a_line_each(manager):
    listening, name = manager
    with closing(Notifier({"NOTIFY_SOCKET": name})) as notifier:
        assert notifier
        notifier.tell(READY=1, STATUS="two\nlines are one")
        assert listening.recv(1000) == b"READY=1\nSTATUS=two lines are one"


def test_a_sign_of_life_needs_no_file_descriptor(manager):
    listening, name = manager
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with closing(Notifier({"NOTIFY_SOCKET": name})) as notifier:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                os.open("/", os.O_RDONLY)
            notifier.tell(WATCHDOG=1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert listening.recv(1000) == b"WATCHDOG=1"
    notifier.tell(READY=1)  # it has ended, and nobody fails of that


@pytest.mark.parametrize(
    ("environment", "every"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_signs_of_life_are_wanted_twice_in_the_managers_time(environment, every):
    with closing(Notifier({"NOTIFY_SOCKET": "/nowhere", **environment})) as notifier:
        assert notifier.every == every
    assert Notifier(environment).every is None


def test_nobody_fails_because_a_manager_is_not_there(tmp_path, caplog):
    Notifier({}).tell(READY=1)
    assert not caplog.records
    with closing(Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})) as notifier:
        notifier.tell(READY=1)
    assert "was not told 'READY=1'" in caplog.text
