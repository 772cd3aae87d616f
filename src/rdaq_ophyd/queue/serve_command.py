"""``rdaq queue [PROFILE]``: a queue for several users on one rig, until it is told to end."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from rdaq_ophyd import profile as profiles
from rdaq_ophyd.catalog import data_layout
from rdaq_ophyd.errors import QueueError
from rdaq_ophyd.operations import LogFormat, set_up_logs
from rdaq_ophyd.startup import check_directory

from ._control import Control
from ._files import QueueFolder
from ._http import http_server
from ._manager_process import ManagerProcess, check_free, free_port
from ._options import WorkerOptions
from ._redis import redis_at
from ._relay import relayed, relaying
from ._supervisor import Supervisor

__all__ = ["QueueOptions", "serve_queue"]
#: Ctrl-C, a service manager's end, a terminal that was closed (there is none of the last on Windows).
ENDINGS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@dataclass(frozen=True)
class QueueOptions:
    """Where the queue itself is.

    :param redis: see :func:`rdaq_ophyd.queue._redis.redis_at`.
    :param control_port: for requests, on 127.0.0.1; it publishes on the tenth behind it. 0 for any that are free.
    :param http: also start bluesky-httpserver, on this port; None: not.
    :param log_format: ``text`` or ``json``; None: text on a terminal.
    :param log_file: where the log goes; None: to standard error.
    """

    redis: str | None
    control_port: int
    http: int | None = None
    log_format: str | None = None
    log_file: str | None = None


def serve_queue(worker: WorkerOptions, queue: QueueOptions) -> int:
    """Start it, say where, and end it with SIGTERM or Ctrl-C.

    :return: 0; 1 when the manager ended by itself or the worker died.
    :raises RdaqError: it cannot be started; says why.
    """
    file = Path(queue.log_file) if queue.log_file else None
    form = LogFormat(queue.log_format) if queue.log_format else LogFormat.usual(file)
    put_back = set_up_logs(form, file)
    logging.getLogger("bluesky_queueserver").setLevel(logging.WARNING)  # of our requests; the manager has its own log
    try:
        with relaying():
            return _serve(replace(worker, log_format=form.value), queue)
    finally:
        put_back()


def _serve(worker: WorkerOptions, queue: QueueOptions) -> int:
    """With the log set up."""
    _check_installed()
    _check_served(worker)
    path = profiles.find(worker.profile).resolve()
    data = Path(worker.data_dir).expanduser().resolve()
    check_directory(data)
    control, info = _ports(queue.control_port)
    folder = QueueFolder(data / "queue").prepare()
    address, publishes = f"tcp://127.0.0.1:{control}", f"tcp://127.0.0.1:{info}"
    options = replace(worker, profile=str(path), data_dir=str(data))
    with contextlib.ExitStack() as stack:

        def log(name: str) -> int | None:
            text = options.log_format == LogFormat.TEXT
            if text and queue.log_file is None:
                return None  # as it comes, letter by letter: for a person at a terminal
            return stack.enter_context(relayed(name, as_they_are=text))

        redis, where = stack.enter_context(redis_at(queue.redis, folder.path))
        manager = ManagerProcess(
            options,
            folder,
            control=address,
            info=publishes,
            redis=redis,
            prefix=f"rdaq_{path.stem}",
            log=log("queue"),
        )
        client = stack.enter_context(Control(address))
        supervisor = Supervisor(manager, client, data_layout(data))
        stack.callback(supervisor.close)
        for number in ENDINGS:
            stack.callback(signal.signal, number, signal.signal(number, supervisor.on_signal))
        web = stack.enter_context(http_server(queue.http, folder.path, address, publishes, log("bluesky_httpserver")))
        status = supervisor.open()
        said = f"{address}  {status['rig']}: queue and history {where}"
        _say(status["address"], said, *filter(None, [web]), *status["also_at"])
        return supervisor.watch()


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def _ports(wanted: int) -> tuple[int, int]:
    """For requests, and for what is published.

    :raises QueueError: one of them is taken, or no port.
    """
    if not 0 <= wanted <= 65525:
        raise QueueError(f"--control-port {wanted} is out of range", hint="0, or 1024 to 65525")
    ports = (wanted, wanted + 10) if wanted else (free_port(), free_port())
    for port in ports:
        check_free(port)
    return ports


def _check_served(options: WorkerOptions) -> None:
    """What the worker would refuse in the middle of its own log.

    :raises RdaqError: as it would.
    """
    from rdaq_ophyd.server import Limits

    from ._rig_session import access_of

    access_of(options)
    Limits().changed(options.limits)


def _check_installed() -> None:
    try:
        import bluesky_queueserver  # noqa: F401  whether it is there
        import bluesky_queueserver_api  # noqa: F401
        import fakeredis  # noqa: F401
    except ImportError as error:
        raise QueueError(f"{error.name} is not installed", hint="pip install 'rdaq-ophyd[queue]'") from None
