"""The session inside the worker: one rig, served over gRPC, whose plans only the queue begins."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rdaq_ophyd.operations import Notifier
from rdaq_ophyd.scripts import ScriptLimits
from rdaq_ophyd.server import Access, Daemon, Limits, Server, TokenFile
from rdaq_ophyd.server._settled import settle
from rdaq_ophyd.startup import Session, report_failures, start

from ._options import WorkerOptions
from ._plans import queue_plans

__all__ = ["RigSession", "access_of", "close_session", "open_session", "opened"]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RigSession:
    """What the worker has: a session, and what serves it."""

    session: Session
    daemon: Daemon

    @property
    def server(self) -> Server:
        """Of gRPC."""
        return self.daemon.server

    def also_at(self) -> list[str]:
        """Where it is served beside gRPC: metrics, the page."""
        metrics = f"{self.daemon.metrics_url}/metrics" if self.daemon.metrics_url else ""
        return list(filter(None, [metrics, self.server.page]))

    def namespace(self) -> dict[str, Any]:
        """Names for queueserver: RunEngine, devices, plans."""
        return {**queue_plans(self.session), **self.session.rig.devices, "RE": self.session.RE}


_opened: RigSession | None = None


def opened() -> RigSession | None:
    """The one of this process; None before it is opened and after it is closed."""
    return _opened


def open_session(options: WorkerOptions) -> RigSession:
    """Start the session and serve it.

    :raises RdaqError: the profile or a limit is wrong, the data directory cannot be written, the port is taken.
    """
    global _opened
    access, limits, scripts = access_of(options), Limits().changed(options.limits), _script_limits(options)
    session = start(options.profile, data_dir=options.data_dir, operator=options.operator)
    try:
        session.plans_by = "the queue"
        daemon = Daemon(
            session,
            access,
            limits,
            scripts,
            metrics_port=options.metrics_port,
            metrics_host=options.metrics_host,
            notifier=Notifier({}),  # a service manager looks after the supervisor
            page=options.page,
        )
        session.at_close(daemon.close)
        _opened = RigSession(session, daemon)
        settle()
    except BaseException:
        session.close()
        raise
    report_failures(session.rig.failures)
    return _opened


def access_of(options: WorkerOptions) -> Access:
    """Where the session is served; found wrong before anything is started.

    :raises RdaqError: a port that there is not, or one of the addresses is for other machines without tokens and TLS.
    """
    access = Access(
        options.host,
        options.port,
        TokenFile(options.tokens) if options.tokens else (),
        Path(options.certificate) if options.certificate else None,
        Path(options.key) if options.key else None,
    )
    if options.metrics_port is not None:
        replace(access, host=options.metrics_host, port=options.metrics_port)
    if options.page is not None:
        Access(port=options.page)
    return access


def _script_limits(options: WorkerOptions) -> ScriptLimits:
    limits = ScriptLimits()
    if options.script_seconds is not None:
        limits = replace(limits, thinking=options.script_seconds)
    if options.script_memory is not None:
        limits = replace(limits, memory=options.script_memory)
    return limits


def close_session() -> None:
    """Close what is open: devices, documents, catalog. Idempotent."""
    global _opened
    if _opened is not None:
        try:
            _opened.session.close()
        except Exception:  # the worker must end all the same, and tell its manager so
            logger.exception("closing the session")
        _opened = None
