"""``rdaq serve``: the rig as a service, until it is told to end."""

from __future__ import annotations

import getpass
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import prometheus_client

from rdaq_ophyd import profile as profiles
from rdaq_ophyd.operations import LogFormat, RunUnderWay, set_up_logs, unit_file
from rdaq_ophyd.scripts import ScriptLimits
from rdaq_ophyd.startup import Settings, report_failures, start, wait_attentively
from rdaq_ophyd.stop import state_dir

from ._access import LOOPBACK, Access
from ._daemon import Daemon
from ._last_resort import LastResort
from ._limits import Limits
from ._restart import close_what_was_left
from ._settled import settle
from ._token_file import TokenFile

PAGE_PORT = 50052
"""Of the page, unless another is asked for."""
CLOSING = 110.0
"""Seconds from when it is told to end; a service manager gives it 120 s (``TimeoutStopSec`` of the unit)."""
LINGERING = 10.0
"""Seconds for threads to end when everything is closed: one of a device of others may hang for good."""

__all__ = ["Options", "print_unit", "serve"]


@dataclass(frozen=True)
class Options:
    """What ``rdaq serve`` was told, as on its command line.

    :param profile: name or path.
    :param port: 0 for any that is free; the address is the first line of the output.
    :param metrics_port: of metrics and health; None for none. Their address is the second line.
    :param limits: ``name=value``.
    :param scripts: how much a script may have.
    :param page: port of the page in the browser, 0 for any that is free, None for none; the last line.
    """

    profile: str
    data_dir: str | None = None
    operator: str | None = None
    host: str = LOOPBACK
    port: int = 0
    tokens: str | None = None
    certificate: str | None = None
    key: str | None = None
    public: str | None = None
    metrics_port: int | None = None
    metrics_host: str = LOOPBACK
    log_format: str | None = None
    log_file: str | None = None
    limits: Sequence[str] = ()
    scripts: ScriptLimits = field(default_factory=ScriptLimits)
    page: int | None = None

    @property
    def data(self) -> Path:
        """The data directory."""
        return (Path(self.data_dir).expanduser() if self.data_dir else Settings().data_dir).resolve()

    def access(self) -> Access:
        """Who may come in.

        :raises NotAllowed: another address than loopback without tokens and TLS.
        """
        return Access(
            self.host,
            self.port,
            TokenFile(self.tokens) if self.tokens else (),
            Path(self.certificate) if self.certificate else None,
            Path(self.key) if self.key else None,
            self.public or "",
        )


def serve(options: Options) -> int:
    """Serve a profile. Ctrl-C, SIGTERM and the end of its terminal stop everything first.

    :raises NotAllowed: another address than loopback without tokens and TLS.
    """
    run = RunUnderWay()
    form = LogFormat(options.log_format) if options.log_format else None
    resort = LastResort()
    put_back = set_up_logs(form, Path(options.log_file) if options.log_file else None, run.fields)
    prometheus_client.disable_created_metrics()  # a series more for each counter, which nobody asks for
    try:
        access, limits = options.access(), Limits().changed(options.limits)
        close_what_was_left(options.data)
        with start(options.profile, data_dir=options.data_dir, operator=options.operator) as session:
            session.RE.subscribe(run)
            report_failures(session.rig.failures)
            settle(page=options.page is not None)
            daemon = Daemon(
                session,
                access,
                limits,
                options.scripts,
                metrics_port=options.metrics_port,
                metrics_host=options.metrics_host,
                page=options.page,
            )
            session.at_close(daemon.close)
            sys.stdout.write(f"{daemon.server.address}\n")
            if daemon.metrics_url:
                sys.stdout.write(f"{daemon.metrics_url}/metrics\n")
            if daemon.server.page:
                sys.stdout.write(f"{daemon.server.page}\n")
            sys.stdout.flush()
            try:
                wait_attentively(threading.Event())  # the handlers of the session's signals end it
            except KeyboardInterrupt:
                sys.stderr.write("interrupted: closing\n")
            finally:
                resort.end_within(CLOSING, 128 + session.signals.ending if session.signals.ending else 0)
    finally:
        put_back()
        resort.closed(LINGERING)
    return 0


def print_unit(options: Options) -> int:
    """Print a unit file for systemd that starts the same, with the options that differ from the usual ones."""
    path = profiles.find(options.profile).resolve()
    command = [str(Path(sys.executable).with_name("rdaq")), "serve", str(path), "--data", str(options.data)]
    for name, value, usual in _words(options):
        if value not in (None, usual):
            command += [f"--{name}", str(value)]
    if options.page is None:
        command.append("--no-page")
    for limit in options.limits:
        command += ["--limit", limit]
    logs = [Path(options.log_file).resolve().parent] if options.log_file else []
    text = unit_file(
        command,
        profile=path.stem,
        user=getpass.getuser(),
        data=options.data,
        state=state_dir().resolve(),
        writable=logs,
    )
    sys.stdout.write(text)
    return 0


def _words(options: Options) -> list[tuple[str, object, object]]:
    """Option, value, and the value that need not be said."""
    files = {"tokens": options.tokens, "certificate": options.certificate, "key": options.key}
    return [
        ("operator", options.operator, None),
        ("listen", options.host, LOOPBACK),
        ("port", options.port, None),
        *((name, Path(file).resolve() if file else None, None) for name, file in files.items()),
        ("public", options.public, None),
        ("metrics-port", options.metrics_port, None),
        ("page-port", options.page, PAGE_PORT),
        ("metrics-listen", options.metrics_host, LOOPBACK),
        ("script-seconds", options.scripts.thinking, ScriptLimits().thinking),
        ("script-memory", options.scripts.memory / 2**30, ScriptLimits().memory / 2**30),
        ("log-format", options.log_format, None),
        ("log-file", Path(options.log_file).resolve() if options.log_file else None, None),
    ]
