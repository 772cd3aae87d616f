"""A served session with what whoever runs it needs: metrics and health over HTTP, and a word to the service manager."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from rdaq_ophyd.operations import Endpoint, Health, Metrics, Notifier
from rdaq_ophyd.scripts import ScriptLimits
from rdaq_ophyd.startup import Session

from ._access import LOOPBACK, Access
from ._limits import Limits
from ._server import Server


class Daemon:
    """The gRPC server, its health and its metrics, until it is closed.

    :param session: that is served.
    :param access: where and for whom.
    :param limits: how much is taken.
    :param scripts: how much a script may have.
    :param metrics_port: of ``/metrics``, ``/healthz`` and ``/readyz``; 0: any that is free, None: not served.
    :param metrics_host: address for these; another than loopback needs tokens and TLS, as for gRPC.
    :param notifier: of the service manager.
    :param page: port of the page in the browser, 0 for any that is free; None: there is no page.
    :ivar server: of gRPC.
    :ivar health: what is known of it.
    :ivar metrics_url: where the endpoint is; empty without.
    :raises NotAllowed: another address than loopback without tokens and TLS.
    :raises RdaqError: a port cannot be had.
    """

    def __init__(
        self,
        session: Session,
        access: Access,
        limits: Limits | None = None,
        scripts: ScriptLimits | None = None,
        *,
        metrics_port: int | None = None,
        metrics_host: str = LOOPBACK,
        notifier: Notifier | None = None,
        page: int | None = None,
    ) -> None:
        told, notifier = notifier, notifier or Notifier()
        door = None if metrics_port is None else replace(access, host=metrics_host, port=metrics_port)
        tls = door.tls() if door else None
        with contextlib.ExitStack() as stack:
            if told is None:
                stack.callback(notifier.close)  # last: until then it is told
            self.server = stack.enter_context(Server(session, access, limits, scripts, page=page))
            loops = {"server": self.server.loop, "engine": session.RE.loop}
            self.health: Health
            metrics = Metrics(session, self.server.calls, lambda: self.health.silences())
            stack.callback(metrics.close)
            self.health = Health(session, loops, tell=self.server.tell_health, notifier=notifier, tick=metrics.tick)
            self.metrics_url = ""
            if door is not None:
                endpoint = Endpoint(
                    metrics.registry, self.health, host=door.host, port=door.port, allow=door.who, tls=tls
                )
                stack.callback(endpoint.close)
                self.metrics_url = endpoint.url
            stack.callback(self.health.close)  # first: what asks is told that this is the end
            self._closing = stack.pop_all()
        notifier.tell(READY=1, STATUS=f"serves {session.rig.name} at {self.server.address}")

    def close(self) -> None:
        """End it, bounded; a plan under way goes on. Idempotent."""
        self._closing.close()
